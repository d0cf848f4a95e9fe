"""The paper's metrics of held-out observations of any kind."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from motiontok.methods import DiscreteAutoencoder
from motiontok.models import Policy

__all__ = ["Errors", "evaluate_observations"]

Errors = Callable[[Tensor, Tensor], dict[str, float]]
"""Errors of reconstructions from originals ``(observations, *shape)``."""


@torch.no_grad()
def evaluate_observations(
    method: DiscreteAutoencoder,
    observations: Tensor,
    errors: Errors,
    *,
    seed: int = 0,
    batch: int = 128,
    effort: int = 1,
) -> tuple[dict[str, float], Tensor]:
    """Reconstruction by greedy codes and, if the encoder is a policy, by a sample.

    Args:
        method: in evaluation mode.
        observations: ``(observations, *shape)``, on the method's device.
        errors: of the kind of data.
        seed: of the samples.
        batch: observations at a time.
        effort: of encoding, see :meth:`DiscreteAutoencoder.encode`.

    Returns:
        Metrics, and the codes ``(observations, codes)``, greedy ones at ``effort`` 1. Metrics
        are ``errors`` of these codes, and ``log_p``, the log-likelihood of an observation
        given its codes, nats. For a stochastic encoder ``log_p`` is taken at one sampled
        sequence an observation, as in the paper, and there are also ``kl`` (to the uniform
        prior, along the sampled sequence), ``elbo`` = log_p - kl, ``beta_elbo`` = log_p -
        beta_end kl, and ``sampled_*``: ``errors`` of the samples.
    """
    policy = getattr(method, "policy", None)
    generator = torch.Generator(observations.device).manual_seed(seed)
    greedy, sampled, codes, log_p, kl = [], [], [], [], []
    for x in observations.split(batch):
        codes.append(method.encode(x, effort=effort, generator=generator))
        greedy.append(method.decode(codes[-1]))
        drawn = None
        if isinstance(policy, Policy):
            drawn = method.encode(x, temperature=1.0, generator=generator)
            logp = policy.log_probabilities(x, drawn[:, None])[:, 0]
            largest = logp.shape[-2] * math.log(logp.shape[-1])
            kl.append(largest + (logp.exp() * logp).sum(dim=(-1, -2)))
        found = method.decode_parameters(codes[-1] if drawn is None else drawn)
        log_p.append(method.likelihood.log_density(x, found))
        if drawn is not None:
            sampled.append(method.likelihood.mean(found))
    metrics = errors(observations, torch.cat(greedy))
    metrics["log_p"] = float(torch.cat(log_p).double().mean())
    if sampled:
        metrics["kl"] = float(torch.cat(kl).double().mean())
        metrics["elbo"] = metrics["log_p"] - metrics["kl"]
        metrics["beta_elbo"] = metrics["log_p"] - method.config.method.beta_end * metrics["kl"]
        again = errors(observations, torch.cat(sampled))
        metrics |= {f"sampled_{k}": v for k, v in again.items()}
    return metrics, torch.cat(codes)
