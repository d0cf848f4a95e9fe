"""Features of packed frames, for whole batches of windows on the training device.

The counterpart of :func:`motiontok.data.features.from_motion`, which takes whole clips in NumPy and
double precision. Here a quaternion is four tensors, and joints come first: computing down the
skeleton handles all joints of a generation at once.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bvh.foot_contacts import soft_contact
from bvh.forward_kinematics import generations
from bvh.motion import FPS
from bvh.skeleton import FEET, JOINTS, MIRROR, PARENTS
from motiontok.data.features import COLUMNS, FEATURES, STANDING
from motiontok.data.kinematics import wrapped
from motiontok.data.placement import REFERENCE
from motiontok.data.store.frames import STEPS

__all__ = ["features_of"]

_ORDER, _GENERATIONS = generations(PARENTS)
_BACK = sorted(range(len(JOINTS)), key=_ORDER.__getitem__)
_MIRROR_SIGNS = (1.0, -1.0, 1.0, -1.0)

Parts = list[Tensor]
"""Components of vectors or quaternions, each ``(joints, windows, frames)``."""


def features_of(words: Tensor, to_reference: Tensor, mirrored: Tensor, first: Tensor) -> Tensor:
    """Features ``(windows, frames, 203)``, float32.

    Args:
        words: ``(windows, frames + 1, 72)`` int16, packed frames, including one before each window.
        to_reference: ``(windows, 2)`` scale and lift of the root's path.
        mirrored: ``(windows,)`` whether the mirror image is wanted.
        first: ``(windows,)`` whether a window begins with its clip; its first frame then has the
            velocities of its second.
    """
    count, frames = words.shape[0], words.shape[1] - 1
    root = words[..., :6].contiguous().view(torch.float32)
    flip = torch.where(mirrored, -1.0, 1.0)[:, None]
    scale, lift = to_reference.to(torch.float32).unsqueeze(-1).unbind(1)
    x, y = scale * root[..., 0], scale * root[..., 1] * flip
    z = scale * root[..., 2] + lift
    q = _quaternions(words[..., 6:])
    q = [torch.where(mirrored[:, None], s * p[list(MIRROR)], p)
         for s, p in zip(_MIRROR_SIGNS, q, strict=True)]  # fmt: skip

    # The heading is the root's twist about +Z; half its angle has this cosine and sine.
    w0, x0, y0, z0 = (part[0] for part in q)
    length = torch.hypot(w0, z0)
    upright = length > 1e-12
    c = torch.where(upright, w0 / length, 1.0)
    s = torch.where(upright, z0 / length, 0.0)
    yaw = 2.0 * torch.atan2(s, c)
    tilt = (c * w0 + s * z0, c * x0 + s * y0, c * y0 - s * x0, torch.zeros_like(w0))
    for part, turned in zip(q, tilt, strict=True):
        part[0] = turned
    rotations = _six(q)
    px, py, pz = _positions(q)

    out = words.new_empty((count, frames, FEATURES), dtype=torch.float32)
    turn = wrapped(yaw.diff(dim=1))
    dx, dy = x.diff(dim=1), y.diff(dim=1)
    cos, sin = (c * c - s * s), 2.0 * c * s
    ahead, left = cos[:, 1:] * dx + sin[:, 1:] * dy, cos[:, 1:] * dy - sin[:, 1:] * dx
    out[..., COLUMNS["yaw_rate"]] = (turn * FPS)[..., None]
    out[..., COLUMNS["velocity"]] = torch.stack([ahead, left], dim=-1) * FPS
    out[..., COLUMNS["height"]] = z[:, 1:, None]
    out[..., COLUMNS["tilt"].start : COLUMNS["rotations"].stop] = rotations[:, 1:]
    places = torch.stack([px[1:], py[1:], pz[1:]], dim=-1)
    out[..., COLUMNS["positions"]] = places[:, :, 1:].permute(1, 2, 0, 3).flatten(2)

    feet = list(FEET)
    fx, fy = cos * px[feet] - sin * py[feet] + x, sin * px[feet] + cos * py[feet] + y
    fz = pz[feet] + z
    speed = (fx.diff(dim=2) ** 2 + fy.diff(dim=2) ** 2 + fz.diff(dim=2) ** 2).sqrt() * FPS
    if frames > 1:
        path = slice(COLUMNS["yaw_rate"].start, COLUMNS["velocity"].stop)
        out[:, 0, path] = torch.where(first[:, None], out[:, 1, path], out[:, 0, path])
        speed[..., 0] = torch.where(first, speed[..., 1], speed[..., 0])
    height = fz[..., 1:] - fz.new_tensor(STANDING)[:, None, None]
    out[..., COLUMNS["contacts"]] = soft_contact(height, speed).permute(1, 2, 0)
    return out


def _quaternions(words: Tensor) -> Parts:
    """Local rotations of ``(windows, frames, 66)`` int16."""
    parts = words.unflatten(-1, (len(JOINTS), 3)).permute(3, 2, 0, 1).to(torch.int32)
    missing = ((parts[0] >> 15) & 1) | (((parts[1] >> 15) & 1) << 1)
    a, b, c = (((parts & 0x7FFF) - 16_384).to(torch.float32) / STEPS).unbind(0)
    rest = (1.0 - (a * a + b * b + c * c)).clamp_min(0.0).sqrt()
    return [
        torch.where(missing == 0, rest, a),
        torch.where(missing == 1, rest, torch.where(missing == 0, a, b)),
        torch.where(missing == 2, rest, torch.where(missing < 2, b, c)),
        torch.where(missing == 3, rest, c),
    ]


def _six(q: Parts) -> Tensor:
    """First two columns ``(windows, frames, 132)`` of the joints' matrices."""
    w, x, y, z = q
    columns = [
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
        2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
    ]  # fmt: skip
    return torch.stack(columns, dim=-1).permute(1, 2, 0, 3).flatten(2)


def _positions(q: Parts) -> Parts:
    """Joints' positions relative to the hips, in the frame of the hips' rotation."""
    q = [part[_ORDER] for part in q]
    bones = torch.tensor(np.asarray(REFERENCE)[_ORDER], dtype=q[0].dtype, device=q[0].device)
    bones = bones.T[..., None, None]
    placed = [torch.zeros_like(q[0]) for _ in range(3)]
    for here, above in _GENERATIONS:
        w, x, y, z = (part[above] for part in q)
        bx, by, bz = bones[:, here]
        # v + 2 w (u x v) + 2 u x (u x v), u being the vector part.
        cx, cy, cz = y * bz - z * by, z * bx - x * bz, x * by - y * bx
        placed[0][here] = placed[0][above] + bx + 2.0 * (w * cx + y * cz - z * cy)
        placed[1][here] = placed[1][above] + by + 2.0 * (w * cy + z * cx - x * cz)
        placed[2][here] = placed[2][above] + bz + 2.0 * (w * cz + x * cy - y * cx)
        u, i, j, k = (part[here].clone() for part in q)
        q[0][here] = w * u - x * i - y * j - z * k
        q[1][here] = w * i + x * u + y * k - z * j
        q[2][here] = w * j - x * k + y * u + z * i
        q[3][here] = w * k + x * j - y * i + z * u
    return [part[_BACK] for part in placed]
