"""How well a decoded motion does what was asked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data import from_motion
from motiontok.prior.planning.targets import PathTarget, VelocityProfile
from motiontok.prior.tokens import commands_of

__all__ = ["commands_by_second", "distances_to", "tracking_errors"]

_SPAN = 30


def distances_to(motion: Motion, path: PathTarget) -> Array:
    """How far ``(frames,)`` the hips are (m) from where the path is at each time."""
    times = np.arange(len(motion)) / motion.fps
    return np.asarray(np.linalg.norm(motion.root_positions[:, :2] - path.at(times), axis=-1))


def commands_by_second(motion: Motion) -> tuple[Array, NDArray[np.float32]]:
    """What a motion does by the second; one that is shorter is one piece, a rest is left out.

    Returns:
        Times of frames ``(pieces, frames)``, s, and means ``(pieces, 3)`` over them of the
        velocity forward and left (m/s) and the yaw rate (rad/s).
    """
    span = min(_SPAN, len(motion))
    whole = len(motion) // span * span
    times = np.arange(whole).reshape(-1, span) / motion.fps
    return times, commands_of(from_motion(motion)[:whole], span)


def tracking_errors(motion: Motion, target: PathTarget | VelocityProfile) -> dict[str, float]:
    """Errors of a motion that began at time 0.

    Returns:
        For a path: ``path_error_m``, the mean distance to where it is at each time, and
        ``end_error_m``, that at the end. For a velocity profile: ``velocity_error_m_s``
        and ``yaw_rate_error_rad_s``, root mean squares over means of one second.
    """
    if isinstance(target, PathTarget):
        apart = distances_to(motion, target)
        return {"path_error_m": float(apart.mean()), "end_error_m": float(apart[-1])}
    times, done = commands_by_second(motion)
    error = done - target.at(times.ravel()).reshape(*times.shape, 3).mean(axis=1)
    return {
        "velocity_error_m_s": float(np.sqrt((error[:, :2] ** 2).sum(axis=-1).mean())),
        "yaw_rate_error_rad_s": float(np.sqrt((error[:, 2] ** 2).mean())),
    }
