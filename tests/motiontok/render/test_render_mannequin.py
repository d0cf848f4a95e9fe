"""The mannequin is the motion: parts sit on its joints, whole and smooth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from bvh import DEFAULT_OFFSETS, JOINTS, Motion, procedural
from bvh.skeleton import PARENTS
from motiontok.errors import RenderError
from motiontok.render import MannequinActor
from motiontok.render.solids import hull_of_spheres


def test_poses_are_the_joints_transforms() -> None:
    motion = procedural.make("dance", seconds=2, seed=3)
    actor = MannequinActor(motion)
    positions = motion.global_positions()
    assert len(actor) == len(motion)
    for frame in (0, 17, len(motion) - 1):
        poses = actor.poses(frame)
        np.testing.assert_allclose(poses[:, :3, 3], positions[frame], atol=1e-12)
        identity = np.eye(3)[None]
        np.testing.assert_allclose(
            poses[:, :3, :3] @ poses[:, :3, :3].swapaxes(1, 2) - identity, 0, atol=1e-9
        )
    np.testing.assert_allclose(actor.roots()[:, :3, 3], motion.root_positions)


def test_between_frames_joints_turn_and_bones_keep_their_length() -> None:
    motion = procedural.make("dance", seconds=2, seed=3)
    flipped = Motion(
        motion.root_positions,
        motion.rotations * np.where(np.arange(len(motion)) % 2, -1.0, 1.0)[:, None, None],
        motion.offsets,
    )
    actor = MannequinActor(flipped)
    for frame in (0.5, 20.25, len(motion) - 1.75):
        poses = actor.poses(frame)
        before, after = actor.poses(int(frame)), actor.poses(int(frame) + 1)
        part = frame - int(frame)
        straight = (1 - part) * before[:, :3, 3] + part * after[:, :3, 3]
        np.testing.assert_allclose(poses[:, :3, 3], straight, atol=0.02)
        np.testing.assert_allclose(poses[0, :3, 3], straight[0], atol=1e-12)
        for joint, parent in enumerate(PARENTS[1:], start=1):
            bone = np.linalg.norm(poses[joint, :3, 3] - poses[parent, :3, 3])
            assert bone == pytest.approx(np.linalg.norm(motion.offsets[joint]), abs=1e-9)


def test_every_bone_is_covered_and_stands_on_the_floor() -> None:
    motion = Motion(
        root_positions=np.array([[0.0, 0.0, 1.0]]),
        rotations=np.tile([1.0, 0, 0, 0], (1, 22, 1)),
        offsets=DEFAULT_OFFSETS,
    )
    actor = MannequinActor(motion)
    poses = actor.poses(0)
    points = np.concatenate(
        [p.vertices @ m[:3, :3].T + m[:3, 3] for p, m in zip(actor.meshes(), poses, strict=True)]
    )
    joints = motion.global_positions()[0]
    for name, joint in zip(JOINTS, joints, strict=True):
        assert np.linalg.norm(points - joint, axis=1).min() < 0.15, name
    toes = joints[[JOINTS.index("LeftToe"), JOINTS.index("RightToe")], 2].mean()
    # Soles lie a little under the toes' joints, wherever the motion puts those.
    assert 0.01 < toes - points[:, 2].min() < 0.05
    assert np.ptp(points[:, 2]) == pytest.approx(actor.height, abs=0.08)


def test_sides_have_their_own_tint() -> None:
    actor = MannequinActor(procedural.make("walk", seconds=1, seed=0))
    parts = dict(zip(JOINTS, actor.meshes(), strict=True))
    left = parts["LeftForeArm"].colors.mean(0)
    right = parts["RightForeArm"].colors.mean(0)
    assert left[0] > left[2] + 0.2, "left is warm"
    assert right[2] > right[0] + 0.2, "right is cool"


def test_no_frames_is_an_error() -> None:
    motion = procedural.make("walk", seconds=1, seed=0)[0:0]
    with pytest.raises(RenderError, match="no frames"):
        MannequinActor(motion)


spheres = st.lists(
    st.tuples(
        st.tuples(*[st.floats(-0.3, 0.3)] * 3).map(np.array),
        st.floats(0.02, 0.12),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(spheres, st.tuples(*[st.floats(-1, 1)] * 3).map(np.array))
def test_hull_of_spheres_matches_scipy(solids: list[tuple[np.ndarray, float]], axis) -> None:
    part = hull_of_spheres(solids, (0.5, 0.5, 0.5), axis=axis)
    np.testing.assert_allclose(np.linalg.norm(part.normals, axis=1), 1, atol=1e-6)
    # No point of any sphere lies beyond the tangent plane of any vertex.
    centers = np.array([c for c, _ in solids])
    radii = np.array([r for _, r in solids])
    beyond = (part.normals @ centers.T + radii) - np.sum(part.normals * part.vertices, axis=1)[
        :, None
    ]
    assert beyond.max() < 1e-9
    # Volume of the hull of densely sampled spheres, by an independent library.
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(3000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    dense = ConvexHull(np.concatenate([c + r * ball for c, r in solids])).volume
    a, b, c = (part.vertices[part.faces[:, k]] for k in range(3))
    volume = np.sum(np.cross(a, b) * c) / 6
    assert 0.8 * dense < volume < 1.01 * dense, "outward faces, closed surface"
