"""Errors of a decoded motion against its target."""

from __future__ import annotations

import numpy as np

from bvh import rotations as rot
from bvh.motion import FPS, Motion
from bvh.rotations import Array
from motiontok.data import Start, World, from_motion
from motiontok.prior.planning.clearance import FLESH, clearance, motion_points
from motiontok.prior.planning.targets import PathTarget, VelocityProfile
from motiontok.prior.tokens import commands_of
from motiontok.tokens.path import rotated

__all__ = ["commands_by_second", "distances_to", "tracking_errors"]

_SPAN = 30


def distances_to(motion: Motion, path: PathTarget) -> Array:
    """Distance ``(frames,)`` of the hips from the path's place at each time, m."""
    times = np.arange(len(motion)) / motion.fps
    return np.asarray(np.linalg.norm(motion.root_positions[:, :2] - path.at(times), axis=-1))


def commands_by_second(motion: Motion) -> tuple[Array, Array]:
    """Mean velocities by the second; a shorter motion is one piece, a remainder is left out.

    Returns:
        Times of frames ``(pieces, frames)``, s, and means ``(pieces, 3)`` over them of the
        velocity forward and left (m/s, of the moving body) and the yaw rate (rad/s).
    """
    span = min(_SPAN, len(motion))
    whole = len(motion) // span * span
    times = np.arange(whole).reshape(-1, span) / motion.fps
    done = commands_of(from_motion(motion)[:whole], span)
    return times, World(motion.offsets).commands_outside(done)


def tracking_errors(
    motion: Motion,
    target: PathTarget | VelocityProfile,
    *,
    discs: Array | None = None,
    start: Start | None = None,
) -> dict[str, float]:
    """Errors of a motion that began at time 0, in metres of the moving body.

    Args:
        motion: decoded.
        target: in the same metres.
        discs: ``(discs, 3)``, forbidden ones.
        start: of a velocity profile; the origin by default.

    Returns:
        ``path_error_m``, the mean distance to the path's place at each time, or, for a profile, to
        the place to which its commands lead; ``end_error_m``, the same at the end;
        ``heading_error_rad``, the mean difference to the path's direction, or its facing;
        ``velocity_error_m_s`` and, for a profile, ``yaw_rate_error_rad_s``, root mean squares over
        means of one second. For a path that ends in a heading also ``end_heading_error_rad``, and
        with discs ``clearance_m``, the least distance of the body from one, negative inside.
    """
    times = np.arange(len(motion)) / motion.fps
    yaw = rot.yaw_of(motion.rotations[:, 0])
    seconds, done = commands_by_second(motion)
    more: dict[str, float] = {}
    if isinstance(target, PathTarget):
        path, turned = target.at(times), target.headings(times)
        velocity = _by_second(motion.root_positions[:, :2], seconds)
        missed = velocity - _by_second(path, seconds)
        if target.facing is not None:
            more["end_heading_error_rad"] = abs(rot.wrapped(float(yaw[-1]) - target.facing))
    else:
        commands = target.at(times) / motion.fps
        commands[0] = 0.0
        path, turned = _integrated(commands, start or Start())
        error = done - target.at(seconds.ravel()).reshape(*seconds.shape, 3).mean(axis=1)
        missed = error[:, :2]
        more["yaw_rate_error_rad_s"] = float(np.sqrt((error[:, 2] ** 2).mean()))
    if discs is not None and len(discs):
        flesh = FLESH * World(motion.offsets).scale
        more["clearance_m"] = float(clearance(motion_points(motion), discs, flesh=flesh).min())
    apart = np.linalg.norm(motion.root_positions[:, :2] - path, axis=-1)
    off = yaw - turned
    off = np.abs(rot.wrapped(off[np.isfinite(off)]))
    return {
        "path_error_m": float(apart.mean()),
        "end_error_m": float(apart[-1]),
        "heading_error_rad": float(off.mean()) if len(off) else 0.0,
        "velocity_error_m_s": float(np.sqrt((missed**2).sum(axis=-1).mean())),
        **more,
    }


def _by_second(path: Array, seconds: Array) -> Array:
    """Mean velocities ``(pieces, 2)`` along a path ``(frames, 2)``."""
    frames = np.arange(seconds.size).reshape(seconds.shape)
    span = max(1, seconds.shape[1] - 1)
    return np.asarray((path[frames[:, -1]] - path[frames[:, 0]]) * FPS / span)


def _integrated(steps: Array, start: Start) -> tuple[Array, Array]:
    """Places and headings after steps ``(frames, 3)``: forward, left and turn."""
    yaw = start.yaw + np.cumsum(steps[:, 2])
    places = np.cumsum(rotated(steps[:, :2], yaw), axis=0) + [start.x, start.y]
    return places, yaw
