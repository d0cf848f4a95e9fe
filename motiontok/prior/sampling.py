"""Drawing codes: temperature, top-k, top-p, guidance, commands."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from motiontok.errors import InputError
from motiontok.prior.command_guidance import CommandGuidance
from motiontok.prior.model import Conditions, PriorModel
from motiontok.prior.window_writer import WindowWriter

__all__ = ["PartialRollout", "SamplingOptions", "choose", "filter_logits"]


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
            closely, 0 ignores them.
        tolerance: standard deviation (m/s and rad/s) allowed for the mean velocity and yaw rate of
            a window (:mod:`motiontok.prior.command_guidance`); with infinity, and for tokenizers
            other than lopq and temporal, only the network follows commands.
        plant: choose drawn codes of temporal tokenizers anew, so that feet slide less and commands
            are met (:mod:`motiontok.prior.planting`).

    Raises:
        InputError: a value outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.95
    guidance: float = 1.0
    tolerance: float = 0.1
    plant: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < float("inf"):
            raise InputError(f"temperature must be 0 or positive, got {self.temperature}")
        if self.top_k < 0:
            raise InputError(f"top-k must be 0 (all) or positive, got {self.top_k}")
        if not 0.0 < self.top_p <= 1.0:
            raise InputError(f"top-p must be above 0 and at most 1, got {self.top_p}")
        if not 0.0 <= self.guidance < float("inf"):
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
            "a yaw rate without a velocity is held by tolerance alone, which needs a prior of a "
            "lopq or temporal tokenizer and a finite tolerance: give a velocity too"
        )


class PartialRollout:
    """Windows being drawn, from codes that occur in training windows.

    Codes go from coarse to fine. So many windows can be begun and judged by their first codes, and
    only the good ones finished.

    Args:
        model: the prior's network.
        past: ``(batch, windows, codes)``, fewer windows than its context, with all their codes.
        conditions: of those windows and the one to draw.
        samples: draws for each past.
        options: how to draw.
        generator: source of randomness, on the model's device.

    Attributes:
        codes: ``(rows, written)``, first all samples of the first past.
        logp: ``(rows,)`` log-probability, nats, of the codes that the model draws, under the
            conditions and at temperature 1.
    """

    def __init__(
        self,
        model: PriorModel,
        past: Tensor,
        conditions: Conditions,
        *,
        samples: int,
        options: SamplingOptions,
        generator: torch.Generator | None,
    ) -> None:
        self._model, self._options, self._generator = model, options, generator
        self._guided = options.guidance != 1.0
        self._steering: CommandGuidance | None = None
        asked = conditions.commands[:, -1]
        if model.local is not None and options.tolerance < float("inf"):
            each = asked.repeat_interleave(samples, dim=0)
            self._steering = CommandGuidance(model, each, tolerance=options.tolerance)
        else:
            require_whole(asked)
        batch = len(past)
        rows = torch.arange(batch, device=past.device).repeat_interleave(samples)
        if self._guided:
            free = Conditions.none(batch, past.shape[1] + 1, past.device)
            past, conditions = past.repeat(2, 1, 1), conditions.join(free)
        drawn = model.config.codes_per_window
        self._before = past[:batch, -1][rows] if past.shape[1] else None
        self._writer = WindowWriter(model, past[..., :drawn], conditions)
        self._writer.take(self._both(rows, batch))
        self.codes = past.new_empty(len(rows), 0)
        self.logp = torch.zeros(len(rows), device=past.device)

    def _both(self, rows: Tensor, batch: int) -> Tensor:
        """Rows of the writer; with guidance each is there twice, with and without conditions."""
        return torch.cat([rows, rows + batch]) if self._guided else rows

    @torch.no_grad()
    def write(self, until: int, *, temperature_scale: float = 1.0) -> None:
        """Draw codes until each window has so many.

        Those that the model has no say in are the likeliest.

        Args:
            until: codes a window.
            temperature_scale: factor of the temperature.
        """
        options = replace(self._options, temperature=temperature_scale * self._options.temperature)
        model = self._model
        drawn = model.config.codes_per_window
        for position in range(self.codes.shape[1], min(until, drawn)):
            logits = self._writer.logits()
            own = logits[: len(self.codes)]
            mixed = own
            if self._guided:
                free = logits[len(own) :]
                mixed = free + options.guidance * (own - free)
            if self._steering is not None:
                mixed = mixed + self._steering.scores(position)
            # Guidance extrapolates logits, most of all those of codes nothing was learnt of.
            mixed = mixed.masked_fill(~model.known[position], -torch.inf)
            code = choose(mixed, options, self._generator)
            self.logp = self.logp + own.log_softmax(dim=-1).gather(-1, code[:, None])[:, 0]
            self._writer.push(code.repeat(2) if self._guided else code)
            if self._steering is not None:
                self._steering.push(position, code)
            self.codes = torch.cat([self.codes, code[:, None]], dim=1)
        if until > self.codes.shape[1]:
            self.codes = model.whole(self.codes, self._before)[:, :until]

    def take(self, rows: Tensor) -> None:
        """Continue with these rows only, ``(kept,)``."""
        self._writer.take(self._both(rows, len(self.codes)))
        if self._steering is not None:
            self._steering.take(rows)
        if self._before is not None:
            self._before = self._before[rows]
        self.codes, self.logp = self.codes[rows], self.logp[rows]
