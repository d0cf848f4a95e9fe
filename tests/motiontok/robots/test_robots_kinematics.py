"""Batched kinematics against Pinocchio's own frame functions, and rotations against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

import pinocchio as pin

from motiontok.robots.kinematics import so3
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.kinematics.placements import Forces, Inertias
from motiontok.robots.model.outline import Outline
from motiontok.robots.solver.stream_tracking import StreamTracking, wanted_poses
from motiontok.robots.solver.tasks import FloorTask, PoseTask, quadratic
from motiontok.robots.targets import Targets

finite = st.floats(-1.0, 1.0)
vectors = st.tuples(finite, finite, finite).map(np.array)


@given(vectors, st.floats(0.0, np.pi))
@settings(max_examples=200, deadline=None)
def test_log_inverts_exp_up_to_a_half_turn(axis, angle):
    size = np.linalg.norm(axis)
    vector = axis / size * angle if size > 1e-3 else np.zeros(3)
    matrix = Rotation.from_rotvec(vector).as_matrix()
    found, found_angle = so3.log(matrix[None])
    again = Rotation.from_rotvec(found[0]).as_matrix()
    np.testing.assert_allclose(again, matrix, atol=1e-7)
    np.testing.assert_allclose(found_angle[0], np.linalg.norm(found[0]), atol=1e-6)


@given(vectors, st.floats(0.01, 3.1), vectors)
@settings(max_examples=100, deadline=None)
def test_log_metric_is_that_of_the_derivative_of_log(axis, angle, direction):
    if np.linalg.norm(axis) < 1e-2:
        return
    vector = axis / np.linalg.norm(axis) * angle
    turn = so3.log_between(
        components_first(Rotation.from_rotvec(vector).as_matrix()[None]),
        components_first(np.eye(3)[None]),
    )
    metric = turn.across[0] * np.eye(3) + turn.along[0] * np.outer(vector, vector)
    base, h = Rotation.from_rotvec(vector), 1e-6
    ahead = (base * Rotation.from_rotvec(h * direction)).as_rotvec()
    behind = (base * Rotation.from_rotvec(-h * direction)).as_rotvec()
    slope = (ahead - behind) / (2 * h)
    assert direction @ metric @ direction == pytest.approx(slope @ slope, rel=1e-4, abs=1e-8)


@given(vectors, vectors)
@settings(max_examples=50, deadline=None)
def test_skew_and_cross_are_cross_products(a, b):
    np.testing.assert_allclose(so3.skew(a) @ b, np.cross(a, b), atol=1e-12)
    np.testing.assert_allclose(
        so3.cross(so3.wrapped(a), so3.wrapped(b)), np.cross(a, b), atol=1e-12
    )


def components_first(matrices):
    return so3.wrapped(np.moveaxis(matrices, 0, -1))


@given(st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_log_between_is_the_log_of_the_relative_rotation(seed):
    rng = np.random.default_rng(seed)
    start = Rotation.random(6, random_state=seed)
    # Small turns, any turn, and turns within 1e-2 of a half.
    angles = np.concatenate(
        [[0.0, 1e-7], rng.uniform(0, np.pi, 2), np.pi - rng.uniform(0, 0.01, 2)]
    )
    axes = rng.normal(size=(6, 3))
    turn = Rotation.from_rotvec(axes / np.linalg.norm(axes, axis=1)[:, None] * angles[:, None])
    found = so3.log_between(
        components_first((turn * start).as_matrix()), components_first(start.as_matrix())
    )
    np.testing.assert_allclose(np.sqrt(found.square), angles, atol=1e-6)
    again = Rotation.from_rotvec(found.pull.T)
    np.testing.assert_allclose((again * turn.inv()).magnitude(), 0.0, atol=1e-6)


@given(vectors, st.floats(0.0, 3.0), vectors)
@settings(max_examples=100, deadline=None)
def test_a_chord_is_twice_the_sine_of_half_the_angle(axis, angle, direction):
    if np.linalg.norm(axis) < 1e-2:
        return
    base = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle)

    def chord(start):
        return so3.chord_between(
            components_first(base.as_matrix()[None]),
            components_first(Rotation.from_rotvec(start).as_matrix()[None]),
        )

    here, h = chord(np.zeros(3)), 1e-5
    assert here.square[0] == pytest.approx(4 * np.sin(angle / 2) ** 2, abs=1e-9)
    slope = (chord(h * direction).square[0] - chord(-h * direction).square[0]) / (2 * h)
    assert slope == pytest.approx(-2 * direction @ here.pull[:, 0], rel=1e-4, abs=1e-6)

    def residual(start):
        return 2 * (base * Rotation.from_rotvec(start).inv()).as_quat(canonical=True)[:3]

    derivative = (residual(h * direction) - residual(-h * direction)) / (2 * h)
    pull = here.pull[:, 0]
    metric = here.across[0] * np.eye(3) + here.along[0] * np.outer(pull, pull)
    assert direction @ metric @ direction == pytest.approx(
        derivative @ derivative, rel=1e-3, abs=1e-6
    )


@pytest.fixture(scope="module")
def robot(g1):
    return g1


@pytest.fixture(scope="module")
def scene(robot):
    """Random configurations and targets for three frames of the G1."""
    rng = np.random.default_rng(0)
    model = robot.model
    names = ("pelvis", "left_ankle_roll_link", "right_wrist_yaw_link")
    frames = [model.frames[model.getFrameId(n)] for n in names]
    q = np.stack([pin.neutral(model) for _ in range(6)])
    q[:, :3] = rng.normal(size=(6, 3)) * 3
    q[:, 3:7] = Rotation.random(6, random_state=1).as_quat()
    q[:, 7:] = rng.uniform(robot.lower, robot.upper, (6, len(robot.joint_names)))
    targets = Targets(
        bodies=tuple(f.parentJoint for f in frames),
        local_rotations=np.array([f.placement.rotation for f in frames]),
        local_positions=np.array([f.placement.translation for f in frames]),
        rotations=Rotation.random(18, random_state=2).as_matrix().reshape(6, 3, 3, 3),
        positions=rng.normal(size=(6, 3, 3)),
        rotation_weights=np.array([[2.0, 1.0, 0.5]]),
        position_weights=np.array([[10.0, 5.0, 0.0]]),
        fps=30.0,
    )
    return names, q, targets


def test_placements_are_pinocchios(robot, scene):
    names, q, targets = scene
    kinematics = Kinematics(robot.model, targets.bodies)
    rotations, positions = PoseTask(kinematics, targets).poses(kinematics.evaluate(q))
    data = robot.model.createData()
    for frame in range(len(q)):
        pin.framesForwardKinematics(robot.model, data, q[frame])
        for k, name in enumerate(names):
            placement = data.oMf[robot.model.getFrameId(name)]
            np.testing.assert_allclose(rotations[frame, k], placement.rotation, atol=1e-12)
            np.testing.assert_allclose(positions[frame, k], placement.translation, atol=1e-12)


def test_normal_equations_are_those_of_the_stacked_jacobians(robot, scene):
    names, q, targets = scene
    kinematics = Kinematics(robot.model, targets.bodies)
    state = kinematics.evaluate(q)
    system = kinematics.blank(len(q))
    PoseTask(kinematics, targets).add(state, system)
    matrix, gradient = kinematics.normal_equations(state.jacobians, system)
    data = robot.model.createData()
    for frame in range(len(q)):
        pin.framesForwardKinematics(robot.model, data, q[frame])
        pin.computeJointJacobians(robot.model, data, q[frame])
        rows, residuals = [], []
        for k, name in enumerate(names):
            index = robot.model.getFrameId(name)
            jacobian = pin.getFrameJacobian(
                robot.model, data, index, pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
            )
            error = targets.rotations[frame, k] @ data.oMf[index].rotation.T
            turn = pin.log3(error)
            wp, wr = targets.position_weights[0, k], targets.rotation_weights[0, k]
            # log(R* R^T) changes by -Jlog3 w: Pinocchio's Jlog3 is the right Jacobian's inverse.
            rows += [wp * jacobian[:3], wr * pin.Jlog3(error) @ jacobian[3:]]
            offset = targets.positions[frame, k] - data.oMf[index].translation
            residuals += [wp * offset, wr * turn]
        stacked, residual = np.concatenate(rows), np.concatenate(residuals)
        np.testing.assert_allclose(matrix[frame], stacked.T @ stacked, atol=1e-8)
        np.testing.assert_allclose(gradient[frame], stacked.T @ residual, atol=1e-8)
        np.testing.assert_allclose(system.cost[frame], residual @ residual, rtol=1e-10)


def test_a_streams_springs_make_the_same_equations(robot, scene):
    _, q, targets = scene
    kinematics = Kinematics(robot.model, targets.bodies)
    frames = [targets[k : k + 1] for k in range(len(q))]
    tracking = StreamTracking(kinematics, targets.local_positions)
    for first in range(0, len(q), 3):
        part = slice(first, first + 3)
        found, state = tracking.linearize(q[part], [wanted_poses(f) for f in frames[part]])
        known = quadratic(kinematics, [PoseTask(kinematics, targets[part], chordal=True)], q[part])
        np.testing.assert_allclose(found.cost, known.cost, rtol=1e-10)
        np.testing.assert_allclose(found.matrix, known.matrix, atol=1e-9)
        np.testing.assert_allclose(found.gradient, known.gradient, atol=1e-9)
        np.testing.assert_allclose(
            state.jacobians, kinematics.evaluate(q[part]).jacobians, atol=1e-12
        )


def test_inertias_and_forces_are_written_one_by_one_where_memory_is_laid_out_otherwise(robot):
    rows = np.random.default_rng(0).uniform(1.0, 2.0, (10, 3))
    for whole in (True, False):
        inertias = pin.StdVec_Inertia([pin.Inertia.Zero() for _ in range(5)])
        forces = pin.StdVec_Force([pin.Force.Zero() for _ in range(5)])
        springs, pulls = Inertias(inertias, [1, 2, 4]), Forces(forces, [0, 2, 4])
        assert springs._block is not None
        if not whole:
            springs._block = pulls._block = None
        springs.write(rows)
        pulls.write(rows[:6])
        for index, (mass, *rest) in zip([1, 2, 4], rows.T, strict=True):
            assert inertias[index].mass == mass
            np.testing.assert_array_equal(inertias[index].lever, rest[:3])
            order = [rest[3:][k] for k in (0, 3, 4, 3, 1, 5, 4, 5, 2)]
            np.testing.assert_allclose(inertias[index].inertia.ravel(), order)
        for index, row in zip([0, 2, 4], rows[:6].T, strict=True):
            np.testing.assert_array_equal(forces[index].vector, row)


def test_gradients_are_derivatives_of_the_cost(robot, scene):
    _, q, targets = scene
    q = q.copy()
    q[:, 2] = 0.2
    kinematics = Kinematics(robot.model, targets.bodies)
    corners = np.array([[0.1, 0.05, -0.04], [-0.05, 0.03, -0.04]])
    tasks = (
        PoseTask(kinematics, targets),
        FloorTask(kinematics, Outline(np.array([targets.bodies[1]] * 2), corners), weight=30.0),
    )
    rng = np.random.default_rng(5)
    step = 1e-6 * rng.normal(size=(len(q), robot.model.nv))
    state = kinematics.evaluate(q)
    for task in tasks:
        system = kinematics.blank(len(q))
        task.add(state, system)
        _, gradient = kinematics.normal_equations(state.jacobians, system)
        ahead = quadratic(kinematics, [task], kinematics.integrate(q, step)).cost
        behind = quadratic(kinematics, [task], kinematics.integrate(q, -step)).cost
        assert system.cost.max() > 0
        np.testing.assert_allclose(
            (ahead - behind) / 2, -2 * np.einsum("tv,tv->t", gradient, step), rtol=1e-4, atol=1e-9
        )
