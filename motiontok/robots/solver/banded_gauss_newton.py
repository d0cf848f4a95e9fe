"""Refine a whole trajectory at once: tracking, floor, limits and jerk of every frame together.

Gauss-Newton on all frames as one problem, :mod:`~motiontok.robots.solver.banded_system`. A
frame's result depends on a second around it at most, so overlapping windows give the same result
as the whole trajectory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from bvh.rotations import Array
from motiontok.robots.contacts.held_contacts import Hold, Stillness
from motiontok.robots.kinematics.kinematics import Kinematics, Linearization, State
from motiontok.robots.limits.self_collision_task import Separation
from motiontok.robots.limits.smoothness import REACH, Movement, MovementCost
from motiontok.robots.solver.banded_system import BandedSystem, solve_banded
from motiontok.robots.solver.tasks import NormalEquations, Task, quadratic

__all__ = ["refine", "windows"]

_NEAR = 5  # frames on each side that a step is judged by together
_PART = 0.3  # of a step that went too far
_LEAST, _MOST = 0.01, 1.0  # extra damping after a step that went too far
_EASED = 0.3  # share of extra damping left after a step that did not
_MARGIN = 4  # frames refined around one that moves
_WORSE = 0.02  # of its cost that a stretch may lose in a step
_DAMPING = 1e-3  # relative to the matrix's diagonal
_STILL = 3e-3  # rad or m; a frame that a step moves less is done
_FEWER = 0.9  # share of the frames below which it is worth to leave out those that are done
_MAX_STEP = 0.5  # rad or m
_WALL = 0.02  # of its cost that a stretch may meet by a step in walls not seen before


def refine(
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    movement: MovementCost,
    *,
    holds: Sequence[Hold] = (),
    apart: Separation | None = None,
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
        apart: close bodies to keep apart.
        iterations: Gauss-Newton steps at most.
        worth: share of a stretch's cost that a step must promise there to be worth another.
        frozen: ``(frames,)`` true where a frame must not change.
        damping: ``(frames,)`` relative to the matrix's diagonal; raised in place where
            steps went too far and lowered where they did not (Levenberg 1944).

    Returns:
        Configurations ``(frames, nq)``, and the largest change (rad or m) of a coordinate in the
        last step, ``(frames,)``.
    """
    problem = _Problem(kinematics, tasks, movement, holds, frozen, apart)
    problem.spare = [_memory(kinematics, name, len(q)) for name in ("one", "other")]
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
    apart: Separation | None
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
        apart: Separation | None = None,
    ) -> None:
        self._kinematics = kinematics
        self._tasks = tasks
        self._movement = movement
        self._holds = holds
        self._still = Stillness(kinematics, holds, movement.still)
        self._apart = apart
        self.spare: list[NormalEquations] = []  # memory of points left behind
        # Nothing that counts at a frame between frozen ones changes, and across a seam it is large.
        self._counts = np.ones(len(frozen))
        held = np.flatnonzero(frozen[:-3] & frozen[1:-2] & frozen[2:-1] & frozen[3:])
        self._counts[held + 1] = 0.0

    def at(self, q: Array) -> _Point:
        """Cost of configurations ``q (frames, nq)``."""
        still = self._still.unseen()
        apart = None if self._apart is None else self._apart.unseen()
        every = np.arange(len(q))

        def see(part: slice, state: State, total: Linearization) -> None:
            still.see(every[part], state, total)
            if apart is not None:
                apart.see(every[part], state, total)

        memory = self.spare.pop() if self.spare else None
        model = quadratic(self._kinematics, self._tasks, q, out=memory, see=see)
        return self._summed(q, model, still, apart)

    def part(self, now: _Point, some: Array, q: Array, frozen: Array) -> tuple[_Problem, _Point]:
        """The problem of some of its frames, and a point of theirs, in the memory of ``now``.

        Some frozen frames may have moved a little, to ``q (n, nq)``, since they were looked at.
        """
        tasks, holds = [task[some] for task in self._tasks], [hold[some] for hold in self._holds]
        apart = None if now.apart is None else now.apart.part(some)
        out = _Problem(self._kinematics, tasks, self._movement, holds, frozen, apart)
        out.spare, still = self.spare, out._still.unseen()
        still.read(now.still, some)
        return out, out._summed(q, now.model.kept(some), still, apart)

    def taken(self, now: _Point, step: Array) -> tuple[_Point, Array]:
        """The point after a step, instead of ``now``, and the share ``(frames,)`` of it taken.

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
            there = self._summed(there.q, there.model, there.still, there.apart)
        self.spare.append(now.model)
        return there, share

    def _again(self, there: _Point, now: _Point, step: Array, some: Array) -> None:
        """Put some frames of a point elsewhere, in place."""
        there.q[some] = self.stepped(now.q[some], step[some])

        def see(part: slice, state: State, total: Linearization) -> None:
            there.still.see(some[part], state, total)
            if there.apart is not None:
                there.apart.see(some[part], state, total)

        kinematics, tasks = self._kinematics, [task[some] for task in self._tasks]
        memory = _memory(kinematics, "again", len(some))
        there.model[some] = quadratic(kinematics, tasks, there.q[some], out=memory, see=see)

    def _summed(
        self, q: Array, model: NormalEquations, still: Stillness, apart: Separation | None
    ) -> _Point:
        moved = self._movement(q)
        cost = self._counts * (model.cost + moved.cost + still.cost(len(q)))
        return _Point(q, model, moved, still, apart, cost)

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
        beside = now.still.add(gradient)
        gradient[frozen] = 0.0
        moved, hard = now.moved, self._movement.weights.inside**2
        system = BandedSystem(
            self._movement,
            now.model.matrix,
            moved.diagonal + hard * (moved.walls * gradient[:, 6:] > 0.0),
            moved.beside,
            moved.rotations,
            _DAMPING + damping,
            beside,
            frozen,
        )
        # Single precision does, but for very high rates, and is half the work.
        for kind in (np.float32, np.float64):
            step = solve_banded(system.band(self._kinematics, kind), gradient)
            if step is not None:
                promise = np.einsum("tv,tv->t", gradient, step)
                self._stop_at_walls(now, system, step, kind)
                return step, promise
        return np.zeros_like(gradient), np.zeros(len(gradient))

    def _stop_at_walls(
        self, now: _Point, system: BandedSystem, step: Array, kind: type[np.floating[Any]]
    ) -> None:
        """Correct a step that would run into what it has not seen, in place.

        Bodies that are apart and joints outside their margins cost nothing, so a step knows
        nothing of them. Where it would run into them they are added, and the frames around are
        solved again (an active set: Nocedal and Wright 2006, section 16.5).

        Args:
            now: where the step starts.
            system: that it solves.
            step: ``(frames, nv)``.
            kind: of the numbers.
        """
        frozen = system.frozen
        ahead = now.q[:, 7:] + step[:, 6:]
        low, high = self._movement.bounds
        over = np.maximum(low - ahead, 0.0) - np.maximum(ahead - high, 0.0)
        over[now.moved.inside | frozen[:, None]] = 0.0
        hard = self._movement.weights.inside**2
        cost = hard * (over * over).sum(axis=1)
        if now.apart is not None:
            frames, matrices, forces, costs = now.apart.hits(step)
            cost[frames] += costs
        hit = (cost > 0.0) & ~frozen & (_around(cost) > _WALL * _around(now.cost) + 1.0)
        if not hit.any():
            return
        some, held = windows(hit)
        held |= frozen[some]
        matrix = system.part(some, held).band(self._kinematics, kind)
        push = np.zeros((len(some), step.shape[1]))
        matrix[:, 6:, 0] += hard * (over[some] != 0.0)
        push[:, 6:] = hard * over[some]
        if now.apart is not None:
            place = np.full(len(step), -1)
            place[some] = np.arange(len(some))
            own = place[frames] >= 0
            at = place[frames[own]]
            push[at] += forces[own]
            for row in range(step.shape[1]):
                matrix[at, row, : step.shape[1] - row] += matrices[own, row, row:]
        push[held] = 0.0
        change = solve_banded(matrix, push)
        if change is not None:
            step[some] += change


def _memory(kinematics: Kinematics, name: str, frames: int) -> NormalEquations:
    nv = kinematics.nv
    return NormalEquations(
        kinematics.memory(name + " costs", frames, ()),
        kinematics.memory(name + " matrices", frames, (nv, nv)),
        kinematics.memory(name + " gradients", frames, (nv,)),
    )


def _around(cost: Array) -> Array:
    out: Array = uniform_filter1d(cost, 2 * _NEAR + 1, mode="nearest") * (2 * _NEAR + 1)
    return out
