"""Solve a trajectory from many anchors, and choose one continuous path through it.

A humanoid can reach the same targets in several ways (an arm near a singular pose has
two), and with joint limits a solution that is only ever continued from the frame before
gets stuck in a bad one. Here every 16th frame, an anchor, is solved on its own from the
neutral pose, and each is continued up to the next, all stretches side by side. Where a
stretch does not arrive at the next anchor's solution, both are continued past each other
as further candidates, and the path with the least tracking cost and the least jumping is
found by dynamic programming (Viterbi 1967).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bvh.rotations import Array, conjugate, multiply, normalize
from motiontok.robots.kinematics import Kinematics
from motiontok.robots.solver import Options, minimize
from motiontok.robots.tasks import Posture, Task
from motiontok.robots.trajectory import wxyz_from_xyzw, xyzw_from_wxyz

__all__ = ["connected", "jump_cost"]

_RATE = 15.0  # solved frames a second
_SHORTEST, _LONGEST = 4, 16  # solved frames between anchors
_SIDE_BY_SIDE = 96  # walks at once that keep the processor busy
_REACH = 12  # solved frames that a candidate runs past an anchor that it misses
_JUMP = 1.0  # rad between solved frames that is not a movement
_MOST = 0.5  # rad that a joint is expected to go on in a frame
_SAME = 0.2  # rad; closer solutions of one frame are one
_ANCHOR = Options(iterations=16, tolerance=3e-3)
_CONTINUE = Options(iterations=4, tolerance=1e-2)
_HOLD = 1.0  # posture weight that keeps a continued path from drifting along free directions
_FREE_SPEED = 10.0  # rad/s that cost nothing
_PENALTY = 150.0  # per rad^2 beyond that, in one frame


@dataclass(eq=False)
class _Candidate:
    """Configurations ``(n, nq)`` and costs ``(n,)`` of the frames from ``start`` on."""

    start: int
    q: Array
    cost: Array


def jump_cost(before: Array, after: Array, fps: float) -> Array:
    """Cost ``(...)`` of going from joint values ``(..., joints)`` to the next frame's."""
    excess = np.maximum(np.abs(after - before) - _FREE_SPEED / fps, 0.0)
    out: Array = _PENALTY * (excess**2).sum(-1)
    return out


def connected(kinematics: Kinematics, tasks: Sequence[Task], start: Array, fps: float) -> Array:
    """One continuous path, solved about 15 times a second and filled in between.

    Args:
        kinematics: of all bodies that the tasks name.
        tasks: of as many frames as ``start``.
        start: ``(frames, nq)`` neutral joints, base near its target.
        fps: frames per second.

    Returns:
        Configurations ``(frames, nq)``, near enough for a refinement.
    """
    stride = max(round(fps / _RATE), 1)
    keys = np.arange(0, len(start), stride)
    q = _solved(kinematics, [t[keys] for t in tasks], start[keys], fps / stride)
    if stride == 1:
        return q
    frames = np.arange(len(start))
    left = frames // stride
    right = np.minimum(left + 1, len(keys) - 1)
    part = ((frames - keys[left]) / stride)[:, None]
    out = carried(q[left], start[keys[left]], start)
    out[:, 7:] = (1.0 - part) * q[left, 7:] + part * q[right, 7:]
    # A jump is passed at once: halfway is neither here nor there.
    jump = np.abs(q[right, 7:] - q[left, 7:]).max(axis=1) > _JUMP
    out[jump, 7:] = q[np.where(part[jump, 0] < 0.5, left[jump], right[jump]), 7:]
    return out


def carried(q: Array, before: Array, now: Array) -> Array:
    """Configurations whose bases move as bases ``before`` move to ``now`` ``(n, >= 7)``."""
    out = q.copy()
    out[:, :3] += now[:, :3] - before[:, :3]
    turn = multiply(wxyz_from_xyzw(now[:, 3:7]), conjugate(wxyz_from_xyzw(before[:, 3:7])))
    out[:, 3:7] = xyzw_from_wxyz(normalize(multiply(turn, wxyz_from_xyzw(q[:, 3:7]))))
    return out


