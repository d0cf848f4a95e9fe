"""PPO on whole sequences with a learned critic and an adaptive KL penalty."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from motiontok.config import Config
from motiontok.methods.base import StepResult
from motiontok.methods.networks import Networks
from motiontok.methods.policy_autoencoder import PolicyAutoencoder

__all__ = ["Critic", "Ppo", "adapt_penalty", "clipped_objective"]

_CLIP = 0.2
_PENALTY_START = 10.0
_MOST_PENALTY = 1e3


def clipped_objective(ratio: Tensor, advantage: Tensor, *, clip: float = _CLIP) -> Tensor:
    """min(r A, clip(r, 1 - clip, 1 + clip) A), Schulman et al. 2017, eq. 7."""
    return torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)


def adapt_penalty(penalty: Tensor, kl: Tensor, *, target: float, least: float) -> Tensor:
    """The KL penalty's weight: doubled above 1.5 times the target KL, halved below a 1.5th."""
    penalty = torch.where(kl > 1.5 * target, 2.0 * penalty, penalty)
    penalty = torch.where(kl < target / 1.5, 0.5 * penalty, penalty)
    return penalty.clamp(least, _MOST_PENALTY)


class Critic(nn.Module):
    """Expected log p(x | z) per dimension ``(batch,)`` of observations, one encoder layer."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        codes = networks.config.model.codes_per_window
        self.encoder = networks.encoder(codes, outputs=1, layers=1)

    def forward(self, x: Tensor) -> Tensor:
        """Expected reward ``(batch,)`` of ``x (batch, *shape)``, nats a dimension."""
        return self.encoder(x)[..., 0].mean(dim=1)


class Ppo(PolicyAutoencoder):
    """One sequence for each x from the policy before the last update, one clipped update.

    The paper's setting: sequence-level ratio, no normalisation of advantages, loss
    -mean(min(r A, clip(r) A)) + c KL(old || new) + beta KL(new || uniform), A = R minus
    the critic. c starts at 10 and adapts to a KL target. The critic works per dimension, and
    shares learning rate and clipping with the rest: at the paper's 1e-4 it lags behind in short
    runs, so that all advantages have one sign.

    Attributes:
        penalty: c.
        kl_target: of an update, nats: 0.05 on MNIST, else 0.025.
        least_penalty: of c: 1e-3 on images, 1/16 on motion.
    """

    penalty: Tensor

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        self.old_policy = copy.deepcopy(self.policy).requires_grad_(False)
        self.critic = Critic(networks)
        self.register_buffer("penalty", torch.tensor(_PENALTY_START))
        self.kl_target = 0.05 if config.data.dataset == "mnist" else 0.025
        self.least_penalty = 1e-3 if config.data.is_images else 1.0 / 16.0

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        beta = self.beta(progress)
        dimensions = math.prod(self.shape)
        with torch.no_grad():
            codes, _ = self.old_policy.sample(x, 1, generator=generator)
            old = self.old_policy.log_probabilities(x, codes)
        new = self.policy.log_probabilities(x, codes)
        index = codes[..., None]
        change = (new - old).gather(-1, index)[:, 0, :, 0].sum(dim=-1)
        reward, mean = self.reward(x, codes)
        reward, mean = reward[:, 0], mean[:, 0].detach()
        value = self.critic(x)
        advantage = reward.detach() - dimensions * value.detach()
        objective = clipped_objective(change.exp(), advantage)
        step_kl = (old.exp() * (old - new)).sum(dim=(-1, -2)).mean()
        kl = self.kl(new[:, 0]).mean()
        # A copy: the gradient needs this step's, which is about to change.
        policy_loss = -objective.mean() + self.penalty.clone() * step_kl + beta * kl
        critic_loss = ((reward.detach() / dimensions - value) ** 2).mean()
        with torch.no_grad():
            self.penalty.copy_(
                adapt_penalty(
                    self.penalty, step_kl, target=self.kl_target, least=self.least_penalty
                )
            )
            # From here on "old" is the policy before the update that follows this step.
            self.old_policy.load_state_dict(self.policy.state_dict())
        metrics = {
            "policy_loss": policy_loss.detach(),
            "reward": reward.detach().mean(),
            "mse": ((x - mean) ** 2).mean(),
            "beta": torch.tensor(beta),
            "kl": kl.detach(),
        }
        loss = policy_loss + critic_loss - reward.mean()
        return StepResult(loss, metrics, codes[:, 0], mean)
