"""A whole clip to latents and back by convolutions over time, across windows.

Latents are four frames apart. Encoder and decoder start as a lapped linear transform (Malvar and
    Staelin, IEEE Trans. ASSP 37, 1989: blocks overlap, so that none has a border). Residual
    convolutions (He et al., CVPR 2016), zero at first, are added to it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motiontok.models.initialization import zeroed

__all__ = ["REACH", "STRIDE", "TemporalDecoder", "TemporalEncoder", "block_components"]

STRIDE = 4
"""Frames a latent."""

REACH = 25
"""Frames before and after a window on which its latents, or its frames, depend.

Both ways: two halvings of the frames with kernels of 4, a block between them with one step to each
side, and three blocks of latents with 1, 3 and 1.
"""

_LAPPED = 16  # frames that a latent of the lapped transform sees
_DILATIONS = (1, 3, 1)


class _StepNorm(nn.LayerNorm):
    """Layer norm over the channels of each step of ``(batch, channels, steps)``.

    Norms over all steps, such as group norm, would make every code depend on the whole clip, and no
        stream could be encoded.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT).mT


class _Block(nn.Module):
    """A residual block that is the identity at first."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _StepNorm(width),
            nn.GELU(),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            _StepNorm(width),
            nn.GELU(),
            zeroed(nn.Conv1d(width, width, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class TemporalEncoder(nn.Module):
    """Frames ``(batch, frames, columns)`` to latents ``(batch, frames / 4, channels)``.

    Args:
        columns: of a frame.
        channels: of a latent.
        width: of the convolutions.

    Attributes:
        lapped: the linear transform, with which alone the encoder starts.
        scale: ``(channels,)``, usual size of a latent, the unit of the network's output.
    """

    scale: Tensor

    def __init__(self, *, columns: int, channels: int, width: int) -> None:
        super().__init__()
        pad = (_LAPPED - STRIDE) // 2
        self.lapped = nn.Conv1d(columns, channels, _LAPPED, STRIDE, pad, bias=False)
        self.layers = nn.Sequential(
            nn.Conv1d(columns, width, 4, 2, 1),
            _Block(width, 1),
            nn.Conv1d(width, width, 4, 2, 1),
            *(_Block(width, dilation) for dilation in _DILATIONS),
            _StepNorm(width),
            nn.GELU(),
            zeroed(nn.Conv1d(width, channels, 1)),
        )
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, frames: Tensor, *, linear: bool = False) -> Tensor:
        """Latents; ``linear`` leaves the network out."""
        x = frames.mT
        z = self.lapped(x)
        return (z if linear else z + self.scale[:, None] * self.layers(x)).mT


class TemporalDecoder(nn.Module):
    """Latents ``(batch, steps, channels)`` to frames ``(batch, 4 steps, columns)``.

    Args and attributes are those of :class:`TemporalEncoder`.
    """

    scale: Tensor

    def __init__(self, *, columns: int, channels: int, width: int) -> None:
        super().__init__()
        pad = (_LAPPED - STRIDE) // 2
        self.lapped = nn.ConvTranspose1d(channels, columns, _LAPPED, STRIDE, pad, bias=False)
        self.layers = nn.Sequential(
            nn.Conv1d(channels, width, 1),
            *(_Block(width, dilation) for dilation in _DILATIONS),
            nn.ConvTranspose1d(width, width, 4, 2, 1),
            _Block(width, 1),
            _StepNorm(width),
            nn.GELU(),
            zeroed(nn.ConvTranspose1d(width, columns, 4, 2, 1)),
        )
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, latents: Tensor, *, linear: bool = False) -> Tensor:
        """Frames; ``linear`` leaves the network out."""
        z = latents.mT
        y = self.lapped(z)
        return (y if linear else y + self.layers(z / self.scale[:, None])).mT


@torch.no_grad()
def block_components(frames: Tensor, encoder: TemporalEncoder, decoder: TemporalDecoder) -> None:
    """Start both lapped transforms as the principal components of blocks of four frames.

    Args:
        frames: ``(batch, frames, columns)``, a multiple of four.
        encoder, decoder: changed.
    """
    blocks = frames.unflatten(1, (-1, STRIDE)).flatten(2).flatten(0, 1)
    _, rows = torch.linalg.eigh((blocks.T @ blocks / len(blocks)).double())
    channels = len(encoder.scale)
    leading = rows.flip(1)[:, :channels].T.to(frames)
    pad = (_LAPPED - STRIDE) // 2
    # (channels, columns, frames of a block)
    kernel = F.pad(leading.unflatten(1, (STRIDE, -1)).mT, (pad, pad))
    encoder.lapped.weight.copy_(kernel)
    decoder.lapped.weight.copy_(kernel)
