"""The parts of the trajectory solver: limits, movement cost, branches, windows, contacts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh import procedural
from bvh.skeleton import JOINTS
from motiontok.robots import load_robot, smoothing
from motiontok.robots.branches import connected, jump_cost
from motiontok.robots.contacts import find_contacts, runs
from motiontok.robots.footing import plant_feet
from motiontok.robots.kinematics import Kinematics
from motiontok.robots.offline import neutral_start, solve_trajectory
from motiontok.robots.settling import retry, windows
from motiontok.robots.smoothing import Smoothness, limit_speed, smooth
from motiontok.robots.solver import Options, minimize
from motiontok.robots.targets import make_targets
from motiontok.robots.tasks import PoseTask, Posture, quadratic

paths = arrays(np.float64, (12, 3), elements=st.floats(-3, 3, allow_subnormal=False))


@given(paths, st.floats(0.01, 2.0))
def test_limited_paths_keep_to_the_speed_and_to_the_range(joints, step):
    steps = np.full(3, step)
    out = limit_speed(joints, steps)
    assert (np.abs(np.diff(out, axis=0)) <= steps + 1e-9).all()
    assert (out <= joints.max(axis=0) + 1e-12).all()
    assert (out >= joints.min(axis=0) - 1e-12).all()


@given(paths)
def test_slow_paths_are_left_alone(joints):
    fast = np.abs(np.diff(joints, axis=0)).max() + 0.1
    np.testing.assert_array_equal(limit_speed(joints, np.full(3, fast)), joints)


def test_a_jump_is_spread_evenly_to_both_sides():
    joints = np.r_[np.zeros(10), np.ones(10)][:, None]
    out = limit_speed(joints, np.array([0.25]))[:, 0]
    np.testing.assert_allclose(out, 1 - out[::-1], atol=1e-12)
    assert np.abs(out - joints[:, 0]).max() <= 0.5


@given(paths, st.floats(0.1, 1.0))
def test_movement_slope_is_the_derivative_and_its_matrix_bounds_the_cost(joints, limit):
    weights = Smoothness(speed=1.3, acceleration=0.7, excess=5.0)
    limits, rng = np.full(3, limit), np.random.default_rng(0)
    here = smoothing._movement(joints, limits, 1.0, weights)
    step = rng.normal(size=joints.shape)
    h = 1e-6
    ahead = smoothing._movement(joints + h * step, limits, 1.0, weights).total
    behind = smoothing._movement(joints - h * step, limits, 1.0, weights).total
    slope = (ahead - behind) / (2 * h)
    assert slope == pytest.approx(-2 * (here.slope * step).sum(), rel=1e-3, abs=1e-3)
    smooth_only = Smoothness(speed=1.3, acceleration=0.7, excess=0.0)
    here = smoothing._movement(joints, limits, 1.0, smooth_only)
    there = smoothing._movement(joints + step, limits, 1.0, smooth_only).total
    curve = (here.diagonal * step**2).sum() + 2 * (here.beside * step[1:] * step[:-1]).sum()
    bound = here.total - 2 * (here.slope * step).sum() + curve
    assert there <= bound + 1e-6 * (1 + abs(bound))


def test_the_banded_step_is_that_of_the_dense_system():
    rng = np.random.default_rng(1)
    frames, nv = 5, 8
    half = rng.normal(size=(frames, nv, nv))
    model = smoothing.Quadratic(
        np.zeros(frames), half @ half.swapaxes(1, 2), rng.normal(size=(frames, nv))
    )
    movement = smoothing._movement(
        rng.normal(size=(frames, nv - 6)), np.full(nv - 6, 9.0), 1.0, Smoothness()
    )
    free = np.ones((frames, nv))
    free[2, 7] = free[4, 1] = 0.0
    band = np.zeros((frames, nv, nv + 1))
    step = smoothing._step(model, movement, free, np.zeros(frames), band)

    dense = np.zeros((frames, nv, frames, nv))
    gradient = model.gradient.copy()
    gradient[:, 6:] += movement.slope
    for t in range(frames):
        dense[t, :, t] = model.matrix[t]
        diagonal = np.einsum("ii->i", dense[t, :, t])
        diagonal += 1e-3 * diagonal + smoothing._FLOOR
        diagonal[6:] += movement.diagonal[t]
        if t:
            for j in range(6, nv):
                dense[t, j, t - 1, j] = dense[t - 1, j, t, j] = movement.beside[t - 1, j - 6]
    keep = free.ravel() > 0
    matrix = dense.reshape(frames * nv, -1)[np.ix_(keep, keep)]
    expected = np.zeros(frames * nv)
    expected[keep] = np.linalg.solve(matrix, gradient.ravel()[keep])
    np.testing.assert_allclose(step.ravel(), expected, atol=1e-9)


def test_windows_leave_two_still_frames_at_both_ends():
    rough = np.zeros(60, dtype=bool)
    rough[[20, 50]] = True
    frames, frozen = windows(rough)
    free = frames[~frozen]
    assert {20, 50} <= set(free)
    for frame in free:
        assert {frame - 2, frame - 1, frame + 1, frame + 2} <= set(frames)
    assert len(windows(np.zeros(9, dtype=bool))[0]) == 0


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_runs_are_the_true_stretches(values):
    mask = np.array(values)
    again = np.zeros_like(mask)
    for start, end in runs(mask):
        assert start < end
        again[start:end] = True
    np.testing.assert_array_equal(again, mask)


@pytest.fixture(scope="module")
def g1():
    return load_robot("g1")


@pytest.fixture(scope="module")
def dance(g1):
    motion = procedural.make("dance", seconds=2, seed=4)
    targets = make_targets(motion, g1.calibration, g1.map.weights)
    return motion, targets, Kinematics(g1.model, targets.bodies)


def test_minimize_lowers_the_cost_within_bounds(g1, dance):
    _, targets, kinematics = dance
    task = PoseTask(kinematics, targets)
    start = neutral_start(kinematics, targets)
    before = quadratic(kinematics, [task], start).cost
    shape = (len(targets), len(g1.lower))
    lower = np.maximum(np.broadcast_to(g1.lower, shape), -0.4)
    upper = np.minimum(np.broadcast_to(g1.upper, shape), 0.4)
    q, _ = minimize(kinematics, start, [task], Options(iterations=30), bounds=(lower, upper))
    assert (q[:, 7:] >= lower).all()
    assert (q[:, 7:] <= upper).all()
    assert (quadratic(kinematics, [task], q).cost < before).all()
    np.testing.assert_allclose(np.linalg.norm(q[:, 3:7], axis=1), 1, atol=1e-9)


def test_a_strong_posture_wins(dance):
    _, targets, kinematics = dance
    start = neutral_start(kinematics, targets)
    reference = start[:, 7:] + 0.1
    reference = np.clip(reference, kinematics.lower, kinematics.upper)
    posture = Posture(reference, np.array(1e4))
    q, _ = minimize(kinematics, start, [PoseTask(kinematics, targets)], posture=posture)
    np.testing.assert_allclose(q[:, 7:], reference, atol=1e-3)


def test_frozen_frames_do_not_move_and_the_others_get_smoother(g1, dance):
    _, targets, kinematics = dance
    task = PoseTask(kinematics, targets)
    q = connected(kinematics, [task], neutral_start(kinematics, targets), targets.fps)
    q[:, 7:] += np.random.default_rng(0).normal(size=q[:, 7:].shape) * 0.05
    q[:, 7:] = np.clip(q[:, 7:], g1.lower, g1.upper)
    frozen = np.zeros(len(q), dtype=bool)
    frozen[:10] = True
    out, cost, _ = smooth(
        kinematics, [task], q, targets.fps, g1.speed_limits, Smoothness(iterations=4), frozen=frozen
    )
    np.testing.assert_allclose(out[:10], q[:10], atol=1e-12)
    bend = [np.abs(np.diff(x[10:, 7:], n=2, axis=0)).mean() for x in (q, out)]
    assert bend[1] < 0.3 * bend[0]
    np.testing.assert_allclose(cost, quadratic(kinematics, [task], out).cost, rtol=1e-9)


def test_frames_solved_apart_connect_without_jumps(g1, dance):
    _, targets, kinematics = dance
    q = connected(
        kinematics,
        [PoseTask(kinematics, targets)],
        neutral_start(kinematics, targets),
        targets.fps,
    )
    assert jump_cost(q[:-1, 7:], q[1:, 7:], targets.fps).max() < 100
    # Joint after joint solved on its own would take no notice of the frame before.
    alone, _ = minimize(
        kinematics, neutral_start(kinematics, targets), [PoseTask(kinematics, targets)]
    )
    assert np.abs(np.diff(alone[:, 7:], axis=0)).max() >= np.abs(np.diff(q[:, 7:], axis=0)).max()


def test_slow_robots_stay_slow(g1, dance):
    _, targets, _ = dance
    limits = np.full(len(g1.lower), 1.5)
    q = solve_trajectory(g1.model, targets, speed_limits=limits)
    assert np.abs(np.diff(q[:, 7:], axis=0)).max() * targets.fps <= 1.5 + 1e-9


@pytest.mark.parametrize("kind", ["walk", "squat", "turn"])
def test_planted_feet_stand_flat_and_still(g1, kind):
    motion = procedural.make(kind, seconds=3, seed=2)
    contacts = find_contacts(motion)
    assert (contacts.toes | contacts.heels).mean() > 0.2
    raw = make_targets(motion, g1.calibration, g1.map.weights)
    planted = plant_feet(raw, g1.calibration, contacts)
    assert np.abs(planted.positions - raw.positions).max() < 0.15
    for side, name in enumerate(("LeftFoot", "RightFoot")):
        k = g1.calibration.index(name)
        corners = planted.positions[:, None, k] + np.einsum(
            "tij,cj->tci", planted.rotations[:, k], g1.calibration.soles[name].corners
        )
        flat = contacts.toes[:, side] & contacts.heels[:, side]
        np.testing.assert_allclose(corners[flat, :, 2], 0, atol=2e-3)
        toe = contacts.toes[:, side]
        both = toe[1:] & toe[:-1]
        moved = np.linalg.norm(np.diff(corners[:, 2:, :2].mean(axis=1), axis=0), axis=-1)
        human = motion.global_positions()[:, JOINTS.index(name.replace("Foot", "Toe")), :2]
        source = np.linalg.norm(np.diff(human, axis=0), axis=-1)
        assert moved[both].mean() < source[both].mean() + 0.005 / motion.fps
        # Between contacts the correction fades: no step where a foot lands or lifts.
        change = planted.positions[:, k] - raw.positions[:, k]
        assert np.abs(np.diff(change, axis=0)).max() < 0.03


def test_a_limb_that_changes_over_too_late_is_solved_again(g1, dance):
    _, targets, kinematics = dance
    still = targets[np.full(40, 10)]
    task = PoseTask(kinematics, still)
    q, cost = minimize(kinematics, neutral_start(kinematics, still), [task])
    spoilt = q.copy()
    elbow = 7 + g1.joint_names.index("left_shoulder_yaw_joint")
    spoilt[18:22, elbow] += 2.0
    spoilt[:, 7:] = np.clip(spoilt[:, 7:], g1.lower, g1.upper)
    spoilt_cost = quadratic(kinematics, [task], spoilt).cost
    assert spoilt_cost[19] > 3 * cost[19]
    again = retry(kinematics, [task], spoilt, spoilt_cost, still.fps, g1.speed_limits)
    found = quadratic(kinematics, [task], again).cost
    np.testing.assert_allclose(found, cost, rtol=0.05)
    np.testing.assert_array_equal(again[:14], spoilt[:14])
    # Nothing is unusual any more.
    assert retry(kinematics, [task], again, found, still.fps, g1.speed_limits) is again
