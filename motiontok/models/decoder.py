"""Decoders: from codes to the mean of p(x | z)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from motiontok.models.layers import Encoder, resample

__all__ = ["TokenDecoder"]


class TokenDecoder(nn.Module):
    """The paper's trajectory decoder: embeddings, transformer, strided convolution, linear.

    Args:
        vocab_size: size of the vocabulary.
        codes: tokens a window.
        frames, columns: shape of a window.
        width, heads, layers, mlp_ratio: size of the transformer.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        codes: int,
        frames: int,
        columns: int,
        width: int,
        heads: int,
        layers: int,
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.table.weight, std=1.0 / math.sqrt(width))
        self.encoder = Encoder(codes, width, heads, layers, mlp_ratio)
        self.dense = nn.Linear(width, width)
        self.write = resample(codes, frames, width, width)
        self.out = nn.Linear(width, columns)
        nn.init.normal_(self.out.weight, std=1.0 / math.sqrt(width))
        nn.init.zeros_(self.out.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Mean ``(batch, frames, columns)`` of codes ``(batch, codes)``."""
        h = self.dense(self.encoder(self.table(codes)))
        return self.out(self.write(h.mT).mT)
