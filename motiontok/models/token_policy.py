"""A policy over the tokens of a residual quantiser, and the search for its best sequences.

Its logits are scaled negative distances between the residual and the codewords, plus the prior's
log-probabilities. Without the prior its likeliest sequence is the quantiser's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.models.sampling import cheapest, draw_tokens
from motiontok.models.token_rates import TokenRates

__all__ = ["TokenPolicy"]

_TEMPERATURE = 0.3
_MEMORY = 0.99
# Of the mean square of shapes: less is rounding, and nothing with a codeword for every window.
_LEAST_LEFT = 1e-5


class TokenPolicy(nn.Module):
    """q(z | x) of a window's tokens after its size.

    A unit of squared distance counts as half the number of components over the usual mean square of
    the final residual, in nats, as if the residual were white noise. One nat of the prior then
    counts as much as it lowers the error at the slope of the rate-distortion curve, D ~ exp(-2 R /
    n).

    Args:
        rates: the prior over the tokens of a quantiser.

    Attributes:
        left: mean square that all tokens leave, in units of the size.
        log_temperature: of the logits.
    """

    left: Tensor

    def __init__(self, rates: TokenRates) -> None:
        super().__init__()
        self.rates = rates
        self.register_buffer("left", torch.ones(()))
        self.log_temperature = nn.Parameter(torch.tensor(_TEMPERATURE).log())

    @property
    def quantizer(self) -> ResidualQuantizer:
        """The quantiser of the tokens."""
        return self.rates.quantizer

    @property
    def nats(self) -> Tensor:
        """Nats of a unit of squared distance."""
        deviation = self.quantizer.deviation
        least = _LEAST_LEFT * deviation.square().sum()
        return 0.5 * len(deviation) / self.left.maximum(least)

    @torch.no_grad()
    def watch(self, left: Tensor) -> None:
        """Keep the running mean of ``left (batch, kept)`` of shapes."""
        self.left.lerp_(left.square().sum(dim=-1).mean(), 1.0 - _MEMORY)

    @torch.no_grad()
    def search(
        self,
        shape: Tensor,
        level: Tensor,
        past: tuple[Tensor, Tensor],
        *,
        rate_weight: float,
        beam: int,
    ) -> Tensor:
        """Codes ``(batch, codes)`` with the least sum of distance and nats.

        Args:
            shape: ``(batch, kept)``.
            level: ``(batch,)``, first token.
            past: shape and first token of the window before, see :class:`TokenRates`.
            rate_weight: weight of a nat, 1 at the slope of the curve.
            beam: candidates kept from token to token.
        """
        quantizer, rates = self.quantizer, self.rates
        state = rates.begin(level, *past)[:, None]
        left = shape[:, None]
        spent = left.new_zeros(len(shape), 1)
        codes = torch.zeros(len(shape), 1, 0, dtype=torch.long, device=shape.device)
        rows = torch.arange(len(shape), device=shape.device)[:, None]
        for token in range(1, quantizer.codes):
            logp = rates.log_probabilities(state, token)
            cost = quantizer.distances(left, token) * self.nats - rate_weight * logp
            spent, old, new = cheapest(spent[..., None] + cost, beam)
            left = quantizer.subtract(left[rows, old], token, new)
            state = rates.advance(state[rows, old], token, new)
            codes = torch.cat([codes[rows, old], new[..., None]], dim=-1)
        return torch.cat([level[:, None], codes[:, 0]], dim=1)

    @torch.no_grad()
    def draw(
        self,
        shape: Tensor,
        level: Tensor,
        past: tuple[Tensor, Tensor],
        *,
        rate_weight: float,
        noise: Tensor,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw sequences.

        Args:
            shape, level, past, rate_weight: see :meth:`search`.
            noise: ``(batch, codes - 1, samples)``, numbers of [0, 1) to draw with.
            temperature: of what is drawn, in units of the policy's own.

        Returns:
            Codes ``(batch, samples, codes)``, and their log-probabilities ``(batch, samples)``
            under the policy and under the prior. Where its weight is 0 the prior is not asked,
            and the last are 0.
        """
        quantizer, rates = self.quantizer, self.rates
        samples = noise.shape[2]
        state = rates.begin(level, *past)[:, None].expand(-1, samples, -1)
        left = shape[:, None].expand(-1, samples, -1)
        usual = temperature * self.log_temperature.exp()
        out, logq = [], left.new_zeros(left.shape[:2])
        prior = torch.zeros_like(logq)
        for token in range(1, quantizer.codes):
            logits = -self.nats * quantizer.distances(left, token)
            if rate_weight:
                rate = rates.log_probabilities(state, token)
                logits = logits + rate_weight * rate
            logp = F.log_softmax(logits / usual, dim=-1)
            new = draw_tokens(logp, noise=noise[:, token - 1])
            logq = logq + logp.gather(-1, new[..., None])[..., 0]
            left = quantizer.subtract(left, token, new)
            if rate_weight:
                prior = prior + rate.gather(-1, new[..., None])[..., 0]
                state = rates.advance(state, token, new)
            out.append(new)
        first = level[:, None].expand(-1, samples)
        return torch.stack([first, *out], dim=-1), logq, prior

    def log_q(
        self, shape: Tensor, codes: Tensor, past: tuple[Tensor, Tensor], *, rate_weight: float
    ) -> Tensor:
        """log q ``(batch, codes - 1)`` of the tokens after the first of ``codes (batch, codes)``.

        It is differentiable in the shape and in the temperature.
        """
        quantizer = self.quantizer
        part = quantizer.seen(shape, codes)
        # Codewords move before the slopes are asked for.
        every = quantizer.words.clone()
        squares = every.square().sum(dim=-1)
        distance = squares - 2.0 * torch.einsum("bts,tvs->btv", part, every)
        logits = -self.nats * distance
        if rate_weight:
            with torch.no_grad():
                prior = self.rates.along(codes, *past)
            logits = logits + rate_weight * prior
        logits = (logits / self.log_temperature.exp()).flatten(0, 1)
        nats = F.cross_entropy(logits, codes[:, 1:].flatten(), reduction="none")
        return -nats.view(len(codes), -1)
