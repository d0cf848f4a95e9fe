"""How codes are drawn: temperature, top-k, top-p, guidance, commands."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motiontok.errors import InputError

__all__ = ["SamplingOptions", "choose", "filter_logits", "require_whole"]


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How codes are drawn.

    Attributes:
        temperature: divides the logits; 0 takes the most likely code.
        top_k: only the k most likely codes; 0 for all.
        top_p: only the most likely codes that together have this probability (Holtzman
            et al. 2020, nucleus sampling); 1 for all.
        guidance: classifier-free guidance (Ho and Salimans 2022): logits are ``free + guidance *
            (conditioned - free)``. 1 follows the conditions as in training, more follows them more
            closely, 0 ignores them. By default only labels are guided
            (:mod:`motiontok.prior.guidance`).
        tolerance: standard deviation (m/s and rad/s) allowed for the mean velocity and yaw rate of
            a window (:mod:`motiontok.prior.command_steering`); with infinity, and for tokenizers
            other than lopq and temporal, only the network follows commands.
        plant: choose drawn codes of temporal tokenizers anew, so that feet slide less and commands
            are met (:mod:`motiontok.prior.planting`).

    Raises:
        InputError: a value outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.95
    guidance: float | None = None
    tolerance: float = 0.1
    plant: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < float("inf"):
            raise InputError(f"temperature must be 0 or positive, got {self.temperature}")
        if self.top_k < 0:
            raise InputError(f"top-k must be 0 (all) or positive, got {self.top_k}")
        if not 0.0 < self.top_p <= 1.0:
            raise InputError(f"top-p must be above 0 and at most 1, got {self.top_p}")
        if self.guidance is not None and not 0.0 <= self.guidance < float("inf"):
            raise InputError(f"guidance must be 0 or positive, got {self.guidance}")
        if not self.tolerance > 0.0:
            raise InputError(f"tolerance must be positive, got {self.tolerance}")


def filter_logits(logits: Tensor, *, top_k: int, top_p: float) -> Tensor:
    """Logits ``(..., vocab)``, with unlikely codes at minus infinity."""
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


def require_whole(commands: Tensor) -> None:
    """Refuse incomplete commands ``(..., 3)``, which the network alone cannot read.

    Raises:
        InputError: a yaw rate without a velocity.
    """
    given = commands.isfinite()
    if bool((given.any(dim=-1) & ~given.all(dim=-1)).any()):
        raise InputError(
            "a yaw rate without a velocity needs a finite tolerance and a prior of a lopq or "
            "temporal tokenizer; give a velocity too"
        )
