"""Windows in which a body moves its arms, or its trunk and head, as another one does.

Captures show few of the ways in which arms and legs can go together, since an actor does one thing
at a time. Windows made of two captures widen what training sees: legs and path are of one, the rest
is of the other (as CutMix does with images: Yun et al., ICCV 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bvh.skeleton import JOINTS
from motiontok.data.feature_columns import COLUMNS
from motiontok.data.kinematics import with_rotations
from motiontok.data.statistics import Statistics

__all__ = ["PARTS", "draw_parts", "mixed"]

PARTS: tuple[tuple[int, ...], ...] = (
    tuple(JOINTS.index(name) for name in ("Spine", "Spine1", "Spine2", "Neck", "Head")),
    tuple(JOINTS.index(f"Left{name}") for name in ("Shoulder", "Arm", "ForeArm", "Hand")),
    tuple(JOINTS.index(f"Right{name}") for name in ("Shoulder", "Arm", "ForeArm", "Hand")),
)
"""Joints that change hands together, one after the other: trunk and head, left arm, right arm."""

_TAKEN = 0.6  # of the parts of a window that is mixed
_SIX = slice(COLUMNS["tilt"].start, COLUMNS["rotations"].stop)


def draw_parts(
    count: int, share: float, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Which parts of which windows another one moves, ``(count, parts)``.

    In ``share`` of the windows, each part is another's with a probability of 0.6.
    """
    drawn = torch.rand((count, 1 + len(PARTS)), generator=generator, device=device)
    return (drawn[:, :1] < share) & (drawn[:, 1:] < _TAKEN)


def mixed(windows: Tensor, others: Tensor, parts: Tensor, statistics: Statistics) -> Tensor:
    """Windows ``(count, ..., 203)`` with parts of ``others`` of that shape, standardised.

    Local rotations are the other's; joint positions are those of the rotations on the reference
    skeleton.

    Args:
        windows, others: standardised.
        parts: ``(count, parts)``, see :func:`draw_parts`.
        statistics: with which they are standardised.
    """
    changed = parts.any(dim=1)
    # Another device would be waited for to say which they are.
    rows = changed.nonzero()[:, 0] if windows.device.type == "cpu" else slice(None)
    own = windows[rows]
    raw = statistics.restore(own)
    six = raw[..., _SIX].unflatten(-1, (-1, 6)).clone()
    other = statistics.restore(others[rows])[..., _SIX].unflatten(-1, (-1, 6))
    along = (len(raw),) + (1,) * (raw.dim() - 1)
    for part, joints in enumerate(PARTS):
        chosen = parts[rows, part].view(*along, 1)
        at = slice(joints[0], joints[-1] + 1)
        six[..., at, :] = torch.where(chosen, other[..., at, :], six[..., at, :])
    made = statistics.standardize(with_rotations(raw, six))
    out = windows.clone()
    out[rows] = torch.where(changed[rows].view(along), made, own)
    return out
