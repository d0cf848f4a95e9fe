"""Motions on ramps and steps: the ground is found, and feet are flat on it and stay."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh import procedural
from bvh.foot_contacts import find_contacts, runs
from bvh.procedural.body import Body, solve
from bvh.procedural.locomotion import walk
from bvh.procedural.signals import keys, low_pass
from bvh.procedural.style import Style
from bvh.rotations import from_axis_angle, to_matrix
from bvh.skeleton import JOINTS
from motiontok.errors import RobotError
from motiontok.robots import Follower, Trajectory, evaluate, retarget
from motiontok.robots.contacts.ground import find_ground
from motiontok.robots.contacts.online_contacts import SoleReader
from motiontok.robots.contacts.online_ground import GroundFinder

FLAT = [(0.0, 0.0, 0.0)]
SLOPE = np.radians(10.0)


def up_a_ramp(seconds=5.0):
    """A walk on a plane that is tilted about the world's Y axis, the body square to it."""
    motion = procedural.make("walk", seconds=seconds, seed=4, speed=1.0)
    return motion.moved(from_axis_angle([0.0, 1.0, 0.0], -SLOPE), np.zeros(3))


def up_steps(height=0.15, seconds=5.0):
    """A walk whose feet stand that much higher with every step."""
    rng = np.random.default_rng(3)
    body = Body.scaled(1.0)
    time = np.arange(round(30 * seconds)) / 30.0
    performance = walk(time, rng, body, Style.random(rng, body), 0.8)
    stands = [runs(foot.lift < 1e-3) for foot in performance.feet]
    order = sorted({span for spans in stands for span in spans})
    levels = []
    for foot, spans in zip(performance.feet, stands, strict=True):
        times, values = [], []
        for start, end in spans:
            times += [time[start] - 0.1, time[end - 1] + 0.03]
            values += [height * order.index((start, end))] * 2
        levels.append(keys(time, times, values))
        foot.lift += levels[-1]
    performance.pelvis[:, 2] += low_pass(np.minimum(*levels), 8.0)
    return solve(performance, body, name="steps"), height * (len(order) - 1)


def planes_found(motion):
    """What a stream of the motion's poses knows of its ground after each of them."""
    finder = GroundFinder(motion.offsets, motion.fps)
    quaternions, points = motion.global_transforms()
    known = []
    for pose, turned in zip(points.tolist(), to_matrix(quaternions), strict=True):
        finder.push(pose, turned)
        known.append(finder.planes)
    return known


def test_flat_ground_is_flat_whatever_one_does_on_it():
    for kind in procedural.KINDS:
        motion = procedural.make(kind, seconds=4, seed=2)
        assert find_ground(motion).is_level, kind


def test_a_foot_on_a_chair_or_in_the_air_stands_on_nothing():
    motion = procedural.make("wave", seconds=3, seed=0)
    thigh, shin = JOINTS.index("LeftUpLeg"), JOINTS.index("LeftLeg")
    motion.rotations[:, thigh] = from_axis_angle([0.0, 1.0, 0.0], -1.2)
    motion.rotations[:, shin] = from_axis_angle([0.0, 1.0, 0.0], 1.2)
    foot = motion.global_positions()[:, JOINTS.index("LeftFoot"), 2]
    assert foot.min() > 0.2
    assert find_ground(motion).is_level


def test_under_a_foot_that_never_stands_is_the_ground_of_the_other():
    motion = procedural.make("squat", seconds=3, seed=0)
    swing = 0.9 + 0.4 * np.sin(np.arange(len(motion)))
    motion.rotations[:, JOINTS.index("RightUpLeg")] = from_axis_angle([0.0, -1.0, 0.0], swing)
    heights = {}
    for level in (-0.5, 0.5):
        raised = motion.moved(np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, level]))
        for planes in (None, [(0.0, 0.0, level)]):
            ground = find_ground(raised, planes)
            found = np.concatenate([ground.feet, ground.rest[:, None]], axis=1).round(1)
            assert (found == found[0]).all()
            heights[level, planes is None] = found[0, :, 2].tolist()
    assert heights[-0.5, True] == heights[-0.5, False] == [-0.5, -0.5, -0.5]
    assert heights[0.5, False] == [0.5, 0.5, 0.5]
    # What is below a foot in the air may be the floor.
    assert heights[0.5, True] == [0.5, 0.0, 0.0]


