"""Lock the feet of a stream, without look-ahead.

The counterpart for whole trajectories is :mod:`~motiontok.robots.contacts.offline_foot_lock`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from bvh.rotations import Array
from bvh.skeleton import JOINTS, toe_height
from motiontok.robots.contacts.foot_contacts import BAND, SIDES, SLOW, can_stand
from motiontok.robots.model.calibration import Calibration, Sole
from motiontok.robots.targets import Targets

__all__ = ["FootLock", "LateContacts"]

_DRAG = 0.05  # m that a standing point may drift before its anchor follows
_FADE = 0.12  # s in which a correction fades after the foot has lifted
_FIRMER = 1.5


class FootLock:
    """Holds standing feet of a stream on the ground, at the places where they first stood.

    Args:
        calibration: of the robot.
        offsets: ``(22, 3)`` the subject's bones.
        fps: frames per second of the stream.
    """

    def __init__(self, calibration: Calibration, offsets: Array, fps: float) -> None:
        self._fps = fps
        self._feet = [
            _Foot(
                index=calibration.index(name + "Foot"),
                sole=calibration.soles[name + "Foot"],
                joints=(JOINTS.index(name + "Foot"), JOINTS.index(name + "Toe")),
                heights=(
                    toe_height(offsets) - float(offsets[JOINTS.index(name + "Toe"), 2]),
                    toe_height(offsets),
                ),
            )
            for name in SIDES
        ]

    @property
    def standing(self) -> Array:
        """Which points stand now ``(4,)``: left heel and toe, right heel and toe."""
        return np.array([a is not None for foot in self._feet for a in foot.anchors])

    def reset(self) -> None:
        """Forget the stream."""
        for foot in self._feet:
            foot.reset()

    def apply(self, targets: Targets, human: Array) -> Targets:
        """The targets of one frame with standing feet held.

        Args:
            targets: of one frame.
            human: ``(22, 3)`` positions of the human's joints in that frame.
        """
        positions = targets.positions.copy()
        rotation_weights = targets.rotation_weights.copy()
        position_weights = targets.position_weights.copy()
        below = can_stand(human).reshape(-1, 2)
        for foot, can in zip(self._feet, below, strict=True):
            k = foot.index
            ankle, standing = foot.hold(
                positions[0, k], targets.rotations[0, k], human, can, self._fps
            )
            positions[0, k] = ankle
            if standing:
                rotation_weights[0, k] *= _FIRMER
                position_weights[0, k] *= _FIRMER
        return replace(
            targets,
            positions=positions,
            rotation_weights=rotation_weights,
            position_weights=position_weights,
        )


class _Foot:
    """One foot: the places of its standing heel and toe, and the shift of its target."""

    def __init__(
        self, *, index: int, sole: Sole, joints: tuple[int, int], heights: tuple[float, float]
    ) -> None:
        self.index = index
        self._points = (sole.heel, sole.toe)
        self._joints = joints
        self._heights = heights
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._before: Array | None = None
        self.anchors: list[Array | None] = [None, None]
        self._shift = np.zeros(3)

    def hold(
        self, ankle: Array, rotation: Array, human: Array, can: Array, fps: float
    ) -> tuple[Array, bool]:
        """The ankle's target ``(3,)`` in this frame, and whether the foot stands."""
        ends = human[list(self._joints)]
        speed = (
            np.zeros(2)
            if self._before is None
            else np.sqrt(((ends - self._before) ** 2).sum(axis=1)) * fps
        )
        self._before = ends
        wanted = None
        for end in (0, 1):  # where both stand, the toe decides
            raw = ankle + rotation @ self._points[end]
            if can[end] and ends[end, 2] < self._heights[end] + BAND and speed[end] < SLOW:
                anchor = self.anchors[end]
                if anchor is None:
                    anchor = raw + self._shift
                anchor = np.clip(anchor, raw - _DRAG, raw + _DRAG)
                anchor[2] = 0.0
                self.anchors[end] = anchor
                wanted = anchor - raw
            else:
                self.anchors[end] = None
        if wanted is None:
            self._shift = self._shift * max(0.0, 1.0 - 1.0 / (_FADE * fps))
        else:
            self._shift = wanted
        return ankle + self._shift, wanted is not None


class LateContacts:
    """Which heels and toes of a stream stood three frames ago.

    Contacts are those of :func:`~motiontok.robots.contacts.foot_contacts.find_contacts`, by central
    differences and without interruptions of one or two frames.

    Args:
        offsets: ``(22, 3)`` the subject's bones.
        fps: frames per second of the stream.
    """

    def __init__(self, offsets: Array, fps: float) -> None:
        self._fps = fps
        self._joints = [JOINTS.index(side + end) for side in SIDES for end in ("Foot", "Toe")]
        toe = toe_height(offsets)
        ankles = [toe - float(offsets[JOINTS.index(side + "Toe"), 2]) for side in SIDES]
        self._heights = BAND + np.array([ankles[0], toe, ankles[1], toe])
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._places: deque[Array] = deque(maxlen=3)
        self._can: deque[Array] = deque(maxlen=3)
        self._low: deque[Array] = deque(maxlen=5)
        self._slow: deque[Array] = deque(maxlen=5)

    def push(self, human: Array) -> Array:
        """Standing points ``(4,)`` three frames before: left heel and toe, right heel and toe.

        Args:
            human: ``(22, 3)`` positions of the human's joints in the newest frame.
        """
        places, can = human[self._joints], can_stand(human)
        while len(self._places) < 2:  # as if the stream had stood before
            self._places.append(places)
            self._can.append(can)
        self._places.append(places)
        self._can.append(can)
        low = (self._places[1][:, 2] < self._heights) & self._can[1]
        speed = np.linalg.norm(self._places[2] - self._places[0], axis=1) * 0.5 * self._fps
        while len(self._low) < 5:
            self._low.append(low)
            self._slow.append(low & (speed < SLOW))
        self._low.append(low)
        self._slow.append(low & (speed < SLOW))
        near, still = self._low, self._slow
        gap = still[1] & (still[3] | (near[3] & still[4])) | still[0] & near[1] & still[3]
        out: Array = still[2] | near[2] & gap
        return out
