"""Levenberg-Marquardt on many frames side by side, with joint limits.

Every frame has its own damping and stops on its own (Levenberg 1944, Marquardt
1963). Joint limits hold by projection: a joint at its limit that the gradient presses
outward leaves the system for that step (Bertsekas 1982), and steps are clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bvh.rotations import Array
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.solver.tasks import BATCH, NormalEquations, Posture, Task, quadratic

__all__ = ["Options", "damped_step", "minimize"]


@dataclass(frozen=True)
class Options:
    """Options of the iteration.

    Attributes:
        iterations: largest number of steps.
        tolerance: a frame stops when a step promises to lower its cost by a smaller share.
        damping: relative to the normal matrix's diagonal, at the start.
        max_step: largest change of one coordinate in one step, rad or m.
    """

    iterations: int = 20
    tolerance: float = 1e-3
    damping: float = 1e-3
    max_step: float = 0.7


_FLOOR = 0.1  # absolute damping, in units of cost per rad^2


def minimize(
    kinematics: Kinematics,
    q: Array,
    tasks: Sequence[Task],
    options: Options | None = None,
    *,
    posture: Posture | None = None,
    bounds: tuple[Array, Array] | None = None,
) -> tuple[Array, Array]:
    """Lower the tasks' cost of every frame within bounds on its joints.

    Args:
        kinematics: of all bodies that the tasks name.
        q: starting configurations ``(frames, nq)``.
        tasks: of as many frames.
        options: of the iteration.
        posture: reference values of the joints, of as many frames.
        bounds: lower and upper joint values ``(frames, joints)``, if tighter than the robot's
            limits.

    Returns:
        Configurations ``(frames, nq)`` within bounds, and the tasks' costs ``(frames,)``
        (without the posture's) one step before the last.
    """
    options = options or Options()
    if bounds is None:
        shape = (len(q), len(kinematics.lower))
        bounds = np.broadcast_to(kinematics.lower, shape), np.broadcast_to(kinematics.upper, shape)
    out, cost = np.empty_like(q), np.empty(len(q))
    for start in range(0, len(q), BATCH):
        part = slice(start, start + BATCH)
        out[part], cost[part] = _minimize(
            kinematics,
            q[part],
            [task[part] for task in tasks],
            options,
            None if posture is None else posture[part],
            bounds[0][part],
            bounds[1][part],
        )
    return out, cost


@dataclass(eq=False)
class _Frames:
    """Frames that are still being solved."""

    index: Array
    q: Array
    model: NormalEquations
    total: Array
    damping: Array
    lower: Array
    upper: Array
    tasks: Sequence[Task]
    posture: Posture | None

    def __getitem__(self, keep: Array) -> _Frames:
        return _Frames(
            self.index[keep],
            self.q[keep],
            self.model[keep],
            self.total[keep],
            self.damping[keep],
            self.lower[keep],
            self.upper[keep],
            [task[keep] for task in self.tasks],
            None if self.posture is None else self.posture[keep],
        )


def _minimize(
    kinematics: Kinematics,
    q: Array,
    tasks: Sequence[Task],
    options: Options,
    posture: Posture | None,
    lower: Array,
    upper: Array,
) -> tuple[Array, Array]:
    q = np.concatenate([q[:, :7], np.clip(q[:, 7:], lower, upper)], axis=1)
    model = quadratic(kinematics, tasks, q)
    best, cost = q.copy(), model.cost.copy()
    total = cost + (0.0 if posture is None else posture.cost(q[:, 7:]))
    damping = np.full(len(q), options.damping)
    now = _Frames(np.arange(len(q)), q, model, total, damping, lower, upper, tasks, posture)
    spare: NormalEquations | None = None
    for _ in range(options.iterations):
        step, promise = damped_step(
            now.model, now.q[:, 7:], now.lower, now.upper, now.damping, now.posture
        )
        step *= np.minimum(1.0, options.max_step / np.maximum(np.abs(step).max(1), 1e-9))[:, None]
        trial = kinematics.integrate(now.q, step)
        trial[:, 7:] = np.clip(trial[:, 7:], now.lower, now.upper)
        # A step that promises next to nothing is the last one and taken without looking.
        worth = promise > options.tolerance * now.total + 1e-9
        if not worth.all():
            best[now.index[~worth]] = trial[~worth]
            now, trial = now[worth], trial[worth]
            if not len(trial):
                break
        model = quadratic(kinematics, now.tasks, trial, out=spare)
        total = model.cost
        if now.posture is not None:
            total = total + now.posture.cost(trial[:, 7:])

        better = total < now.total
        now.damping = np.where(better, 0.3 * now.damping, np.minimum(10.0 * now.damping, 1e4))
        if better.all():
            now.q, now.total, now.model, spare = trial, total, model, now.model
        else:
            now.q[better], now.total = trial[better], np.where(better, total, now.total)
            now.model[better] = model[better]
            spare = model
        best[now.index], cost[now.index] = now.q, now.model.cost
    return best, cost


def damped_step(
    model: NormalEquations,
    joints: Array,
    lower: Array,
    upper: Array,
    damping: Array,
    posture: Posture | None,
) -> tuple[Array, Array]:
    """Damped Gauss-Newton step ``(frames, nv)`` of the joints that may move.

    Also the promised decrease of the cost ``(frames,)``.
    """
    matrix, gradient, held = _damped_system(
        model, joints, lower, upper, damping, posture, floor=_FLOOR
    )
    frames, joints = held.nonzero()
    if len(frames):
        at = joints + 6
        matrix[frames, at] = 0.0
        matrix[frames, :, at] = 0.0
        matrix[frames, at, at] = 1.0
        gradient[frames, at] = 0.0
    out: Array = np.linalg.solve(matrix, gradient[..., None])[..., 0]
    return out, np.einsum("tv,tv->t", gradient, out)


def _damped_system(
    model: NormalEquations,
    joints: Array,
    lower: Array,
    upper: Array,
    damping: Array,
    posture: Posture | None,
    *,
    floor: float,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """What :func:`damped_step` solves, as new arrays: damped matrices and gradients of all frames.

    ``floor`` is the absolute damping, in units of cost per rad^2. Also which joints are held,
    ``(frames, joints)``: those at a limit that would go on.
    """
    matrix, gradient = model.matrix.copy(), model.gradient.copy()
    diagonal = matrix.reshape(len(matrix), -1)[:, :: matrix.shape[-1] + 1]  # a view
    if posture is not None:
        weight = posture.weight**2
        diagonal[:, 6:] += weight
        gradient[:, 6:] += weight * (posture.reference - joints)
    diagonal *= 1.0 + damping[:, None]
    diagonal += floor
    push = gradient[:, 6:]
    held = ((joints <= lower + 1e-9) & (push < 0)) | ((joints >= upper - 1e-9) & (push > 0))
    return matrix, gradient, held
