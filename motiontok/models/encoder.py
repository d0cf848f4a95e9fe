"""The bidirectional encoder: from a window to one vector a token."""

from __future__ import annotations

from torch import Tensor, nn

from motiontok.models.layers import Encoder, resample

__all__ = ["LatentEncoder"]


class LatentEncoder(nn.Module):
    """Strided convolution, transformer without a mask, linear.

    Source: the paper's non-autoregressive encoder, which VQ and FSQ share.

    Args:
        frames, columns: shape of a window.
        codes: tokens a window.
        width, heads, layers, mlp_ratio: size of the transformer.
        outputs: size of a token's vector.
    """

    def __init__(
        self,
        *,
        frames: int,
        columns: int,
        codes: int,
        width: int,
        heads: int,
        layers: int,
        outputs: int,
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        self.read = resample(frames, codes, columns, width)
        self.encoder = Encoder(codes, width, heads, layers, mlp_ratio)
        self.out = nn.Linear(width, outputs)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Vectors ``(batch, codes, outputs)`` of windows ``(batch, frames, columns)``."""
        return self.out(self.encoder(self.read(x.mT).mT))