def test_a_ramp_is_found_and_feet_lie_flat_on_it(g1):
    motion = up_a_ramp()
    ground = find_ground(motion)
    steep = np.degrees(np.arctan(np.linalg.norm(ground.feet[..., :2], axis=-1)))
    assert np.median(steep) == pytest.approx(10.0, abs=1.0)
    contacts = find_contacts(motion, ground.feet).ends.mean()
    assert contacts > 0.4
    trajectory = retarget(motion, g1)
    report = evaluate(trajectory, motion, g1)
    level = evaluate(retarget(motion, g1, ground=FLAT), motion, g1)
    assert np.degrees(report.foot_tilt) < 1.0 < 2.0 < np.degrees(level.foot_tilt)
    assert report.foot_slide < 0.015
    assert report.foot_depth < 0.008
    assert report.body_depth < 0.008
    assert report.near_limit < 0.01
    assert (trajectory.contacts.mean(axis=0) > 0.2).all()
    # What is found is as good as what is known.
    plane = (float(np.tan(SLOPE)), 0.0, 0.0)
    known = evaluate(retarget(motion, g1, ground=[plane]), motion, g1, ground=[plane])
    assert np.degrees(known.foot_tilt) < 1.0
    assert known.foot_slide < 0.015
    assert known.foot_depth < 0.008


def test_steps_are_found_and_feet_stand_on_them(g1):
    motion, top = up_steps()
    ground = find_ground(motion)
    assert not ground.feet[..., :2].any()
    heights = np.unique(ground.feet[..., 2])
    assert len(heights) >= 5
    assert heights[0] == 0.0
    np.testing.assert_allclose(np.diff(heights), 0.15, atol=0.02)
    assert heights[-1] == pytest.approx(top, abs=0.02 + 0.15)
    report = evaluate(retarget(motion, g1), motion, g1)
    level = evaluate(retarget(motion, g1, ground=FLAT), motion, g1)
    assert report.foot_slide < min(0.015, 0.5 * level.foot_slide)
    assert np.degrees(report.foot_tilt) < 1.5
    assert report.foot_depth < 0.01
    assert level.foot_depth > report.foot_depth + 0.01
    assert report.root_jerk < 2 * report.root_jerk_source


def test_known_steps_hold_each_foot_on_the_nearest(g1):
    motion, _ = up_steps()
    planes = [(0.0, 0.0, 0.15 * k) for k in range(20)]
    heights = np.unique(find_ground(motion, planes).feet[..., 2]) / 0.15
    np.testing.assert_allclose(heights, np.round(heights), atol=1e-9)
    report = evaluate(retarget(motion, g1, ground=planes), motion, g1, ground=planes)
    assert report.foot_slide < 0.015
    assert report.foot_depth < 0.01


@pytest.mark.parametrize("look_ahead", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["ramp", "steps"])
def test_a_stream_on_known_ground_stands_on_it(g1, kind, look_ahead):
    if kind == "ramp":
        motion, ground = up_a_ramp(3.0), [(float(np.tan(SLOPE)), 0.0, 0.0)]
    else:
        motion, top = up_steps(seconds=3.0)
        ground = [(0.0, 0.0, z) for z in np.arange(0.0, top + 0.01, 0.15)]
    reports = []
    for known in (ground, [(0.0, 0.0, 0.0)]):
        follower = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead, ground=known)
        poses = list(zip(motion.root_positions, motion.rotations, strict=True))
        q = np.array([follower.push(*pose) for pose in [*poses, *follower.latency * poses[-1:]]])
        trajectory = Trajectory(q[follower.latency :], g1.joint_names, motion.fps, "g1")
        reports.append(evaluate(trajectory, motion, g1, ground=ground))
    assert reports[0].body_depth < 0.02
    assert reports[0].foot_slide < 0.7 * reports[1].foot_slide
    assert reports[0].limit_violation == 0


@pytest.mark.parametrize("look_ahead", [0.0, 0.5])
def test_a_stream_down_steps_finds_them(g1, look_ahead):
    motion, _ = up_steps()
    down = type(motion)(motion.root_positions[::-1], motion.rotations[::-1], motion.offsets)
    reports = []
    for known in (None, [(0.0, 0.0, 0.0)]):
        follower = Follower(g1, offsets=down.offsets, look_ahead=look_ahead, ground=known)
        poses = list(zip(down.root_positions, down.rotations, strict=True))
        q = np.array([follower.push(*pose) for pose in [*poses, *follower.latency * poses[-1:]]])
        trajectory = Trajectory(q[follower.latency :], g1.joint_names, down.fps, "g1")
        reports.append(evaluate(trajectory, down, g1))
    assert reports[0].body_depth < 0.02
    assert reports[0].foot_slide < 0.8 * reports[1].foot_slide


