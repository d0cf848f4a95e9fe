"""One frame at a time: close, within limits and speeds, without looking ahead."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh import BVHError, procedural
from motiontok.errors import RobotError
from motiontok.robots import Follower, Trajectory, load_robot
from motiontok.robots.online import _Skeleton
from motiontok.robots.report import evaluate


@pytest.fixture(scope="module")
def g1():
    return load_robot("g1")


def follow(follower, motion):
    return np.array(
        [follower.push(p, r) for p, r in zip(motion.root_positions, motion.rotations, strict=True)]
    )


def test_the_skeleton_is_the_motions_own_kinematics():
    motion = procedural.make("dance", seconds=0.2, seed=0)
    skeleton = _Skeleton(motion.offsets)
    for frame in range(len(motion)):
        _, points = skeleton.place(motion.root_positions[frame], motion.rotations[frame])
        np.testing.assert_allclose(points[0], motion.global_positions()[frame], atol=1e-9)


@pytest.mark.parametrize("kind", ["walk", "dance", "turn"])
def test_a_stream_is_followed(g1, kind):
    motion = procedural.make(kind, seconds=3, seed=6)
    follower = Follower(g1, offsets=motion.offsets)
    trajectory = Trajectory(follow(follower, motion), g1.joint_names, 30.0, "g1")
    report = evaluate(trajectory, motion, g1)
    assert report.limit_violation == 0
    assert report.speed_violations == 0
    assert report.position_error < 0.04
    assert report.foot_depth < 0.005
    assert report.foot_slide < report.foot_slide_source + 0.025


def test_the_future_changes_nothing_and_reset_forgets(g1):
    motion = procedural.make("walk", seconds=1, seed=6)
    follower = Follower(g1, offsets=motion.offsets)
    whole = follow(follower, motion)
    follower.reset()
    half = follow(follower, motion[:15])
    np.testing.assert_allclose(half, whole[:15], atol=1e-9)


def test_a_sudden_turn_is_survived(g1):
    # The person in the stream is suddenly another one, facing the other way.
    first = procedural.make("walk", seconds=1, seed=6)
    turned = first.moved(np.array([0.0, 0.0, 0.0, 1.0]), np.array([2.0, 0.0, 0.0]))
    follower = Follower(g1, offsets=first.offsets)
    follow(follower, first)
    q = follow(follower, turned)
    trajectory = Trajectory(q[15:], g1.joint_names, 30.0, "g1")
    assert evaluate(trajectory, turned[15:], g1).position_error < 0.05
    assert (np.abs(np.diff(q[:, 7:], axis=0)) * 30 <= g1.speed_limits + 1e-6).all()


def test_bad_poses_are_refused(g1):
    motion = procedural.make("walk", seconds=0.1, seed=6)
    follower = Follower(g1)
    with pytest.raises(BVHError, match="shapes"):
        follower.push(motion.root_positions[0], motion.rotations[0, :5])
    broken = motion.rotations[0].copy()
    broken[3, 0] = np.nan
    with pytest.raises(BVHError, match="finite"):
        follower.push(motion.root_positions[0], broken)
    with pytest.raises(RobotError, match="fps"):
        Follower(g1, fps=0)
    with pytest.raises(RobotError, match="offsets"):
        Follower(g1, offsets=np.zeros((3, 3)))
