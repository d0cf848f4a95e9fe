"""Classifier-free guidance (Ho and Salimans 2022): logits with conditions against those without."""

from __future__ import annotations

import torch
from torch import Tensor

from motiontok.prior.model import Conditions
from motiontok.prior.sampling import SamplingOptions
from motiontok.sampling_defaults import LABEL_GUIDANCE

__all__ = ["Guidance"]


class Guidance:
    """How closely windows follow their conditions.

    With guidance a network reads each row twice: first all rows with their conditions, then all
    without.

    Args:
        conditions: of the windows. Without ``options.guidance`` their labels alone are guided,
            against logits with the same commands.
        options: ``guidance`` counts.

    Attributes:
        scale: factor of the difference between logits with and without conditions.
    """

    def __init__(self, conditions: Conditions, options: SamplingOptions) -> None:
        self._conditions = conditions
        self._of_labels = options.guidance is None
        labelled = bool(conditions.action.any() or conditions.style.any())
        self.scale = LABEL_GUIDANCE if labelled else 1.0
        if options.guidance is not None:
            self.scale = options.guidance

    @property
    def _guides(self) -> bool:
        return self.scale != 1.0

    def inputs(self, past: Tensor) -> tuple[Tensor, Conditions]:
        """Past windows ``(batch, windows, codes)`` and conditions as the network reads them."""
        own = self._conditions
        if not self._guides:
            return past, own
        free = Conditions.none(len(past), past.shape[1] + 1, past.device)
        if self._of_labels:
            free = Conditions(own.commands, free.action, free.style)
        return past.repeat(2, 1, 1), own.join(free)

    def rows(self, rows: Tensor, count: int) -> Tensor:
        """The network's rows of ``rows`` ``(kept,)`` out of ``count``."""
        return torch.cat([rows, rows + count]) if self._guides else rows

    def codes(self, codes: Tensor) -> Tensor:
        """Drawn codes ``(rows,)`` as the network reads them."""
        return codes.repeat(2) if self._guides else codes

    def mix(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(rows, vocab)`` of the network's rows: with conditions, and guided."""
        if not self._guides:
            return logits, logits
        conditioned, free = logits.chunk(2)
        return conditioned, free + self.scale * (conditioned - free)
