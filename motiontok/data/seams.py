"""Joining windows that were decoded separately."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bvh.rotations import Array

__all__ = ["REACH", "blend_seams", "blended"]

REACH = 6
"""Frames on each side of a border over which the jump is spread."""


def blend_seams(features: Array, window: int) -> Array:
    """:func:`blended` of an array."""
    out: Array = blended(torch.tensor(features), window).numpy()
    return out


def blended(features: Tensor, window: int) -> Tensor:
    """Remove the jumps between consecutive decoded windows.

    The jump is the step across a border minus the mean of the steps just before and after. Half of
    it goes to each side, fading over a few frames. Since the two sides err independently, this also
    lowers the error near borders.

    Args:
        features: ``(..., frames, columns)``, whole windows one after the other.
        window: frames a window.
    """
    reach = min(REACH, window // 2)
    fade = 0.5 * (1.0 - (torch.arange(reach).to(features) + 0.5) / REACH) ** 2
    windows = features.unflatten(-2, (-1, window))
    before, after = windows[..., -2:, :], windows[..., :2, :].roll(-1, dims=-3)
    step = 0.5 * (before[..., 1, :] - before[..., 0, :] + after[..., 1, :] - after[..., 0, :])
    jump = after[..., 0, :] - before[..., 1, :] - step
    # There is no jump before the first window, nor after the last.
    count = windows.shape[-3]
    jump = jump * (torch.arange(count, device=jump.device) < count - 1)[:, None]
    end = fade.flip(0)[:, None] * jump[..., None, :]
    begin = -fade[:, None] * jump.roll(1, dims=-2)[..., None, :]
    shift = F.pad(begin, (0, 0, 0, window - reach)) + F.pad(end, (0, 0, window - reach, 0))
    return (windows + shift).flatten(-3, -2)
