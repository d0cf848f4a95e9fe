"""Windows being drawn, code after code: begun, judged by their first codes, finished or dropped."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from motiontok.prior.command_steering import CommandSteering
from motiontok.prior.model import Conditions, PriorModel
from motiontok.prior.sampling import LABEL_GUIDANCE, SamplingOptions, choose, require_whole
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
        labelled = bool(conditions.action.any() or conditions.style.any())
        self._guidance = LABEL_GUIDANCE if labelled else 1.0
        if options.guidance is not None:
            self._guidance = options.guidance
        self._guided = self._guidance != 1.0
        self._steering: CommandSteering | None = None
        asked = conditions.commands[:, -1]
        if model.local is not None and options.tolerance < float("inf"):
            each = asked.repeat_interleave(samples, dim=0)
            self._steering = CommandSteering(model, each, tolerance=options.tolerance)
        else:
            require_whole(asked)
        batch = len(past)
        rows = torch.arange(batch, device=past.device).repeat_interleave(samples)
        if self._guided:
            free = Conditions.none(batch, past.shape[1] + 1, past.device)
            if options.guidance is None:
                free = Conditions(conditions.commands, free.action, free.style)
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
                mixed = free + self._guidance * (own - free)
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
