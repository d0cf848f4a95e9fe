"""Inverse kinematics of one frame at a time, for streams and teleoperation.

Without looking ahead a warm start can lock into a bad pose at a joint limit. So a rival solution
gets a step every other frame beside it, and starts again from the neutral pose every 60 frames.
Once the rival fares much better, the robot is drawn to its pose as fast as the joints may move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import lapack

from bvh.rotations import Array
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.kinematics.one_quaternion import inverse, of_matrix, times
from motiontok.robots.model.mimic_joints import Coupling
from motiontok.robots.model.outline import Outline
from motiontok.robots.solver.ground_task import GroundTask
from motiontok.robots.solver.levenberg_marquardt import minimize
from motiontok.robots.solver.stream_tracking import StreamTracking, wanted_poses
from motiontok.robots.solver.tasks import NormalEquations, PoseTask, Posture
from motiontok.robots.targets import Targets

__all__ = ["GROUND_WEIGHT", "OnlineSolver"]

# A frame has few steps, and a step cannot pass along stiff ground: it bounces or stops. What soft
# ground leaves is lifted.
GROUND_WEIGHT = 150.0  # per metre below ground
_STEPS = 3
_SHALLOW = 0.003  # m that a sole may be below ground before the whole robot is raised
_WORTH = 0.02  # of the cost: a step that promises less is the last
_DAMPING = 1e-3
_FLOOR = 0.1  # absolute damping, in units of cost per rad^2
_MAX_STEP = 0.7
_LONGEST = 6  # frames from step to step of a rival that waits for one with less to do
_LIFE = 30  # steps that a rival lives
_YOUTH = 10  # steps that it needs to settle
_MUCH_BETTER = 0.6  # of the robot's own cost
_APART = 0.5  # rad
_DRAW = 1000.0  # posture weight towards a better rival, per rad: tracking must wait


class OnlineSolver:
    """Follows targets one frame at a time, within joint and speed limits.

    Args:
        model: Pinocchio model.
        bodies: Pinocchio joint indices of the bodies that the targets name.
        local_positions: ``(tracked, 3)`` of the targets' points in these bodies, metres.
        speed_limits: ``(joints,)`` rad/s.
        fps: frames per second of the stream.
        outline: points that must stay above the ground; none, if not given.
        feet: bodies of the left and the right foot, which may be on planes of their own.
        coupling: of joints that follow others.
        bounds: lower and upper values of the free joints inside the robot's limits; by default the
            limits.
    """

    def __init__(
        self,
        model: Any,
        bodies: tuple[int, ...],
        local_positions: Array,
        *,
        speed_limits: Array,
        fps: float = 30.0,
        outline: Outline | None = None,
        feet: Sequence[int] = (),
        coupling: Coupling | None = None,
        bounds: tuple[Array, Array] | None = None,
    ) -> None:
        others = set() if outline is None else set(outline.bodies.tolist()) - set(bodies)
        kinematics = self._kinematics = Kinematics(model, [*bodies, *sorted(others)], coupling)
        self._tracking = StreamTracking(kinematics, local_positions)
        self._bounds = (kinematics.lower, kinematics.upper) if bounds is None else bounds
        self._within = tuple(np.stack([bound, bound]) for bound in self._bounds)
        self._reach = (coupling.speeds(speed_limits) if coupling else speed_limits) / fps
        self._floor = None
        if outline is not None:
            self._floor = GroundTask(kinematics, outline, feet=feet)
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the next frame starts anew."""
        self._base: Array | None = None
        # Row 0 is the robot, row 1 its rival.
        self._q = np.zeros((2, self._kinematics.nq))
        self._damping = np.full(2, _DAMPING)
        self._age = 0
        self._posture: Posture | None = None
        self._rivalled = False
        self._waited = 1

    def step(self, targets: Targets, planes: Array | None = None) -> tuple[Array, float]:
        """Configuration ``(nq,)`` and tracking cost of the next frame.

        Args:
            targets: of one frame.
            planes: ``(3, 3)`` the ground under left foot, right foot and the rest, see
                :class:`~motiontok.robots.solver.ground_task.GroundTask`; None is z = 0.
        """
        wanted = wanted_poses(targets)
        self.begin(targets, wanted)
        floor = self._floor
        if floor is not None and planes is not None:
            floor = floor.on(planes[None].repeat(2, axis=0))
        q = self.moving
        model = self._linearize(q, wanted, None if floor is None else floor[: len(q)])
        trial, promise, posture, lower, upper = self._together(model)
        self._q[1 : len(trial)] = trial[1:]

        own = slice(0, 1)
        posture = None if posture is None else posture[own]
        q, damping = self._q[own].copy(), self._damping[own].copy()
        best, total = model[own], _total(model[own], q, posture)
        trial, promise, taken = trial[own], promise[own], True
        for _ in range(_STEPS - 1):
            if taken and promise[0] < _WORTH * total:
                break
            model = self._linearize(trial, wanted, None if floor is None else floor[own])
            trial_total = _total(model, trial, posture)
            taken = trial_total < total
            if taken:
                q, best, total = trial, model, trial_total
                damping = np.maximum(0.3 * damping, 1e-5)
            else:
                damping = np.minimum(10.0 * damping, 1e2)
            trial, promise = self._moved(best, q, lower[own], upper[own], damping, posture)
        # The last step is not looked at: after a good one the next is nearly always good.
        self._q[own], self._damping[own] = trial if taken else q, damping
        if floor is not None:
            state = self._tracking.evaluate(self._kinematics.expand(self._q[own]))
            heights, _, _ = floor[own].heights(state)
            self._q[0, 2] -= min(0.0, _SHALLOW + float(heights.min(initial=0.0)))
        return self._kinematics.expand(self._q[0]).copy(), float(best.cost[0])

    def _linearize(self, q: Array, wanted: Array, floor: GroundTask | None) -> NormalEquations:
        model, state = self._tracking.linearize(q, [wanted] * len(q))
        if floor is not None:
            floor.add(state, model, [GROUND_WEIGHT] * len(q))
        matrix, gradient = self._kinematics.free_equations(model.matrix, model.gradient)
        return NormalEquations(model.cost, matrix, gradient)

    def begin(self, targets: Targets, wanted: Array, *, busy: bool = False) -> None:
        """Carry robot and rival along to the next frame's targets, unsolved.

        Args:
            targets: of one frame.
            wanted: the same as :func:`~motiontok.robots.solver.stream_tracking.wanted_poses`.
            busy: the frame has much else to do; the rival waits, if it has not waited for long.
        """
        base = _base_of(targets, wanted)
        if self._base is None:
            self._start(targets, base)
        else:
            _carry(self._q, self._base, base)
        self._base = base
        self._waited += 1
        self._rivalled = self._waited >= (_LONGEST if busy else 2)
        if self._rivalled:
            self._waited = 0
        if self._age >= _LIFE:
            self._q[1, 7:] = np.clip(0.0, *self._bounds)
            self._q[1, :7] = base
            self._damping[1], self._age = _DAMPING, 0

    @property
    def moving(self) -> Array:
        """Configuration of the robot, and of its rival in every other frame ``(1 or 2, nq)``."""
        return self._q[: 1 + self._rivalled].copy()

    def advance(self, model: NormalEquations) -> Array:
        """The robot's configuration ``(nq,)`` after a step, of costs at :attr:`moving`."""
        trial, _, _, _, _ = self._together(model)
        self._q[: len(trial)] = trial
        return self._q[0]

    def _start(self, targets: Targets, base: Array) -> None:
        self._q[:, 7:] = np.clip(0.0, *self._bounds)
        self._q[:, :7] = base
        pose = PoseTask(self._kinematics, targets, chordal=True)
        self._q[:1] = minimize(self._kinematics, self._q[:1], [pose])[0]

    def _together(
        self, model: NormalEquations
    ) -> tuple[Array, Array, Posture | None, Array, Array]:
        """Who moves, one step on; the promised decrease, the pull to the rival, and bounds."""
        count = len(model.cost)
        if count == 2:
            self._posture = self._draw(model)
            self._age += 1
        posture = None if self._posture is None else self._posture[:count]
        joints, (low, high) = self._q[0, 7:], self._bounds
        # Who comes from outside the bounds, or too fast, gets there as fast as may be.
        lower, upper = (bounds[:count] for bounds in self._within)
        np.minimum(np.maximum(low, joints - self._reach), high, out=lower[0])
        np.maximum(np.minimum(high, joints + self._reach), low, out=upper[0])
        q, damping = self._q[:count], self._damping[:count]
        trial, promise = self._moved(model, q, lower, upper, damping, posture)
        return trial, promise, posture, lower, upper

    def _draw(self, model: NormalEquations) -> Posture | None:
        """A pull of the robot to its rival's pose, if that fares much better."""
        own, rival = model.cost
        if self._age < _YOUTH or rival > _MUCH_BETTER * own - 5.0:
            return None
        # Two that are close are on their way to the same pose, one a little ahead.
        if np.abs(self._q[1, 7:] - self._q[0, 7:]).max() < _APART:
            return None
        self._age = _YOUTH  # the rival lives on until the robot has come over
        # The base stays where its costs are known, and follows as the joints go.
        reference = self._q[[1, 1], 7:]
        return Posture(reference, np.array([[_DRAW], [0.0]]))

    def _moved(
        self,
        model: NormalEquations,
        q: Array,
        lower: Array,
        upper: Array,
        damping: Array,
        posture: Posture | None,
    ) -> tuple[Array, Array]:
        out, promise = np.empty_like(q), np.empty(len(q))
        for k, row in enumerate(q):
            joints = row[7:]
            step, promise[k] = _damped_step(
                model.matrix[k].copy(),
                model.gradient[k].copy(),
                joints,
                lower[k],
                upper[k],
                float(damping[k]),
                None if posture is None else posture[k : k + 1],
            )
            largest = float(np.abs(step).max())
            if largest > _MAX_STEP:
                step *= _MAX_STEP / largest
            out[k] = self._kinematics.integrate(q[k : k + 1], step[None])[0]
        moved = out[:, 7:]
        np.maximum(moved, lower, out=moved)
        np.minimum(moved, upper, out=moved)
        return out, promise


