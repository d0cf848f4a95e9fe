"""Standardisation of features; its numbers are stored beside the model."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from motiontok.data.features import COLUMNS, FEATURES

__all__ = ["Moments", "Statistics"]

# What an error in each group is worth beside the same share of another's deviation.
# Positions say nearly all that rotations say (all but the twist of limbs), in the unit
# that is judged, so rotations and contacts weigh less.
_WEIGHTS = {"rotations": 0.3, "contacts": 0.3, "tilt": 0.7}

_PART = 4096  # windows

# The root carries the whole body, so its place counts for several joints.
_ROOT_WEIGHT = 2.0


@dataclass(frozen=True, eq=False)
class Statistics:
    """Per-column statistics of the training features, all ``(203,)`` float32.

    Attributes:
        mean: column mean.
        scale: divisor of a column, one number per group (root velocity, rotations, positions, ...).
            So a standardised error in positions is proportional to metres for every joint; a number
            per column would magnify the millimetres of joints that hardly move. It includes the
            group's weight.
        low, span: column minimum and range, for PSNR in [0, 1] space. Columns that are
            constant in training (variance under 1e-5, the paper's bound) have an infinite range;
            otherwise their noise, divided by almost nothing, would dominate PSNR.
    """

    mean: Tensor
    scale: Tensor
    low: Tensor
    span: Tensor

    @classmethod
    def fit(cls, windows: Tensor, weights: Tensor | None = None) -> Statistics:
        """Statistics of windows with accumulated root columns.

        Args:
            windows: ``(windows, frames, 203)``.
            weights: ``(windows,)`` weight of each in means and deviations; equal by default.
        """
        moments = Moments()
        share = torch.ones(len(windows)) if weights is None else weights
        for part, of_part in zip(windows.split(_PART), share.split(_PART), strict=True):
            # In parts, as double the size need not fit.
            moments.add(part, of_part)
        return moments.statistics()

    def to(self, device: torch.device | str) -> Statistics:
        """The same on a device."""
        parts = (self.mean, self.scale, self.low, self.span)
        return Statistics(*(part.to(device) for part in parts))

    def standardize(self, features: Tensor) -> Tensor:
        """``(..., 203)`` raw to standardised."""
        return (features - self.mean.to(features.device)) / self.scale.to(features.device)

    def restore(self, standardized: Tensor) -> Tensor:
        """``(..., 203)`` standardised to raw."""
        device = standardized.device
        return standardized * self.scale.to(device) + self.mean.to(device)

    def to_unit(self, standardized: Tensor) -> Tensor:
        """Standardised features in the min-max space of PSNR, clipped to [0, 1]."""
        low, span = self.low.to(standardized.device), self.span.to(standardized.device)
        return ((self.restore(standardized) - low) / span).clamp(0.0, 1.0)

    def state(self) -> dict[str, Tensor]:
        """Tensors by name, for a checkpoint."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Moments:
    """Weighted means, deviations and ranges of columns, gathered from any number of windows."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._mean = np.zeros(FEATURES)
        self._square = np.zeros(FEATURES)
        self._low = np.full(FEATURES, np.inf)
        self._high = np.full(FEATURES, -np.inf)

    def add(self, windows: Tensor, weights: Tensor) -> None:
        """Add ``(windows, frames, 203)`` with accumulated root columns, and their weights.

        Sums of squares are about the mean so far (Chan, Golub and LeVeque 1979, "Updating
        formulae and a pairwise algorithm for computing sample variances", equation 2.1b), so
        that nothing cancels.
        """
        rows, share = windows.cpu().double().numpy(), weights.double().numpy()
        weight = float(share.sum()) * rows.shape[1]
        if not weight > 0.0:
            return
        mean = np.einsum("w,wfc->c", share, rows) / weight
        square = np.einsum("w,wfc->c", share, (rows - mean) ** 2)
        total = self._weight + weight
        apart = mean - self._mean
        self._square += square + apart**2 * (self._weight * weight / total)
        self._mean += apart * (weight / total)
        self._weight = total
        self._low = np.minimum(self._low, rows.min(axis=(0, 1)))
        self._high = np.maximum(self._high, rows.max(axis=(0, 1)))

    def statistics(self) -> Statistics:
        """Statistics of all added windows."""
        deviation = np.sqrt(self._square / self._weight)
        scale = np.empty(FEATURES)
        for name, columns in COLUMNS.items():
            spread = max(float(np.sqrt(np.mean(deviation[columns] ** 2))), 1e-4)
            scale[columns] = spread / _WEIGHTS.get(name, 1.0)
        # The root's path and height are metres of the whole body, like joint positions;
        # a radian of yaw moves hands and feet by about half a metre.
        metre = scale[COLUMNS["positions"].start]
        scale[COLUMNS["velocity"]] = scale[COLUMNS["height"]] = metre / _ROOT_WEIGHT
        scale[COLUMNS["yaw_rate"]] = 2.0 * metre / _ROOT_WEIGHT
        span = np.where(deviation**2 < 1e-5, np.inf, self._high - self._low)
        values = (self._mean, scale, self._low, span)
        return Statistics(*(torch.tensor(v, dtype=torch.float32) for v in values))
