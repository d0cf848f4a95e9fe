"""DAPS that starts from a fitted quantiser, not from noise."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from motiontok.config import Config
from motiontok.methods.base import StepResult
from motiontok.methods.daps.daps import Daps, importance_weights, solve_log_eta
from motiontok.methods.networks import Networks
from motiontok.models.sampling import draw_tokens

__all__ = ["FittedStartDaps"]


class FittedStartDaps(Daps):
    """DAPS whose policy and decoder equal a fitted quantiser at step 0.

    Three more departures from the plain method, for runs of minutes instead of days:

    - for the first ``decoder_first`` of the run only the decoder learns, on codes of the
      starting policy, which is known in closed form and needs no autoregression;
    - eta is solved for the ESS target when the policy begins to learn; from 100 it would take
      thousands of steps;
    - the decoder learns from one sequence an observation, drawn by the weights w, instead
      of all K unweighted: better sequences, and a K-th of the gradient work.
    """

    started: Tensor

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self._begun = False

    @abstractmethod
    def _draw_start(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Codes ``(batch, codes)`` from the policy in its initial state."""

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        if progress < self.config.method.decoder_first:
            return self._decoder_step(x, progress, generator)
        return super().training_step(x, progress, generator)

    def _decoder_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        with torch.no_grad():
            codes = self._draw_start(x, generator)
        reward, mean = self.reward(x, codes[:, None])
        metrics = {
            "reward": reward.detach().mean(),
            "mse": ((x - mean.detach()[:, 0]) ** 2).mean(),
            "beta": torch.tensor(self.beta(progress)),
        }
        return StepResult(-reward.mean(), metrics, codes, mean.detach()[:, 0])

    def _prepare_step(
        self, x: Tensor, codes: Tensor, beta: float, generator: torch.Generator
    ) -> Tensor:
        # Asked of the device once, not at every step.
        if not self._begun and not self.started:
            self._start(x, codes, beta)
        self._begun = True
        return self.group.noise(len(x), like=x, generator=generator)

    @torch.no_grad()
    def _start(self, x: Tensor, codes: Tensor, beta: float) -> None:
        parts = [
            (self.log_p(a, z)[0], self.log_q(a, z, None)[0])
            for a, z in zip(x.split(self.chunk(codes)), codes.split(self.chunk(codes)), strict=True)
        ]
        reward, logq = (self.group.all_gather(torch.cat(p)) for p in zip(*parts, strict=True))
        target = self.config.method.ess_target
        self.log_eta.fill_(solve_log_eta(reward, logq, beta=beta, ess_target=target))
        self.started.fill_(True)

    def _decoder_loss(
        self, x: Tensor, codes: Tensor, logq: Tensor, beta: float, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            reward, _ = self.log_p(x, codes)
            weights = importance_weights(reward, logq, eta=self.log_eta.exp(), beta=beta)
            drawn = draw_tokens(weights.log(), noise=noise)
        chosen = codes[torch.arange(len(x), device=x.device), drawn]
        score, mean = self.reward(x, chosen[:, None])
        return reward, mean[:, 0], -score.sum()
