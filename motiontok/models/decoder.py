"""Decoders: from codes to the parameters of p(x | z)."""

from __future__ import annotations

import math
from abc import abstractmethod

from torch import Tensor, nn
from typing_extensions import override

from motiontok.models.layers import Encoder, resample

__all__ = ["Decoder", "WindowDecoder"]


class Decoder(nn.Module):
    """From one vector a token to the parameters of p(x | z), perhaps by an embedding table.

    Each kind of data derives from it and implements :meth:`synthesize`.
    """

    table: nn.Embedding

    def add_table(self, vocab_size: int, width: int) -> None:
        """Give it an embedding table of tokens, N(0, 1 / width), to decode codes by.

        Without one, methods that quantise an encoder's vectors call :meth:`synthesize` on them.
        """
        self.table = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.table.weight, std=1.0 / math.sqrt(width))

    @abstractmethod
    def synthesize(self, latents: Tensor) -> Tensor:
        """Parameters ``(batch, *shape)`` of p(x | z) of latents ``(batch, codes, width)``."""

    def forward(self, codes: Tensor) -> Tensor:
        """Parameters ``(batch, *shape)`` of codes ``(batch, codes)``."""
        return self.synthesize(self.table(codes))

    def relaxed(self, weights: Tensor) -> Tensor:
        """Parameters of (relaxed) one-hot codes ``(batch, codes, vocab)``, differentiable."""
        return self.synthesize(weights @ self.table.weight)


class WindowDecoder(Decoder):
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

    @override
    def synthesize(self, latents: Tensor) -> Tensor:
        return self.out(self.write(self.dense(self.encoder(latents))))
