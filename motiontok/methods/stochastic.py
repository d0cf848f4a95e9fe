"""What autoencoders with a policy for an encoder share: networks, rewards, encoding.

The autoregressive policy and the factorised one, its ``-na`` variant, are at about the
same size: three bidirectional layers for each pair of encoder and decoder layer, as in
the paper.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from motiontok.config import Config
from motiontok.methods.base import DiscreteAutoencoder
from motiontok.methods.daps import gaussian_log_density
from motiontok.methods.schedule import exponential_decay
from motiontok.models import (
    AutoregressivePolicy,
    FactorisedPolicy,
    Policy,
    TokenDecoder,
    VocabularyHead,
)

__all__ = ["FACTORISED_DEPTH", "PolicyAutoencoder", "factorised_policy"]

FACTORISED_DEPTH = 3
"""Bidirectional layers for each layer that ``model.layers`` gives both autoregressive stacks."""


def factorised_policy(config: Config, columns: int) -> FactorisedPolicy:
    """The paper's non-autoregressive policy at the size of the autoregressive one."""
    model = config.model
    return FactorisedPolicy(
        model.vocab_size,
        frames=config.data.window,
        columns=columns,
        codes=model.codes_per_window,
        width=model.width,
        heads=model.heads,
        layers=FACTORISED_DEPTH * model.layers,
    )


class PolicyAutoencoder(DiscreteAutoencoder):
    """A policy q(z | x), the paper's decoder, and an annealed entropy weight.

    Attributes:
        factorised: whether tokens are independent given the window (the ``-na`` methods).
    """

    factorised: ClassVar[bool] = False
    policy: AutoregressivePolicy | FactorisedPolicy

    def __init__(self, config: Config, columns: int) -> None:
        super().__init__(config, columns)
        model = config.model
        self.decoder = TokenDecoder(
            vocab_size=model.vocab_size,
            codes=model.codes_per_window,
            frames=config.data.window,
            columns=columns,
            width=model.decoder_width,
            heads=model.heads,
            layers=model.decoder_layers,
        )
        if self.factorised:
            self.policy = factorised_policy(config, columns)
        else:
            self.policy = AutoregressivePolicy(
                VocabularyHead(model.vocab_size, model.width),
                frames=config.data.window,
                columns=columns,
                codes=model.codes_per_window,
                width=model.width,
                heads=model.heads,
                layers=model.layers,
            )

    @property
    def largest_kl(self) -> float:
        """KL of a certain encoder to the uniform prior, nats: N log V."""
        return self.config.model.codes_per_window * math.log(self.config.model.vocab_size)

    def beta(self, progress: float) -> float:
        """Entropy weight at ``progress`` in [0, 1] through the run."""
        method = self.config.method
        return exponential_decay(progress, start=method.beta_start, end=method.beta_end)

    def kl(self, logp: Tensor) -> Tensor:
        """KL(q || uniform) along a sequence, nats, of ``logp (..., codes, vocab)``."""
        return self.largest_kl + (logp.exp() * logp).sum(dim=(-1, -2))

    def log_density(self, x: Tensor, mean: Tensor) -> Tensor:
        """log p(x | z) of decoder means, summed over frames and columns."""
        return gaussian_log_density(x, mean, self.config.method.variance)

    def reward(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x | z) ``(batch, samples)`` and decoder means ``(batch, samples, T, C)``."""
        mean = self.decode(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
        return self.log_density(x[:, None], mean), mean

    @torch.no_grad()
    def encode(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        policy: Policy = self.policy
        if effort == 1:
            return policy.sample(x, 1, temperature=temperature, generator=generator)[0][:, 0]
        greedy, _ = policy.sample(x, 1, temperature=0.0)
        drawn, _ = policy.sample(x, effort - 1, temperature=temperature or 1.0, generator=generator)
        codes = torch.cat([greedy, drawn], dim=1)
        best = self.reward(x, codes)[0].argmax(dim=1)
        return codes[torch.arange(len(x), device=x.device), best]

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes)
