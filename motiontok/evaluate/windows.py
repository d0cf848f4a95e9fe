"""Metrics of windows: the paper's, and joint errors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from motiontok.data import COLUMNS, Statistics
from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.daps import gaussian_log_density
from motiontok.models import Policy

__all__ = ["evaluate_windows", "psnr", "reconstruction_metrics"]


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio, dB, for a signal of range 1."""
    return -10.0 * math.log10(max(mse, 1e-12))


def reconstruction_metrics(x: Tensor, y: Tensor, statistics: Statistics) -> dict[str, float]:
    """Errors of reconstructed windows.

    Args:
        x, y: ``(windows, frames, columns)``, standardised.
        statistics: of the features.

    Returns:
        - ``mse``: in standardised space; ``psnr_standardised`` is the same in dB.
        - ``psnr``: as the DAPS paper has it, columns mapped to [0, 1] by the training
          minimum and maximum and clipped, the squared error pooled over all windows.
        - ``window_mpjpe_mm``: hips-relative joint positions as the columns state them.
    """
    square, unit_square, distance = 0.0, 0.0, 0.0
    # In parts: the min-max copy of all windows at once need not fit.
    for a, b in zip(x.split(512), y.split(512), strict=True):
        square += float(((a - b) ** 2).mean(dim=(1, 2)).sum())
        unit = statistics.to_unit(a) - statistics.to_unit(b)
        unit_square += float((unit**2).mean(dim=(1, 2)).sum())
        joints = (statistics.restore(a) - statistics.restore(b))[..., COLUMNS["positions"]]
        distance += float(joints.unflatten(-1, (-1, 3)).norm(dim=-1).mean(dim=(1, 2)).sum())
    count = len(x)
    return {
        "mse": square / count,
        "psnr_standardised": psnr(square / count),
        "psnr": psnr(unit_square / count),
        "window_mpjpe_mm": 1000.0 * distance / count,
    }


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
        y = greedy[-1]
        if isinstance(policy, Policy):
            drawn = method.encode(x, temperature=1.0, generator=generator)
            logp = policy.log_probabilities(x, drawn[:, None])[:, 0]
            largest = logp.shape[-2] * math.log(logp.shape[-1])
            kl.append(largest + (logp.exp() * logp).sum(dim=(-1, -2)))
            y = method.decode(drawn)
            sampled.append(y)
        log_p.append(gaussian_log_density(x, y, method.config.method.variance))
    metrics = reconstruction_metrics(windows, torch.cat(greedy), statistics)
    metrics["log_p"] = float(torch.cat(log_p).double().mean())
    if sampled:
        metrics["kl"] = float(torch.cat(kl).double().mean())
        metrics["elbo"] = metrics["log_p"] - metrics["kl"]
        metrics["beta_elbo"] = metrics["log_p"] - method.config.method.beta_end * metrics["kl"]
        again = reconstruction_metrics(windows, torch.cat(sampled), statistics)
        metrics |= {f"sampled_{k}": again[k] for k in ("mse", "psnr")}
    return metrics, torch.cat(codes)
