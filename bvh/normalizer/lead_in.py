"""A rest pose in front of a motion, as many conversions of captures have one.

The first frame then shows the pose the rig was built in, at the place where the motion begins, and
the second frame is the capture's first. A robot would have to leave that pose within a frame.
"""

from __future__ import annotations

import math

import numpy as np

from bvh.remarks import remark
from bvh.rotations import Array, angle_between, conjugate, multiply

__all__ = ["without_rest_pose"]

# Of 2,300 captures (CMU, SNU, Bandai-Namco) 229 begin with a rest pose. Their joints turn by
# 15 degrees or more in the first step, and by 3.2 times as much as in any step that follows.
# All others turn by at most 9 degrees there, or not even twice as much as afterwards.
_TURN = np.deg2rad(12.0)  # mean over joints
_TIMES = 3.0
_SECONDS = 0.4
_FEWEST = 4  # steps


def without_rest_pose(
    positions: Array, rotations: Array, *, fps: float
) -> tuple[Array, Array, tuple[str, ...]]:
    """Replace a first frame that the motion cannot have come from.

    The two frames behind it are continued backwards, so frames and times stay the file's.

    Args:
        positions: ``(frames, 3)`` of the root.
        rotations: ``(frames, joints, 4)`` local.
        fps: frames per second.

    Returns:
        Positions, rotations, and a line on what was done, if anything was.
    """
    steps = max(_FEWEST, math.ceil(_SECONDS * fps))
    some = rotations[: 1 + steps]
    if len(some) < 1 + _FEWEST:
        return positions, rotations, ()
    first, *others = angle_between(some[:-1], some[1:]).mean(axis=1)
    if first < max(_TURN, _TIMES * max(others)):
        return positions, rotations, ()
    positions, rotations = positions.copy(), rotations.copy()
    positions[0] = 2.0 * positions[1] - positions[2]
    rotations[0] = multiply(rotations[1], multiply(conjugate(rotations[2]), rotations[1]))
    turn = f"joints turn by {np.rad2deg(first):.0f} degrees in one frame"
    what = f"the first frame is a rest pose ({turn}); it is replaced by what follows"
    return positions, rotations, (remark("pose", what),)
