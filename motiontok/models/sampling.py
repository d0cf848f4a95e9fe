"""Probabilities of tokens, and drawing them."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cheapest", "draw_tokens", "log_softmax"]


def log_softmax(logits: Tensor) -> Tensor:
    """Log-probabilities ``(..., vocab)``, in float32 also under autocast."""
    least = torch.promote_types(logits.dtype, torch.float32)
    return torch.log_softmax(logits, dim=-1, dtype=least)


def draw_tokens(
    logq: Tensor,
    *,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Tokens ``(...)`` from log-probabilities ``(..., vocab)``.

    By the inverse of the cumulative distribution, with one random number a token. Gumbel noise
    takes one a value, which was a fifth of the time of a training step.

    Args:
        logq: normalised over the vocabulary.
        temperature: divides the logits; 0 takes the most likely token (greedy).
        generator: source of randomness, on the device of ``logq``.
        noise: numbers of [0, 1) ``(...)`` to draw with instead of the generator's.
    """
    if temperature == 0.0:
        return logq.argmax(dim=-1)
    # Not exp, which on a CPU is several times as slow, and more where it underflows.
    q = torch.softmax(logq if temperature == 1.0 else logq / temperature, dim=-1)
    cumulative = q.cumsum(dim=-1)
    total = cumulative[..., -1:]
    if noise is None:
        noise = torch.rand(q.shape[:-1], generator=generator, device=q.device, dtype=q.dtype)
    place = (noise[..., None] * total).contiguous()
    # To the right of equals: a token without probability is never drawn.
    return torch.searchsorted(cumulative, place, right=True)[..., 0].clamp_max(q.shape[-1] - 1)


def cheapest(totals: Tensor, beam: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best continuations in a search that keeps ``beam`` candidates.

    Args:
        totals: ``(batch, candidates, vocab)``, cost of each candidate with each token.
        beam: largest number to keep.

    Returns:
        Costs, candidates and tokens ``(batch, kept)``, the best first.
    """
    best = totals.flatten(1).topk(min(beam, totals[0].numel()), largest=False)
    vocab_size = totals.shape[-1]
    return best.values, best.indices // vocab_size, best.indices % vocab_size
