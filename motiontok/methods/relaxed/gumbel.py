"""Straight-through Gumbel-softmax, autoregressive and factorised."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from typing_extensions import override

from motiontok.methods.base import StepResult
from motiontok.methods.policy_autoencoder import PolicyAutoencoder
from motiontok.methods.relaxed.relaxation import straight_through
from motiontok.methods.schedule import exponential_decay
from motiontok.models import AutoregressivePolicy, Decoder, FactorisedPolicy

__all__ = ["Gumbel", "GumbelFactorised"]


class Gumbel(PolicyAutoencoder):
    """One relaxed sequence for each x; each token reads the sampled one-hot before it.

    Loss -mean(R - beta KL), differentiated through the samples, the whole scan included.
    KL to the uniform prior is analytic at each position of the sampled sequence. The
    softmax temperature goes exponentially from ``temperature_start`` to
    ``temperature_end``.
    """

    def relax(self, logp: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """One-hot samples ``(..., vocab)`` of ``logp``, with an estimator's gradient."""
        return straight_through(logp, temperature=temperature, generator=generator)

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        method = self.config.method
        beta = self.beta(progress)
        temperature = exponential_decay(
            progress, start=method.temperature_start, end=method.temperature_end
        )
        policy = cast(AutoregressivePolicy | FactorisedPolicy, self.policy)
        weights, logp = policy.unroll(x, lambda logits: self.relax(logits, temperature, generator))
        found = cast(Decoder, self.decoder).relaxed(weights)
        reward = self.likelihood.log_density(x, found)
        kl = self.kl(logp)
        loss = -(reward - beta * kl).mean()
        mean = self.likelihood.mean(found.detach())
        metrics = {
            "reward": reward.detach().mean(),
            "mse": ((x - mean) ** 2).mean(),
            "beta": torch.tensor(beta),
            "temperature": torch.tensor(temperature),
            "kl": kl.detach().mean(),
        }
        return StepResult(loss, metrics, weights.detach().argmax(dim=-1), mean)


class GumbelFactorised(Gumbel):
    """The same with tokens that are independent given x."""

    factorised = True
