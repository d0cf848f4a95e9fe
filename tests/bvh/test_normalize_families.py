"""Skeleton families: recognised by name, by topology, or by a mapping."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rerigging import (
    renamed,
    with_children,
    with_joint_above,
    with_parent,
    with_random_axes,
)
from rigs import RIGS, put_on

import bvh
from bvh import JOINTS, Clip, Motion, procedural
from bvh import rotations as rot

METRE = {"cm": 100.0, "m": 1.0, "cmu": 0.45 / 0.0254}
FAMILIES = sorted(RIGS)
NAMED = {
    "mixamo": {"Head": "mixamorig:Head", "LeftToe": "mixamorig:LeftToeBase",
               "Spine2": "mixamorig:Spine2", "RightHand": "mixamorig:RightHand"},
    "cmu": {"Spine": "LowerBack", "Spine2": "Spine1", "LeftUpLeg": "LeftUpLeg", "Neck": "Neck"},
    "xsens": {"Spine": "Chest", "Spine2": "Chest4", "LeftShoulder": "LeftCollar",
              "LeftArm": "LeftShoulder", "LeftHand": "LeftWrist", "RightUpLeg": "RightHip"},
    "perception-neuron": {"Spine2": "Spine3", "LeftToe": "LeftFoot End Site"},
    "rokoko": {"LeftUpLeg": "LeftThigh", "RightLeg": "RightShin", "Spine2": "Spine4"},
    "smpl": {"LeftToe": "L_Foot", "LeftFoot": "L_Ankle", "LeftArm": "L_Shoulder",
             "LeftHand": "L_Wrist", "Hips": "Pelvis"},
}  # fmt: skip


@pytest.fixture(scope="module")
def motion() -> Motion:
    return procedural.make("walk", seconds=4, seed=3)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def clip(family: str, motion: Motion) -> Clip:
    rig, unit = RIGS[family]
    return put_on(rig, motion, METRE[unit])


def degrees(a: Motion, b: Motion) -> dict[str, float]:
    """Largest angle between global rotations, by joint."""
    angles = rot.angle_between(a.global_transforms()[0], b.global_transforms()[0])
    return dict(zip(JOINTS, np.rad2deg(angles).max(axis=0), strict=True))


def test_names_units_and_axes_are_recognised(family: str, clip: Clip) -> None:
    motion, report = bvh.examine(clip)
    assert (report.family, report.unit, report.up) == (family, RIGS[family][1], "y")
    assert report.confidence == 1.0
    assert motion.source.joints.items() >= NAMED[family].items()
    assert 1.2 < report.height < 2.1


def test_a_t_pose_in_the_file_is_the_canonical_one(clip: Clip, motion: Motion) -> None:
    found = degrees(bvh.normalize(clip), motion)
    for joint in ("Hips", "Spine2", "Head"):
        assert found[joint] < 0.5, joint
    # A hand is straight on its forearm, which only SMPL's T-pose does not hold level.
    for joint in ("LeftHand", "RightHand"):
        assert found[joint] < (12 if clip.names[0] == "Pelvis" else 0.5), joint


def test_positions_are_the_sources(family: str, clip: Clip) -> None:
    motion = bvh.normalize(clip)
    source = clip.global_positions()[..., [2, 0, 1]] / METRE[RIGS[family][1]]
    compared = [c for c, name in motion.source.joints.items() if name in clip.names and c != "Hips"]
    assert len(compared) > 12
    for canonical, name in motion.source.joints.items():
        if canonical in compared:
            bone = motion.global_positions()[:, JOINTS.index(canonical)] - motion.root_positions
            expected = source[:, clip.names.index(name)] - source[:, clip.names.index(
                motion.source.joints["Hips"])]  # fmt: skip
            np.testing.assert_allclose(bone, expected, atol=1e-3, err_msg=canonical)


def test_other_axes_and_no_t_pose(clip: Clip) -> None:
    expected = bvh.normalize(clip)
    found = bvh.normalize(with_random_axes(clip, np.random.default_rng(5)))
    assert found.source.joints == expected.source.joints
    np.testing.assert_allclose(
        found.global_positions() - found.global_positions()[:, :1],
        expected.global_positions() - expected.global_positions()[:, :1],
        atol=2e-3,
    )
    angles = degrees(found, expected)
    # What only standing shows (pelvis) or a neck points at (chest) is close; limbs are exact.
    assert angles["Hips"] < 8
    assert angles["Spine2"] < 12
    for side in ("Left", "Right"):
        for part in ("UpLeg", "Leg", "Arm", "ForeArm"):
            assert angles[side + part] < 1.0
        assert angles[side + "Foot"] < 12


@pytest.mark.parametrize("wrists", ["stiff", "bending"])
def test_names_that_say_nothing(clip: Clip, motion: Motion, family: str, wrists: str) -> None:
    turns = motion.rotations.copy()
    if wrists == "bending":
        hands = [JOINTS.index("LeftHand"), JOINTS.index("RightHand")]
        bend = 0.3 * np.sin(np.arange(len(turns)) / 7)
        turns[:, hands] = rot.from_axis_angle([0, 0, 1], bend)[:, None]
    rig, unit = RIGS[family]
    clip = put_on(rig, replace(motion, rotations=turns), METRE[unit])
    anonymous = replace(clip, names=tuple(f"joint{i}" for i in range(len(clip.names))))
    found, report = bvh.examine(anonymous)
    assert report.family == "unknown"
    expected = bvh.normalize(clip)
    back = dict(zip(anonymous.names, clip.names, strict=True))
    for canonical, name in found.source.joints.items():
        if canonical.startswith("Spine") or canonical == "Neck":
            continue
        plain = name.removesuffix(" End Site")
        assert back[plain] == expected.source.joints[canonical].removesuffix(" End Site")
    assert {"LeftHand", "RightHand"} <= found.source.joints.keys()


@pytest.mark.parametrize("fingers", [{}, {"f1": (9.0, 0.0, 2.0), "f2": (9.0, 0.0, -2.0)}])
@pytest.mark.parametrize("twist", [False, True])
def test_stiff_wrists_of_nameless_joints_are_found(
    motion: Motion, fingers: dict[str, tuple[float, float, float]], twist: bool
) -> None:
    clip = put_on(RIGS["mixamo"][0], motion, 100.0)
    expected = bvh.normalize(clip)
    for side, sign in (("Left", 1), ("Right", -1)):
        hand = f"mixamorig:{side}Hand"
        if twist:
            clip = with_joint_above(clip, hand, f"{side}Twist", 0.5)
        if fingers:
            ends = {side + f: (sign * x, y, z) for f, (x, y, z) in fingers.items()}
            clip = with_children(clip, hand, ends)
    nameless = replace(clip, names=tuple(f"joint{i}" for i in range(len(clip.names))))
    found = bvh.normalize(nameless)
    for side in ("Left", "Right"):
        hand = clip.names.index(f"mixamorig:{side}Hand")
        assert found.source.joints[f"{side}Hand"] == nameless.names[hand]
    np.testing.assert_allclose(found.global_positions(), expected.global_positions(), atol=2e-3)


@pytest.mark.parametrize("prefix", ["", "mixamorig:", "mixamorig1:", "mixamorig_", "Actor:"])
def test_mixamo_with_any_prefix_or_none(motion: Motion, prefix: str) -> None:
    clip = put_on(RIGS["mixamo"][0], motion, 100.0)
    names = {n: prefix + n.partition(":")[2] for n in clip.names}
    found, report = bvh.examine(renamed(clip, names))
    assert (report.family, report.confidence) == ("mixamo", 1.0)
    np.testing.assert_allclose(found.rotations, bvh.normalize(clip).rotations, atol=1e-12)


@pytest.mark.parametrize(
    ("names", "family"),
    [
        ({"L_Hip": "left_hip", "L_Knee": "left_knee", "L_Ankle": "left_ankle"}, "smpl"),
        ({"Pelvis": "m_avg_Pelvis", "L_Hip": "m_avg_L_Hip", "Spine1": "m_avg_Spine1"}, "smpl"),
    ],
)
def test_smpl_spellings(motion: Motion, names: dict[str, str], family: str) -> None:
    clip = put_on(RIGS["smpl"][0], motion, 1.0)
    spelled = dict(names)
    if "L_Hip" in names and names["L_Hip"] == "left_hip":
        spelled = {n: n.replace("L_", "left_").replace("R_", "right_").lower() for n in clip.names}
    report = bvh.examine(renamed(clip, spelled))[1]
    assert (report.family, report.confidence) == (family, 1.0)


def test_sides_are_read_from_unknown_names(motion: Motion) -> None:
    clip = put_on(RIGS["xsens"][0], motion, 100.0)
    names = {n: n for n in clip.names}
    for word, letter in (("Left", "_l"), ("Right", "_r")):
        for i, part in enumerate(("Collar", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")):
            names[word + part] = f"bone{i}{letter}"
    found, report = bvh.examine(renamed(clip, names))
    assert report.family == "unknown"
    assert found.source.joints["LeftUpLeg"] == "bone4_l"
    assert report.confidence > 0.5


def test_names_with_left_and_right_exchanged_are_put_right(motion: Motion) -> None:
    clip = put_on(RIGS["xsens"][0], motion, 100.0)
    exchanged = {
        n: n.replace("Left", "@").replace("Right", "Left").replace("@", "Right") for n in clip.names
    }
    found, report = bvh.examine(renamed(clip, exchanged))
    assert any("left and right" in p for p in report.problems)
    np.testing.assert_allclose(found.rotations, bvh.normalize(clip).rotations, atol=1e-9)


def test_bending_joints_that_are_dropped_do_not_move_the_chest(motion: Motion) -> None:
    clip = put_on(RIGS["xsens"][0], motion, 100.0)
    bent = clip.rotations.copy()
    at = clip.names.index("Chest3")
    bend = 0.3 * np.sin(np.arange(clip.frames) / 9)
    bent[:, at] = rot.multiply(rot.from_axis_angle([1, 0, 0], bend), bent[:, at])
    clip = replace(clip, rotations=bent)
    found = bvh.normalize(clip)
    assert "Spine1" not in found.source.joints
    source = clip.global_positions()[..., [2, 0, 1]] / 100
    for canonical in ("Spine", "Spine2", "Neck", "Head", "LeftHand", "RightHand"):
        name = found.source.joints[canonical]
        expected = source[:, clip.names.index(name)] - source[:, 0]
        bone = found.global_positions()[:, JOINTS.index(canonical)] - found.root_positions
        np.testing.assert_allclose(bone, expected, atol=1e-3, err_msg=canonical)


def test_joints_that_are_missing_are_filled_in(motion: Motion) -> None:
    keep = {"Hips", "Spine2", "Head", *(s + p for s in ("Left", "Right")
            for p in ("UpLeg", "Leg", "Foot", "Arm", "ForeArm", "Hand"))}  # fmt: skip
    rig = [(n, next((a for a in _above(n) if a in keep), None), _offset(motion, n, keep), n)
           for n in JOINTS if n in keep]  # fmt: skip
    clip = put_on(rig, motion, 100.0)
    found = bvh.normalize(clip)
    assert set(found.source.joints) == keep | {"LeftToe", "RightToe"}  # from End Sites
    lengths = np.linalg.norm(found.offsets[1:], axis=-1)
    assert (lengths > 0.01).all()
    assert np.rad2deg(rot.angle_between(found.rotations, motion.rotations)).max() < 60
    for side, y in (("Left", 1), ("Right", -1)):
        shoulder = found.offsets[JOINTS.index(side + "Shoulder")]
        arm = found.offsets[JOINTS.index(side + "Arm")]
        assert shoulder[1] * y > 0.02
        np.testing.assert_allclose(arm / np.linalg.norm(arm), [0, y, 0], atol=1e-6)


def _above(joint: str) -> list[str]:
    out, j = [], JOINTS.index(joint)
    while (j := bvh.PARENTS[j]) >= 0:
        out.append(JOINTS[j])
    return out


def _offset(motion: Motion, joint: str, keep: set[str]) -> tuple[float, float, float]:
    total = motion.offsets[JOINTS.index(joint)].copy()
    for above in _above(joint):
        if above in keep:
            break
        total += motion.offsets[JOINTS.index(above)]
    x, y, z = 100 * total
    return float(y), float(z), float(x)


def test_helpers_between_all_joints(motion: Motion) -> None:
    clip = put_on(RIGS["mixamo"][0], motion, 100.0)
    expected = bvh.normalize(clip)
    helped = with_parent(clip, "reference")
    for name in ("LeftLeg", "LeftForeArm", "RightForeArm", "RightFoot", "Spine1"):
        helped = with_joint_above(helped, f"mixamorig:{name}", f"{name}_twist", 0.5)
    found = bvh.normalize(helped)
    assert found.source.joints == expected.source.joints
    np.testing.assert_allclose(found.global_positions(), expected.global_positions(), atol=1e-9)
