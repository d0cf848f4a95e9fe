"""Convolutions over time between a window of motion and its tokens.

In place of the single strided convolutions of the paper, the encoder and decoder of
:mod:`motiontok.models.temporal_autoencoder`, on one window. Latents are four frames apart; one
strided (transposed) convolution makes the tokens' vectors of them, another latents of such vectors.
So what is learned about a movement holds at any time in the window.
"""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override

from motiontok.models.decoder import Decoder
from motiontok.models.layers import Encoder, resample
from motiontok.models.temporal_autoencoder import STRIDE, TemporalDecoder, TemporalEncoder

__all__ = ["TemporalReader", "TemporalWindowDecoder"]

_CHANNELS = 64
"""Numbers of a latent, as in whole-clip autoencoders of 512 components a window of 32 frames."""


class TemporalReader(nn.Module):
    """Windows ``(batch, frames, columns)`` to one vector a token ``(batch, codes, width)``.

    Args:
        frames, columns: shape of a window; frames are a multiple of four.
        codes: tokens a window; divides the quarter of the frames, or is a multiple of it.
        width: of the convolutions and of a token's vector.
    """

    def __init__(self, *, frames: int, columns: int, codes: int, width: int) -> None:
        super().__init__()
        self.encoder = TemporalEncoder(columns=columns, channels=_CHANNELS, width=width)
        nn.init.xavier_normal_(self.encoder.lapped.weight)
        self.out = resample(frames // STRIDE, codes, _CHANNELS, width)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(x))


class TemporalWindowDecoder(Decoder):
    """A transformer over the tokens, then convolutions over time.

    Args:
        codes, frames, columns: as :class:`TemporalReader` has them.
        width: of a token's vector and of the convolutions.
        heads, layers: of the transformer.
    """

    def __init__(
        self, *, codes: int, frames: int, columns: int, width: int, heads: int, layers: int
    ) -> None:
        super().__init__()
        self.encoder = Encoder(codes, width, heads, layers, 4)
        self.into = resample(codes, frames // STRIDE, width, _CHANNELS)
        self.decoder = TemporalDecoder(columns=columns, channels=_CHANNELS, width=width)
        nn.init.xavier_normal_(self.decoder.lapped.weight)

    @override
    def synthesize(self, latents: Tensor) -> Tensor:
        return self.decoder(self.into(self.encoder(latents)))
