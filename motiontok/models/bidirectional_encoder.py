"""The bidirectional encoder: from an observation to one vector a token."""

from __future__ import annotations

from torch import Tensor, nn

from motiontok.models.layers import Encoder

__all__ = ["LatentEncoder"]


class LatentEncoder(nn.Module):
    """A reader, a transformer without a mask, linear.

    Source: the paper's non-autoregressive encoder, which VQ and FSQ share.

    Args:
        read: from observations to the transformer's inputs ``(batch, codes, width)``.
        codes: tokens an observation.
        width, heads, layers, mlp_ratio: size of the transformer.
        outputs: size of a token's vector.
    """

    def __init__(
        self,
        read: nn.Module,
        *,
        codes: int,
        width: int,
        heads: int,
        layers: int,
        outputs: int,
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        self.codes, self.outputs = codes, outputs
        self.read = read
        self.encoder = Encoder(codes, width, heads, layers, mlp_ratio)
        self.out = nn.Linear(width, outputs)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Vectors ``(batch, codes, outputs)`` of observations ``(batch, ...)``."""
        return self.out(self.encoder(self.read(x)))