def _solved(kinematics: Kinematics, tasks: Sequence[Task], start: Array, fps: float) -> Array:
    """Solve every frame so that neighbours connect."""
    frames = len(start)
    # Short clips get more anchors: what is solved side by side costs little.
    stretch = int(np.clip(-(-frames // _SIDE_BY_SIDE), _SHORTEST, _LONGEST))
    anchors = np.arange(0, frames, stretch)
    q, cost = _solve_anchors(kinematics, tasks, start, anchors)
    walker = _Walker(kinematics, tasks, start)
    # Each stretch ends on the frame of the next anchor, to see whether it arrives there.
    lengths = np.minimum(stretch, frames - 1 - anchors)
    walked = walker.walk(q, anchors, np.ones(len(anchors), dtype=int), lengths)
    out, out_cost = np.empty_like(start), np.empty(frames)
    out[anchors], out_cost[anchors] = q, cost
    for k, (path, costs) in enumerate(walked):
        inside = slice(anchors[k] + 1, anchors[k] + min(stretch, lengths[k] + 1))
        count = inside.stop - inside.start
        out[inside], out_cost[inside] = path[:count], costs[:count]

    missed = [k for k in range(1, len(anchors)) if _differ(walked[k - 1][0][-1], q[k])]
    if not missed:
        return out
    candidates = _pass_by(walker, q, anchors, walked, missed, frames, stretch)
    return _choose(out, out_cost, candidates, fps)


def _solve_anchors(
    kinematics: Kinematics, tasks: Sequence[Task], start: Array, anchors: Array
) -> tuple[Array, Array]:
    """Anchors from the neutral pose; those far worse than a neighbour again from its joints."""
    own = [task[anchors] for task in tasks]
    q, cost = minimize(kinematics, start[anchors], own, _ANCHOR)
    for side in (1, -1, 1, -1):
        neighbour = np.clip(np.arange(len(q)) + side, 0, len(q) - 1)
        bad = np.flatnonzero(cost > 2.0 * cost[neighbour] + 0.5 * np.median(cost))
        if len(bad):
            again = start[anchors[bad]].copy()
            again[:, 7:] = q[neighbour[bad], 7:]
            trial, trial_cost = minimize(kinematics, again, [t[bad] for t in own], _ANCHOR)
            better = trial_cost < cost[bad]
            q[bad[better]], cost[bad[better]] = trial[better], trial_cost[better]
    return q, cost


class _Walker:
    """Continues configurations frame by frame, many side by side."""

    def __init__(self, kinematics: Kinematics, tasks: Sequence[Task], start: Array) -> None:
        self.kinematics = kinematics
        self.tasks = tasks
        self._start = start

    def walk(
        self, q: Array, first: Array, direction: Array, lengths: Array
    ) -> list[tuple[Array, Array]]:
        """Configurations and costs of the ``lengths`` frames after (or before) ``first``.

        Args:
            q: ``(walks, nq)`` solutions at the frames ``first``.
            first: ``(walks,)`` frame indices.
            direction: ``(walks,)`` 1 or -1.
            lengths: ``(walks,)`` number of frames.
        """
        found = [(np.empty((n, q.shape[1])), np.empty(n)) for n in lengths]
        at, before = q.copy(), q.copy()
        for step in range(1, int(max(lengths, default=0)) + 1):
            live = np.flatnonzero(lengths >= step)
            frame = first[live] + direction[live] * step
            guess = self._guess(at[live], before[live], frame, frame - direction[live])
            solved, cost = minimize(
                self.kinematics,
                guess,
                [task[frame] for task in self.tasks],
                _CONTINUE,
                posture=Posture(guess[:, 7:].copy(), np.array(_HOLD)),
            )
            before[live], at[live] = at[live], solved
            for row, k in enumerate(live):
                found[k][0][step - 1], found[k][1][step - 1] = solved[row], cost[row]
        return found

    def _guess(self, at: Array, before: Array, frame: Array, last: Array) -> Array:
        """Joints go on as they went; the base goes on as its target does."""
        out = carried(at, self._start[last], self._start[frame])
        out[:, 7:] += np.clip(at[:, 7:] - before[:, 7:], -_MOST, _MOST)
        return out


def _differ(a: Array, b: Array) -> bool:
    return bool(np.abs(a[7:] - b[7:]).max() > _SAME)


def _pass_by(
    walker: _Walker,
    q: Array,
    anchors: Array,
    walked: Sequence[tuple[Array, Array]],
    missed: Sequence[int],
    frames: int,
    stretch: int,
) -> list[_Candidate]:
    """Continue the paths on both sides of missed anchors until they meet others' solutions."""
    # A walker is (configuration, anchor it stands on, direction). One that meets a
    # solution already found goes on as that one does.
    going = [(walked[k - 1][0][-1], k, 1) for k in missed] + [(q[k], k, -1) for k in missed]
    known = [[config] for config in q]
    for config, k, _ in going[: len(missed)]:
        known[k].append(config)
    candidates = []
    for _ in range(-(-_REACH // stretch)):
        first = np.array([anchors[k] for _, k, _ in going])
        direction = np.array([way for _, _, way in going])
        room = np.where(direction > 0, frames - 1 - first, first)
        paths = walker.walk(
            np.array([config for config, _, _ in going]),
            first,
            direction,
            np.minimum(stretch, room),
        )
        ahead = []
        for (_, k, way), (path, cost) in zip(going, paths, strict=True):
            if not len(path):
                continue
            if way > 0:
                candidates.append(_Candidate(int(anchors[k]) + 1, path, cost))
            else:
                candidates.append(_Candidate(int(anchors[k]) - len(path), path[::-1], cost[::-1]))
            following = k + way
            if 0 <= following < len(anchors) and all(
                _differ(path[-1], config) for config in known[following]
            ):
                known[following].append(path[-1])
                ahead.append((path[-1], following, way))
        if not ahead:
            break
        going = ahead
    return candidates


def _choose(q: Array, cost: Array, candidates: Sequence[_Candidate], fps: float) -> Array:
    """Best path where candidates compete with ``q``; stretches without any stay."""
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
        chosen = _best_path(paths[..., 7:], costs, before, after, fps)
        q[a:b] = paths[chosen, range(b - a)]
    return q


def _best_path(
    paths: Array, costs: Array, before: Array | None, after: Array | None, fps: float
) -> Array:
    """Index of the candidate to take at each frame ``(frames,)``.

    Args:
        paths: ``(candidates, frames, joints)``.
        costs: ``(candidates, frames)``, infinite where a candidate has no solution.
        before: joint values of the frame before, if there is one ``(joints,)``.
        after: joint values of the frame after.
        fps: frames per second.
    """
    frames = costs.shape[1]
    here = np.flatnonzero(np.isfinite(costs[:, 0]))
    total = costs[here, 0]
    if before is not None:
        total = total + jump_cost(before, paths[here, 0], fps)
    known, came = [here], []
    for frame in range(1, frames):
        last, here = here, np.flatnonzero(np.isfinite(costs[:, frame]))
        moves = jump_cost(paths[last, None, frame - 1], paths[None, here, frame], fps)
        through = total[:, None] + moves
        came.append(through.argmin(axis=0))
        total = through.min(axis=0) + costs[here, frame]
        known.append(here)
    if after is not None:
        total = total + jump_cost(paths[here, -1], after, fps)
    at = int(total.argmin())
    out = np.empty(frames, dtype=int)
    for frame in range(frames - 1, -1, -1):
        out[frame] = known[frame][at]
        if frame:
            at = int(came[frame - 1][at])
    return out
