"""Solve a trajectory from frames solved on their own, and choose one path through them.

A humanoid can reach the same targets in several ways (an arm near a singular pose has
two), and with joint limits a solution that is only ever continued from the frame before
gets stuck in a bad one. Here about 15 frames a second, the keys, are each solved from the neutral
pose. Where two neighbours do not form one movement, both are continued past each other as further
candidates. Dynamic programming (Viterbi 1967) finds the path with the least tracking cost and the
least jumping.

Keys are placed between the motion's slowest moments, not from its first frame on, and a key's
solution depends on its own targets alone. So a motion cut elsewhere has the same keys and the same
path from soon after the cut on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import minimum_filter1d

from bvh.rotations import Array, conjugate, multiply, normalize
from motiontok.robots.files.trajectory import wxyz_from_xyzw, xyzw_from_wxyz
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.solver.levenberg_marquardt import Options, minimize
from motiontok.robots.solver.tasks import PoseTask, Posture, Task
from motiontok.robots.targets import Targets

__all__ = ["jump_cost", "key_frames", "solve_ik_branches"]

_RATE = 15.0  # keys a second
_SLOWEST = 0.15  # s on each side within which a moment is the slowest
_REACH = 16  # keys that a candidate runs past a break
_STEADY = 0.35  # rad between keys that is a movement for sure
_JUMP = 1.0  # rad between keys that is not a movement
_MOST = 0.5  # rad that a joint is expected to go on in a key
_SAME = 0.2  # rad; closer solutions of one frame are one
_ALONE = Options(iterations=16, tolerance=3e-3)
_CONTINUE = Options(iterations=4, tolerance=1e-2)
_WORSE = 10.0  # cost by which a neighbour must be better to be worth a try
_REST = 0.5  # posture weight towards the neutral pose: decides where targets do not
_HOLD = 1.0  # posture weight that keeps a continued path from drifting along free directions
_FREE_SPEED = 10.0  # rad/s that cost nothing
_PENALTY = 300.0  # per rad^2 beyond that, in one key


@dataclass(eq=False)
class _Candidate:
    """Configurations ``(n, nq)`` and costs ``(n,)`` of the keys from ``start`` on."""

    start: int
    q: Array
    cost: Array


def jump_cost(before: Array, after: Array, seconds: Array | float) -> Array:
    """Cost ``(...)`` of going from joint values ``(..., joints)`` to others in a time."""
    free = np.asarray(_FREE_SPEED * seconds)[..., None]
    excess = np.maximum(np.abs(after - before) - free, 0.0)
    out: Array = _PENALTY * (excess**2).sum(-1)
    return out


def key_frames(targets: Targets) -> Array:
    """Frames ``(keys,)`` to solve independently, about 15 a second.

    They include the first, the last, and all locally slowest moments.
    """
    frames, stride = len(targets), max(round(targets.fps / _RATE), 1)
    if stride == 1 or frames < 3:
        return np.arange(frames)
    turns = np.diff(targets.rotations.reshape(frames, -1), axis=0)
    speed = (turns * turns).sum(axis=1)
    around = 2 * max(round(_SLOWEST * targets.fps), 1) + 1
    slowest = 1 + np.flatnonzero(speed == minimum_filter1d(speed, around, mode="nearest"))
    marks = np.unique(np.concatenate([[0], slowest, [frames - 1]]))
    parts = [
        a + (b - a) * np.arange(n := max(round((b - a) / stride), 1)) // n
        for a, b in zip(marks[:-1].tolist(), marks[1:].tolist(), strict=True)
    ]
    return np.concatenate([*parts, [frames - 1]])


def solve_ik_branches(
    kinematics: Kinematics, targets: Targets, start: Array, bounds: tuple[Array, Array]
) -> Array:
    """One continuous path, solved at key frames and filled in between.

    Args:
        kinematics: of the bodies that the targets name.
        targets: of as many frames as ``start``.
        start: ``(frames, nq)`` neutral joints, base near its target.
        bounds: lower and upper joint values ``(joints,)``.

    Returns:
        Configurations ``(frames, nq)``, near enough for a refinement.
    """
    keys = key_frames(targets)
    walker = _Walker(kinematics, PoseTask(kinematics, targets[keys]), start[keys], bounds)
    q = _solved(walker, keys / targets.fps)
    if len(keys) == len(start):
        return q
    frames = np.arange(len(start))
    left = np.searchsorted(keys, frames, side="right") - 1
    right = np.minimum(left + 1, len(keys) - 1)
    part = ((frames - keys[left]) / np.maximum(keys[right] - keys[left], 1))[:, None]
    out = move_with_base(q[left], start[keys[left]], start)
    out[:, 7:] = (1.0 - part) * q[left, 7:] + part * q[right, 7:]
    # A jump is passed at once: halfway is neither here nor there.
    jump = np.abs(q[right, 7:] - q[left, 7:]).max(axis=1) > _JUMP
    out[jump, 7:] = q[np.where(part[jump, 0] < 0.5, left[jump], right[jump]), 7:]
    return out


def move_with_base(q: Array, before: Array, now: Array) -> Array:
    """Configurations whose bases move as bases ``before`` move to ``now`` ``(n, >= 7)``."""
    out = q.copy()
    out[:, :3] += now[:, :3] - before[:, :3]
    turn = multiply(wxyz_from_xyzw(now[:, 3:7]), conjugate(wxyz_from_xyzw(before[:, 3:7])))
    out[:, 3:7] = xyzw_from_wxyz(normalize(multiply(turn, wxyz_from_xyzw(q[:, 3:7]))))
    return out


def _solved(walker: _Walker, times: Array) -> Array:
    """Solve every key so that neighbours connect."""
    q, cost = walker.alone()
    candidates = _pass_by(walker, q)
    return _choose(q, cost, candidates, times) if candidates else q


class _Walker:
    """Solves keys independently, and continues solutions from key to key, many at once."""

    def __init__(
        self, kinematics: Kinematics, task: Task, start: Array, bounds: tuple[Array, Array]
    ) -> None:
        self._kinematics = kinematics
        self._task = task
        self._start = start
        self._bounds = bounds

    def alone(self) -> tuple[Array, Array]:
        """Configurations and costs of all keys, from the neutral pose.

        Those far worse than a neighbour are solved again from its joints.
        """
        every = np.arange(len(self._start))
        rest = Posture(np.repeat(self._start[:1, 7:], len(every), axis=0), np.array(_REST))
        q, cost = self._minimized(self._start, every, _ALONE, rest)
        # A neighbour whose joints have been tried is worth another try once they have changed.
        changes, tried = np.zeros(len(q), dtype=int), {s: np.full(len(q), -1) for s in (1, -1)}
        for side in (1, -1, 1, -1):
            neighbour = np.clip(every + side, 0, len(q) - 1)
            worse = cost > 1.5 * cost[neighbour] + _WORSE
            bad = np.flatnonzero(worse & (tried[side] != changes[neighbour]))
            if len(bad):
                tried[side][bad] = changes[neighbour[bad]]
                again = self._start[bad].copy()
                again[:, 7:] = q[neighbour[bad], 7:]
                trial, trial_cost = self._minimized(again, bad, _ALONE, rest[bad])
                better = trial_cost < cost[bad]
                q[bad[better]], cost[bad[better]] = trial[better], trial_cost[better]
                changes[bad[better]] += 1
        return q, cost

    def step(self, at: Array, before: Array, key: Array, last: Array) -> tuple[Array, Array]:
        """Configurations and costs of keys ``(walks,)``, continued from those of ``last``.

        Args:
            at: ``(walks, nq)`` configurations at keys ``last``.
            before: configurations at the keys before them; joints continue with the same velocity.
            key: ``(walks,)``.
            last: ``(walks,)``.
        """
        guess = move_with_base(at, self._start[last], self._start[key])
        guess[:, 7:] += np.clip(at[:, 7:] - before[:, 7:], -_MOST, _MOST)
        hold = Posture(guess[:, 7:].copy(), np.array(_HOLD))
        return self._minimized(guess, key, _CONTINUE, hold)

    def _minimized(
        self, q: Array, keys: Array, options: Options, posture: Posture
    ) -> tuple[Array, Array]:
        shape = (len(q), q.shape[1] - 7)
        lower, upper = (np.broadcast_to(b, shape) for b in self._bounds)
        return minimize(
            self._kinematics,
            q,
            [self._task[keys]],
            options,
            posture=posture,
            bounds=(lower, upper),
        )


def _differ(a: Array, b: Array) -> Array:
    out: Array = np.abs(a[..., 7:] - b[..., 7:]).max(axis=-1) > _SAME
    return out


def _pass_by(walker: _Walker, q: Array) -> list[_Candidate]:
    """Continue the solutions on both sides of breaks until they meet, or meet one another."""
    last = len(q) - 1
    near = np.abs(np.diff(q[:, 7:], axis=0)).max(axis=1) < _STEADY
    doubtful = np.flatnonzero(~near)
    # A walk stands on a key and goes on in a direction.
    key = np.concatenate([doubtful, doubtful + 1])
    way = np.repeat([1, -1], len(doubtful))
    origin = key.copy()
    at = q[key]
    before = at.copy()
    paths: list[list[tuple[Array, float]]] = [[] for _ in key]
    live = np.arange(len(key))
    passed: list[list[Array]] = [[] for _ in q]  # of each key, where walks were
    for _ in range(_REACH):
        room = np.where(way[live] > 0, last - key[live], key[live]) > 0
        live = live[room]
        if not len(live):
            break
        ahead = key[live] + way[live]
        found, cost = walker.step(at[live], before[live], ahead, key[live])
        before[live], at[live], key[live] = at[live], found, ahead
        fresh = _differ(found, q[ahead])
        live, found, ahead, cost = live[fresh], found[fresh], ahead[fresh], cost[fresh]
        alone = np.ones(len(live), dtype=bool)
        for i, k in enumerate(live.tolist()):
            paths[k].append((found[i], float(cost[i])))
            others = passed[ahead[i]]
            # Another walk has gone on from here, or come from where this one goes.
            alone[i] = not others or bool(_differ(np.array(others), found[i]).all())
            others.append(found[i])
        live = live[alone]
    candidates = []
    for k, path in enumerate(paths):
        if path:
            configs, costs = np.array([p[0] for p in path]), np.array([p[1] for p in path])
            if way[k] > 0:
                candidates.append(_Candidate(int(origin[k]) + 1, configs, costs))
            else:
                first = int(origin[k]) - len(path)
                candidates.append(_Candidate(first, configs[::-1], costs[::-1]))
    return candidates


def _choose(q: Array, cost: Array, candidates: Sequence[_Candidate], times: Array) -> Array:
    """Best path among ``q`` and candidates; stretches without candidates stay."""
    contested = np.zeros(len(q), dtype=bool)
    for c in candidates:
        contested[c.start : c.start + len(c.q)] = True
    q = q.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], contested.astype(np.int8), [0]])))
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        own = [c for c in candidates if a <= c.start < b]
        paths = np.repeat(q[None, a:b], len(own) + 1, axis=0)
        costs = np.full((len(own) + 1, b - a), np.inf)
        costs[0] = cost[a:b]
        for row, c in enumerate(own, start=1):
            part = slice(c.start - a, c.start - a + len(c.q))
            paths[row, part], costs[row, part] = c.q, c.cost
        before = q[a - 1, 7:] if a > 0 else None
        after = q[b, 7:] if b < len(q) else None
        seconds = np.diff(times[np.clip(np.arange(a - 1, b + 1), 0, len(q) - 1)])
        chosen = _best_path(paths[..., 7:], costs, before, after, seconds)
        q[a:b] = paths[chosen, range(b - a)]
    return q


def _best_path(
    paths: Array, costs: Array, before: Array | None, after: Array | None, seconds: Array
) -> Array:
    """Index of the candidate to take at each key ``(keys,)``.

    Args:
        paths: ``(candidates, keys, joints)``.
        costs: ``(candidates, keys)``, infinite where a candidate has no solution.
        before: joint values of the key before, if there is one ``(joints,)``.
        after: joint values of the key after.
        seconds: ``(keys + 1,)`` from key to key, including the keys before and after.
    """
    keys = costs.shape[1]
    here = np.flatnonzero(np.isfinite(costs[:, 0]))
    total = costs[here, 0]
    if before is not None:
        total = total + jump_cost(before, paths[here, 0], seconds[0])
    known, came = [here], []
    for key in range(1, keys):
        last, here = here, np.flatnonzero(np.isfinite(costs[:, key]))
        moves = jump_cost(paths[last, None, key - 1], paths[None, here, key], seconds[key])
        through = total[:, None] + moves
        came.append(through.argmin(axis=0))
        total = through.min(axis=0) + costs[here, key]
        known.append(here)
    if after is not None:
        total = total + jump_cost(paths[here, -1], after, seconds[-1])
    at = int(total.argmin())
    out = np.empty(keys, dtype=int)
    for key in range(keys - 1, -1, -1):
        out[key] = known[key][at]
        if key:
            at = int(came[key - 1][at])
    return out
