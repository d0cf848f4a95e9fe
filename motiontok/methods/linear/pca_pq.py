"""The linear baseline: product quantisation of principal components, fitted, not trained."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor
from typing_extensions import override

from motiontok.config import Config
from motiontok.methods.base import DiscreteAutoencoder, Draw
from motiontok.methods.networks import Networks
from motiontok.models import ProductQuantizer
from motiontok.models.product_quantizer import ENOUGH
from motiontok.progress import ProgressCallback, silent

__all__ = ["PcaPq"]


class PcaPq(DiscreteAutoencoder):
    """:class:`~motiontok.models.product_quantizer.ProductQuantizer` alone.

    Everything happens in :meth:`fit`; no parameter needs a gradient, so a training run ends after
    fitting and measuring.
    """

    decodes_prefixes = True
    takes_steps = False

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        self.quantizer = ProductQuantizer(
            shape=self.shape,
            codes=config.model.codes_per_window,
            vocab_size=config.model.vocab_size,
            variances=self.likelihood.parameters_per_value > 1,
            sized=networks.says_sizes,
        ).requires_grad_(False)

    @override
    def fit(
        self, draw: Draw, generator: torch.Generator, on_progress: ProgressCallback = silent
    ) -> None:
        self.quantizer.fit(draw(ENOUGH), generator)

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> NoReturn:
        raise NotImplementedError("pca-pq is fitted by fit(); it takes no training steps")

    @torch.no_grad()
    @override
    def encode(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.quantizer.encode(x)

    @override
    def decode_parameters(self, codes: Tensor) -> Tensor:
        return self.quantizer.parameters_around(self.quantizer.decode(codes))
