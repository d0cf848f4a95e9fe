"""Metrics of windows: the paper's, and joint errors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from motiontok.data import Statistics, reconstruction_metrics
from motiontok.methods import DiscreteAutoencoder
from motiontok.models import Policy

__all__ = ["evaluate_windows"]


@torch.no_grad()
def evaluate_windows(
    method: DiscreteAutoencoder,
    windows: Tensor,
    statistics: Statistics,
    *,
    seed: int = 0,
    batch: int = 128,
) -> tuple[dict[str, float], Tensor]:
    """Reconstruction of windows, greedily and, where the encoder is a policy, by a sample.

    Args:
        method: in evaluation mode.
        windows: ``(windows, frames, columns)``, standardised, on the method's device.
        statistics: of the features.
        seed: of the samples.
        batch: windows at a time.

    Returns:
        Metrics, and the greedy codes ``(windows, codes)``. Metrics are those of
        :func:`reconstruction_metrics` of greedy codes, and ``log_p``, the log-likelihood
        of a window given its codes, nats. For a stochastic encoder ``log_p`` is taken at
        one sampled sequence a window, as in the paper, and there are also ``kl`` (to the
        uniform prior, along the sampled sequence), ``elbo`` = log_p - kl, ``beta_elbo`` =
        log_p - beta_end kl, and ``sampled_mse``, ``sampled_psnr`` of the samples.
    """
    policy = getattr(method, "policy", None)
    generator = torch.Generator(windows.device).manual_seed(seed)
    greedy, sampled, codes, log_p, kl = [], [], [], [], []
    for x in windows.split(batch):
        codes.append(method.encode(x))
        greedy.append(method.decode(codes[-1]))
        drawn = None
        if isinstance(policy, Policy):
            drawn = method.encode(x, temperature=1.0, generator=generator)
            logp = policy.log_probabilities(x, drawn[:, None])[:, 0]
            largest = logp.shape[-2] * math.log(logp.shape[-1])
            kl.append(largest + (logp.exp() * logp).sum(dim=(-1, -2)))
            sampled.append(method.decode(drawn))
        found = method.decode_parameters(codes[-1] if drawn is None else drawn)
        log_p.append(method.likelihood.log_density(x, found))
    metrics = reconstruction_metrics(windows, torch.cat(greedy), statistics)
    metrics["log_p"] = float(torch.cat(log_p).double().mean())
    if sampled:
        metrics["kl"] = float(torch.cat(kl).double().mean())
        metrics["elbo"] = metrics["log_p"] - metrics["kl"]
        metrics["beta_elbo"] = metrics["log_p"] - method.config.method.beta_end * metrics["kl"]
        again = reconstruction_metrics(windows, torch.cat(sampled), statistics)
        metrics |= {f"sampled_{k}": again[k] for k in ("mse", "psnr")}
    return metrics, torch.cat(codes)
