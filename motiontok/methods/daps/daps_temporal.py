"""DAPS over the residual tokens of the temporal autoencoder, with a learned prior in the loop.

The objective is the paper's, with a learned prior in place of the uniform one: for each window,
reward plus beta (log prior - log policy). The policy starts as the fitted quantiser
(:class:`~motiontok.models.token_policy.TokenPolicy`), so that its greedy codes are the quantiser's.
A step

1. draws K sequences a window from the policy, at the latents that analysis by synthesis finds for
   it: draws are near the best codes, wherever the encoder is;
2. scores them, R = -(n / 2) log(error) for n components: the log-likelihood of a normal density
   whose variance is free in each window;
3. weighs them toward the closed-form target, w = softmax_k((R + beta (log p - log q)) /
   (eta + beta)), with eta by effective sample size;
4. draws one of them by its weight. Decoder, codewords, prior and policy learn from it
   (sampling-importance resampling: the expectation of weighted sequences at the cost of one), and
   the encoder by the straight-through estimator and by log q at its own latents. So it learns what
   the search found, as in expert iteration (Anthony et al., NeurIPS 2017).

Scores are local: a frame depends on the codes of its own window and, within the decoder's reach, on
those beside it. To first order the error of a stretch is a sum over windows, the target factorises,
and each window's weights need its own term only. If the sum over all windows were the only score,
the draws of other windows would be noise in every weight.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from motiontok.config import Config
from motiontok.methods.base import DiscreteAutoencoder, Draw, StepResult
from motiontok.methods.daps.daps import (
    effective_sample_size,
    importance_weights,
    require_samples,
)
from motiontok.methods.networks import Networks
from motiontok.methods.quantizers.temporal import PART, Temporal, stretches
from motiontok.models.motion_loss import POWER
from motiontok.models.sampling import draw_tokens
from motiontok.models.token_policy import TokenPolicy
from motiontok.models.token_rates import TokenRates
from motiontok.progress import ProgressCallback, silent

__all__ = ["DapsTemporal"]

_RATE_WIDTH = 256


class DapsTemporal(Temporal):
    """The temporal autoencoder, trained by straight-through codes first and then by DAPS."""

    def __init__(self, config: Config, networks: Networks) -> None:
        require_samples(config)
        super().__init__(config, networks)
        self.policy = TokenPolicy(TokenRates(self.quantizer, width=_RATE_WIDTH))
        self.log_eta = nn.Parameter(torch.tensor(math.log(config.method.eta_start)))

    @override
    def fit(
        self, draw: Draw, generator: torch.Generator, on_progress: ProgressCallback = silent
    ) -> None:
        super().fit(draw, generator, on_progress)
        self._start_policy(draw)

    @override
    def start_from(
        self, trained: DiscreteAutoencoder, draw: Draw, generator: torch.Generator
    ) -> None:
        super().start_from(trained, draw, generator)
        if not isinstance(trained, DapsTemporal):
            self._start_policy(draw)

    def _start_policy(self, draw: Draw) -> None:
        """Give the policy the quantiser's units, frequencies and residual."""
        self.policy.rates.start()
        with torch.no_grad():
            flat = self.latents_of(stretches(draw(PART)))
            _, shape = self.quantizer.split(flat)
            left = shape - self.quantizer.shapes(self.quantizer.encode(flat))
            self.policy.left.copy_(left.square().sum(dim=-1).mean())

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        if progress < self.config.method.warm_start:
            result = super().training_step(x, progress, generator)
            return self._with_rates(result, stretches(x).shape[:2], generator)
        method = self.config.method
        beta = method.beta_end
        windows = stretches(x)
        count = windows.shape[:2]
        frames = self.error.frames(windows)
        latents = self.encoder(frames)
        flat = self._by_window(latents).float()
        # Distances of codewords need more than the 16 bits of autocast.
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            found, target = self.analysed(windows, effort=self.usual_effort)
            level, shape = self.quantizer.split(target)
            past = self._past(found, count)
            noise = self.group.noise(
                len(shape),
                len(self.quantizer.words),
                method.samples,
                like=shape,
                generator=generator,
            )
            drawn, logq, logp = self.policy.draw(shape, level, past, rate_weight=beta, noise=noise)
            reward = self._rewards(drawn, frames, windows.shape)
        weights = importance_weights(reward, logq - logp, eta=self.log_eta.exp(), beta=beta)
        ess = self.group.mean(effective_sample_size(weights).mean())
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            noise = self.group.noise(len(weights), like=weights, generator=generator)
            pick = draw_tokens(weights.log(), noise=noise)
            codes = drawn[torch.arange(len(drawn), device=x.device), pick]
            quantized = self.quantizer.decode(codes, kept=self._kept(codes, generator))
        quantized = quantized.view_as(latents)
        result = self._straight_through(windows, frames, latents, quantized, codes, generator)
        with torch.autocast(x.device.type, enabled=False):
            own = self.quantizer.project(flat) / self.quantizer.levels[level, None]
            log_q = self.policy.log_q(own, codes, past, rate_weight=beta).sum(dim=1).mean()
        with torch.no_grad():
            self.policy.watch(self.group.all_gather(shape - self.quantizer.shapes(codes)))
        # What a nat buys of the error, see _rewards.
        nat = 2.0 * POWER / len(self.quantizer.deviation) * self.group.mean(result.loss.detach())
        loss = result.loss - nat * log_q + (ess - method.samples * method.ess_target).square()
        metrics = result.metrics | {
            "policy_loss": -log_q.detach(),
            "ess": ess.detach() / method.samples,
            "eta": self.log_eta.detach().exp(),
            "beta": torch.tensor(beta),
        }
        result = StepResult(loss, metrics, codes, result.reconstruction)
        result = self._with_rates(result, count, generator)
        # Last, as codewords move by it.
        with torch.autocast(x.device.type, enabled=False):
            self._move_codewords(target, codes, generator)
        return result

    def _with_rates(
        self, result: StepResult, count: torch.Size, generator: torch.Generator
    ) -> StepResult:
        """``result`` with the prior's loss on its codes added.

        A window of each stretch is enough: of all, the prior would take half of a step's time.
        """
        past = self._past(result.codes, count)
        noise = self.group.noise(count[0], like=past[0], generator=generator)
        own = torch.arange(count[0], device=noise.device) * count[1] + (noise * count[1]).long()
        codes = result.codes[own]
        nats = -self.policy.rates.of_sequences(codes, *(of[own] for of in past)).sum(dim=1).mean()
        return replace(
            result,
            loss=result.loss + nats / codes.shape[1],
            metrics=result.metrics | {"kl": nats.detach()},
        )

    @torch.no_grad()
    def _rewards(self, drawn: Tensor, frames: Tensor, shape: torch.Size) -> Tensor:
        """Rewards of each window and sample, ``(batch * windows, samples)``."""
        errors = [
            self.error(self._decoded(codes, shape[:2]), frames, length=shape[2]).flatten()
            for codes in drawn.unbind(1)
        ]
        scale = -0.5 * len(self.quantizer.deviation) / POWER
        return scale * torch.stack(errors, dim=1).log()

    def _past(self, codes: Tensor, count: torch.Size) -> tuple[Tensor, Tensor]:
        """Shape and first token of the window before each."""
        shapes = self.quantizer.shapes(codes).unflatten(0, count)
        level = codes[:, 0].unflatten(0, count)
        shapes = torch.cat([torch.zeros_like(shapes[:, :1]), shapes[:, :-1]], dim=1)
        level = torch.cat([torch.full_like(level[:, :1], -1), level[:, :-1]], dim=1)
        return shapes.flatten(0, 1), level.flatten()

    @torch.no_grad()
    @override
    def encode_sequence(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
        first: int | None = None,
        rate_weight: float = 0.0,
    ) -> Tensor:
        """Codes ``(batch, windows, codes)`` of consecutive windows, or the ``first`` of each.

        With a ``temperature`` they are drawn from the policy, token after token; what the prior
        says of the window after goes by the greedy codes of the one before.
        """
        samples = bool(temperature) and effort == 1
        whole = samples or rate_weight
        codes, flat = self.analysed(x, effort=effort, first=None if whole else first)
        if samples or rate_weight:
            level, shape = self.quantizer.split(flat)
            past = self._past(codes, x.shape[:2])
        if samples:
            shaped = len(flat), codes.shape[1] - 1, 1
            noise = torch.rand(shaped, generator=generator, device=flat.device)
            drawn, _, _ = self.policy.draw(
                shape, level, past, rate_weight=rate_weight, noise=noise, temperature=temperature
            )
            codes = drawn[:, 0]
        elif rate_weight:
            codes = self.policy.search(shape, level, past, rate_weight=rate_weight, beam=effort)
        return codes[:, :first].unflatten(0, x.shape[:2])

    @torch.no_grad()
    def code_log_probabilities(self, x: Tensor, codes: Tensor) -> Tensor:
        """As the base has it, under the policy without the prior's part.

        The size is no choice of the policy: it has 0 if it is the window's own, -inf if not.
        """
        flat, z = self.latents_of(x), codes.flatten(0, 1)
        level, shape = self.quantizer.split(flat)
        past = self._past(z, codes.shape[:2])
        first = torch.where(z[:, 0] == level, 0.0, -torch.inf)
        rest = self.policy.log_q(shape, z, past, rate_weight=0.0)
        return torch.cat([first[:, None], rest], dim=1).view(codes.shape)

    @torch.no_grad()
    def finish(self, codes: Tensor, before: Tensor | None = None) -> Tensor:
        """Whole windows ``(batch, codes)``, of which the first codes are given.

        Args:
            codes: ``(batch, n)``, the first of each window; the others are the likeliest under
                the prior.
            before: ``(batch, codes)``, the window before each, if there is one.
        """
        if before is None:
            past = self.quantizer.deviation.new_zeros(len(codes), len(self.quantizer.deviation))
            return self.policy.rates.likeliest(codes, past, torch.full_like(codes[:, 0], -1))
        return self.policy.rates.likeliest(codes, self.quantizer.shapes(before), before[:, 0])

    @torch.no_grad()
    def nats(self, codes: Tensor) -> Tensor:
        """Nats of each token under the prior, ``(batch, windows, codes)``."""
        past = self._past(codes.flatten(0, 1), codes.shape[:2])
        return -self.policy.rates.of_sequences(codes.flatten(0, 1), *past).view(codes.shape)

    @override
    def parameter_groups(self) -> list[dict[str, Any]]:
        eta = {"params": [self.log_eta], "weight_decay": 0.0, "clip": False, "lr": 1e-2}
        return [*super().parameter_groups(), eta]

    @override
    def shared_parameters(self) -> list[nn.Parameter]:
        return [p for p in super().shared_parameters() if p is not self.log_eta]
