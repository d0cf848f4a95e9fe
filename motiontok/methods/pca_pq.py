"""The linear baseline: product quantisation of principal components, fitted, not trained."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor

from motiontok.config import Config
from motiontok.methods.base import DiscreteAutoencoder
from motiontok.models import ProductQuantizer

__all__ = ["PcaPq"]


class PcaPq(DiscreteAutoencoder):
    """:class:`~motiontok.models.quantizer.ProductQuantizer` alone.

    Everything happens in :meth:`prepare`; no parameter asks for a gradient, so that a
    training run ends when it has been fitted and measured.
    """

    def __init__(self, config: Config, columns: int) -> None:
        super().__init__(config, columns)
        self.quantizer = ProductQuantizer(
            frames=config.data.window,
            columns=columns,
            codes=config.model.codes_per_window,
            vocab_size=config.model.vocab_size,
        ).requires_grad_(False)

    def prepare(self, windows: Tensor, generator: torch.Generator) -> None:
        self.quantizer.fit(windows, generator)

    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> NoReturn:
        raise NotImplementedError("pca-pq is fitted by prepare(); it takes no training steps")

    @torch.no_grad()
    def encode(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.quantizer.encode(x)

    def decode(self, codes: Tensor) -> Tensor:
        return self.quantizer.decode(codes)
