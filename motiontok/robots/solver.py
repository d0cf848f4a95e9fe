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
from motiontok.robots.tasks import BATCH, Posture, Quadratic, Task, quadratic

__all__ = ["Options", "damped_step", "minimize"]


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
    model = quadratic(kinematics, tasks, q)
    total = model.cost + (0.0 if posture is None else posture.cost(q[:, 7:]))
    best, cost = q.copy(), model.cost.copy()
    active = np.arange(len(q))
    damping = np.full(len(q), options.damping)
    spare: Quadratic | None = None
    for _ in range(options.iterations):
        step = damped_step(model, q[:, 7:], lower, upper, damping, posture)
        step *= np.minimum(1.0, options.max_step / np.maximum(np.abs(step).max(1), 1e-9))[:, None]
        trial = kinematics.integrate(q, step)
        trial[:, 7:] = np.clip(trial[:, 7:], lower, upper)
        trial_model = quadratic(kinematics, tasks, trial, out=spare)
        trial_total = trial_model.cost
        if posture is not None:
            trial_total = trial_total + posture.cost(trial[:, 7:])

        better = trial_total < total
        stop = better & (total - trial_total < options.tolerance * total + 1e-9)
        damping = np.where(better, 0.3 * damping, np.minimum(10.0 * damping, 1e4))
        if better.all():
            q, total, model, spare = trial, trial_total, trial_model, model
        else:
            q[better], total = trial[better], np.where(better, trial_total, total)
            model[better] = trial_model[better]
            spare = trial_model
        best[active[better]] = q[better]
        cost[active[better]] = model.cost[better]

        keep = ~stop
        if not keep.any():
            break
        if not keep.all():
            active, damping, q, total = active[keep], damping[keep], q[keep], total[keep]
            lower, upper, model = lower[keep], upper[keep], model[keep]
            tasks = [task[keep] for task in tasks]
            posture = None if posture is None else posture[keep]
    return best, cost


def damped_step(
    model: Quadratic,
    joints: Array,
    lower: Array,
    upper: Array,
    damping: Array,
    posture: Posture | None,
) -> Array:
    """Damped Gauss-Newton step ``(frames, nv)`` of the joints that may move."""
    matrix, gradient = model.matrix.copy(), model.gradient
    diagonal = np.einsum("tii->ti", matrix)
    if posture is not None:
        weight = posture.weight**2
        diagonal[:, 6:] += weight
        gradient = gradient.copy()
        gradient[:, 6:] += weight * (posture.reference - joints)
    diagonal *= 1.0 + damping[:, None]
    diagonal += _FLOOR
    push = gradient[:, 6:]
    held = ((joints <= lower + 1e-9) & (push < 0)) | ((joints >= upper - 1e-9) & (push > 0))
    if held.any():
        free = np.ones_like(gradient)
        free[:, 6:] = ~held
        matrix *= free[:, :, None]
        matrix *= free[:, None, :]
        diagonal += 1.0 - free
        gradient = gradient * free
    out: Array = np.linalg.solve(matrix, gradient[..., None])[..., 0]
    return out
