"""Choosing codes: temperature, top-k, top-p, classifier-free guidance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motiontok.errors import InputError
from motiontok.prior.model import Conditions, PriorModel

__all__ = ["SamplingOptions", "choose", "filter_logits", "write_window"]


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How codes are drawn.

    Attributes:
        temperature: divides the logits; 0 takes the most likely code.
        top_k: only the k most likely codes; 0 for all.
        top_p: only the most likely codes that together have this probability (Holtzman
            et al. 2020, nucleus sampling); 1 for all.
        guidance: classifier-free guidance (Ho and Salimans 2022): logits are
            ``free + guidance * (conditioned - free)``. 1 follows the conditions as in
            training, more follows them more closely, 0 ignores them.

    Raises:
        InputError: a value outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < float("inf"):
            raise InputError(f"temperature must be 0 or positive, got {self.temperature}")
        if self.top_k < 0:
            raise InputError(f"top-k must be 0 (all) or positive, got {self.top_k}")
        if not 0.0 < self.top_p <= 1.0:
            raise InputError(f"top-p must be above 0 and at most 1, got {self.top_p}")
        if not 0.0 <= self.guidance < float("inf"):
            raise InputError(f"guidance must be 0 or positive, got {self.guidance}")


def filter_logits(logits: Tensor, *, top_k: int, top_p: float) -> Tensor:
    """Logits ``(..., vocab)`` with those of unlikely codes at minus infinity."""
    if 0 < top_k < logits.shape[-1]:
        least = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p < 1.0:
        ordered, index = logits.sort(dim=-1, descending=True)
        before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
        dropped = torch.zeros_like(before, dtype=torch.bool).scatter(-1, index, before >= top_p)
        logits = logits.masked_fill(dropped, -torch.inf)
    return logits


def choose(logits: Tensor, options: SamplingOptions, generator: torch.Generator | None) -> Tensor:
    """Codes ``(rows,)`` drawn from logits ``(rows, vocab)``."""
    if options.temperature == 0.0:
        return logits.argmax(dim=-1)
    logits = filter_logits(logits / options.temperature, top_k=options.top_k, top_p=options.top_p)
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)[:, 0]


@torch.no_grad()
def write_window(
    model: PriorModel,
    past: Tensor,
    conditions: Conditions,
    *,
    samples: int,
    options: SamplingOptions,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Draw the window after ``past``, of codes that training windows have.

    Args:
        model: the prior's network.
        past: ``(batch, windows, codes)``, fewer than its context.
        conditions: of those windows and the one to draw.
        samples: draws for each past.
        options: how to draw.
        generator: source of randomness, on the model's device.

    Returns:
        Codes ``(batch, samples, codes)`` and their log-probability ``(batch, samples)``,
        nats, under the conditions and at temperature 1.
    """
    batch = len(past)
    guided = options.guidance != 1.0
    if guided:
        free = Conditions.none(batch, past.shape[1] + 1, past.device)
        writer = model.begin_window(past.repeat(2, 1, 1), conditions.join(free), samples)
    else:
        writer = model.begin_window(past, conditions, samples)
    rows = batch * samples
    total = torch.zeros(rows, device=past.device)
    codes = []
    for position in range(model.config.codes_per_window):
        logits = writer.logits()
        own = logits[:rows]
        mixed = own
        if guided:
            mixed = logits[rows:] + options.guidance * (own - logits[rows:])
        # Guidance extrapolates logits, most of all those of codes that nothing was learnt of.
        mixed = mixed.masked_fill(~model.known[position], -torch.inf)
        code = choose(mixed, options, generator)
        total += own.log_softmax(dim=-1).gather(-1, code[:, None])[:, 0]
        writer.push(code.repeat(2) if guided else code)
        codes.append(code)
    drawn = torch.stack(codes, dim=1)
    return drawn.unflatten(0, (batch, samples)), total.unflatten(0, (batch, samples))
