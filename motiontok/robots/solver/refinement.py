"""Refine a whole trajectory at once: tracking, floor, limits and jerk of every frame together.

Gauss-Newton on all frames as one problem. Third differences couple four neighbouring
frames, so the normal matrix is banded, three frames wide, and its Cholesky factor costs
little more than the kinematics. A frame's result depends on a second around it at most, so
    overlapping windows give the same result as the whole trajectory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from bvh.rotations import Array
from motiontok.robots.contacts.held_contacts import Hold, Stillness
from motiontok.robots.kinematics.kinematics import Kinematics, Linearization, State
from motiontok.robots.limits.smoothness import REACH, Movement, MovementCost, third_difference_bands
from motiontok.robots.solver.tasks import NormalEquations, Task, quadratic

__all__ = ["refine", "windows"]

_NEAR = 5  # frames on each side that a step is judged by together
_PART = 0.3  # of a step that went too far
_LEAST, _MOST = 0.01, 1.0  # extra damping after a step that went too far
_EASED = 0.3  # share of extra damping left after a step that did not
_MARGIN = 4  # frames refined around one that moves
_WORSE = 0.02  # of its cost that a stretch may lose in a step
_DAMPING = 1e-3  # relative to the matrix's diagonal
# Absolute damping, in units of cost per rad^2: a fifth of the least tracking weight. With less,
# an arm that passes a singular pose wanders along a valley for as long as it is let.
_FLOOR = 5.0
_STILL = 3e-3  # rad or m; a frame that a step moves less is done
_FEWER = 0.9  # share of the frames below which it is worth to leave out those that are done
_MAX_STEP = 0.5  # rad or m
_BATCH = 128  # frames put into the band together


def refine(
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    movement: MovementCost,
    *,
    holds: Sequence[Hold] = (),
    iterations: int,
    worth: float = 0.0,
    frozen: Array,
    damping: Array,
) -> tuple[Array, Array]:
    """Lower tracking and movement cost of a trajectory together, within joint limits.

    Args:
        kinematics: of all bodies that the tasks name.
        tasks: of as many frames as ``q``.
        q: configurations ``(frames, nq)``, a good start.
        movement: of the robot at the trajectory's rate.
        holds: points to hold.
        iterations: Gauss-Newton steps at most.
        worth: share of a stretch's cost that a step must promise there to be worth another.
        frozen: ``(frames,)`` true where a frame must not change.
        damping: ``(frames,)`` relative to the matrix's diagonal; raised in place where
            steps went too far and lowered where they did not (Levenberg 1944).

    Returns:
        Configurations ``(frames, nq)``, and the largest change (rad or m) of a coordinate in the
        last step, ``(frames,)``.
    """
    problem = _Problem(kinematics, tasks, movement, holds, frozen)
    now = problem.at(q)
    out, size, at = q.copy(), np.zeros(len(q)), np.arange(len(q))
    for _ in range(iterations):
        step, promise = problem.step(now, frozen, damping[at])
        largest = np.abs(step).max(1)
        promising = _around(promise) > worth * _around(now.cost)
        size[at] = np.where(promising, largest, 0.0)
        step *= np.minimum(1.0, _MAX_STEP / np.maximum(largest, 1e-9))[:, None]
        # A step that promises next to nothing is the last one, and taken without looking.
        left, held = windows((largest > _STILL) & promising & ~frozen)
        if len(left) < _FEWER * len(at):
            out[at] = problem.stepped(now.q, step)
            if not len(left):
                break
            step = np.where(held[:, None], 0.0, step[left])
            frozen, at = held | frozen[left], at[left]
            problem, now = problem.part(
                now, left, np.where(held[:, None], out[at], now.q[left]), frozen
            )
        now, share = problem.taken(now, step)
        out[at] = now.q
        raised = np.minimum(np.maximum(10.0 * damping[at], _LEAST), _MOST)
        damping[at] = np.where(share < 1.0, raised, _EASED * damping[at])
    return out, size


def windows(moving: Array) -> tuple[Array, Array]:
    """Frames to refine, around those that still move ``(frames,)``.

    Stretches are laid end to end. Frozen frames at both ends of each stretch keep its terms
    correct, and terms across the seams constant.

    Returns:
        Indices ``(n,)`` of the frames, and which of them ``(n,)`` are frozen.
    """
    free = _widened(moving, _MARGIN)
    frames = np.flatnonzero(_widened(free, REACH))
    return frames, ~free[frames]


def _widened(mask: Array, by: int) -> Array:
    wide = np.convolve(mask, np.ones(2 * by + 1))[by : by + len(mask)]
    return np.asarray(wide > 0)


@dataclass(eq=False)
class _Point:
    """Configurations and their costs, to second order."""

    q: Array
    model: NormalEquations
    moved: Movement
    still: Stillness
    cost: Array


class _Problem:
    """Tracking and movement of a run of frames."""

    def __init__(
        self,
        kinematics: Kinematics,
        tasks: Sequence[Task],
        movement: MovementCost,
        holds: Sequence[Hold],
        frozen: Array,
    ) -> None:
        self._kinematics = kinematics
        self._tasks = tasks
        self._movement = movement
        self._holds = holds
        # Nothing that counts at a frame between frozen ones changes, and across a seam it is large.
        self._counts = np.ones(len(frozen))
        held = np.flatnonzero(frozen[:-3] & frozen[1:-2] & frozen[2:-1] & frozen[3:])
        self._counts[held + 1] = 0.0

    def at(self, q: Array) -> _Point:
        """Cost of configurations ``q (frames, nq)``."""
        still = Stillness(self._kinematics, self._holds, self._movement.still)
        every = np.arange(len(q))

        def see(part: slice, state: State, total: Linearization) -> None:
            still.see(every[part], state, total)

        model = quadratic(self._kinematics, self._tasks, q, see=see)
        return self._summed(q, model, still)

    def part(self, now: _Point, some: Array, q: Array, frozen: Array) -> tuple[_Problem, _Point]:
        """The problem of some of its frames, and a point of theirs.

        Some frozen frames may have moved a little, to ``q (n, nq)``, since they were looked at.
        """
        tasks, holds = [task[some] for task in self._tasks], [hold[some] for hold in self._holds]
        out = _Problem(self._kinematics, tasks, self._movement, holds, frozen)
        still = now.still.part(holds, some)
        return out, out._summed(q, now.model[some], still)

    def taken(self, now: _Point, step: Array) -> tuple[_Point, Array]:
        """The point after a step, and the share ``(frames,)`` of the step that was taken.

        The step is shortened locally where it would increase the cost.
        """
        before = _around(now.cost)
        share = np.ones(len(step))
        there = self.at(self.stepped(now.q, step))
        for last in (False, False, True):
            worse = _around(there.cost) > (1.0 + _WORSE) * before + 1.0
            if not worse.any():
                break
            # The share taken changes gradually along time, or the step would be rough itself.
            good = minimum_filter1d(np.where(worse, 0.0, 1.0), 2 * _NEAR + 1, mode="nearest")
            good = uniform_filter1d(good, 2 * _NEAR + 1, mode="nearest")
            share *= good if last else _PART + (1.0 - _PART) * good
            self._again(there, now, share[:, None] * step, np.flatnonzero(good < 1.0))
            there = self._summed(there.q, there.model, there.still)
        return there, share

    def _again(self, there: _Point, now: _Point, step: Array, some: Array) -> None:
        """Put some frames of a point elsewhere, in place."""
        there.q[some] = self.stepped(now.q[some], step[some])

        def see(part: slice, state: State, total: Linearization) -> None:
            there.still.see(some[part], state, total)

        there.model[some] = quadratic(
            self._kinematics, [task[some] for task in self._tasks], there.q[some], see=see
        )

    def _summed(self, q: Array, model: NormalEquations, still: Stillness) -> _Point:
        moved = self._movement(q)
        cost = self._counts * (model.cost + moved.cost + still.cost(len(q)))
        return _Point(q, model, moved, still, cost)

    def stepped(self, q: Array, step: Array) -> Array:
        """Configurations after a step, within joint limits."""
        out = self._kinematics.integrate(q, step)
        out[:, 7:] = np.clip(out[:, 7:], self._kinematics.lower, self._kinematics.upper)
        return out

    def step(self, now: _Point, frozen: Array, damping: Array) -> tuple[Array, Array]:
        """Gauss-Newton step ``(frames, nv)`` of all frames together.

        Also the decrease of the cost ``(frames,)`` that it promises.
        """
        gradient = now.model.gradient + now.moved.gradient
        frames, nv = gradient.shape
        beside = now.still.add(gradient)
        gradient[frozen] = 0.0
        # Single precision does, but for very high rates, and is half the work.
        for kind in (np.float32, np.float64):
            band = _band(now, self._movement, gradient, _DAMPING + damping, np.dtype(kind))
            coupled = _coupling(band, 1)
            for rows, columns, at, block in beside:
                coupled[at, rows, columns] += block
            if frozen.any():
                _hold(band, frozen)
            try:
                out: Array = solveh_banded(
                    band.reshape(frames * nv, -1).T,
                    gradient.ravel().astype(kind),
                    lower=True,
                    overwrite_ab=True,
                    overwrite_b=True,
                    check_finite=False,
                )
            except LinAlgError:  # indefinite to rounding
                continue
            step = out.reshape(frames, nv).astype(np.float64)
            return step, np.einsum("tv,tv->t", gradient, step)
        return np.zeros((frames, nv)), np.zeros(frames)


def _around(cost: Array) -> Array:
    out: Array = uniform_filter1d(cost, 2 * _NEAR + 1, mode="nearest") * (2 * _NEAR + 1)
    return out


def _band(
    now: _Point, movement: MovementCost, gradient: Array, damping: Array, kind: np.dtype[Any]
) -> Array:
    """The matrix of all frames ``(frames, nv, width)`` in lower band storage.

    There is one row an unknown: entry ``t, i, k`` couples the unknown ``(t, i)`` with the k-th
    after it.
    """
    matrix, moved = now.model.matrix, now.moved
    frames, nv = gradient.shape
    coupling = third_difference_bands(frames)
    # The base's blocks of three reach two further than the joints.
    band = np.zeros((frames, nv, REACH * nv + 3), dtype=kind)
    stiff = moved.diagonal + movement.weights.inside**2 * (moved.walls * gradient[:, 6:] > 0.0)
    padded = np.zeros((_BATCH, nv, 2 * nv))
    s0, s1, s2 = padded.strides
    skewed = np.lib.stride_tricks.as_strided(padded, (_BATCH, nv, nv), (s0, s1 + s2, s2))
    for start in range(0, frames, _BATCH):
        part = slice(start, start + _BATCH)
        count = len(matrix[part])
        padded[:count, :, :nv] = matrix[part]
        diagonal = np.einsum("tii->ti", padded[:count, :, :nv])
        diagonal += damping[part, None] * diagonal + _FLOOR
        diagonal[:, 6:] += stiff[part] + movement.joint * coupling[0, part, None]
        diagonal[:, :3] += movement.base * coupling[0, part, None]
        diagonal[:, 3:6] += movement.turn * coupling[0, part, None]
        band[part, :, :nv] = skewed[:count]
    for d in range(1, min(REACH, frames - 1) + 1):
        c = coupling[d, : frames - d]
        band[: frames - d, 6:, d * nv] = movement.joint * c[:, None]
        # Both frames' bases move along their own axes; the differences are the world's.
        turned = moved.rotations[:-d].swapaxes(-1, -2) @ moved.rotations[d:]
        for i in range(3):
            for j in range(3):
                entry = c * turned[:, i, j]
                band[: frames - d, i, d * nv + j - i] = movement.base * entry
                band[: frames - d, 3 + i, d * nv + j - i] = movement.turn * entry
    band[:-1, 6:, nv] += moved.beside
    return band


def _coupling(band: Array, apart: int) -> Array:
    """Blocks ``(frames, nv, nv)`` that couple frames less than ``REACH`` apart, as a view."""
    frames, nv, _ = band.shape
    s0, s1, s2 = band.strides
    out: Array = np.lib.stride_tricks.as_strided(
        band[:, :, apart * nv :], (frames, nv, nv), (s0, s1 - s2, s2)
    )
    return out


def _hold(band: Array, frozen: Array) -> None:
    """Take frozen frames out of a matrix, in place."""
    nv = band.shape[1]
    band[frozen] = 0.0
    band[frozen, :, 0] = 1.0
    for d in range(1, REACH + 1):
        before = np.flatnonzero(frozen[d:] & ~frozen[:-d])
        if d < REACH:
            _coupling(band, d)[before] = 0.0
        else:
            # Unknown (t, i) meets those of frame t + d at d nv - i and after.
            for i in range(nv):
                band[before, i, d * nv - i :] = 0.0
