"""Metrics of windows: the paper's, and joint errors."""

from __future__ import annotations

from torch import Tensor

from motiontok.data import Statistics, reconstruction_metrics
from motiontok.evaluate.observations import evaluate_observations
from motiontok.methods import DiscreteAutoencoder

__all__ = ["evaluate_windows"]


def evaluate_windows(
    method: DiscreteAutoencoder,
    windows: Tensor,
    statistics: Statistics,
    *,
    seed: int = 0,
    batch: int = 128,
    effort: int = 1,
) -> tuple[dict[str, float], Tensor]:
    """Reconstruction of windows, greedily and, where the encoder is a policy, by a sample.

    Args:
        method: in evaluation mode.
        windows: ``(windows, frames, columns)``, standardised, on the method's device.
        statistics: of the features.
        seed: of the samples.
        batch: windows at a time.
        effort: of encoding.

    Returns:
        Metrics, and the greedy codes ``(windows, codes)``, as
        :func:`~motiontok.evaluate.observations.evaluate_observations` has them, with the errors
        of :func:`~motiontok.data.reconstruction_metrics`.
    """
    return evaluate_observations(
        method,
        windows,
        lambda x, y: reconstruction_metrics(x, y, statistics),
        seed=seed,
        batch=batch,
        effort=effort,
    )
