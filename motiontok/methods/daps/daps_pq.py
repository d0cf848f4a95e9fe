"""DAPS started from a product quantiser on principal components."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from motiontok.methods.base import Draw, StepResult
from motiontok.methods.daps.fitted_start import FittedStartDaps
from motiontok.methods.networks import Networks
from motiontok.models import AutoregressivePolicy, CodebookHead, ProductQuantizer, RefiningDecoder
from motiontok.models.product_quantizer import ENOUGH
from motiontok.progress import ProgressCallback, silent

__all__ = ["DapsFromQuantizer"]


class DapsFromQuantizer(FittedStartDaps):
    """Policy and decoder of motiontok.models.product_quantizer."""

    def _make_policy(self, networks: Networks) -> AutoregressivePolicy:
        model, method = self.config.model, self.config.method
        return networks.policy(
            CodebookHead(self.quantizer, width=model.width, variance=method.variance)
        )

    def _make_decoder(self, networks: Networks) -> nn.Module:
        model = self.config.model
        quantizer = ProductQuantizer(
            shape=networks.shape,
            codes=model.codes_per_window,
            vocab_size=model.vocab_size,
            variances=networks.likelihood.parameters_per_value > 1,
        )
        return RefiningDecoder(quantizer, width=model.decoder_width, layers=model.decoder_layers)

    @property
    def quantizer(self) -> ProductQuantizer:
        """The fitted starting point."""
        return cast(RefiningDecoder, self.decoder).quantizer

    @property
    def head(self) -> CodebookHead:
        """The policy's head."""
        return cast(CodebookHead, cast(AutoregressivePolicy, self.policy).head)

    @override
    def fit(
        self, draw: Draw, generator: torch.Generator, on_progress: ProgressCallback = silent
    ) -> None:
        self.quantizer.fit(draw(ENOUGH), generator)

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        self.head.beta.fill_(self.beta(progress))
        return super().training_step(x, progress, generator)

    def _draw_start(self, x: Tensor, generator: torch.Generator) -> Tensor:
        noise = self.group.noise(
            len(x), self.config.model.codes_per_window, like=x, generator=generator
        )
        return self.head.sample_prior(x, noise)
