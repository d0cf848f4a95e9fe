"""How well a decoded motion does what was asked."""

from __future__ import annotations

import numpy as np

from bvh.motion import Motion
from motiontok.data import from_motion
from motiontok.prior.planning.targets import PathTarget, VelocityProfile
from motiontok.prior.tokens import commands_of

__all__ = ["tracking_errors"]

_SPAN = 30


def tracking_errors(motion: Motion, target: PathTarget | VelocityProfile) -> dict[str, float]:
    """Errors of a motion that began at time 0.

    Returns:
        For a path: ``path_error_m``, the mean distance to where it is at each time, and
        ``end_error_m``, that at the end. For a velocity profile: ``velocity_error_m_s``
        and ``yaw_rate_error_rad_s``, root mean squares over means of one second.
    """
    times = np.arange(len(motion)) / motion.fps
    if isinstance(target, PathTarget):
        apart = np.linalg.norm(motion.root_positions[:, :2] - target.at(times), axis=-1)
        return {"path_error_m": float(apart.mean()), "end_error_m": float(apart[-1])}
    span = min(_SPAN, len(motion))
    whole = len(motion) // span * span
    wanted = target.at(times[:whole]).reshape(-1, span, 3).mean(axis=1)
    error = commands_of(from_motion(motion)[:whole], span) - wanted
    return {
        "velocity_error_m_s": float(np.sqrt((error[:, :2] ** 2).sum(axis=-1).mean())),
        "yaw_rate_error_rad_s": float(np.sqrt((error[:, 2] ** 2).mean())),
    }
