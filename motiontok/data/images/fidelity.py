"""Errors of reconstructed images: PSNR and SSIM."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from motiontok.data.images.pixels import Pixels

__all__ = ["errors_of", "psnr", "ssim"]

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def errors_of(x: Tensor, y: Tensor, pixels: Pixels) -> dict[str, float]:
    """Errors of reconstructions ``y`` of ``x (images, channels, height, width)``.

    Args:
        x, y: standardised.
        pixels: how.

    Returns:
        ``mse`` of standardised pixels; ``psnr`` and ``ssim`` of pixels in [0, 1], means over
        images.
    """
    square, decibels, structure = 0.0, 0.0, 0.0
    # In parts: copies of all images at once need not fit.
    for a, b in zip(x.split(64), y.split(64), strict=True):
        square += float(((a - b) ** 2).mean(dim=(1, 2, 3)).sum())
        unit = pixels.to_unit(a), pixels.to_unit(b)
        decibels += float(psnr(*unit).sum())
        structure += float(ssim(*unit).sum())
    return {"mse": square / len(x), "psnr": decibels / len(x), "ssim": structure / len(x)}


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, dB, ``(batch,)``.

    -10 log10 of the mean squared error over channels and pixels, as the paper has it; the
    mean over images is then of decibels, not of errors.

    Args:
        x, y: ``(batch, channels, height, width)`` in [0, 1].
    """
    return -10.0 * ((x - y) ** 2).mean(dim=(1, 2, 3)).clamp_min(1e-12).log10()


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of each image, ``(batch,)`` (Wang et al. 2004).

    Gaussian window of 11 pixels and sigma 1.5, no padding, constants .01 and .03, dynamic
    range 1, each channel for itself. Images smaller than the window get one as large as
    they are.

    Args:
        x, y: ``(batch, channels, height, width)`` in [0, 1].
    """
    channels = x.shape[1]
    side = min(_WINDOW, *x.shape[-2:])
    place = torch.arange(side, dtype=x.dtype, device=x.device) - (side - 1) / 2
    profile = torch.exp(-0.5 * (place / _SIGMA) ** 2)
    profile = profile / profile.sum()

    def blur(images: Tensor) -> Tensor:
        down = profile.view(1, 1, side, 1).expand(channels, 1, side, 1)
        across = profile.view(1, 1, 1, side).expand(channels, 1, 1, side)
        return F.conv2d(F.conv2d(images, down, groups=channels), across, groups=channels)

    mx, my = blur(x), blur(y)
    vx, vy = blur(x * x) - mx**2, blur(y * y) - my**2
    covariance = blur(x * y) - mx * my
    numerator = (2 * mx * my + _C1) * (2 * covariance + _C2)
    return (numerator / ((mx**2 + my**2 + _C1) * (vx + vy + _C2))).mean(dim=(1, 2, 3))
