"""6D rotations and forward kinematics in torch, for whole batches of feature windows.

``motiontok/data/features.py`` has the same in NumPy, in double precision, for motion that is
decoded; here is what training does to windows on its own device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bvh.rotations import Array
from bvh.skeleton import PARENTS
from motiontok.data.place import REFERENCE

__all__ = ["joint_positions", "orthonormal"]


def orthonormal(six: Tensor) -> Tensor:
    """Rotation matrices ``(..., 3, 3)`` of 6D rotations ``(..., 6)`` by Gram-Schmidt.

    The first two columns of a matrix, as they are or an estimate of them (Zhou et al. 2019, "On
    the Continuity of Rotation Representations in Neural Networks", section 4).
    """
    first, second = six[..., :3], six[..., 3:]
    a = functional.normalize(first, dim=-1)
    b = functional.normalize(second - (a * second).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack((a, b, torch.linalg.cross(a, b)), dim=-1)


def joint_positions(rotations: Tensor, offsets: Array = REFERENCE) -> Tensor:
    """Positions ``(..., 22, 3)`` of the joints relative to the hips, metres.

    The same as :func:`bvh.skeleton.forward_kinematics` with the hips at the origin.

    Args:
        rotations: local rotation matrices ``(..., 22, 3, 3)``; that of the hips in the frame
            in which the positions are wanted.
        offsets: ``(22, 3)`` rest offset of each joint from its parent, metres.
    """
    bones = torch.tensor(offsets, dtype=rotations.dtype, device=rotations.device)
    local = rotations.unbind(-3)
    turned, placed = [local[0]], [torch.zeros_like(local[0][..., 0])]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        turned.append(turned[parent] @ local[joint])
        placed.append(placed[parent] + turned[parent] @ bones[joint])
    return torch.stack(placed, dim=-2)
