"""A foot that turns on the ground: held where it stands flat, it must not snap round after."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh import procedural
from bvh.foot_contacts import find_contacts
from bvh.procedural.body import Body, solve
from bvh.procedural.signals import ramp
from bvh.procedural.standing import standing
from bvh.procedural.style import Style
from bvh.rotations import from_axis_angle
from motiontok.robots import Follower, Trajectory, evaluate, retarget
from motiontok.robots.reports.report import measure

SLOPE = np.radians(8.0)


def pivot(side=0):
    """Who stands, turns a flat foot by 46 degrees on its ball, and goes on with its heel up."""
    rng = np.random.default_rng(0)
    body = Body.scaled(1.0)
    time = np.arange(120) / 30.0
    does = standing(time, rng, body, Style.random(rng, body))
    foot = does.feet[side]
    foot.yaw += (1.0, -1.0)[side] * 0.8 * ramp(time, 1.0, 1.2)
    foot.pitch += 0.5 * ramp(time, 1.7, 0.5) - 0.5 * ramp(time, 2.9, 0.5)
    foot.bend += 0.5 * ramp(time, 1.7, 0.5) - 0.5 * ramp(time, 2.9, 0.5)
    return solve(does, body, name="pivot")


def yaw_steps(points):
    """Sizes of turns about the vertical from frame to frame, of ``(frames, 3)``, degrees."""
    return np.degrees(np.abs(np.diff(np.unwrap(np.arctan2(points[:, 1], points[:, 0])))))


@pytest.mark.parametrize("slope", [0.0, SLOPE])
@pytest.mark.parametrize("side", [0, 1])
def test_a_foot_that_pivots_turns_without_a_jump(g1, side, slope):
    motion = pivot(side).moved(from_axis_angle([0.0, 1.0, 0.0], -slope), np.zeros(3))
    plane = [(float(np.tan(slope)), 0.0, 0.0)]
    contacts = find_contacts(motion, np.tile([*plane[0]], (len(motion), 2, 1)))
    heel, toe = contacts.heels[:, side], contacts.toes[:, side]
    # The foot stands flat as it turns, then on its toe alone, and flat again.
    assert toe.all()
    assert 20 < (~heel).sum() < 60
    assert heel[:40].all()
    trajectory = retarget(motion, g1, ground=plane)
    corners = measure(trajectory, motion, g1, ground=plane).corners[:, side]
    steps = yaw_steps(corners[:, 2:].mean(axis=1) - corners[:, :2].mean(axis=1))
    assert steps.sum() > 25.0
    assert steps.max() < 6.0
    report = evaluate(trajectory, motion, g1, ground=plane)
    assert report.foot_slide < 0.01
    assert np.degrees(report.foot_tilt) < 1.0


@pytest.mark.parametrize("slope", [0.0, SLOPE])
@pytest.mark.parametrize("look_ahead", [0.0, 0.5])
@pytest.mark.parametrize("side", [0, 1])
def test_a_stream_that_pivots_turns_without_a_jump(g1, side, look_ahead, slope):
    motion = pivot(side).moved(from_axis_angle([0.0, 1.0, 0.0], -slope), np.zeros(3))
    plane = [(float(np.tan(slope)), 0.0, 0.0)]
    follower = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead, ground=plane)
    poses = list(zip(motion.root_positions, motion.rotations, strict=True))
    q = np.array([follower.push(*pose) for pose in [*poses, *follower.latency * poses[-1:]]])
    trajectory = Trajectory(q[follower.latency :], g1.joint_names, motion.fps, "g1")
    corners = measure(trajectory, motion, g1, ground=plane).corners[:, side]
    steps = yaw_steps(corners[:, 2:].mean(axis=1) - corners[:, :2].mean(axis=1))
    assert steps.sum() > 25.0
    assert steps.max() < 6.0
    report = evaluate(trajectory, motion, g1, ground=plane)
    assert report.foot_slide < 0.015


def test_feet_that_turn_between_two_stands_take_their_time(g1):
    motion = procedural.make("turn", seconds=6, seed=1)
    measured = measure(retarget(motion, g1), motion, g1)
    stands = measured.contacts.heels | measured.contacts.toes
    toes, heels = measured.corners[:, :, 2:].mean(axis=2), measured.corners[:, :, :2].mean(axis=2)
    for side in (0, 1):
        standing = stands[1:, side] & stands[:-1, side]
        assert standing.sum() > 60
        assert yaw_steps(toes[:, side] - heels[:, side])[standing].max() < 9.0
