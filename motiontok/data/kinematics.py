"""Rotations and forward kinematics in torch, for whole batches of features."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from bvh.rotations import Array
from bvh.skeleton import PARENTS
from motiontok.data.feature_columns import COLUMNS
from motiontok.data.placement import REFERENCE

__all__ = [
    "joint_positions",
    "length",
    "orthonormal",
    "perpendicular",
    "quaternions",
    "with_rotations",
    "wrapped",
]

_SIX = slice(COLUMNS["tilt"].start, COLUMNS["rotations"].stop)
_NOTHING = 1e-30
_PARALLEL = 1e-6  # share of a vector that must be across another to say where


def orthonormal(six: Tensor) -> Tensor:
    """Rotation matrices ``(..., 3, 3)`` of 6D rotations ``(..., 6)`` by Gram-Schmidt.

    A 6D rotation is the first two columns of a matrix, exact or estimated (Zhou et al. 2019, "On
    the Continuity of Rotation Representations in Neural Networks", section 4). Columns that are
    zero or parallel state no rotation; they become any that fits them.
    """
    components = six.movedim(-1, 0)
    first, second = components[:3], components[3:]
    forward = torch.zeros_like(first)
    forward[0] = 1.0
    size = length(first)
    a = torch.where(size > _NOTHING, first / size.clamp_min(_NOTHING), forward)
    across = second - (a * second).sum(dim=0) * a
    size, least = length(across), _PARALLEL * length(second) + _NOTHING
    other = perpendicular(a)
    b = torch.where(size > least, across / size.clamp_min(_NOTHING), other / length(other))
    columns = torch.stack((a, b, torch.linalg.cross(a, b, dim=0)), dim=1)
    return columns.movedim((0, 1), (-2, -1))


def quaternions(matrices: Tensor) -> Tensor:
    """Unit quaternions ``(..., 4)``, w >= 0, of rotation matrices ``(..., 3, 3)``.

    The largest of the four candidate components is used (Shepperd 1978), so it is accurate for
    every rotation.
    """
    xx, xy, xz, yx, yy, yz, zx, zy, zz = (
        one for row in matrices.unbind(-2) for one in row.unbind(-1)
    )
    # Row k holds 4 q_k q: the candidate that component k gives.
    wx, wy, wz = zy - yz, xz - zx, yx - xy
    xy, xz, yz = yx + xy, xz + zx, zy + yz
    ww, xx, yy, zz = 1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz
    candidates = (ww, wx, wy, wz), (wx, xx, xy, xz), (wy, xy, yy, yz), (wz, xz, yz, zz)
    best, q = ww, torch.stack(candidates[0])
    for square, candidate in zip((xx, yy, zz), candidates[1:], strict=True):
        q = torch.where(square > best, torch.stack(candidate), q)
        best = torch.maximum(best, square)
    q = q / length(q)
    return torch.where(q[:1] < 0, -q, q).movedim(0, -1)


def length(v: Tensor) -> Tensor:
    """Lengths ``(...)`` of ``(n, ...)``: on a CPU many times as fast as ``torch.norm``."""
    return v.square().sum(dim=0).sqrt()


def perpendicular(v: Tensor) -> Tensor:
    """Some vector, not zero, perpendicular to each unit vector ``(3, ...)``."""
    x, y, z = v.unbind()
    zero = torch.zeros_like(x)
    across = torch.stack([zero, z, -y]), torch.stack([-z, zero, x])
    return torch.where(x.abs() < 0.6, *across)


def joint_positions(rotations: Tensor, offsets: Array = REFERENCE) -> Tensor:
    """Positions ``(..., 22, 3)`` of the joints relative to the hips, metres.

    The same as :func:`bvh.forward_kinematics.forward_kinematics` with the hips at the origin.

    Args:
        rotations: local rotation matrices ``(..., 22, 3, 3)``; the hips' rotation is in the frame
            of the result.
        offsets: ``(22, 3)`` rest offset of each joint from its parent, metres.
    """
    kind = rotations.dtype, rotations.device
    bones = _reference(*kind) if offsets is REFERENCE else _sent(offsets, *kind)
    local = rotations.unbind(-3)
    turned, placed = [local[0]], [torch.zeros_like(local[0][..., 0])]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        turned.append(turned[parent] @ local[joint])
        placed.append(placed[parent] + turned[parent] @ bones[joint])
    return torch.stack(placed, dim=-2)


def _sent(offsets: Array, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(offsets, dtype=dtype, device=device)


@cache
def _reference(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The reference skeleton on a device, sent once: what is sent waits for the device."""
    with torch.inference_mode(False):
        return _sent(REFERENCE, dtype, device)


def with_rotations(raw: Tensor, six: Tensor) -> Tensor:
    """Raw features ``(..., 203)`` that have other rotations.

    Joint positions are those of the rotations on the reference skeleton.

    Args:
        raw: the other columns.
        six: ``(..., 22, 6)`` 6D rotations, or estimates of them: they are made rotations again.
    """
    out = raw.clone()
    rotations = orthonormal(six)
    # The first two columns of each matrix, one after the other.
    out[..., _SIX] = rotations[..., :2].transpose(-1, -2).flatten(-3)
    out[..., COLUMNS["positions"]] = joint_positions(rotations)[..., 1:, :].flatten(-2)
    return out


def wrapped(angle: Tensor) -> Tensor:
    """Angles (rad) moved by whole turns to -pi and up to pi; :func:`bvh.rotations.wrapped`."""
    return torch.remainder(angle + torch.pi, 2.0 * torch.pi) - torch.pi
