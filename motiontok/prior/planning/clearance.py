"""Distance of a body, not of its hips alone, from forbidden discs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data import COLUMNS
from motiontok.errors import InputError
from motiontok.tokens.path import rotated

__all__ = ["FLESH", "STANDING", "body_points", "check_discs", "clearance", "motion_points"]

FLESH = 0.08
"""Radius of the body around each joint, seen from above, metres of the reference body."""

STANDING = 0.3
"""Radius of a standing body with hanging arms, from the hips, metres of the reference body."""


def check_discs(discs: Sequence[Sequence[float]] | NDArray[Any]) -> Array:
    """Discs ``(discs, 3)`` of x, y and radius, m.

    Raises:
        InputError: a number is not finite, or a radius not positive.
    """
    rows = np.asarray(discs, dtype=np.float64).reshape(-1, 3)
    for x, y, radius in rows:
        if not (np.isfinite([x, y, radius]).all() and radius > 0.0):
            raise InputError(
                f"no-go disc {x:g} {y:g} {radius:g}: finite numbers and a positive radius expected"
            )
    return rows


def body_points(features: Array, positions: Array, yaw: Array) -> Array:
    """Joints on the floor ``(..., 22, 2)``, metres.

    Args:
        features: ``(..., 203)`` raw.
        positions: ``(..., 2)`` of the hips.
        yaw: ``(...)`` heading, rad.
    """
    joints = features[..., COLUMNS["positions"]].reshape(*features.shape[:-1], -1, 3)[..., :2]
    around = rotated(joints, np.broadcast_to(yaw[..., None], joints.shape[:-1]))
    hips = np.zeros((*around.shape[:-2], 1, 2))
    return np.concatenate([hips, around], axis=-2) + positions[..., None, :]


def motion_points(motion: Motion) -> Array:
    """Joints on the floor ``(frames, 22, 2)``, metres."""
    return np.asarray(motion.global_positions()[..., :2])


def clearance(points: Array, discs: Array, *, flesh: float = FLESH) -> Array:
    """Distance of each disc from the body ``(..., discs)``, m; negative inside.

    Args:
        points: ``(..., points, 2)`` of one body.
        discs: ``(discs, 3)`` x, y and radius.
        flesh: of the body around each point, m.
    """
    apart = np.linalg.norm(points[..., None, :] - discs[:, :2], axis=-1)
    return np.asarray(apart.min(axis=-2) - discs[:, 2] - flesh)
