"""DAPS: Discrete Autoencoding via Policy Search (Drolet et al., ICLR 2026).

The encoder is a policy that emits codes; the decoder's log-likelihood is its return.
No gradient passes through sampling. For each observation x:

1. draw K sequences z_k from q(. | x);
2. score them, R_k = log p(x | z_k);
3. weigh them toward the closed-form target q* of the KL- and entropy-regularised
   problem, w = softmax_k((R_k - beta log q_k) / (eta + beta));
4. encoder loss -sum_k w_k log q_k, decoder loss -mean_k R_k;
5. eta, the trust region, is learned so that the effective sample size
   1 / sum_k w_k^2 meets its target share of K.

A baseline of R would cancel in the softmax, so there is none.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from motiontok.config import Config
from motiontok.errors import ConfigError
from motiontok.methods.base import StepResult
from motiontok.methods.gradient_accumulation import loss_in_chunks
from motiontok.methods.networks import Networks
from motiontok.methods.policy_autoencoder import PolicyAutoencoder
from motiontok.models import AutoregressivePolicy
from motiontok.models.activation_cache import LinearFn

__all__ = [
    "Daps",
    "effective_sample_size",
    "importance_weights",
    "require_samples",
    "solve_log_eta",
]


def require_samples(config: Config) -> None:
    """Refuse a single sample, which says nothing.

    Raises:
        ConfigError: there are fewer than 2 samples.
    """
    if config.method.samples < 2:
        raise ConfigError(
            f"method.samples must be at least 2 for {config.method.name}, which weighs a window's "
            f"samples against each other; got {config.method.samples}"
        )


def importance_weights(reward: Tensor, logq: Tensor, *, eta: Tensor | float, beta: float) -> Tensor:
    """Self-normalised weights ``(batch, samples)`` of samples from q toward q*.

    w = softmax_k((R_k - beta log q_k) / (eta + beta)): the paper's
    q* proportional to exp((A + eta log q) / (eta + beta)), divided by q.

    Args:
        reward: ``(batch, samples)``, log p(x | z_k).
        logq: ``(batch, samples)``, log q(z_k | x).
        eta: trust region, positive.
        beta: entropy weight, non-negative.
    """
    return torch.softmax((reward - beta * logq) / (eta + beta), dim=-1)


def effective_sample_size(weights: Tensor) -> Tensor:
    """1 / sum_k w_k^2, ``(...)`` of self-normalised weights ``(..., samples)``."""
    return 1.0 / weights.square().sum(dim=-1)


class Daps(PolicyAutoencoder):
    """The paper's method."""

    in_teams = True

    def __init__(self, config: Config, networks: Networks) -> None:
        require_samples(config)
        super().__init__(config, networks)
        self.log_eta = nn.Parameter(torch.tensor(math.log(config.method.eta_start)))

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        method = self.config.method
        beta = self.beta(progress)
        recall = self.recall(x)
        codes = self.draw(x, method.samples, generator, recall)
        noise = self._prepare_step(x, codes, beta, generator)

        def part(rows: slice) -> tuple[Tensor, tuple[Tensor, ...]]:
            product = None if recall is None else recall.product(rows)
            return self._part(x[rows], codes[rows], beta, noise[rows], product)

        total, (logq, reward, mean, kl) = loss_in_chunks(
            part, self.shared_parameters(), batch=len(x), size=self.chunk(codes)
        )
        logq = logq.detach()
        with torch.no_grad():
            weights = importance_weights(reward, logq, eta=self.log_eta.exp(), beta=beta)
            policy_loss = -(weights * logq).sum(dim=-1).mean()
            error = ((x - mean) ** 2).mean()
        # The same weights once more, as a function of eta alone.
        by_eta = importance_weights(reward, logq, eta=self.log_eta.exp(), beta=beta)
        ess = self.group.mean(effective_sample_size(by_eta).mean())
        eta_loss = (ess - method.samples * method.ess_target) ** 2
        metrics = {
            "policy_loss": policy_loss,
            "reward": reward.mean(),
            "mse": error,
            "ess": ess.detach() / method.samples,
            "eta": self.log_eta.detach().exp(),
            "beta": torch.tensor(beta),
            "kl": kl.mean(),
        }
        return StepResult(total / len(x) + eta_loss, metrics, codes[:, 0], mean)

    def _part(
        self, x: Tensor, codes: Tensor, beta: float, noise: Tensor, product: LinearFn | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Loss of the networks, summed over observations, and values for the rest of a step.

        Returns:
            The loss; log q and rewards ``(batch, samples)``, the mean of one sample
            ``(batch, *shape)`` and the KL of one ``(batch,)``.
        """
        logq, logp = self.log_q(x, codes, product)
        reward, mean, decoder_loss = self._decoder_loss(x, codes, logq.detach(), beta, noise)
        eta = self.log_eta.detach().exp()
        weights = importance_weights(reward, logq.detach(), eta=eta, beta=beta)
        loss = decoder_loss - (weights * logq).sum()
        return loss, (logq, reward, mean.detach(), self.kl(logp[:, 0].detach()))

    def log_q(self, x: Tensor, codes: Tensor, product: LinearFn | None) -> tuple[Tensor, Tensor]:
        """log q ``(batch, samples)`` of drawn codes, and log q of every possible token."""
        if product is not None:
            return cast(AutoregressivePolicy, self.policy).log_q(x, codes, product)
        logp = self.policy.log_probabilities(x, codes)
        return logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1), logp

    def _prepare_step(
        self, x: Tensor, codes: Tensor, beta: float, generator: torch.Generator
    ) -> Tensor:
        """Before the gradients of a step: random numbers ``(batch, ...)`` of its decoder."""
        return x

    def _decoder_loss(
        self, x: Tensor, codes: Tensor, logq: Tensor, beta: float, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rewards ``(batch, samples)``, the mean of one sample, and the loss, summed over x."""
        reward, mean = self.reward(x, codes)
        return reward.detach(), mean[:, 0], -reward.mean(dim=1).sum()

    @override
    def parameter_groups(self) -> list[dict[str, Any]]:
        eta = {"params": [self.log_eta], "weight_decay": 0.0, "clip": False, "lr": 1e-3}
        return [*super().parameter_groups(), eta]

    @override
    def shared_parameters(self) -> list[nn.Parameter]:
        return [p for p in super().shared_parameters() if p is not self.log_eta]


def solve_log_eta(reward: Tensor, logq: Tensor, *, beta: float, ess_target: float) -> float:
    """log eta at which the mean effective sample size is ``ess_target`` times K.

    The effective sample size grows with eta, so bisection finds it, within e^-9 to e^16.

    Args:
        reward, logq: ``(batch, samples)``.
        beta: entropy weight.
        ess_target: share of K, in (0, 1].
    """
    low, high = -9.0, 16.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        weights = importance_weights(reward, logq, eta=math.exp(middle), beta=beta)
        share = float(effective_sample_size(weights).mean()) / reward.shape[1]
        low, high = (low, middle) if share > ess_target else (middle, high)
    return 0.5 * (low + high)
