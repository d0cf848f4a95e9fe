"""The parts of the trajectory solver: limits, movement cost, branches, windows, contacts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh import procedural
from bvh.foot_contacts import find_contacts, runs
from bvh.rotations import exp, from_axis_angle, to_matrix
from bvh.skeleton import JOINTS
from motiontok.robots import evaluate, retarget
from motiontok.robots.contacts.anchors import fade, still
from motiontok.robots.contacts.held_contacts import Hold
from motiontok.robots.contacts.offline_foot_lock import lock_target_feet
from motiontok.robots.contacts.resting_bodies import rest_bodies
from motiontok.robots.files.trajectory import wxyz_from_xyzw, xyzw_from_wxyz
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.limits.joint_limits import limit_speed
from motiontok.robots.limits.self_collision import ClosePairs
from motiontok.robots.limits.self_collision_task import Separation
from motiontok.robots.limits.smoothness import MovementCost, Smoothness, third_difference_bands
from motiontok.robots.solver import banded_gauss_newton, banded_system
from motiontok.robots.solver.banded_gauss_newton import refine, windows
from motiontok.robots.solver.branches import jump_cost, key_frames, solve_ik_branches
from motiontok.robots.solver.levenberg_marquardt import Options, minimize
from motiontok.robots.solver.offline import neutral_start, solve_trajectory
from motiontok.robots.solver.tasks import PoseTask, Posture, quadratic
from motiontok.robots.targets import make_targets

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


@pytest.fixture(scope="module")
def dance(g1):
    motion = procedural.make("dance", seconds=2, seed=4)
    targets = make_targets(motion, g1.calibration, g1.map.weights)
    return motion, targets, Kinematics(g1.model, targets.bodies)


def movement_of(g1, fps=30.0, **weights):
    return MovementCost(Smoothness(**weights), g1.lower, g1.upper, g1.speed_limits, fps)


def rough(g1, frames, seed=0, scale=0.05):
    """Configurations ``(frames, nq)`` around the middle pose, some joints in their margins."""
    rng = np.random.default_rng(seed)
    q = np.zeros((frames, g1.model.nq))
    q[:, :3] = rng.normal(size=(frames, 3)) * scale
    spin = np.cumsum(rng.normal(size=(frames, 3)) * scale, axis=0)
    q[:, 3:7] = xyzw_from_wxyz(exp(spin))
    q[:, 7:] = 0.5 * (g1.lower + g1.upper) + rng.normal(size=(frames, len(g1.lower))) * scale
    q[:, 10] = g1.upper[3] - 0.01
    q[1::2, 12] = g1.lower[5] + 0.002
    return q


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_movement_descends_along_its_gradient(g1, fps):
    kinematics = Kinematics(g1.model, [1])
    movement = movement_of(g1, fps)
    q = rough(g1, 9, scale=0.01)
    step = np.random.default_rng(1).normal(size=(9, kinematics.nv))
    h = 1e-7
    ahead, behind = (movement(kinematics.integrate(q, s * h * step)).cost.sum() for s in (1, -1))
    slope = (ahead - behind) / (2 * h)
    assert slope == pytest.approx(-2 * (movement(q).gradient * step).sum(), rel=0.02)


@given(st.integers(0, 9))
def test_third_differences_have_the_matrix_of_their_coefficients(frames):
    bands = third_difference_bands(frames)
    rows = np.diff(np.eye(frames), n=3, axis=0) if frames > 3 else np.zeros((0, frames))
    matrix = rows.T @ rows
    for d in range(min(4, frames)):
        np.testing.assert_allclose(bands[d, : frames - d], np.diagonal(matrix, d), atol=1e-12)


def test_a_step_is_that_of_the_dense_system_without_the_frames_that_stay(g1):
    frames, nv = 7, g1.model.nv
    kinematics = Kinematics(g1.model, [1, 7])
    q = rough(g1, frames)
    standing = np.ones(frames, dtype=bool)
    standing[3] = False
    hold = Hold(7, np.array([0.1, 0.0, -0.03]), standing)
    movement = movement_of(g1, joint=3.0, base=5.0, turn=4.0, still=50.0)
    frozen = np.zeros(frames, dtype=bool)
    frozen[[1, 5]] = True
    problem = banded_gauss_newton._Problem(kinematics, [], movement, [hold], frozen)
    now = problem.at(q)
    rng = np.random.default_rng(2)
    half = rng.normal(size=(frames, nv, nv))
    others = half @ half.swapaxes(1, 2)  # than the held point
    now.model.matrix[:] += others
    now.model.gradient[:] = rng.normal(size=(frames, nv))
    now.moved.walls[:] = 0.0
    movement.bounds = np.full(nv - 6, -np.inf), np.full(nv - 6, np.inf)
    step, promise = problem.step(now, frozen, np.zeros(frames))

    gradient = now.model.gradient + now.moved.gradient
    dense = np.zeros((frames, nv, frames, nv))
    # How the held point moves, by differences.
    h = 1e-6

    def places(q):
        at = kinematics.evaluate(q)
        return at.rotations[:, 1] @ hold.point + at.positions[:, 1]

    rows = np.stack(
        [
            (
                places(kinematics.integrate(q, np.tile(h * np.eye(nv)[j], (frames, 1))))
                - places(kinematics.integrate(q, np.tile(-h * np.eye(nv)[j], (frames, 1))))
            )
            / (2 * h)
            for j in range(nv)
        ],
        axis=-1,
    )
    gap = np.diff(places(q), axis=0)
    for s in (0, 1, 4, 5):  # frames that stand as the next ones do
        row = np.zeros((3, frames, nv))
        row[:, s], row[:, s + 1] = -rows[s], rows[s + 1]
        dense += 50.0**2 * np.einsum("asi,atj->sitj", row, row)
        gradient -= 50.0**2 * np.einsum("a,asi->si", gap[s], row)
    difference = np.diff(np.eye(frames), n=3, axis=0)
    third = difference.T @ difference
    turned = to_matrix(wxyz_from_xyzw(q[:, 3:7]))
    for s in range(frames):
        dense[s, :, s] += others[s]
        diagonal = np.einsum("ii->i", dense[s, :, s])
        diagonal += banded_gauss_newton._DAMPING * diagonal + banded_system.FLOOR
        diagonal[6:] += now.moved.diagonal[s]
        for t in range(frames):
            block = third[s, t] * turned[s].T @ turned[t]
            dense[s, :3, t, :3] += movement.base * block
            dense[s, 3:6, t, 3:6] += movement.turn * block
            for j in range(6, nv):
                dense[s, j, t, j] += movement.joint * third[s, t]
        if s:
            for j in range(6, nv):
                dense[s - 1, j, s, j] += now.moved.beside[s - 1, j - 6]
                dense[s, j, s - 1, j] += now.moved.beside[s - 1, j - 6]
    keep = np.repeat(~frozen, nv)
    matrix = dense.reshape(frames * nv, -1)[np.ix_(keep, keep)]
    expected = np.zeros(frames * nv)
    expected[keep] = np.linalg.solve(matrix, gradient.ravel()[keep])
    np.testing.assert_allclose(step.ravel(), expected, atol=2e-4 * np.abs(expected).max())
    assert (step[frozen] == 0).all()
    np.testing.assert_allclose(promise.sum(), (gradient * step)[~frozen].sum(), rtol=1e-3)


def test_a_step_stops_at_margins_and_bodies_that_it_has_not_met(g1):
    frames, nv, joint = 24, g1.model.nv, 8
    left, right = (g1.model.getJointId(f"{side}_wrist_yaw_joint") for side in ("left", "right"))
    kinematics = Kinematics(g1.model, [left, right])
    movement = movement_of(g1)
    q = np.zeros((frames, g1.model.nq))
    q[:, 6] = 1.0
    q[:, 7:] = movement.neutral
    state = kinematics.evaluate(q[:1])
    gap = 0.006
    middle = state.positions[0].mean(axis=0)
    normal = np.array([0.0, 1.0, 0.0])
    pairs = ClosePairs(
        frames=np.array([10]),
        bodies=np.array([[left, right]]),
        distances=np.array([gap]),
        points=np.array([[middle + 0.5 * gap * normal, middle - 0.5 * gap * normal]]),
        normals=normal[None],
    )
    apart = Separation(kinematics, pairs, q)
    frozen = np.zeros(frames, dtype=bool)

    def closed(walls):
        problem = banded_gauss_newton._Problem(
            kinematics, [], movement, [], frozen, apart if walls else None
        )
        now = problem.at(q)
        now.model.matrix[:] += 10.0 * np.eye(nv)
        now.model.gradient[:, 6 + joint] = 1e3
        place = kinematics.evaluate(q).jacobians[:, :, 1]  # sideways, about the world's origin
        now.model.gradient[:] -= (
            1e2 * place * (kinematics.subtree_of(left) - kinematics.subtree_of(right))
        )
        if not walls:
            movement.bounds = np.full(nv - 6, -np.inf), np.full(nv - 6, np.inf)
        step, _ = problem.step(now, frozen, np.zeros(frames))
        met = apart.unseen()
        met.see(np.arange(frames), kinematics.evaluate(q), kinematics.blank(frames))
        _, _, _, cost = met.hits(step)
        return (q[:, 7:] + step[:, 6:])[:, joint].max(), float(cost.sum())

    limit = movement.bounds[1][joint]
    stopped, hit = closed(walls=True)
    through, hard_hit = closed(walls=False)
    assert through > limit + 0.1
    assert stopped < limit + 0.01
    assert hard_hit > 10.0
    assert hit < 0.1 * hard_hit


def test_windows_leave_still_frames_at_both_ends():
    moving = np.zeros(60, dtype=bool)
    moving[[20, 50]] = True
    frames, frozen = windows(moving)
    free = frames[~frozen]
    assert {20, 50} <= set(free)
    for frame in free:
        assert {*range(max(frame - 3, 0), min(frame + 4, 60))} <= set(frames)
    assert len(windows(np.zeros(9, dtype=bool))[0]) == 0


def test_a_body_that_stands_on_both_sides_of_a_seam_alone_is_free(g1):
    kinematics = Kinematics(g1.model, [1, 7])
    q = rough(g1, 12)
    standing = np.isin(np.arange(12), [2, 3, 8, 9])
    hold = Hold(7, np.array([0.1, 0.0, -0.03]), standing)
    movement = movement_of(g1, joint=3.0, base=5.0, turn=4.0, still=50.0)
    whole = banded_gauss_newton._Problem(kinematics, [], movement, [hold], np.zeros(12, bool))
    # First it stands in one frame of each stretch left, then one is the other's neighbour.
    some, fewer = np.array([0, 1, 2, 5, 6, 9, 10, 11]), np.array([0, 1, 2, 5, 6, 7])
    part, now = whole.part(whole.at(q), some, q[some], np.ones(8, bool))
    q = q[some][fewer]
    rest, now = part.part(now, fewer, q, np.ones(6, bool))
    step, _ = rest.step(now, np.ones(6, bool), np.zeros(6))
    assert not step.any()


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_runs_are_the_true_stretches(values):
    mask = np.array(values)
    again = np.zeros_like(mask)
    for start, end in runs(mask):
        assert start < end
        again[start:end] = True
    np.testing.assert_array_equal(again, mask)


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
    movement = movement_of(g1)
    q = solve_ik_branches(kinematics, targets, neutral_start(kinematics, targets), movement.bounds)
    q[:, 7:] += np.random.default_rng(0).normal(size=q[:, 7:].shape) * 0.05
    q[:, 7:] = np.clip(q[:, 7:], g1.lower, g1.upper)
    frozen = np.zeros(len(q), dtype=bool)
    frozen[:10] = True
    out, size = refine(
        kinematics, [task], q, movement, iterations=4, frozen=frozen, damping=np.zeros(60)
    )
    np.testing.assert_allclose(out[:10], q[:10], atol=1e-12)
    assert (size[:10] == 0).all()
    jerk = [np.abs(np.diff(x[10:, 7:], n=3, axis=0)).mean() for x in (q, out)]
    assert jerk[1] < 0.1 * jerk[0]

    def cost(q):
        return quadratic(kinematics, [task], q).cost.sum() + movement(q).cost.sum()

    assert cost(out) < cost(q)


def test_frames_solved_apart_connect_without_jumps(g1, dance):
    _, targets, kinematics = dance
    start, bounds = neutral_start(kinematics, targets), movement_of(g1).bounds
    q = solve_ik_branches(kinematics, targets, start, bounds)
    assert jump_cost(q[:-1, 7:], q[1:, 7:], 1 / targets.fps).max() < 100
    # Frame after frame solved on its own would take no notice of the frame before.
    alone, _ = minimize(kinematics, start, [PoseTask(kinematics, targets)])
    assert np.abs(np.diff(alone[:, 7:], axis=0)).max() >= np.abs(np.diff(q[:, 7:], axis=0)).max()


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 12])
def test_keys_are_the_same_soon_after_a_cut(g1, cut):
    motion = procedural.make("dance", seconds=4, seed=1)
    targets = make_targets(motion, g1.calibration, g1.map.weights)
    keys, later = key_frames(targets), key_frames(targets[cut:]) + cut
    assert len(keys) < 0.7 * len(targets)
    assert np.diff(keys).max() <= 3
    both = [k[k >= cut + 30].tolist() for k in (keys, later)]
    assert both[0] == both[1]


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
    planted = lock_target_feet(raw, g1.calibration, contacts)
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


def test_what_stands_is_as_still_as_may_be_and_near_its_path():
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(size=(90, 2)), axis=0) * 0.002
    calm = still(path, 30.0)
    assert np.abs(np.diff(calm, axis=0)).mean() < 0.2 * np.abs(np.diff(path, axis=0)).mean()
    assert np.abs(calm - path).max() < 0.03
    # A second from a cut nothing is left of it.
    np.testing.assert_allclose(still(path[20:], 30.0)[30:], calm[50:], atol=3e-3)
    np.testing.assert_array_equal(still(path[:1], 30.0), path[:1])


def test_corrections_bridge_short_gaps_and_fade_in_long_ones():
    known = np.zeros(100, dtype=bool)
    known[[*range(10, 20), *range(25, 30), *range(80, 90)]] = True
    values = np.where(known, 2.0, 7.0)[:, None] * np.ones((100, 3))
    out = fade(values, known, 30.0)
    np.testing.assert_allclose(out[10:30], 2.0)
    np.testing.assert_allclose(out[50], 0.0)
    assert (np.abs(np.diff(out[:, 0])) < 0.25).all()
    np.testing.assert_allclose(fade(values, np.zeros(100, dtype=bool), 30.0), 0.0)


def test_bodies_near_the_ground_are_laid_on_it(g1):
    motion = procedural.make("wave", seconds=2, seed=0)
    # On the back, a hand's breadth inside the ground.
    back = from_axis_angle([0.0, 1.0, 0.0], -np.pi / 2)
    low = motion.moved(back, np.zeros(3))
    low = replace(low, root_positions=low.root_positions * [1.0, 1.0, 0.0] + [0.0, 0.0, 0.05])
    raw = make_targets(low, g1.calibration, g1.map.weights)
    targets, holds = rest_bodies(raw, g1.calibration, g1.outline)
    assert any(h.body == raw.bodies[0] and h.standing.any() for h in holds)
    points = g1.outline.of(raw.bodies[0])
    lowest = (targets.rotations[:, 0, 2] @ raw.local_rotations[0].T @ points.T).min(axis=1)
    origin = (targets.rotations[:, 0] @ raw.local_rotations[0].T @ raw.local_positions[0])[:, 2]
    np.testing.assert_allclose(targets.positions[:, 0, 2] - origin + lowest, 0.0, atol=1e-6)
    report = evaluate(retarget(low, g1), low, g1)
    assert report.body_depth < 0.015
    assert report.self_penetration < 0.002
    assert report.root_jerk < 10


@pytest.mark.parametrize("kind", ["hop", "dance"])
def test_a_cut_is_forgotten_in_a_second(g1, kind):
    motion = procedural.make(kind, seconds=4, seed=1)
    whole = retarget(motion, g1).joints
    for cut in (1, 6, 17, 31):
        part = retarget(motion[cut:], g1).joints
        assert np.abs(part[30:] - whole[cut + 30 :]).max() < 0.02
