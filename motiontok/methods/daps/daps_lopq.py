"""DAPS started from a locally optimised product quantiser."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from motiontok.config import Config
from motiontok.methods.base import Draw, StepResult
from motiontok.methods.daps.fitted_start import FittedStartDaps
from motiontok.methods.networks import Networks
from motiontok.methods.quantizers.lopq_net import ENOUGH, make_lopq_decoder
from motiontok.models import LearnedLopqPolicy, LopqDecoder
from motiontok.progress import ProgressCallback, silent

__all__ = ["DapsFromLopq"]


class DapsFromLopq(FittedStartDaps):
    """Decoder of ``lopq-net``, and a policy that starts as the quantiser's own."""

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        # Rows are sorted by their local basis, by counts that the host knows: no CUDA graph.
        self._sampler = self._sample

    def _make_decoder(self, networks: Networks) -> nn.Module:
        return make_lopq_decoder(self.config, networks)

    def _make_policy(self, networks: Networks) -> LearnedLopqPolicy:
        model = self.config.model
        decoder = cast(LopqDecoder, self.decoder)
        return LearnedLopqPolicy(decoder.quantizer, width=model.width, layers=model.layers)

    @override
    def fit(
        self, draw: Draw, generator: torch.Generator, on_progress: ProgressCallback = silent
    ) -> None:
        decoder, policy = cast(LopqDecoder, self.decoder), cast(LearnedLopqPolicy, self.policy)
        decoder.quantizer.fit(draw, generator, on_progress)
        some = draw(ENOUGH)
        decoder.fit(some)
        policy.fit(some)

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        # As in lopq-net, distances between codewords do not survive 16 bits.
        with torch.autocast(x.device.type, enabled=False):
            return super().training_step(x, progress, generator)

    def _draw_start(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return self.draw(x, 1, generator)[:, 0]
