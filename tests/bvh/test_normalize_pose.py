"""What canonical motion of real captures looks like: upright, forward, on the floor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from poses import lying, on_floor, standing
from rerigging import with_random_axes
from rigs import RIGS, put_on

import bvh
from bvh import JOINTS, Clip, Motion
from bvh import rotations as rot
from bvh.normalizer.resample import resample
from bvh.rotations import Array

INDEX = {name: i for i, name in enumerate(JOINTS)}
FORWARD, LEFT, UP = np.eye(3)


def axis(motion: Motion, joint: str, direction: Array) -> Array:
    """World direction ``(frames, 3)`` of a canonical axis of ``joint``."""
    return rot.rotate(motion.global_transforms()[0][:, INDEX[joint]], direction)


def at(motion: Motion, joint: str) -> Array:
    return motion.global_positions()[:, INDEX[joint]]


@pytest.mark.parametrize("name", ["walk", "run"])
def test_walking_goes_forward(captures: dict[str, Clip], name: str) -> None:
    motion = bvh.normalize(captures[name])
    travel = motion.root_positions[-1] - motion.root_positions[0]
    travel /= np.linalg.norm(travel)
    assert np.mean(axis(motion, "Hips", FORWARD) @ travel) > 0.9
    for side in ("Left", "Right"):
        toes = at(motion, side + "Toe") - at(motion, side + "Foot")
        assert np.mean(toes @ travel) > 0.3 * np.linalg.norm(toes[0])


@pytest.mark.parametrize("name", ["lafan1", "walk", "kick", "dance"])
def test_left_is_left(captures: dict[str, Clip], name: str) -> None:
    motion = bvh.normalize(captures[name])
    lateral = axis(motion, "Hips", LEFT)
    for part in ("UpLeg", "Arm"):
        across = at(motion, "Left" + part) - at(motion, "Right" + part)
        assert np.mean(np.sum(across * lateral, axis=-1) > 0) > 0.9
    assert motion.offsets[INDEX["LeftUpLeg"], 1] > 0 > motion.offsets[INDEX["RightUpLeg"], 1]


@pytest.mark.parametrize("name", ["lafan1", "walk", "kick", "dance", "wave"])
def test_knees_and_elbows_bend_the_human_way(captures: dict[str, Clip], name: str) -> None:
    motion = bvh.normalize(captures[name])
    for side, sign in (("Left", 1), ("Right", -1)):
        knee = np.rad2deg(rot.log(motion.rotations[:, INDEX[side + "Leg"]]))
        assert knee[:, 1].max() > 5
        assert knee[:, 1].min() > -8
        # A hinge: nothing about the shin, little sideways.
        np.testing.assert_allclose(knee[:, 2], 0, atol=0.6)
        np.testing.assert_allclose(knee[:, 0], 0, atol=2.0)
        elbow = np.rad2deg(rot.log(motion.rotations[:, INDEX[side + "ForeArm"]]))
        assert (-sign * elbow[:, 2]).max() > 5
        assert (-sign * elbow[:, 2]).min() > -8
        np.testing.assert_allclose(elbow[:, 1], 0, atol=0.6)


@pytest.mark.parametrize(("name", "frame"), [("lafan1", 0), ("bow", 0), ("bow", -1)])
def test_who_stands_stands_upright(captures: dict[str, Clip], name: str, frame: int) -> None:
    motion = bvh.normalize(captures[name])
    for joint, degrees in (("Hips", 4), ("LeftFoot", 8), ("RightFoot", 8), ("Spine2", 12)):
        tilt = np.rad2deg(np.arccos(axis(motion, joint, UP)[frame, 2]))
        assert tilt < degrees, joint


@pytest.mark.parametrize("name", ["lafan1", "bow", "walk", "kick", "dance", "wave"])
def test_feet_stand_on_the_floor(captures: dict[str, Clip], name: str) -> None:
    motion = bvh.normalize(captures[name])
    toes = np.stack([at(motion, side + "Toe") for side in ("Left", "Right")], axis=1)
    speed = np.linalg.norm(np.gradient(toes, 1 / motion.fps, axis=0), axis=-1)
    standing = toes[..., 2][(speed < 0.1) & (toes[..., 2] < 0.06)]
    assert len(standing) > 5
    # A toe may rest higher, with the weight on the heel, but most stand on the ball.
    assert np.percentile(standing, 40) == pytest.approx(0.02, abs=0.006)
    assert toes[..., 2].min() > -0.02


@pytest.mark.parametrize("frames", [1, 2, 6])
def test_the_floor_is_not_the_lowest_frame(captures: dict[str, Clip], frames: int) -> None:
    clip = captures["walk"]
    glitch = clip.positions.copy()
    # The longest lets the feet stand still down there, once.
    glitch[50 : 50 + frames] = glitch[50]
    glitch[50 : 50 + frames, clip.names.index("Hips"), 1] -= 40.0
    rotations = clip.rotations.copy()
    rotations[50 : 50 + frames] = rotations[50]
    found = bvh.normalize(replace(clip, positions=glitch, rotations=rotations))
    expected = bvh.normalize(clip)
    np.testing.assert_allclose(found.root_positions[:40], expected.root_positions[:40], atol=2e-3)


@pytest.mark.parametrize("name", ["lafan1", "walk"])
def test_bones_lie_as_in_the_t_pose(captures: dict[str, Clip], name: str) -> None:
    offsets = bvh.normalize(captures[name]).offsets
    for joint, direction in {
        "LeftLeg": -UP, "RightFoot": -UP, "Spine1": UP, "Head": UP,
        "LeftForeArm": LEFT, "RightHand": -LEFT, "LeftArm": LEFT,
    }.items():  # fmt: skip
        offset = offsets[INDEX[joint]]
        np.testing.assert_allclose(offset, np.linalg.norm(offset) * direction, atol=1e-12)


def test_a_missing_spine_joint_is_filled_in_half_way(captures: dict[str, Clip]) -> None:
    motion = bvh.normalize(captures["walk"])
    assert "Spine1" not in motion.source.joints
    middle = (at(motion, "Spine") + at(motion, "Spine2")) / 2
    np.testing.assert_allclose(at(motion, "Spine1"), middle, atol=1e-9)


def test_clips_of_one_rig_agree(captures: dict[str, Clip]) -> None:
    walk, *others = (bvh.calibrate(captures[n]) for n in ("walk", "dance", "kick", "wave"))
    for other in others:
        degrees = np.rad2deg(rot.angle_between(walk.axes, other.axes))
        np.testing.assert_allclose(np.delete(degrees, [INDEX["LeftToe"], INDEX["RightToe"]]), 0,
                                   atol=0.5)  # fmt: skip


@pytest.mark.parametrize("name", ["lafan1", "walk"])
def test_the_spine_shares_the_turn_of_the_chest(captures: dict[str, Clip], name: str) -> None:
    motion = bvh.normalize(captures[name])
    turns = motion.global_transforms()[0]
    hips, chest = turns[:, INDEX["Hips"]], turns[:, INDEX["Spine2"]]
    whole = rot.yaw_of(rot.multiply(rot.conjugate(hips), chest))
    for joint, share in (("Spine", 1 / 3), ("Spine1", 2 / 3)):
        part = rot.multiply(rot.conjugate(hips), turns[:, INDEX[joint]])
        np.testing.assert_allclose(rot.yaw_of(part), share * whole, atol=0.04)


def test_feet_on_their_sides_of_who_lies_do_not_stand() -> None:
    """Who lies holds the feet as still as who stands, and their ankles lower."""
    stood, down = standing(seconds=4.0), lying("supine", seconds=12.0)
    turns = down.rotations.copy()
    for side, sign in (("Left", 1), ("Right", -1)):
        thigh = INDEX[side + "UpLeg"]
        out = rot.from_axis_angle(UP, sign * np.deg2rad(100.0))
        turns[:, thigh] = rot.multiply(turns[:, thigh], out)
    down = on_floor(replace(down, rotations=turns), 0.0)
    both = replace(
        stood,
        rotations=np.concatenate([stood.rotations, down.rotations]),
        root_positions=np.concatenate([stood.root_positions, down.root_positions]),
    )
    rng = np.random.default_rng(0)
    clip = with_random_axes(put_on(RIGS["xsens"][0], both, 100.0), rng)
    found = bvh.normalize(clip)
    for side in ("Left", "Right"):
        up = axis(found, side + "Foot", UP)[: len(stood), 2]
        assert np.median(up) > 0.95, side


def rolled_over(clip: Clip, foot: str, toe: str, degrees: float, frames: slice) -> Clip:
    """Some frames with a foot turned about its own length, as captures have it by mistake."""
    joint, child = clip.names.index(foot), clip.names.index(toe)
    along = clip.offsets[child] / np.linalg.norm(clip.offsets[child])
    turns = clip.rotations.copy()
    turn = rot.from_axis_angle(along, np.deg2rad(degrees))
    turns[frames, joint] = rot.multiply(turns[frames, joint], turn)
    return replace(clip, rotations=turns)


@pytest.mark.parametrize(
    ("frames", "standing_zero_pose"),
    [
        (slice(30, None), True),
        (slice(30, None), False),
        (slice(40, 70), True),
        (slice(40, 70), False),
        (slice(0, None), True),  # by a zero pose alone the whole clip is known to be wrong
    ],
)
def test_a_foot_that_is_rolled_over_is_rolled_back(frames: slice, standing_zero_pose: bool) -> None:
    """The capture is wrong from one frame to the next: the toe is right, the sole is up."""
    clip = put_on(RIGS["cmu"][0], bvh.procedural.make("walk", seconds=4.0, seed=3), 0.45 * 39.37)
    wrong = rolled_over(clip, "LeftFoot", "LeftToeBase", 165.0, frames)
    if not standing_zero_pose:
        clip, wrong = (with_random_axes(c, np.random.default_rng(1)) for c in (clip, wrong))
    expected = bvh.normalize(clip)
    found, report = bvh.examine(wrong)
    assert [line for line in report.problems if line.startswith("feet: LeftFoot")]
    assert not [line for line in report.problems if "RightFoot is rolled" in line]
    np.testing.assert_allclose(found.global_positions(), expected.global_positions(), atol=5e-3)
    for side, most in (("Left", 25.0), ("Right", 3.0)):
        between = rot.angle_between(
            found.global_transforms()[0][:, INDEX[side + "Foot"]],
            expected.global_transforms()[0][:, INDEX[side + "Foot"]],
        )
        assert np.degrees(between).max() < most, side


def test_feet_on_their_edges_are_left_as_they_are() -> None:
    clip = put_on(RIGS["cmu"][0], bvh.procedural.make("walk", seconds=4.0, seed=3), 0.45 * 39.37)
    edge = rolled_over(clip, "LeftFoot", "LeftToeBase", 50.0, slice(30, 60))
    found, report = bvh.examine(edge)
    assert not [line for line in report.problems if line.startswith("feet")]
    up = axis(found, "LeftFoot", UP)[32:58, 2]
    assert up.max() < 0.9


def test_a_foot_without_toe_is_below_its_shin_though_its_zero_pose_is_not() -> None:
    """The zero pose of such a rig says nothing of its feet: they may be upside down in it."""
    rig = [row for row in RIGS["cmu"][0] if row[0] != "LeftToeBase"]
    clip = put_on(rig, bvh.procedural.make("walk", seconds=4.0, seed=3), 0.45 * 39.37)
    foot, turns = clip.names.index("LeftFoot"), clip.rotations.copy()
    turns[:, foot] = rot.multiply(turns[:, foot], rot.from_axis_angle(FORWARD, np.pi))
    sites = {joint: site for joint, site in clip.end_sites.items() if joint != foot}
    found = bvh.normalize(replace(clip, rotations=turns, end_sites=sites))
    assert "LeftToe" not in found.source.joints
    assert np.median(axis(found, "LeftFoot", UP)[:, 2]) > 0.8


@pytest.mark.parametrize("fps", [30.0, 120.0])
@pytest.mark.parametrize("name", ["walk", "run", "dance"])
def test_a_rest_pose_in_front_of_the_capture_is_replaced(name: str, fps: float) -> None:
    made = bvh.procedural.make(name, seconds=4.0, seed=3)
    places, turns = resample(made.root_positions, made.rotations, source_fps=30.0, fps=fps)
    made = replace(made, root_positions=places, rotations=turns, fps=fps)
    clip = replace(put_on(RIGS["cmu"][0], made, 0.45 * 39.37), frame_time=1 / fps)
    turns = clip.rotations.copy()
    turns[0] = [1.0, 0.0, 0.0, 0.0]
    found, report = bvh.examine(replace(clip, rotations=turns))
    expected, clean = bvh.examine(clip)
    assert [line for line in report.problems if line.startswith("pose: the first frame is a rest")]
    assert not [line for line in clean.problems if "rest pose" in line]
    assert len(found) == len(expected)
    np.testing.assert_allclose(
        found.global_positions()[0], expected.global_positions()[0], atol=0.03
    )
    np.testing.assert_allclose(
        found.global_positions()[1:], expected.global_positions()[1:], atol=5e-3
    )


def test_a_capture_that_begins_fast_is_left_as_it_is(captures: dict[str, Clip]) -> None:
    for name in ("run", "kick", "dance"):
        clip = captures[name]
        for begin in range(0, clip.frames - 20, 37):
            cut = replace(clip, rotations=clip.rotations[begin:], positions=clip.positions[begin:])
            _, report = bvh.examine(cut)
            assert not [line for line in report.problems if "rest pose" in line], (name, begin)
