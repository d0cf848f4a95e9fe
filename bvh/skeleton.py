"""The canonical skeleton: joints, their parents, rest offsets, sizes of a body.

Canonical joints are the 22 of LAFAN1, in its order, in a T-pose rest frame whose
joint axes are all parallel to the world's: X forward, Y left, Z up. Identity
rotations are therefore the T-pose facing +X.
"""

from __future__ import annotations

import numpy as np

from bvh.errors import BVHError
from bvh.rotations import Array

__all__ = [
    "DEFAULT_OFFSETS",
    "FEET",
    "JOINTS",
    "MIRROR",
    "PARENTS",
    "SHORTEST_LEG",
    "leg_length",
    "root_between_bodies",
    "standing_height",
    "toe_height",
]

JOINTS: tuple[str, ...] = (
    "Hips",
    "LeftUpLeg",
    "LeftLeg",
    "LeftFoot",
    "LeftToe",
    "RightUpLeg",
    "RightLeg",
    "RightFoot",
    "RightToe",
    "Spine",
    "Spine1",
    "Spine2",
    "Neck",
    "Head",
    "LeftShoulder",
    "LeftArm",
    "LeftForeArm",
    "LeftHand",
    "RightShoulder",
    "RightArm",
    "RightForeArm",
    "RightHand",
)
"""Canonical joint names."""

PARENTS: tuple[int, ...] = (
    -1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 11, 14, 15, 16, 11, 18, 19, 20,
)  # fmt: skip
"""Parent index of each canonical joint; -1 for the root. Parents come first."""

FEET: tuple[int, ...] = (3, 4, 7, 8)
"""Indices of LeftFoot, LeftToe, RightFoot, RightToe."""

MIRROR: tuple[int, ...] = (
    0, 5, 6, 7, 8, 1, 2, 3, 4, 9, 10, 11, 12, 13, 18, 19, 20, 21, 14, 15, 16, 17,
)  # fmt: skip
"""Index of each joint's partner on the other side (itself on the midline)."""

_LEG = [[0.0, 0.095, -0.03], [0.0, 0.0, -0.43], [0.0, 0.0, -0.41], [0.15, 0.0, -0.06]]
_ARM = [[0.0, 0.06, 0.19], [0.0, 0.12, 0.0], [0.0, 0.29, 0.0], [0.0, 0.25, 0.0]]
_SPINE = [[-0.02, 0.0, 0.08], [0.0, 0.0, 0.12], [0.0, 0.0, 0.12]]
_HEAD = [[0.0, 0.0, 0.24], [0.02, 0.0, 0.1]]
_FLIP = np.array([1.0, -1.0, 1.0])

DEFAULT_OFFSETS: Array = np.concatenate(
    [np.zeros((1, 3)), _LEG, _LEG * _FLIP, _SPINE, _HEAD, _ARM, _ARM * _FLIP]
)
"""Rest offsets ``(22, 3)`` in metres of a 1.75 m adult, used where no subject is known."""
DEFAULT_OFFSETS.setflags(write=False)

SHORTEST_LEG = 0.01
"""Thigh and shin, metres, of the smallest body: a shorter leg has no usable size."""


def leg_length(offsets: Array) -> float:
    """Length of thigh and shin, metres, the mean of both legs, of rest offsets ``(22, 3)``."""
    return float(np.linalg.norm(offsets[[2, 3, 6, 7]], axis=1).sum() / 2.0)


def toe_height(offsets: Array) -> float:
    """Height of the toe joint (ball of the foot) over a standing sole, metres.

    2 cm for an adult, in proportion to the legs for others, so that a scaled body stays on its
    floor.
    """
    return 0.02 * leg_length(offsets) / leg_length(DEFAULT_OFFSETS)


def standing_height(offsets: Array) -> float:
    """Height of the hips over the lowest joint of a leg, metres, in the T-pose; mean of both."""
    lowest = [offsets[leg, 2].cumsum().min() for leg in (slice(1, 5), slice(5, 9))]
    return -float(np.mean(lowest))


def root_between_bodies(old: Array, new: Array) -> tuple[float, float]:
    """Scale and lift of the root's path between two bodies that move alike.

    Args:
        old, new: rest offsets ``(22, 3)`` of the two bodies, metres.

    Returns:
        Scale of the path and the height, which is the ratio of the legs' lengths; and a constant to
        add to the scaled height, metres, so that a standing body stands again.

    Raises:
        BVHError: a body with a leg (thigh and shin) shorter than 1 cm.
    """
    for body in (old, new):
        bones = np.linalg.norm(body[[2, 3, 6, 7]], axis=1)
        for side, length in (("left", bones[:2].sum()), ("right", bones[2:].sum())):
            if not length >= SHORTEST_LEG:
                raise BVHError(
                    f"{side} thigh and shin are {1e3 * length:.3g} mm long together: a body is "
                    f"sized by its legs, which must have {1e3 * SHORTEST_LEG:g} mm at least"
                )
    scale = leg_length(new) / leg_length(old)
    return scale, standing_height(new) - scale * standing_height(old)