def _damped_step(
    matrix: Array,
    gradient: Array,
    joints: Array,
    lower: Array,
    upper: Array,
    damping: float,
    posture: Posture | None,
) -> tuple[Array, float]:
    """As :func:`~motiontok.robots.solver.levenberg_marquardt.damped_step`, of one frame.

    ``matrix`` and ``gradient`` are overwritten.
    """
    diagonal = matrix.reshape(-1)[:: len(matrix) + 1]  # a view
    if posture is not None:
        weight = posture.weight[0] ** 2
        diagonal[6:] += weight
        gradient[6:] += weight * (posture.reference[0] - joints)
    diagonal *= 1.0 + damping
    diagonal += _FLOOR
    push = gradient[6:]
    # Those at a limit that would go on are held.
    held = np.where(push > 0.0, joints >= upper - 1e-9, (joints <= lower + 1e-9) & (push < 0.0))
    if held.any():
        at = held.nonzero()[0] + 6
        matrix[at] = 0.0
        matrix[:, at] = 0.0
        matrix[at, at] = 1.0
        gradient[at] = 0.0
    _, step, failed = lapack.dposv(matrix.T, gradient, lower=1, overwrite_a=1)
    if failed:  # only a cost that is not finite
        step[:] = 0.0
    return step, float(gradient @ step)


def _total(model: NormalEquations, q: Array, posture: Posture | None) -> float:
    return float(model.cost[0] + (0.0 if posture is None else posture.cost(q[:, 7:])[0]))


def _base_of(targets: Targets, wanted: Array) -> Array:
    """Position and quaternion (x, y, z, w) that put the base on its target ``(7,)``."""
    pose = wanted[0, :12].reshape(3, 4)
    out = np.empty(7)
    out[:3] = pose[:, 3] - pose[:, :3] @ targets.local_positions[0]
    out[3:] = of_matrix(pose[:, :3])
    return out


def _carry(q: Array, before: Array, now: Array) -> None:
    """Move the bases of ``q (n, nq)`` as their target moved, in place."""
    q[:, :3] += now[:3] - before[:3]
    turn = times(now[3:].tolist(), inverse(before[3:].tolist()))
    for row in q:
        turned = times(turn, row[3:7].tolist())
        size = math.sqrt(sum(value * value for value in turned))
        row[3:7] = [value / size for value in turned]
