"""Statistics of columns, by which policies scale their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Figures", "figures_of", "together"]

_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}

Figures = dict[str, list[Any]]
"""``min``, ``max``, ``mean``, ``std``, ``count`` and quantiles of a column, a list each."""


def figures_of(rows: NDArray[Any]) -> Figures:
    """Statistics of one episode's column ``(frames, size)``."""
    found = {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0, dtype=np.float64),
        "std": rows.std(axis=0, dtype=np.float64),
        "count": np.array([len(rows)]),
    }
    wide = rows.astype(np.float64)
    for name, share in _QUANTILES.items():
        found[name] = np.quantile(wide, share, axis=0)
    return {name: value.tolist() for name, value in found.items()}


def together(episodes: Sequence[Figures]) -> Figures:
    """Statistics of all episodes, exact but for quantiles: means of the episodes', as LeRobot's."""
    each = {name: np.array([one[name] for one in episodes]) for name in episodes[0]}
    share = each["count"] / each["count"].sum()
    mean = (share * each["mean"]).sum(axis=0)
    variance = (share * (each["std"] ** 2 + (each["mean"] - mean) ** 2)).sum(axis=0)
    found = {
        "min": each["min"].min(axis=0),
        "max": each["max"].max(axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": each["count"].sum(axis=0),
    }
    found |= {name: (share * each[name]).sum(axis=0) for name in _QUANTILES}
    return {name: value.tolist() for name, value in found.items()}
