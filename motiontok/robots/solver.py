"""Levenberg-Marquardt on many frames side by side, with joint limits.

Every frame has its own damping and stops on its own (Levenberg 1944, Marquardt
1963). Joint limits hold by projection: a joint at its limit that the gradient presses
outward leaves the system for that step (Bertsekas 1982), and steps are clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bvh.rotations import Array
from motiontok.robots.kinematics import Kinematics
from motiontok.robots.tasks import Posture, Task, linearize

__all__ = ["Options", "minimize"]


@dataclass(frozen=True)
class Options:
    """How hard to try.

    Attributes:
        iterations: at most so many steps.
        tolerance: a frame stops when a step lowers its cost by a smaller share.
        damping: relative to the normal matrix's diagonal, at the start.
        max_step: largest change of one coordinate in one step, rad or m.
    """

    iterations: int = 20
    tolerance: float = 1e-3
    damping: float = 1e-3
    max_step: float = 0.7


_BATCH = 256  # frames solved together: their arrays stay in the processor's cache
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
        options: how hard to try.
        posture: reference values of the joints, of as many frames.
        bounds: lower and upper joint values ``(frames, joints)`` where they are
            tighter than the robot's limits.

    Returns:
        Configurations ``(frames, nq)`` within bounds, and the tasks' costs ``(frames,)``
        (without the posture's).
    """
    options = options or Options()
    if bounds is None:
        shape = (len(q), len(kinematics.lower))
        bounds = np.broadcast_to(kinematics.lower, shape), np.broadcast_to(kinematics.upper, shape)
    out, cost = np.empty_like(q), np.empty(len(q))
    for start in range(0, len(q), _BATCH):
        part = slice(start, start + _BATCH)
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


def _minimize(
    kinematics: Kinematics,
    q: Array,
    tasks: Sequence[Task],
    options: Options,
    posture: Posture | None,
    lower: Array,
    upper: Array,
) -> tuple[Array, Array]:
    q = q.copy()
    q[:, 7:] = np.clip(q[:, 7:], lower, upper)
    state = kinematics.evaluate(q)
    system = linearize(tasks, state)
    total = system.cost + (0.0 if posture is None else posture.cost(q[:, 7:]))
    best, cost = q.copy(), system.cost.copy()
    active = np.arange(len(q))
    damping = np.full(len(q), options.damping)
    jacobians = state.jacobians
    for _ in range(options.iterations):
        matrix, gradient = kinematics.normal_equations(jacobians, system)
        if posture is not None:
            weight = posture.weight**2
            np.einsum("tii->ti", matrix)[:, 6:] += weight
            gradient[:, 6:] += weight * (posture.reference - q[:, 7:])
        step = _step(matrix, gradient, q[:, 7:], lower, upper, damping)
        step *= np.minimum(1.0, options.max_step / np.maximum(np.abs(step).max(1), 1e-9))[:, None]
        trial = kinematics.integrate(q, step)
        trial[:, 7:] = np.clip(trial[:, 7:], lower, upper)
        trial_state = kinematics.evaluate(trial)
        trial_system = linearize(tasks, trial_state)
        trial_total = trial_system.cost
        if posture is not None:
            trial_total = trial_total + posture.cost(trial[:, 7:])

        better = trial_total < total
        stop = better & (total - trial_total < options.tolerance * total + 1e-9)
        damping = np.where(better, 0.3 * damping, np.minimum(10.0 * damping, 1e4))
        total = np.where(better, trial_total, total)
        q[better] = trial[better]
        jacobians[better] = trial_state.jacobians[better]
        system[better] = trial_system[better]
        best[active[better]] = q[better]
        cost[active[better]] = system.cost[better]

        keep = ~stop
        if not keep.any():
            break
        if not keep.all():
            active, damping, q, total = active[keep], damping[keep], q[keep], total[keep]
            lower, upper = lower[keep], upper[keep]
            jacobians, system = jacobians[keep], system[keep]
            tasks = [task[keep] for task in tasks]
            posture = None if posture is None else posture[keep]
    return best, cost


def _step(
    matrix: Array, gradient: Array, joints: Array, lower: Array, upper: Array, damping: Array
) -> Array:
    """Damped Gauss-Newton step ``(frames, nv)`` of the joints that may move."""
    push = gradient[:, 6:]
    held = ((joints <= lower + 1e-9) & (push < 0)) | ((joints >= upper - 1e-9) & (push > 0))
    free = np.ones_like(gradient)
    free[:, 6:] = ~held
    matrix = matrix * free[:, :, None] * free[:, None, :]
    diagonal = np.einsum("tii->ti", matrix)
    diagonal *= 1.0 + damping[:, None]
    diagonal += _FLOOR + (1.0 - free)
    out: Array = np.linalg.solve(matrix, (gradient * free)[..., None])[..., 0]
    return out
