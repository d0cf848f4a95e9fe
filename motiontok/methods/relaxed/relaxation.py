"""Gradients through discrete samples: one-hot forward, relaxed backward.

Both estimators map log-probabilities ``(..., vocab)`` to one-hot samples. They are
biased (the relaxation's gradient stands in for the sample's); Gumbel-Rao has the same
expectation as straight-through Gumbel-softmax and less variance.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["conditional_gumbel", "gumbel_rao", "straight_through"]


def straight_through(
    logp: Tensor, *, temperature: float, generator: torch.Generator | None = None
) -> Tensor:
    """Straight-through Gumbel-softmax sample ``(..., vocab)``.

    Jang et al. 2017, "Categorical Reparameterization with Gumbel-Softmax": forward the
    arg max of logp + Gumbel noise, backward the gradient of its softmax.

    Args:
        logp: normalised log-probabilities ``(..., vocab)``.
        temperature: of the softmax, positive; the sample does not depend on it.
        generator: source of randomness.
    """
    noisy = logp - _exponential(logp, generator).log()
    return _straight(noisy.argmax(dim=-1), torch.softmax(noisy / temperature, dim=-1))


def gumbel_rao(
    logp: Tensor,
    *,
    temperature: float,
    samples: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Straight-through Gumbel-Rao sample ``(..., vocab)``.

    Paulus et al. 2021, "Rao-Blackwellizing the Straight-Through Gumbel-Softmax Gradient
    Estimator": given the sample, the softmax is averaged over ``samples`` draws of the
    Gumbel noise that would have led to it. The gradient holds that noise fixed, as straight-through
    Gumbel-softmax does: only then is the result its conditional expectation. (The paper DAPS
    compares with differentiates through the conditional noise as well.)

    Args:
        logp: normalised log-probabilities ``(..., vocab)``.
        temperature: of the softmax, positive.
        samples: draws of the noise.
        generator: source of randomness.
    """
    with torch.no_grad():
        choice = (logp - _exponential(logp, generator).log()).argmax(dim=-1)
        noise = conditional_gumbel(logp, choice, samples=samples, generator=generator)
    soft = torch.softmax((logp + noise) / temperature, dim=-1).mean(dim=0)
    return _straight(choice, soft)


def conditional_gumbel(
    logp: Tensor, choice: Tensor, *, samples: int, generator: torch.Generator | None = None
) -> Tensor:
    """Gumbel noise ``(samples, ..., vocab)`` given that ``logp + noise`` peaks at ``choice``.

    Maddison and Tarlow 2014: the peak is a Gumbel variate at any place, and the others are Gumbel
    variates truncated at it.

    Args:
        logp: normalised log-probabilities ``(..., vocab)``.
        choice: ``(...)``.
        samples: independent draws.
        generator: source of randomness.
    """
    like = logp.expand(samples, *logp.shape)
    log_time = _exponential(like, generator).log()
    index = choice.expand(samples, *choice.shape)[..., None]
    first = log_time.gather(-1, index)
    perturbed = -torch.logaddexp(log_time - logp, first)
    return perturbed.scatter(-1, index, -first) - logp


def _exponential(like: Tensor, generator: torch.Generator | None) -> Tensor:
    out = torch.empty_like(like, memory_format=torch.contiguous_format, requires_grad=False)
    # Zero has no logarithm; it is drawn once in 2^24.
    return out.exponential_(generator=generator).clamp_min_(torch.finfo(out.dtype).tiny)


def _straight(choice: Tensor, soft: Tensor) -> Tensor:
    hard = F.one_hot(choice, soft.shape[-1]).to(soft)
    return hard + (soft - soft.detach())
