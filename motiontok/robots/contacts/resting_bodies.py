"""Targets of bodies on the ground: knees, hands, elbows, hips lie on it and stay put.

A robot's limbs are thicker or thinner than the person's, so its targets may be inside the floor, or
hover above it. If a body's own shape, turned like its target, would reach the ground, the target is
moved to lie on it. If the body is slow, it also gets a place to stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bvh.foot_contacts import SIDES, runs, standing
from bvh.rotations import Array
from motiontok.robots.contacts.anchors import fade, still
from motiontok.robots.contacts.ground import heights_above
from motiontok.robots.contacts.held_contacts import Hold
from motiontok.robots.model.calibration import Calibration
from motiontok.robots.model.outline import Outline
from motiontok.robots.targets import Targets

__all__ = ["rest_bodies"]

_LOW = 0.22  # of the leg's length: a joint that rests is lower
_BAND = 0.03  # m above the ground: closer is on it
_FIRMER = 2.0  # factor of a resting body's position weight


def rest_bodies(
    targets: Targets, calibration: Calibration, outline: Outline, planes: Array | None = None
) -> tuple[Targets, list[Hold]]:
    """Targets whose bodies are above the ground, and the resting points.

    Args:
        targets: of a motion, feet planted.
        calibration: of the robot.
        outline: of the robot's bodies.
        planes: ``(frames, 3)`` the ground ``z = a x + b y + c``; z = 0, if not given.
    """
    if planes is None:
        planes = np.zeros((len(targets), 3))
    low = heights_above(planes[:, None], targets.positions) < _LOW * calibration.leg_length
    if not low.any():
        return targets, []
    feet = {calibration.index(side + "Foot") for side in SIDES}
    frames, tracked = targets.positions.shape[:2]
    holds = []
    positions = targets.positions.copy()
    weights = np.broadcast_to(targets.position_weights, (frames, tracked)).copy()
    for k in range(tracked):
        points = outline.of(targets.bodies[k])
        if not low[:, k].any() or not len(points) or not weights[:, k].any():
            continue
        shift, resting = _to_ground(
            targets, positions[:, k], k, points, planes, low[:, k], k not in feet
        )
        positions[:, k] += shift
        weights[resting, k] *= _FIRMER
        holds.append(Hold(targets.bodies[k], targets.local_positions[k], resting))
        if k == 0:
            # All but the feet hang on the hips.
            others = [i for i in range(1, tracked) if i not in feet]
            positions[:, others] += shift[:, None]
    return replace(targets, positions=positions, position_weights=weights), holds


def _to_ground(
    targets: Targets, path: Array, k: int, points: Array, planes: Array, low: Array, stays: bool
) -> tuple[Array, Array]:
    """Shift of a body ``(frames, 3)``, and frames ``(frames,)`` in which it rests."""
    fps = targets.fps
    local = (points - targets.local_positions[k]) @ targets.local_rotations[k]
    up = targets.rotations[:, k, 2] - (planes[:, None, :2] @ targets.rotations[:, k, :2])[:, 0]
    height = heights_above(planes, path) + (up @ local.T).min(axis=1)
    touching = low & (height < _BAND)
    resting = standing(path, touching, fps) if stays else np.zeros(len(path), dtype=bool)
    wanted = np.zeros_like(path)
    wanted[:, 2] = -height
    for start, end in runs(resting):
        wanted[start:end, :2] = still(path[start:end, :2], fps) - path[start:end, :2]
    buried = height < 0.0
    shift = fade(wanted, resting, fps)
    shift[:, 2:] = fade(wanted[:, 2:], buried | resting, fps)
    return shift, resting
