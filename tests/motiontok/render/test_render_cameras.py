"""Cameras keep figures in the picture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import JOINTS, procedural
from bvh import rotations as rot
from motiontok.errors import RenderError
from motiontok.render.actors import Part
from motiontok.render.cameras import CAMERAS, CameraKind, CameraPath, View
from motiontok.render.mannequin import MannequinActor


@dataclass
class Dot:
    """An actor that is only a path."""

    path: np.ndarray
    yaw: float = 0.0
    label: str = "dot"
    fps: float = 30.0
    height: float = 1.75
    opacity: float = 1.0
    parts: list[Part] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.path)

    def meshes(self, *, fine: bool = True) -> list[Part]:
        return self.parts

    def poses(self, frame: int) -> np.ndarray:
        return np.zeros((0, 4, 4))

    def roots(self) -> np.ndarray:
        out = np.tile(np.eye(4), (len(self.path), 1, 1))
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        out[:, :2, :2] = [[c, -s], [s, c]]
        out[:, :3, 3] = self.path
        return out


def walk(seed: int, frames: int, speed: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    heading = np.cumsum(rng.normal(0, 0.08, frames)) + rng.uniform(-np.pi, np.pi)
    steps = speed / 30 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    out = np.zeros((frames, 3))
    out[:, :2] = rng.uniform(-50, 50, 2) + np.cumsum(steps, axis=0)
    out[:, 2] = 0.9 + rng.uniform(-0.05, 0.05, frames)
    return out


def screen(view: View, point: np.ndarray, aspect: float) -> np.ndarray:
    """Picture coordinates of a world point: (-1, -1) lower left, (1, 1) upper right."""
    local = np.linalg.inv(view.world_from_camera) @ [*point, 1.0]
    assert local[2] < 0, "in front of the camera"
    scale = np.tan(view.fov / 2)
    return np.array([local[0] / -local[2] / scale / aspect, local[1] / -local[2] / scale])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    frames=st.integers(1, 200),
    speed=st.floats(0, 4),
    aspect=st.floats(0.4, 2.5),
    kind=st.sampled_from(CAMERAS),
)
def test_the_whole_body_stays_in_the_picture(seed, frames, speed, aspect, kind) -> None:
    path = walk(seed, frames, speed)
    camera = CameraPath(kind, [Dot(path)], aspect=aspect)
    # A smoothed follow camera lags a runner who turns: his root stays near the middle,
    # and of a standing one feet, head and spread arms are seen as well.
    for frame in range(0, frames, 7):
        view = camera.at(frame / 30)
        pose = view.world_from_camera[:3, :3]
        np.testing.assert_allclose(pose @ pose.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose) > 0
        assert np.abs(screen(view, path[frame], aspect)).max() < 0.95
        if speed < 0.5 or kind == "fixed":
            for height in (0.0, 1.75):
                at = np.array([*path[frame, :2], height])
                assert np.abs(screen(view, at, aspect)).max() < 1.0


def test_fixed_stands_still_and_orbit_turns() -> None:
    dot = Dot(walk(0, 300, 1.0))
    fixed, orbit = (CameraPath(k, [dot], aspect=1.3) for k in ("fixed", "orbit"))
    poses = [fixed.at(t).world_from_camera for t in (0.0, 3.0, 9.0)]
    np.testing.assert_array_equal(poses[0], poses[1])
    np.testing.assert_array_equal(poses[0], poses[2])
    turned = orbit.at(0.0).world_from_camera[:3, 2] @ orbit.at(7.0).world_from_camera[:3, 2]
    assert turned < -0.8, "half a turn later the camera sees the back"


@pytest.mark.parametrize("yaw", [0.0, 2.0, -3.0])
def test_follow_sees_the_face(yaw: float) -> None:
    view = CameraPath("follow", [Dot(walk(1, 60, 0.0), yaw=yaw)], aspect=1.0).at(1.0)
    to_camera = view.world_from_camera[:2, 2]
    assert to_camera @ [np.cos(yaw), np.sin(yaw)] > 0.5


def test_follow_is_smoother_than_the_motion() -> None:
    path = walk(2, 300, 1.0)
    path[:, :2] += np.random.default_rng(0).normal(0, 0.03, (300, 2))
    camera = CameraPath("follow", [Dot(path)], aspect=1.0)
    eyes = np.array([camera.at(k / 30).world_from_camera[:3, 3] for k in range(300)])
    jerk = np.abs(np.diff(eyes[:, :2], n=2, axis=0)).mean()
    assert jerk < 0.05 * np.abs(np.diff(path[:, :2], n=2, axis=0)).mean()


def test_unknown_camera_lists_the_choices() -> None:
    with pytest.raises(RenderError, match="follow, fixed, orbit"):
        CameraPath("drone", [Dot(walk(0, 3, 1.0))], aspect=1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", CAMERAS)
@pytest.mark.parametrize(
    ("aspect", "below", "above"),
    [(0.8, 0.0, 0.0), (1.0, 0.2, 0.1), (1.8, 0.0, 0.1), (1.8, 0.1, 0.0)],
)
@pytest.mark.parametrize("attitude", ["lies", "hangs", "kneels", "jumps", "raises arms"])
def test_no_limb_is_cut_off(
    kind: CameraKind, aspect: float, below: float, above: float, attitude: str
) -> None:
    motion = procedural.make("dance", seconds=3.0, seed=4)
    places, turns = motion.root_positions.copy(), motion.rotations.copy()
    if attitude == "lies":
        over = rot.from_axis_angle([0.0, 1.0, 0.0], np.pi / 2)
        turns[:, 0] = rot.multiply(over, turns[:, 0])
        places[:, 2] = 0.15
    elif attitude == "kneels":
        places[:, 2] -= 0.5
    elif attitude == "raises arms":
        for side, sign in (("Left", 1.0), ("Right", -1.0)):
            up = rot.from_axis_angle([1.0, 0.0, 0.0], sign * np.pi / 2)
            turns[:, JOINTS.index(side + "Arm")] = up
    else:
        places[:, 2] += 1.2 if attitude == "hangs" else 0.5 * np.sin(np.arange(len(places)) / 8)
    actor = MannequinActor(replace(motion, root_positions=places, rotations=turns))
    camera = CameraPath(kind, [actor], aspect=aspect, below=below, above=above)
    assert_in_picture(camera, actor, aspect, below, above)


def assert_in_picture(
    camera: CameraPath,
    actor: MannequinActor,
    aspect: float,
    below: float = 0.0,
    above: float = 0.0,
) -> None:
    parts = actor.meshes(fine=False)
    for frame in range(0, len(actor), 11):
        view = camera.at(frame / actor.fps)
        points = np.concatenate(
            [
                part.vertices @ pose[:3, :3].T + pose[:3, 3]
                for part, pose in zip(parts, actor.poses(frame), strict=True)
            ]
        )
        local = (points - view.world_from_camera[:3, 3]) @ view.world_from_camera[:3, :3]
        half = -local[:, 2:] * np.tan(view.fov / 2) * [aspect, 1.0]
        assert (np.abs(local[:, :2]) < half).all(), frame
        assert (local[:, 1] > -(1.0 - 2.0 * below) * half[:, 1]).all(), frame
        assert (local[:, 1] < (1.0 - 2.0 * above) * half[:, 1]).all(), frame


@pytest.mark.parametrize("kind", ["follow", "orbit"])
@pytest.mark.parametrize("jump", [3.0, 1e4])
def test_cameras_jump_with_a_figure(kind: CameraKind, jump: float) -> None:
    motion = procedural.make("walk", seconds=6.0, seed=1)
    places = motion.root_positions.copy()
    places[55:, 0] += jump
    places[110:111, 1] += jump
    whole = CameraPath(kind, [MannequinActor(motion)], aspect=1.0).at(0.0)
    actor = MannequinActor(replace(motion, root_positions=places))
    camera = CameraPath(kind, [actor], aspect=1.0)
    assert_in_picture(camera, actor, 1.0)
    far, near = (
        np.linalg.norm(view.world_from_camera[:3, 3] - view.target)
        for view in (camera.at(0.0), whole)
    )
    assert far == pytest.approx(near, rel=0.1)


def test_a_standing_figure_is_as_large_as_it_was() -> None:
    motion = procedural.make("walk", seconds=3.0, seed=1)
    actor = MannequinActor(motion)
    eye = CameraPath("follow", [actor], aspect=0.8).at(1.0)
    away = np.linalg.norm(eye.world_from_camera[:3, 3] - eye.target)
    assert away == pytest.approx(0.63 * actor.height / np.tan(eye.fov / 2), rel=0.12)


@pytest.mark.parametrize("kind", CAMERAS)
@pytest.mark.parametrize("frames", [1, 2])
def test_a_clip_of_a_frame_or_two_is_seen(kind: CameraKind, frames: int) -> None:
    actor = MannequinActor(procedural.make("walk", seconds=1.0, seed=1)[:frames])
    view = CameraPath(kind, [actor], aspect=1.0).at(0.0)
    assert np.abs(screen(view, actor.roots()[0, :3, 3], 1.0)).max() < 0.5
