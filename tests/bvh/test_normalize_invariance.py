"""Who made the file does not matter: the same motion on other rigs normalises alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from rerigging import (
    in_world,
    mirrored,
    renamed,
    with_axes,
    with_children,
    with_flipped_side,
    with_joint_above,
    with_parent,
    with_random_axes,
    with_rest_of,
)

import bvh
from bvh import JOINTS, Clip, Motion
from bvh import rotations as rot

NAMES = ["lafan1", "bow", "dance", "kick", "run", "walk", "wave"]
DETERMINED = [
    JOINTS.index(j)
    for j in ("Hips", "Spine", "Spine1", "Spine2", "Neck", *(
        side + part for side in ("Left", "Right")
        for part in ("UpLeg", "Leg", "Shoulder", "Arm", "ForeArm")
    ))
]  # fmt: skip
"""Joints whose frame the geometry determines: all but feet, toes, head and hands."""

BANDAI_TO_LAFAN = {
    "Chest": "Spine2",
    **{
        f"{part}_{side[0]}": side + name
        for side in ("Left", "Right")
        for part, name in {
            "UpperLeg": "UpLeg", "LowerLeg": "Leg", "Foot": "Foot", "Toes": "Toe",
            "Shoulder": "Shoulder", "UpperArm": "Arm", "LowerArm": "ForeArm", "Hand": "Hand",
        }.items()
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=NAMES)
def clip(request: pytest.FixtureRequest, captures: dict[str, Clip]) -> Clip:
    return captures[request.param]


@pytest.fixture(scope="module")
def motion(clip: Clip) -> Motion:
    return bvh.normalize(clip)


def assert_same(found: Motion, expected: Motion) -> None:
    """Positions within 1 mm, and determined joints within 0.5 degree."""
    assert found.frames == expected.frames
    (turns, points), (turns_0, points_0) = found.global_transforms(), expected.global_transforms()
    np.testing.assert_allclose(points, points_0, atol=1e-3)
    angles = np.rad2deg(rot.angle_between(turns, turns_0)).max(axis=0)[DETERMINED]
    assert angles.max() < 0.5, dict(zip(np.array(JOINTS)[DETERMINED], angles.round(2), strict=True))


def side_pairs(clip: Clip) -> dict[str, str]:
    """Left joint <-> right joint, by LAFAN1's and Bandai-Namco's ways of naming."""
    out = {}
    for name in clip.names:
        if name.startswith("Left"):
            out[name] = "Right" + name[4:]
        elif name.endswith("_L"):
            out[name] = name[:-1] + "R"
    return out | {right: left for left, right in out.items()}


def first(clip: Clip, *names: str) -> str:
    return next(n for n in names if n in clip.names)


@pytest.mark.parametrize("seed", [0, 1])
def test_random_local_axes(clip: Clip, motion: Motion, seed: int) -> None:
    assert_same(bvh.normalize(with_random_axes(clip, np.random.default_rng(seed))), motion)


def test_a_side_with_mirrored_axes(clip: Clip, motion: Motion) -> None:
    right = [clip.names.index(n) for n in list(side_pairs(clip).values())]
    assert_same(bvh.normalize(with_flipped_side(clip, right)), motion)


@pytest.mark.parametrize("frame", [0, -1])
def test_another_rest_pose(clip: Clip, motion: Motion, frame: int) -> None:
    assert_same(bvh.normalize(with_rest_of(clip, frame)), motion)


@pytest.mark.parametrize("up", ["x", "y", "z", "-x", "-y", "-z"])
def test_another_up_axis(clip: Clip, motion: Motion, up: str) -> None:
    # Take canonical world axes (Z up) to axes in which `up` is up.
    axis = np.zeros(3)
    axis["xyz".index(up[-1])] = -1.0 if up.startswith("-") else 1.0
    from_y = rot.between(np.array([0.0, 1.0, 0.0]), axis)
    found, report = bvh.examine(in_world(clip, from_y, 1.0))
    assert report.up == up
    heading = rot.multiply(found.rotations[0, 0], rot.conjugate(motion.rotations[0, 0]))
    assert_same(found, motion.moved(heading, np.zeros(3)))
    # Only the heading about the vertical is a matter of convention.
    np.testing.assert_allclose(rot.rotate(heading, np.array([0.0, 0.0, 1.0])), [0, 0, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("unit", "per_cm"), [("mm", 10.0), ("inch", 1 / 2.54), ("m", 0.01), ("cmu", 0.45 / 2.54)]
)
def test_another_unit(clip: Clip, motion: Motion, unit: str, per_cm: float) -> None:
    found, report = bvh.examine(in_world(clip, rot.identity(), per_cm))
    assert report.unit == unit
    assert_same(found, motion)


def test_another_heading_and_place(clip: Clip, motion: Motion) -> None:
    turn = rot.from_axis_angle([0, 1, 0], 2.0)
    found = bvh.normalize(in_world(clip, turn, 1.0, shift=(300.0, -70.0, 100.0)))
    assert_same(found, motion.moved(rot.from_axis_angle([0, 0, 1], 2.0), np.array([1.0, 3.0, 0.0])))


def test_a_dummy_root(clip: Clip, motion: Motion) -> None:
    assert_same(bvh.normalize(with_parent(clip, "Armature")), motion)


def add_joints(clip: Clip) -> Clip:
    """Fingers, twist joints, and a joint more in the spine."""
    out = with_joint_above(clip, first(clip, "Spine2", "Chest"), "SpineHelper", 0.5)
    for child in (first(clip, "LeftForeArm", "LowerArm_L"), first(clip, "RightLeg", "LowerLeg_R")):
        out = with_joint_above(out, child, child + "Twist", 0.4)
    for hand in (first(clip, "LeftHand", "Hand_L"), first(clip, "RightHand", "Hand_R")):
        fingers = {f"{hand}Thumb": (4, 3, 1), f"{hand}Index": (9, 0, 2), f"{hand}Pinky": (8, 0, -2)}
        out = with_children(out, hand, fingers)
    return out


def test_more_joints(clip: Clip, motion: Motion) -> None:
    found = bvh.normalize(add_joints(clip))
    # Where a spine joint is missing, an added one takes its place.
    assert found.source.joints.items() >= motion.source.joints.items()
    assert_same(found, motion)


@pytest.mark.parametrize("change", [lambda c: c, add_joints], ids=["plain", "more joints"])
def test_names_that_say_nothing(clip: Clip, motion: Motion, change: Callable[[Clip], Clip]) -> None:
    changed = change(clip)
    anonymous = replace(changed, names=tuple(f"bone{i}" for i in range(len(changed.names))))
    found, report = bvh.examine(anonymous)
    assert report.family == "unknown"
    assert report.confidence < 0.5
    assert_same(found, motion)


def test_another_familys_names(captures: dict[str, Clip]) -> None:
    clip = captures["walk"]
    found = bvh.normalize(renamed(clip, BANDAI_TO_LAFAN))
    assert found.source.family == "lafan1"
    assert_same(found, bvh.normalize(clip))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_another_euler_order_and_file(
    clip: Clip, motion: Motion, seed: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    orders = list(permutations(("Xrotation", "Yrotation", "Zrotation")))
    places = ("Zposition", "Xposition", "Yposition")
    channels = tuple(
        (*orders[rng.integers(6)], *places) if len(c) == 6 else orders[rng.integers(6)]
        for c in clip.channels
    )
    bvh.write(replace(clip, channels=channels), tmp_path / "other.bvh")
    assert_same(bvh.normalize(bvh.read(tmp_path / "other.bvh")), motion)


def test_everything_at_once(clip: Clip, motion: Motion) -> None:
    rng = np.random.default_rng(7)
    other = with_random_axes(with_parent(add_joints(clip), "Root"), rng)
    other = in_world(other, rot.from_axis_angle([1, 0, 0], np.pi / 2), 10.0)
    other = replace(other, names=tuple(f"b{i}" for i in range(len(other.names))))
    found, report = bvh.examine(other)
    assert (report.up, report.unit, report.family) == ("z", "mm", "unknown")
    heading = rot.multiply(found.rotations[0, 0], rot.conjugate(motion.rotations[0, 0]))
    assert_same(found, motion.moved(heading, np.zeros(3)))


def test_a_mirrored_clip_is_mirrored_motion(clip: Clip, motion: Motion) -> None:
    # In a Y-up file that faces Z, left is X.
    found = bvh.normalize(mirrored(clip, side_pairs(clip), axis=0))
    expected = motion.mirrored()
    assert_same(found, expected)
    np.testing.assert_allclose(rot.angle_between(found.rotations, expected.rotations), 0, atol=1e-3)


def test_sides_of_nameless_joints_are_seen(clip: Clip, motion: Motion) -> None:
    # Reflected without exchanging joints: what was the left leg is now the right one.
    reflected = mirrored(clip, {}, axis=0)
    names = tuple(f"bone{i}" for i in range(len(clip.names)))
    found, report = bvh.examine(replace(reflected, names=names))
    assert_same(found, motion.mirrored())
    assert not any("left and right" in p for p in report.problems)


def test_a_t_pose_with_a_tilted_pelvis_is_not_taken_for_canonical(
    clip: Clip, motion: Motion
) -> None:
    axes = rot.identity(len(JOINTS))
    axes[0] = rot.from_axis_angle([1, 0, 0], 0.35)  # Y up: about the lateral axis
    tilted = with_axes(motion.to_clip(), axes)
    found = bvh.normalize(tilted)
    assert found.source.family == "lafan1"
    assert_same(found, motion)


def test_positions_are_the_sources(clip: Clip, motion: Motion) -> None:
    source = 0.01 * clip.global_positions()[..., [2, 0, 1]]
    columns = [JOINTS.index(c) for c in motion.source.joints]
    found = motion.global_positions()[:, columns]
    expected = source[:, [clip.names.index(n) for n in motion.source.joints.values()]]
    difference = found - expected
    floor = difference[0, 0, 2]
    np.testing.assert_allclose(difference, np.broadcast_to([0, 0, floor], found.shape), atol=1e-3)
    assert len(columns) == (22 if clip.name.startswith("lafan1") else 21)


def test_a_written_motion_comes_back(motion: Motion, tmp_path: Path) -> None:
    bvh.write(motion.to_clip(), tmp_path / "canonical.bvh")
    found = bvh.normalize(bvh.read(tmp_path / "canonical.bvh"))
    assert found.source.family == "canonical"
    np.testing.assert_allclose(found.global_positions(), motion.global_positions(), atol=1e-5)
    np.testing.assert_allclose(rot.angle_between(found.rotations, motion.rotations), 0, atol=1e-4)
    np.testing.assert_allclose(found.offsets, motion.offsets, atol=1e-6)


def test_a_canonical_rig_is_found_by_geometry_too(motion: Motion) -> None:
    clip = with_random_axes(motion.to_clip(), np.random.default_rng(3))
    found = bvh.normalize(clip)
    assert found.source.family == "lafan1"
    assert_same(found, motion)