@pytest.mark.parametrize("look_ahead", [0.0, 0.5])
def test_a_stream_up_a_ramp_finds_it(g1, look_ahead):
    motion = up_a_ramp(6.0)
    plane = (float(np.tan(SLOPE)), 0.0, 0.0)
    reports = []
    for known in (None, [(0.0, 0.0, 0.0)]):
        follower = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead, ground=known)
        poses = list(zip(motion.root_positions, motion.rotations, strict=True))
        q = np.array([follower.push(*pose) for pose in [*poses, *follower.latency * poses[-1:]]])
        # From the fourth step on.
        late = slice(follower.latency + 75, None)
        trajectory = Trajectory(q[late], g1.joint_names, motion.fps, "g1")
        reports.append(evaluate(trajectory, motion[75:], g1, ground=[plane]))
    assert reports[0].foot_slide < 0.015
    assert reports[0].foot_slide < 0.5 * reports[1].foot_slide
    assert reports[0].body_depth < 0.01


@pytest.mark.parametrize("azimuth", [0.0, 0.25, 0.5, 1.0, 1.5])
def test_a_stream_tells_a_ramps_slope_whatever_way_it_is_walked(azimuth):
    turn = np.pi * azimuth
    axis = [float(np.sin(turn)), -float(np.cos(turn)), 0.0]
    motion = procedural.make("walk", seconds=6, seed=4, speed=1.0)
    motion = motion.moved(from_axis_angle(axis, SLOPE), np.zeros(3))
    planes = planes_found(motion)
    ramps = [[p for p in known if p[0] or p[1]] for known in planes]
    # Four steps show it, and from then on it is known.
    first = next(k for k, known in enumerate(ramps) if known)
    assert 30 < first < 75
    assert all(len(known) == 1 for known in ramps[first:])
    slopes = np.degrees(np.arctan([known[0][:2] for known in ramps[first:]]))
    uphill = np.degrees(np.tan(SLOPE)) * np.array([np.cos(turn), np.sin(turn)])
    np.testing.assert_allclose(slopes, np.broadcast_to(uphill, slopes.shape), atol=0.5)


def test_a_stream_on_flat_ground_or_steps_shows_no_ramp():
    motions = [procedural.make(kind, seconds=6, seed=2) for kind in procedural.KINDS]
    for motion in motions:
        assert all(known == [[0.0, 0.0, 0.0]] for known in planes_found(motion)), motion.source.name
    steps, _ = up_steps()
    found = planes_found(steps)
    assert max(map(len, found)) > 1
    assert not any(a or b for known in found for a, b, _ in known)


def test_a_ramp_that_is_left_is_forgotten():
    motion = up_a_ramp(6.0)
    level = procedural.make("walk", seconds=6, seed=4, speed=1.0)
    reader = SoleReader(motion.offsets, motion.fps, None)
    for part in (motion, level):
        quaternions, points = part.global_transforms()
        for pose, turned in zip(points, to_matrix(quaternions), strict=True):
            soles = reader.read(pose, turned)
        if part is motion:
            assert any(plane[0] > 0.1 for plane in soles.planes)
    assert all(plane[:2] == [0.0, 0.0] for plane in soles.planes)


def test_a_clip_cut_elsewhere_stands_on_the_same_ground():
    motion, _ = up_steps()
    whole, cut = find_ground(motion), find_ground(motion[40:])
    np.testing.assert_allclose(cut.feet[20:], whole.feet[60:], atol=0.03)


@pytest.mark.parametrize("planes", [[], [(0.0, 0.0)], [(0.0, 0.0, np.nan)], (0.0, 0.0, 0.0)])
def test_ground_that_is_none_is_refused(g1, planes):
    with pytest.raises(RobotError, match="ground: expected planes"):
        retarget(procedural.make("walk", seconds=1, seed=0), g1, ground=planes)
    with pytest.raises(RobotError, match="ground: expected planes"):
        Follower(g1, ground=planes)
