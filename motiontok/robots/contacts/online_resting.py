"""Targets of a stream whose bodies are on the ground, not in it.

The counterpart for whole trajectories is :mod:`~motiontok.robots.contacts.resting_bodies`.
"""

from __future__ import annotations

import numpy as np

from bvh.foot_contacts import SIDES
from bvh.rotations import Array
from motiontok.robots.model.calibration import Calibration
from motiontok.robots.model.outline import Outline
from motiontok.robots.targets import Targets

__all__ = ["AboveGround"]


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
        # The first point again where a body has fewer.
        self._points = np.zeros((len(clouds), 3, max(len(cloud) for cloud in clouds)))
        for k, cloud in enumerate(clouds):
            if len(cloud):
                self._points[k] = cloud[:1].T
                self._points[k, :, : len(cloud)] = cloud.T
        self._empty = [k for k, cloud in enumerate(clouds) if not len(cloud)]
        # All but the feet hang on the hips.
        feet = [calibration.index(side + "Foot") for side in SIDES]
        self._hanging = np.ones(len(clouds))
        self._hanging[feet] = 0.0
        self._under = np.full(len(clouds), len(feet))
        self._under[feet] = range(len(feet))

    def apply(self, targets: Targets, planes: Array | None) -> None:
        """Raise the targets of one frame, in place.

        Args:
            targets: of one frame.
            planes: ``(3, 3)`` the ground ``z = a x + b y + c`` under left foot, right foot and
                the rest; None is z = 0.
        """
        rotations, positions = targets.rotations[0], targets.positions[0]
        up, level = rotations[:, 2:], positions[:, 2]
        if planes is not None:
            under = planes[self._under]
            up = up - under[:, None, :2] @ rotations[:, :2]
            level = level - (under[:, :2] * positions[:, :2]).sum(1) - under[:, 2]
        height = (up @ self._points).min(axis=(1, 2))
        height += level
        height[self._empty] = 0.0
        if height.min() < 0.0:
            hips = max(-float(height[0]), 0.0)
            positions[:, 2] += np.maximum(hips * self._hanging, -height)
