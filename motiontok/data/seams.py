"""Windows are decoded apart; this joins them."""

from __future__ import annotations

import numpy as np

from bvh.rotations import Array

__all__ = ["REACH", "blend_seams"]

REACH = 6
"""Frames on each side of a border that take part of the jump."""


def blend_seams(features: Array, window: int) -> Array:
    """Remove the jumps between consecutive decoded windows.

    The jump at a border is what the step over it exceeds the mean of its neighbours by.
    Half of it is given to each side, fading over a few frames. Since the two sides err
    independently, this also lowers the error near borders.

    Args:
        features: ``(..., frames, columns)``, whole windows one after the other.
        window: frames a window.
    """
    reach = min(REACH, window // 2)
    fade = 0.5 * (1.0 - (np.arange(reach) + 0.5) / REACH) ** 2
    windows = features.reshape(*features.shape[:-2], -1, window, features.shape[-1])
    before, after = windows[..., :-1, -2:, :], windows[..., 1:, :2, :]
    step = 0.5 * (before[..., 1, :] - before[..., 0, :] + after[..., 1, :] - after[..., 0, :])
    jump = after[..., 0, :] - before[..., 1, :] - step
    share = fade[:, None] * jump[..., None, :]
    out = windows.copy()
    out[..., 1:, :reach, :] -= share
    out[..., :-1, window - reach :, :] += share[..., ::-1, :]
    return out.reshape(features.shape)
