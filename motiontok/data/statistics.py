"""Standardisation of features, with the numbers it needs stored beside the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from bvh.rotations import Array
from motiontok.data.features import COLUMNS, FEATURES

__all__ = ["Statistics"]

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
        scale: what a column is divided by. One number a group (root velocity,
            rotations, positions, ...), not one a column: a standardised error in
            positions is then proportional to metres whatever the joint, instead of
            blowing up the millimetres of joints that hardly move. The weight of the
            group is in it.
        low, span: column minimum and range, for PSNR in [0, 1] space. Columns that are
            constant in training (variance under 1e-5, the paper's bound) have an infinite
            range: their noise, divided by nothing, would be all that PSNR shows.
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
            weights: ``(windows,)`` what each counts for in means and deviations; all the same
                by default.
        """
        count = len(windows)
        share = np.ones(count) if weights is None else weights.double().numpy()
        share = share / share.sum() / windows.shape[1]

        def total(of: Callable[[Array], Array]) -> Array:
            """Weighted sum over all frames; in parts, as double the size need not fit."""
            out = np.zeros(FEATURES)
            for start in range(0, count, _PART):
                part = slice(start, start + _PART)
                rows = of(windows[part].double().numpy())
                out += np.einsum("w,wfc->c", share[part], rows)
            return out

        mean = total(lambda rows: rows)
        deviation = np.sqrt(total(lambda rows: (rows - mean) ** 2))
        scale = np.empty(FEATURES)
        for name, columns in COLUMNS.items():
            spread = max(float(np.sqrt(np.mean(deviation[columns] ** 2))), 1e-4)
            scale[columns] = spread / _WEIGHTS.get(name, 1.0)
        # The root's path and height are metres of the whole body, like joint positions;
        # a radian of yaw moves hands and feet by about half a metre.
        metre = scale[COLUMNS["positions"].start]
        scale[COLUMNS["velocity"]] = scale[COLUMNS["height"]] = metre / _ROOT_WEIGHT
        scale[COLUMNS["yaw_rate"]] = 2.0 * metre / _ROOT_WEIGHT
        low, high = (edge.double().numpy() for edge in windows.flatten(0, 1).aminmax(dim=0))
        span = np.where(deviation**2 < 1e-5, np.inf, high - low)
        return cls(*(torch.tensor(v, dtype=torch.float32) for v in (mean, scale, low, span)))

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
