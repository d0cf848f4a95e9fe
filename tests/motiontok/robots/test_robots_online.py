"""One frame at a time: close, within limits and speeds, without looking ahead."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from hard_motions import hands_in_the_belly

from bvh import BVHError, Motion, procedural
from bvh.rotations import multiply
from motiontok.errors import RobotError
from motiontok.robots import Follower, Trajectory, retarget
from motiontok.robots.follower import _Skeleton
from motiontok.robots.reports.report import evaluate
from motiontok.robots.solver.online import OnlineSolver
from motiontok.robots.solver.stream_tracking import wanted_poses
from motiontok.robots.solver.tasks import NormalEquations
from motiontok.robots.targets import TargetMaker


def follow(follower, motion):
    return np.array(
        [follower.push(p, r) for p, r in zip(motion.root_positions, motion.rotations, strict=True)]
    )


def test_the_skeleton_is_the_motions_own_kinematics():
    motion = procedural.make("dance", seconds=0.2, seed=0)
    skeleton = _Skeleton(motion.offsets)
    for frame in range(len(motion)):
        points = skeleton.place(motion.root_positions[frame], motion.rotations[frame])[:, 9:]
        np.testing.assert_allclose(points, motion.global_positions()[frame], atol=1e-9)


@pytest.mark.parametrize("kind", ["walk", "dance", "turn"])
def test_a_stream_is_followed(g1, kind):
    motion = procedural.make(kind, seconds=2, seed=6)
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


@pytest.mark.parametrize(("kind", "look_ahead"), [("dance", 0.3), ("dance", 0.5)])
def test_a_robot_that_is_late_moves_smoothly_and_away_from_its_stops(g1, kind, look_ahead):
    motion = procedural.make(kind, seconds=3, seed=6)
    at_once = Follower(g1, offsets=motion.offsets)
    late = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead)
    assert at_once.latency == 0
    assert late.latency == round(30 * look_ahead)
    known = motion[: len(motion) - late.latency]
    reports = [
        evaluate(Trajectory(q, g1.joint_names, 30.0, "g1"), known, g1)
        for q in (follow(at_once, known), follow(late, motion)[late.latency :])
    ]
    assert reports[1].root_jerk < 0.8 * reports[0].root_jerk
    assert reports[1].joint_jerk < 0.8 * reports[0].joint_jerk
    assert reports[1].near_limit == 0
    assert reports[1].limit_violation == 0
    assert reports[1].speed_violations == 0
    assert reports[1].position_error < 0.02
    assert reports[1].foot_slide < 0.006


def test_a_late_robot_sees_its_latency_and_no_more(g1):
    motion = procedural.make("walk", seconds=2, seed=6)
    follower = Follower(g1, offsets=motion.offsets, look_ahead=0.3)
    whole = follow(follower, motion)
    follower.reset()
    np.testing.assert_allclose(follow(follower, motion[:30]), whole[:30], atol=1e-9)
    # It waits in its first pose, then moves with the person.
    reach = np.linalg.norm(whole[:, :3] - whole[0, :3], axis=1)
    assert reach[: follower.latency].max() < 0.05
    assert reach[-1] > 0.2


@pytest.mark.parametrize("look_ahead", [0.25, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["run", "dance"])
def test_a_late_robot_waits_in_its_first_pose(g1, kind, look_ahead):
    motion = procedural.make(kind, seconds=2, seed=0)
    follower = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead)
    latency = follower.latency
    q = follow(follower, motion)
    at_once = Follower(g1, offsets=motion.offsets)
    first = at_once.push(motion.root_positions[0], motion.rotations[0])
    np.testing.assert_allclose(q[0, :3], first[:3], atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(q[:, 3:7], axis=1), 1.0, atol=1e-9)
    # The person runs on meanwhile; what the robot does is settle.
    assert np.linalg.norm(motion.root_positions[latency] - motion.root_positions[0]) > 0.02
    assert np.linalg.norm(q[: latency + 1, :3] - q[0, :3], axis=1).max() < 0.02
    steps = np.abs(np.diff(q, axis=0))
    assert steps[:latency, :3].max() < 0.006
    assert steps[:latency, 7:].max() < 0.2
    # Nor does it jump when the first due result comes: it moves on as later on.
    assert steps[latency - 1, 7:].max() < steps[latency:, 7:].max()
    assert (30.0 * steps[:, 7:] <= g1.speed_limits + 1e-6).all()
    follower.reset()
    np.testing.assert_array_equal(follow(follower, motion[: latency + 2]), q[: latency + 2])


@pytest.mark.parametrize("look_ahead", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_no_part_of_a_body_that_lies_down_goes_into_the_ground(g1, side, look_ahead):
    # Onto the front and onto the back, hips in the end where a robot's would be in the ground.
    motion = procedural.make("walk", seconds=2.2, seed=6)
    share = np.clip(np.arange(len(motion)) / 45.0, 0.0, 1.0)
    half = 0.25 * np.pi * side * share
    pitch = np.stack([np.cos(half), 0 * half, np.sin(half), 0 * half], axis=1)
    rotations, positions = motion.rotations.copy(), motion.root_positions.copy()
    rotations[:, 0] = multiply(pitch, rotations[:, 0])
    positions[:, 2] += share * (0.08 - positions[:, 2])
    lying = Motion(positions, rotations, motion.offsets)
    assert (lying.global_positions()[-1, :, 2] < 0.0).any()
    follower = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead)
    q = follow(follower, lying)[follower.latency :]
    known = lying[: len(q)]
    report = evaluate(Trajectory(q, g1.joint_names, 30.0, "g1"), known, g1)
    assert report.body_depth < 0.015
    assert report.position_error < 0.15
    assert report.limit_violation == 0


@pytest.mark.parametrize("look_ahead", [0.0, 0.3])
def test_a_sudden_turn_is_survived(g1, look_ahead):
    # The person in the stream is suddenly another one, facing the other way.
    first = procedural.make("walk", seconds=1, seed=6)
    turned = first.moved(np.array([0.0, 0.0, 0.0, 1.0]), np.array([2.0, 0.0, 0.0]))
    follower = Follower(g1, offsets=first.offsets, look_ahead=look_ahead)
    follow(follower, first)
    q = follow(follower, turned)
    settled = slice(15, len(turned) - follower.latency)
    trajectory = Trajectory(q[follower.latency :][settled], g1.joint_names, 30.0, "g1")
    assert evaluate(trajectory, turned[settled], g1).position_error < 0.05
    assert (np.abs(np.diff(q[:, 7:], axis=0)) * 30 <= g1.speed_limits + 1e-6).all()


@pytest.mark.parametrize("look_ahead", [0.3, 0.5])
def test_hands_in_the_belly_are_pushed_out(g1, look_ahead):
    motion = hands_in_the_belly(seconds=2)
    through = evaluate(retarget(motion, g1, self_collision=False), motion, g1)
    assert through.self_penetration > 0.02
    follower = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead)
    q = follow(follower, motion)[follower.latency :]
    beside = evaluate(Trajectory(q[15:], g1.joint_names, 30.0, "g1"), motion[15 : len(q)], g1)
    assert beside.self_penetration < 0.25 * through.self_penetration
    assert beside.limit_violation == 0
    assert beside.speed_violations == 0
    assert beside.position_error < through.position_error + 0.03


@pytest.mark.parametrize("look_ahead", [0.0, 0.5])
def test_a_stream_shows_where_its_floor_is(g1, look_ahead):
    motion = procedural.make("walk", seconds=2, seed=6)
    raised = Motion(motion.root_positions + [0.0, 0.0, 0.5], motion.rotations, motion.offsets)
    found = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead)
    known = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead, ground=[(0, 0, 0.5)])
    flat = Follower(g1, offsets=motion.offsets, look_ahead=look_ahead, ground=[(0, 0, 0)])
    q = [follow(follower, raised) for follower in (found, known, flat)]
    apart = [np.abs(q[k][20:] - q[1][20:]).max() for k in (0, 2)]
    assert apart[0] < 0.2 * apart[1]
    # A floor at z = 0 is kept at it, whatever the feet's heights are by a centimetre.
    found.reset()
    flat.reset()
    np.testing.assert_array_equal(follow(found, motion), follow(flat, motion))


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
    with pytest.raises(RobotError, match="look_ahead"):
        Follower(g1, look_ahead=-0.1)
    with pytest.raises(RobotError, match="offsets"):
        Follower(g1, offsets=np.zeros((3, 3)))
    with pytest.raises(RobotError, match="offsets: left thigh and shin are 0 mm long"):
        Follower(g1, offsets=np.zeros((22, 3)))


@pytest.mark.parametrize("look_ahead", [0.0, 0.3])
def test_a_pose_that_is_refused_leaves_the_stream_as_it_was(g1, look_ahead):
    motion = procedural.make("walk", seconds=1, seed=6)
    plain, disturbed = (
        Follower(g1, offsets=motion.offsets, look_ahead=look_ahead) for _ in range(2)
    )
    for frame, (place, turned) in enumerate(
        zip(motion.root_positions, motion.rotations, strict=True)
    ):
        q = plain.push(place, turned)
        if frame % 5 == 2:
            for length in (0.0, 1e200):
                broken = turned.copy()
                broken[3] *= length
                with pytest.raises(BVHError, match=r"of LeftFoot has a length of .*"):
                    disturbed.push(place, broken)
            with pytest.raises(BVHError, match=r"beyond 1e\+06 m, where no body can be"):
                disturbed.push(place + 1e30, turned)
        np.testing.assert_array_equal(disturbed.push(place, turned), q)


def test_a_robot_goes_over_to_a_better_pose_from_where_it_is(g1):
    motion = procedural.make("dance", seconds=1, seed=6)
    calibration = g1.calibration
    maker = TargetMaker(calibration, g1.map.weights, motion.offsets)
    placed = _Skeleton(motion.offsets).place(motion.root_positions[0], motion.rotations[0])
    targets = maker.make_one(placed, 30.0)
    solver = OnlineSolver(
        g1.model, calibration.bodies, calibration.translations, speed_limits=g1.speed_limits
    )
    drawn = 0
    for _ in range(60):
        solver.begin(targets, wanted_poses(targets))
        q = solver.moving
        nv = q.shape[1] - 1
        # Costs that leave the robot where it is, and let its rival's base and arms go off.
        gradient = np.zeros((len(q), nv))
        gradient[1:, 0], gradient[1:, -14:] = 0.02, 0.1
        matrix = np.tile(np.eye(nv), (len(q), 1, 1))
        after = solver.advance(
            NormalEquations(np.array([1000.0, 10.0])[: len(q)], matrix, gradient)
        )
        np.testing.assert_allclose(after[:7], q[0, :7], atol=1e-12)
        if len(q) == 2 and np.abs(after[7:] - q[0, 7:]).max() > 0.01:
            drawn += 1
            assert np.abs(q[1, :3] - q[0, :3]).max() > 0.05
    assert drawn > 3
