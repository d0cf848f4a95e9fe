"""Targets of a stream whose bodies are on the ground, not in it.

The counterpart for whole trajectories is :mod:`~motiontok.robots.contacts.resting_bodies`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from motiontok.robots.contacts.foot_contacts import SIDES
from motiontok.robots.model.calibration import Calibration
from motiontok.robots.model.outline import Outline
from motiontok.robots.targets import Targets

__all__ = ["AboveGround"]

_HIGH = 1e3  # m: where points stand that fill up rows


class AboveGround:
    """Raises targets until bodies that are turned like them are out of the ground.

    A robot's limbs are thicker than a person's, so a person's knee on the floor would be the
    robot's in it.

    Args:
        calibration: of the robot.
        outline: of its bodies.
    """

    def __init__(self, calibration: Calibration, outline: Outline) -> None:
        clouds = [
            (outline.of(body) - place) @ turn
            for body, place, turn in zip(
                calibration.bodies, calibration.translations, calibration.rotations, strict=True
            )
        ]
        count = max(len(cloud) for cloud in clouds)
        self._points = np.zeros((len(clouds), 4, count))
        self._points[:, 3] = _HIGH
        for k, cloud in enumerate(clouds):
            self._points[k, :3, : len(cloud)] = cloud.T
            self._points[k, 3, : len(cloud)] = 0.0
        # All but the feet hang on the hips.
        self._hanging = np.ones(len(clouds))
        self._hanging[[calibration.index(side + "Foot") for side in SIDES]] = 0.0

    def apply(self, targets: Targets) -> Targets:
        """The targets of one frame, raised."""
        up = np.ones((len(self._points), 1, 4))
        up[:, 0, :3] = targets.rotations[0, :, 2]
        height = (up @ self._points)[:, 0].min(axis=1) + targets.positions[0, :, 2]
        if height.min() >= 0.0:
            return targets
        positions = targets.positions.copy()
        hips = max(-float(height[0]), 0.0)
        positions[0, :, 2] += np.maximum(hips * self._hanging, -height)
        return replace(targets, positions=positions)
