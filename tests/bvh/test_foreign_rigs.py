"""Rigs nobody has named before are found by what their names have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from foreign_rigs import ALL, FOREIGN
from poses import POSES
from rerigging import (
    built_in,
    in_world,
    with_children,
    with_joint_above,
    with_parent,
    with_random_axes,
)
from rigs import Row, put_on

import bvh
from bvh import Clip, Motion, procedural
from bvh import rotations as rot
from bvh.remarks import kind_of

TO_Z = rot.from_axis_angle([1.0, 0.0, 0.0], np.pi / 2)
LIMBS = [
    side + part
    for side in ("Left", "Right")
    for part in ("UpLeg", "Leg", "Foot", "Arm", "ForeArm", "Hand")
]


def named(clip: Clip, name: Callable[[int, str], str]) -> Clip:
    return replace(clip, names=tuple(name(i, n) for i, n in enumerate(clip.names)))


def with_extras(clip: Clip, rig: list[Row]) -> Clip:
    """Twist joints in the long bones, a face, and a dummy above it all."""
    source = {row[3]: row[0] for row in rig}
    for joint in ("LeftForeArm", "RightForeArm", "LeftLeg", "RightLeg"):
        clip = with_joint_above(clip, source[joint], f"{joint}_roll_helper", 0.5)
    size = 0.05 * float(np.abs(clip.offsets).max())
    face = np.random.default_rng(0).uniform(-size, size, size=(40, 3))
    clip = with_children(clip, source["Head"], {f"face{i}": p for i, p in enumerate(face.tolist())})
    return with_parent(clip, "Reference")


RERIGS: dict[str, Callable[[Clip, list[Row]], Clip]] = {
    "as it is": lambda c, _: c,
    "a prefix": lambda c, _: named(c, lambda _, n: f"Character1_{n}"),
    "a prefix without a mark": lambda c, _: named(c, lambda _, n: f"hero{n}"),
    "a namespace": lambda c, _: named(c, lambda _, n: f"scene:actor:{n}"),
    "a suffix": lambda c, _: named(c, lambda _, n: f"{n}_jnt"),
    "numbers behind": lambda c, _: named(c, lambda i, n: f"{n}_{i:02}"),
    "numbers before": lambda c, _: named(c, lambda i, n: f"{i}_{n}"),
    "turned axes": lambda c, _: with_random_axes(c, np.random.default_rng(5)),
    "built Z up": lambda c, _: built_in(c, TO_Z),
    "ten times the unit": lambda c, _: in_world(c, rot.identity(), 10.0),
    "more joints": with_extras,
    "no names": lambda c, _: named(c, lambda i, _: f"b{i}"),
}


@pytest.fixture(scope="module")
def poses() -> dict[str, Motion]:
    return {name: make() for name, make in POSES.items()}


@pytest.mark.parametrize("pose", sorted(POSES))
@pytest.mark.parametrize("rerig", sorted(RERIGS))
@pytest.mark.parametrize("family", sorted(ALL))
def test_no_rig_and_no_attitude_is_misread_without_a_word(
    family: str, rerig: str, pose: str, poses: dict[str, Motion]
) -> None:
    rig, metre = ALL[family]
    clip = put_on(rig, poses[pose], metre)
    odd = RERIGS[rerig](clip, rig)
    report = bvh.examine(odd)[1]
    said = {kind_of(line) for line in report.problems}
    assert report.up == ("z" if rerig == "built Z up" else "y") or said & {"up-axis", "lies"}
    wrong = wrong_limbs(report.joints, odd, clip, rig)
    assert not wrong or "joints" in said, wrong


def wrong_limbs(joints: dict[str, str], odd: Clip, clip: Clip, rig: list[Row]) -> dict[str, str]:
    """Limbs that are not where the rig has them, however its joints are named by now."""
    # Names change in place, or joints are added and names stay.
    new = odd.names if len(odd.names) == len(clip.names) else clip.names
    now = dict(zip(clip.names, new, strict=True))
    expected = {row[3]: now[row[0]] for row in reversed(rig) if row[3] in LIMBS}
    found = {j: joints.get(j, "").removesuffix(" End Site") for j in expected}
    return {j: name for j, name in found.items() if name != expected[j]}


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_rigs_of_character_tools_are_found_by_their_words(name: str) -> None:
    rig, metre = FOREIGN[name]
    motion = procedural.make("walk", seconds=3, seed=4)
    for clip in (
        put_on(rig, motion, metre),
        with_parent(put_on(rig, motion, metre), "RL_BoneRoot"),
    ):
        found, report = bvh.examine(clip)
        assert report.family == "words"
        expected = {row[3]: row[0] for row in reversed(rig) if row[3] != "<"}
        if name == "makehuman":
            expected |= {f"{side}Toe": f"toe3-1.{side[0]}" for side in ("Left", "Right")}
        assert {j: report.joints[j] for j in expected} == expected
        turns = rot.angle_between(found.rotations, motion.rotations)
        assert np.rad2deg(turns).max() < 12.0


SPELLINGS = {
    "Hip_L": ("LR", "Hip_{} Knee_{} Ankle_{} Toes_{} Scapula_{} Shoulder_{} Elbow_{} Wrist_{}"),
    "L_UpperLeg": ("LR", "{}_UpperLeg {}_LowerLeg {}_Foot {}_Toe "
                   "{}_Clavicle {}_UpperArm {}_LowerArm {}_Hand"),
    "left_leg_upper": (("left", "right"), "{}_leg_upper {}_leg_lower {}_foot {}_toes "
                       "{}_collar {}_arm_upper {}_arm_lower {}_hand"),
    "RightThigh": (("Left", "Right"), "{}Thigh {}Leg {}Foot {}Toe "
                   "{}Shoulder {}Arm {}Elbow {}Hand"),
    "lthigh": ("lr", "{}thigh {}shin {}foot {}toe {}collar {}shldr {}forearm {}hand"),
    "upper_arm.L.001": ("LR", "thigh.{}.001 shin.{}.001 foot.{}.001 toe.{}.001 "
                        "shoulder.{}.001 upper_arm.{}.001 forearm.{}.001 hand.{}.001"),
}  # fmt: skip


@pytest.mark.parametrize("affix", ["{}", "Hero_{}", "{}_JNT", "rig:{}_01"])
@pytest.mark.parametrize("spelling", sorted(SPELLINGS))
def test_limbs_are_read_in_any_spelling(spelling: str, affix: str) -> None:
    sides, words = SPELLINGS[spelling]
    parts = ("Hip", "Knee", "Ankle", "Toe", "Collar", "Shoulder", "Elbow", "Wrist")
    new = {
        side + part: affix.format(word.format(mark))
        for side, mark in zip(("Left", "Right"), sides, strict=True)
        for part, word in zip(parts, words.split(), strict=True)
    }
    rig, metre = ALL["xsens"]
    clip = put_on(rig, procedural.make("walk", seconds=2, seed=2), metre)
    odd = named(clip, lambda _, n: new.get(n) or affix.format(n))
    expected = {row[3]: new[row[0]] for row in rig if row[0] in new}
    found = bvh.examine(odd)[1].joints
    assert {j: found.get(j) for j in expected} == expected


@pytest.mark.parametrize("prefix", ["Character1_", "Bip_Hero:", "Ctrl_Rig_", "x"])
def test_a_prefix_that_most_joints_share_leaves_the_family(prefix: str) -> None:
    rig, metre = ALL["perception-neuron"]
    clip = put_on(rig, procedural.make("walk", seconds=2, seed=4), metre)
    report = bvh.examine(named(clip, lambda _, n: prefix + n))[1]
    assert (report.family, report.confidence) == ("perception-neuron", 1.0)
