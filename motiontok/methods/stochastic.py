"""What autoencoders with a policy for an encoder share: networks, rewards, encoding."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from motiontok.config import Config
from motiontok.methods.base import DiscreteAutoencoder
from motiontok.methods.networks import Networks
from motiontok.methods.schedule import exponential_decay
from motiontok.models import AutoregressivePolicy, FactorisedPolicy, Policy

__all__ = ["PolicyAutoencoder"]


class PolicyAutoencoder(DiscreteAutoencoder):
    """A policy q(z | x), a decoder p(x | z), and an annealed entropy weight.

    Attributes:
        factorised: whether tokens are independent given x (the ``-na`` methods).
        decoder: codes ``(batch, codes)`` to parameters of p(x | z).
    """

    factorised: ClassVar[bool] = False
    decoder: nn.Module
    policy: AutoregressivePolicy | FactorisedPolicy

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        self.decoder = self._make_decoder(networks)
        self.policy = self._make_policy(networks)

    def _make_decoder(self, networks: Networks) -> nn.Module:
        return networks.decoder()

    def _make_policy(self, networks: Networks) -> AutoregressivePolicy | FactorisedPolicy:
        return networks.factorised_policy() if self.factorised else networks.policy()

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

    def reward(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x | z) ``(batch, samples)`` and means of p ``(batch, samples, *shape)``."""
        found = self.decode_parameters(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
        return self.likelihood.log_density(x[:, None], found), self.likelihood.mean(found)

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

    def decode_parameters(self, codes: Tensor) -> Tensor:
        return self.decoder(codes)
