"""Decoders: from codes to the mean of p(x | z)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from motiontok.models.layers import Encoder, resample

__all__ = ["LatentDecoder", "TokenDecoder"]


class LatentDecoder(nn.Module):
    """The paper's trajectory decoder: transformer, strided convolution, linear.

    Args:
        codes: tokens a window.
        frames, columns: shape of a window.
        width, heads, layers, mlp_ratio: size of the transformer.
    """

    def __init__(
        self,
        *,
        codes: int,
        frames: int,
        columns: int,
        width: int,
        heads: int,
        layers: int,
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(codes, width, heads, layers, mlp_ratio)
        self.dense = nn.Linear(width, width)
        self.write = resample(codes, frames, width, width)
        self.out = nn.Linear(width, columns)
        nn.init.normal_(self.out.weight, std=1.0 / math.sqrt(width))
        nn.init.zeros_(self.out.bias)

    def synthesize(self, latents: Tensor) -> Tensor:
        """Mean ``(batch, frames, columns)`` of latents ``(batch, codes, width)``."""
        h = self.dense(self.encoder(latents))
        return self.out(self.write(h.mT).mT)

    def forward(self, latents: Tensor) -> Tensor:
        """:meth:`synthesize`."""
        return self.synthesize(latents)


class TokenDecoder(LatentDecoder):
    """The same on an embedding table of tokens.

    Args:
        vocab_size: size of the vocabulary.
        codes, frames, columns, width, heads, layers, mlp_ratio: of :class:`LatentDecoder`.
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
        super().__init__(
            codes=codes,
            frames=frames,
            columns=columns,
            width=width,
            heads=heads,
            layers=layers,
            mlp_ratio=mlp_ratio,
        )
        self.table = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.table.weight, std=1.0 / math.sqrt(width))

    def forward(self, codes: Tensor) -> Tensor:
        """Mean ``(batch, frames, columns)`` of codes ``(batch, codes)``."""
        return self.synthesize(self.table(codes))

    def relaxed(self, weights: Tensor) -> Tensor:
        """Mean of (relaxed) one-hot codes ``(batch, codes, vocab)``, differentiable in them."""
        return self.synthesize(weights @ self.table.weight)
