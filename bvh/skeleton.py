"""The canonical skeleton and forward kinematics.

Canonical joints are the 22 of LAFAN1, in its order, in a T-pose rest frame whose
joint axes are all parallel to the world's: X forward, Y left, Z up. Identity
rotations are therefore the T-pose facing +X.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bvh.rotations import Array, multiply, rotate

__all__ = ["DEFAULT_OFFSETS", "FEET", "JOINTS", "MIRROR", "PARENTS", "forward_kinematics"]

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


def forward_kinematics(
    rotations: Array, positions: Array, parents: Sequence[int]
) -> tuple[Array, Array]:
    """Compose local joint transforms along the tree.

    Args:
        rotations: local unit quaternions ``(..., joints, 4)``.
        positions: local positions ``(..., joints, 3)`` or ``(joints, 3)``.
        parents: parent index of each joint, -1 for a root; parents come first.

    Returns:
        Global rotations ``(..., joints, 4)`` and positions ``(..., joints, 3)``.
    """
    positions = np.broadcast_to(positions, (*rotations.shape[:-1], 3))
    # One contiguous block per joint keeps the per-joint work in cache.
    q: list[Array] = []
    p: list[Array] = []
    for joint, parent in enumerate(parents):
        local_q, local_p = rotations[..., joint, :], positions[..., joint, :]
        if parent < 0:
            q.append(local_q)
            p.append(local_p)
        else:
            q.append(multiply(q[parent], local_q))
            p.append(p[parent] + rotate(q[parent], local_p))
    return np.stack(q, axis=-2), np.stack(p, axis=-2)
