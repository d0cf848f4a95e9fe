"""REINFORCE with a leave-one-out baseline."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from motiontok.config import Config
from motiontok.errors import ConfigError
from motiontok.methods.base import StepResult
from motiontok.methods.networks import Networks
from motiontok.methods.policy_autoencoder import PolicyAutoencoder

__all__ = ["Reinforce", "leave_one_out"]


def leave_one_out(returns: Tensor) -> Tensor:
    """Returns ``(batch, samples)`` minus the mean of the window's other samples.

    Kool et al. 2019, "Buy 4 REINFORCE Samples, Get a Baseline for Free!": independent of
    the sample it is taken from, so the gradient stays unbiased.
    """
    others = (returns.sum(dim=1, keepdim=True) - returns) / (returns.shape[1] - 1)
    return returns - others


class Reinforce(PolicyAutoencoder):
    """The unbiased score-function gradient of E_q[R - beta KL(q || uniform)].

    The return of a sequence is R - beta log q, whose expectation is that objective up to
    a constant; the gradient of log q itself vanishes in expectation.
    """

    in_teams = True

    def __init__(self, config: Config, networks: Networks) -> None:
        if config.method.samples < 2:
            raise ConfigError(
                "method.samples must be at least 2 for reinforce, whose baseline is the mean of "
                f"a window's other samples; got {config.method.samples}"
            )
        super().__init__(config, networks)

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        beta = self.beta(progress)
        codes = self.draw(x, self.config.method.samples, generator)
        logp = self.policy.log_probabilities(x, codes)
        logq = logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)
        reward, mean = self.reward(x, codes)
        advantage = leave_one_out((reward - beta * logq).detach())
        policy_loss = -(advantage * logq).mean()
        mean = mean.detach()
        metrics = {
            "policy_loss": policy_loss.detach(),
            "reward": reward.detach().mean(),
            "mse": ((x[:, None] - mean) ** 2).mean(),
            "beta": torch.tensor(beta),
            "kl": self.kl(logp.detach()).mean(),
        }
        return StepResult(policy_loss - reward.mean(), metrics, codes[:, 0], mean[:, 0])
