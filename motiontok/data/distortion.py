"""Errors of reconstructed windows."""

from __future__ import annotations

import math

from torch import Tensor

from motiontok.data.features import COLUMNS
from motiontok.data.statistics import Statistics

__all__ = ["psnr", "reconstruction_metrics"]


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio, dB, for a signal of range 1."""
    return -10.0 * math.log10(max(mse, 1e-12))


def reconstruction_metrics(x: Tensor, y: Tensor, statistics: Statistics) -> dict[str, float]:
    """Errors of reconstructed windows.

    Args:
        x, y: ``(windows, frames, columns)``, standardised.
        statistics: of the features.

    Returns:
        - ``mse``: in standardised space; ``psnr_standardised`` is the same in dB.
        - ``psnr``: as the DAPS paper has it, columns mapped to [0, 1] by the training
          minimum and maximum and clipped, the squared error pooled over all windows.
        - ``window_mpjpe_mm``: hips-relative joint positions as the columns state them.
    """
    square, unit_square, distance = 0.0, 0.0, 0.0
    # In parts: the min-max copy of all windows at once need not fit.
    for a, b in zip(x.split(512), y.split(512), strict=True):
        square += float(((a - b) ** 2).mean(dim=(1, 2)).sum())
        unit = statistics.to_unit(a) - statistics.to_unit(b)
        unit_square += float((unit**2).mean(dim=(1, 2)).sum())
        joints = (statistics.restore(a) - statistics.restore(b))[..., COLUMNS["positions"]]
        distance += float(joints.unflatten(-1, (-1, 3)).norm(dim=-1).mean(dim=(1, 2)).sum())
    count = len(x)
    return {
        "mse": square / count,
        "psnr_standardised": psnr(square / count),
        "psnr": psnr(unit_square / count),
        "window_mpjpe_mm": 1000.0 * distance / count,
    }
