"""A whole clip to latents and back by convolutions over time, across windows.

Latents are four frames apart. Encoder and decoder start as a lapped linear transform (Malvar and
Staelin, IEEE Trans. ASSP 37, 1989: blocks overlap, so that none has a border). Residual
convolutions (He et al., CVPR 2016), zero at first, are added to it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motiontok.models.initialization import zeroed
from motiontok.models.step_convolutions import StepConv, StepLayers, TransposedStepConv

__all__ = [
    "GAP",
    "REACH",
    "STRIDE",
    "TemporalDecoder",
    "TemporalEncoder",
    "block_components",
    "decoded_metric",
]

STRIDE = 4
"""Frames a latent."""

REACH = 26
"""Frames before and after a window on which its frames depend; its latents depend on one less.

Both ways: two halvings of the frames with kernels of 4, a block between them with one step to each
side, and three blocks of latents with 1, 3 and 1. Decoded frames are smoothed over one neighbour.
"""

_AT_ONCE = 128  # sequences that are decoded at a time
_LAPPED = 16  # frames that a latent of the lapped transform sees
_DILATIONS = (1, 3, 1)

GAP = max(_DILATIONS)
"""Latents between sequences in one row: as far as a kernel reaches."""


class _Block(nn.Module):
    """A residual block on ``(batch, steps, channels)`` that is the identity at first.

    It has norms over the channels of each step. Norms over all steps, such as group norm, would
    make every code depend on the whole clip, and no stream could be encoded.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.layers = StepLayers(
            nn.LayerNorm(width),
            nn.GELU(),
            StepConv(width, width, 3, padding=dilation, dilation=dilation),
            nn.LayerNorm(width),
            nn.GELU(),
            zeroed(StepConv(width, width, 1)),
        )

    def forward(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        return x + self.layers(x, inside)


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
        self.lapped = StepConv(columns, channels, _LAPPED, STRIDE, pad, bias=False)
        self.layers = StepLayers(
            StepConv(columns, width, 4, 2, 1),
            _Block(width, 1),
            StepConv(width, width, 4, 2, 1),
            *(_Block(width, dilation) for dilation in _DILATIONS),
            nn.LayerNorm(width),
            nn.GELU(),
            zeroed(StepConv(width, channels, 1)),
        )
        self.register_buffer("scale", torch.ones(channels))

    def forward(
        self, frames: Tensor, inside: Tensor | None = None, *, linear: bool = False
    ) -> Tensor:
        """Latents; ``linear`` leaves the network out.

        ``inside (batch, steps, 1)`` is of latents, see :mod:`motiontok.models.step_convolutions`.
        """
        z: Tensor = self.lapped(frames, inside)
        return z if linear else z + self.scale * self.layers(frames, inside)


class TemporalDecoder(nn.Module):
    """Latents ``(batch, steps, channels)`` to frames ``(batch, 4 steps, columns)``.

    The last step is a binomial filter over three frames. What it takes away is mostly the codes'
    error, which changes faster than motion does.

    Args and attributes are those of :class:`TemporalEncoder`.
    """

    scale: Tensor

    def __init__(self, *, columns: int, channels: int, width: int) -> None:
        super().__init__()
        pad = (_LAPPED - STRIDE) // 2
        self.lapped = TransposedStepConv(channels, columns, _LAPPED, STRIDE, pad, bias=False)
        self.layers = StepLayers(
            StepConv(channels, width, 1),
            *(_Block(width, dilation) for dilation in _DILATIONS),
            TransposedStepConv(width, width, 4, 2, 1),
            _Block(width, 1),
            nn.LayerNorm(width),
            nn.GELU(),
            zeroed(TransposedStepConv(width, columns, 4, 2, 1)),
        )
        self.register_buffer("scale", torch.ones(channels))

    def forward(
        self, latents: Tensor, inside: Tensor | None = None, *, linear: bool = False
    ) -> Tensor:
        """Frames; arguments are those of the encoder. Linear ones are not smoothed."""
        y: Tensor = self.lapped(latents, inside)
        return y if linear else _smoothed(y + self.layers(latents / self.scale, inside), inside)


def _smoothed(frames: Tensor, inside: Tensor | None) -> Tensor:
    """Half of each frame and a quarter of both neighbours; at an end, of the frame itself."""
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    after = torch.cat([frames[:, 1:], frames[:, -1:]], dim=1)
    if inside is not None:
        known = inside.repeat_interleave(STRIDE, dim=1) > 0.0
        before = torch.where(torch.cat([known[:, :1], known[:, :-1]], dim=1), before, frames)
        after = torch.where(torch.cat([known[:, 1:], known[:, -1:]], dim=1), after, frames)
    return 0.5 * frames + 0.25 * (before + after)


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


@torch.no_grad()
def decoded_metric(
    decoder: TemporalDecoder, responses: Callable[[Tensor], Tensor], *, steps: int
) -> Tensor:
    """What differences of a window's latents count for once they are decoded.

    Decoded by the lapped transform alone.

    Args:
        decoder: of latents.
        responses: vectors ``(batch, n)`` whose squares add up to the error of differences of
            frames ``(batch, frames, columns)``.
        steps: latents of a window.

    Returns:
        ``(size, size)``, symmetric; the size is that of all latents of a window.
    """
    channels = len(decoder.scale)
    one = torch.eye(steps * channels).to(decoder.scale).unflatten(1, (steps, channels))
    apart = torch.zeros_like(one)
    rows = torch.cat([apart, one, apart], dim=1).split(_AT_ONCE)
    found = torch.cat([responses(decoder(part, linear=True)) for part in rows])
    return found @ found.T
