"""Headings of a stream's feet that are held on the ground.

A foot whose heel and toe are held cannot turn. A person turns flat feet all the same, on the ball
or the heel: the robot's would snap round once its heel or toe is let go.
"""

from __future__ import annotations

import math

from bvh.rotations import Array

__all__ = ["HeldHeadings"]

# How far a foot may be turned away from its target before it follows. Less lets feet slide that
# turn in a step; what is left when a foot is let go is soon made up.
_SLACK = math.radians(25.0)


class HeldHeadings:
    """Turns feet that are held at heel and toe after their targets, but for a slack.

    Args:
        soles: ``(2, 3)`` from heel to toe, in the bodies of the left and the right foot.
    """

    def __init__(self, soles: Array) -> None:
        self._soles = soles[..., None]
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._before = [0.0, 0.0]
        # How far each foot's target is turned away from it; none, if it was not held.
        self._away: list[float | None] = [None, None]

    def push(self, feet: Array, standing: list[bool]) -> list[float]:
        """Angles about the vertical by which the feet turn from the frame before, rad.

        Args:
            feet: ``(2, 3, 3)`` attitudes of the feet's bodies that the targets want.
            standing: left heel and toe, right heel and toe.
        """
        along = (feet @ self._soles).tolist()
        turns = [0.0, 0.0]
        for side, ((x,), (y,), _) in enumerate(along):
            heading = math.atan2(y, x)
            step = math.remainder(heading - self._before[side], math.tau)
            self._before[side] = heading
            if not (standing[2 * side] and standing[2 * side + 1]):
                self._away[side] = None
                continue
            away = self._away[side]
            away = 0.0 if away is None else away + step
            kept = self._away[side] = min(max(away, -_SLACK), _SLACK)
            turns[side] = away - kept
        return turns
