"""Gumbel-Rao Monte Carlo (GR-MCK), autoregressive and factorised."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from motiontok.methods.relaxed.gumbel import Gumbel
from motiontok.methods.relaxed.relaxation import gumbel_rao

__all__ = ["GumbelRao", "GumbelRaoFactorised"]


class GumbelRao(Gumbel):
    """Straight-through Gumbel-softmax with ``samples`` draws of the noise averaged."""

    @override
    def relax(self, logp: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        return gumbel_rao(
            logp,
            temperature=temperature,
            samples=self.config.method.samples,
            generator=generator,
        )


class GumbelRaoFactorised(GumbelRao):
    """The same with tokens that are independent given x."""

    factorised = True
