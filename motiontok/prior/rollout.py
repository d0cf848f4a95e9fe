"""Windows being drawn, code after code: begun, judged by their first codes, finished or dropped."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from motiontok.prior.command_steering import CommandSteering
from motiontok.prior.guidance import Guidance
from motiontok.prior.model import Conditions, PriorModel
from motiontok.prior.sampling import SamplingOptions, choose, require_whole
from motiontok.prior.window_writer import WindowWriter

__all__ = ["PartialRollout"]


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
        self._guidance = Guidance(conditions, options)
        self._steering: CommandSteering | None = None
        asked = conditions.commands[:, -1]
        if model.local is not None and options.tolerance < float("inf"):
            each = asked.repeat_interleave(samples, dim=0)
            self._steering = CommandSteering(model, each, tolerance=options.tolerance)
        else:
            require_whole(asked)
        batch = len(past)
        rows = torch.arange(batch, device=past.device).repeat_interleave(samples)
        self._before = past[:, -1][rows] if past.shape[1] else None
        seen, conditions = self._guidance.inputs(past[..., : model.config.codes_per_window])
        self._writer = WindowWriter(model, seen, conditions)
        self._writer.take(self._guidance.rows(rows, batch))
        self.codes = past.new_empty(len(rows), 0)
        self.logp = torch.zeros(len(rows), device=past.device)

    @torch.no_grad()
    def write(self, until: int, *, temperature_scale: float = 1.0) -> None:
        """Draw codes until each window has so many.

        Codes that the model does not draw are the tokenizer's likeliest.

        Args:
            until: codes a window.
            temperature_scale: factor of the temperature.
        """
        options = replace(self._options, temperature=temperature_scale * self._options.temperature)
        model = self._model
        drawn = model.config.codes_per_window
        for position in range(self.codes.shape[1], min(until, drawn)):
            own, mixed = self._guidance.mix(self._writer.logits())
            if self._steering is not None:
                mixed = mixed + self._steering.scores(position)
            # Guidance extrapolates logits, most of all those of codes that training windows lack.
            mixed = mixed.masked_fill(~model.known[position], -torch.inf)
            code = choose(mixed, options, self._generator)
            self.logp = self.logp + own.log_softmax(dim=-1).gather(-1, code[:, None])[:, 0]
            self._writer.push(self._guidance.codes(code))
            if self._steering is not None:
                self._steering.push(position, code)
            self.codes = torch.cat([self.codes, code[:, None]], dim=1)
        if until > self.codes.shape[1]:
            self.codes = model.whole(self.codes, self._before)[:, :until]

    def take(self, rows: Tensor) -> None:
        """Continue with these rows only, ``(kept,)``."""
        self._writer.take(self._guidance.rows(rows, len(self.codes)))
        if self._steering is not None:
            self._steering.take(rows)
        if self._before is not None:
            self._before = self._before[rows]
        self.codes, self.logp = self.codes[rows], self.logp[rows]
