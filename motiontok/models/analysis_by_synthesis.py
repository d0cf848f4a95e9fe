"""Codes that decode to what is near, where an encoder's are near in latents only.

Analysis by synthesis, as coders of speech do it (Atal and Remde, ICASSP 1982): what is quantised
moves until what its codes decode to errs least.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from motiontok.models.residual_quantizer import ResidualQuantizer

__all__ = ["Analysis", "analyse"]

# Of a Gauss-Newton step in the metric of the quantiser, in the first round and after the last. The
# metric is the lapped transform's; the network bends it, so whole steps go too far.
_STEP, _FINAL_STEP = 0.8, 0.24
_MOMENTUM = 0.5
_PULL = 0.1  # of the way back to what was quantised, lest the two drift apart
_ASTRAY = 1.1  # times the least error so far: worse windows go back, and on by half as far
_WORTH = 0.99  # of the last round's error: if windows' best rounds promise less, they are decoded


class Analysis(NamedTuple):
    """What stands for windows.

    Attributes:
        target: ``(windows, components)`` that is quantised.
        codes: ``(windows, n)``.
        error: ``(windows,)`` of what they decode to.
    """

    target: Tensor
    codes: Tensor
    error: Tensor


class _Round(NamedTuple):
    """One target of each window and what became of it; rows belong to windows."""

    target: Tensor
    codes: Tensor
    quantized: Tensor
    slope: Tensor
    error: Tensor

    def where(self, chosen: Tensor, other: _Round) -> _Round:
        """This round in the windows ``chosen (windows,)``, ``other`` in the rest."""
        return _Round(
            *(
                torch.where(chosen if own.dim() == 1 else chosen[:, None], own, others)
                for own, others in zip(self, other, strict=True)
            )
        )


def analyse(
    quantizer: ResidualQuantizer,
    latents: Tensor,
    errors: Callable[[Tensor], Tensor],
    *,
    rounds: int,
    sequence: Tensor | None = None,
    first: int | None = None,
) -> Analysis:
    """Move what is quantised against the slope of the decoded error, round after round.

    All windows of a sequence have the last round, or each its best one if these go together (a
    window's error depends on its neighbours' codes too), or all the first, whichever errs least.

    Args:
        quantizer: of the latents.
        latents: ``(windows, size)``.
        errors: squared distances ``(windows,)`` in the quantiser's metric that quantised latents
            ``(windows, size)`` have from what they stand for once they are decoded; differentiable.
        rounds: at least 1.
        sequence: ``(windows,)``, number of the sequence that each window is of, from 0; all are of
            one by default.
        first: number of codes of each window; all by default.
    """
    of = latents.new_zeros(len(latents), dtype=torch.long) if sequence is None else sequence

    def judged(target: Tensor, *, sloping: bool = True) -> _Round:
        codes, quantized = quantizer.quantize(target, first=first)
        with torch.set_grad_enabled(sloping):
            quantized.requires_grad_(sloping)
            error = errors(quantizer.latents(quantized))
            slope = torch.autograd.grad(error.sum(), quantized)[0] if sloping else quantized
        return _Round(target, codes, quantized.detach(), slope, error.detach())

    given = best = now = judged(quantizer.project(latents))
    speed = torch.zeros_like(given.target)
    step = torch.full_like(given.error, _STEP)
    for done in range(rounds):
        share = 1.0 + (_FINAL_STEP / _STEP - 1.0) * done / rounds
        speed = _MOMENTUM * speed - 0.5 * share * step[:, None] * now.slope
        target = now.target + speed + _PULL * (now.quantized - now.target)
        now = last = judged(target, sloping=done + 1 < rounds)
        astray = now.error > _ASTRAY * best.error
        best = now.where(now.error < best.error, best)
        now = best.where(astray, now)
        speed = speed.masked_fill(astray[:, None], 0.0)
        step = torch.where(astray, 0.5 * step, step)

    def total(error: Tensor) -> Tensor:
        """Each window's sequence's sum."""
        return torch.zeros_like(error).index_add(0, of, error)[of]

    found = last.where(total(last.error) < total(given.error), given)
    promising = total(best.error) < _WORTH * total(found.error)
    # Asking another device would wait for it, which takes longer than to decode.
    if latents.device.type != "cpu" or promising.any():
        with torch.no_grad():
            together = best._replace(error=errors(quantizer.latents(best.quantized)))
        better = total(together.error) < total(found.error)
        found = together.where(promising & better, found)
    return Analysis(found.target, found.codes, found.error)
