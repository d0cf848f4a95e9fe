"""Costs of candidate rollouts.

A cost is any callable from a :class:`Rollout` to one number a candidate, lower is
better. Write your own, or bend these with a lambda::

    costs = [track_path(path), lambda r: 2.0 * no_go_disc(3.0, 0.0, 0.8)(r)]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bvh import rotations as rot
from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data import Start
from motiontok.errors import InputError
from motiontok.prior.planning.clearance import body_points, check_discs, clearance
from motiontok.prior.planning.targets import PathTarget, VelocityProfile
from motiontok.prior.tokens import COMMAND_COLUMNS
from motiontok.tokens.path import rotated

__all__ = ["Cost", "Rollout", "end_pose", "no_go_disc", "track_path", "track_velocity"]


@dataclass(frozen=True, eq=False)
class Rollout:
    """Candidate futures.

    Attributes:
        positions: ``(candidates, frames, 2)`` of the hips on the floor, metres.
        yaw: ``(candidates, frames)`` heading, rad.
        times: ``(frames,)`` seconds since the beginning of the plan.
        features: ``(candidates, frames, 203)`` raw features, for all else.
        window: frames a window.
    """

    positions: Array
    yaw: Array
    times: Array
    features: Array
    window: int


_LAST = 10  # frames that say how a body goes on

Cost = Callable[[Rollout], Array]
"""One number a candidate ``(candidates,)``, lower is better."""


def track_path(path: PathTarget, *, coast: float = 1.0) -> Cost:
    """Mean squared distance (m2) to the path's place at each time.

    Args:
        path: to follow.
        coast: seconds after a rollout. Their mean squared distance is added, as if the body
            continued as in its last third of a second: a rollout that ends near the path but heads
            away from it is no good beginning.
    """

    def cost(rollout: Rollout) -> Array:
        apart = rollout.positions - path.at(rollout.times)
        total = (apart**2).sum(axis=-1).mean(axis=-1)
        if coast > 0.0:
            later = np.arange(1, max(1, round(coast * FPS)) + 1) / FPS
            apart = _gone_on(rollout, later) - path.at(rollout.times[-1] + later)
            total = total + (apart**2).sum(axis=-1).mean(axis=-1)
        return np.asarray(total)

    return cost


def _gone_on(rollout: Rollout, later: Array) -> Array:
    """Positions ``(candidates, times, 2)`` later, at the speed and turn of a rollout's end."""
    span = min(_LAST, rollout.positions.shape[1] - 1) / FPS
    if not span:
        return np.repeat(rollout.positions[:, -1:], len(later), axis=1)
    before = -1 - round(span * FPS)
    speed = (rollout.positions[:, -1] - rollout.positions[:, before]) / span
    turn = (rollout.yaw[:, -1] - rollout.yaw[:, before])[:, None] * (later + span / 2) / span
    moved = rotated(speed[:, None], turn) * np.diff(later, prepend=0.0)[:, None]
    return np.asarray(rollout.positions[:, -1:] + np.cumsum(moved, axis=1))


def track_velocity(profile: VelocityProfile) -> Cost:
    """Squared error of each window's mean velocity (m2/s2) and yaw rate (rad2/s2).

    Means over a window, since the hips speed up and slow down within a stride.
    """

    def cost(rollout: Rollout) -> Array:
        shape = (len(rollout.features), -1, rollout.window)
        error = 0.0
        for wanted, column in zip(profile.at(rollout.times).T, COMMAND_COLUMNS, strict=True):
            miss = (rollout.features[..., column] - wanted).reshape(shape).mean(axis=-1)
            error = error + (miss**2).mean(axis=-1)
        return np.asarray(error)

    return cost


def no_go_disc(x: float, y: float, radius: float, *, weight: float = 100.0) -> Cost:
    """Mean depth (m) of the body, not of its hips alone, inside a forbidden disc.

    Raises:
        InputError: a number is not finite, or the radius not positive.
    """
    disc = check_discs([(x, y, radius)])

    def cost(rollout: Rollout) -> Array:
        points = body_points(rollout.features, rollout.positions, rollout.yaw)
        depth = np.maximum(-clearance(points, disc)[..., 0], 0.0)
        return np.asarray(weight * depth.mean(axis=-1))

    return cost


def end_pose(pose: Start, *, time: float, weight: float = 1.0) -> Cost:
    """Squared distance (m2) and heading error (rad2) at ``time`` and after; 0 before.

    Raises:
        InputError: the pose is not finite.
    """
    if not np.isfinite([pose.x, pose.y, pose.yaw]).all():
        raise InputError(f"end pose {pose.x:g} {pose.y:g} {pose.yaw:g}: finite numbers expected")

    def cost(rollout: Rollout) -> Array:
        late = rollout.times >= time
        if not late.any():
            return np.zeros(len(rollout.positions))
        apart = ((rollout.positions[:, late] - [pose.x, pose.y]) ** 2).sum(axis=-1)
        turn = rot.wrapped(rollout.yaw[:, late] - pose.yaw)
        return np.asarray(weight * (apart + turn**2).mean(axis=-1))

    return cost
