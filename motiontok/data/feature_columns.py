"""Columns of a feature row; :mod:`motiontok.data.features` explains them."""

from __future__ import annotations

import numpy as np

from bvh.skeleton import FEET, JOINTS

__all__ = ["COLUMNS", "FEATURES"]

_BODY = len(JOINTS) - 1
_WIDTHS = {
    "yaw_rate": 1,
    "velocity": 2,
    "height": 1,
    "tilt": 6,
    "rotations": 6 * _BODY,
    "positions": 3 * _BODY,
    "contacts": len(FEET),
}
_ends = np.cumsum(list(_WIDTHS.values()))
COLUMNS: dict[str, slice] = {
    name: slice(int(end) - width, int(end))
    for (name, width), end in zip(_WIDTHS.items(), _ends, strict=True)
}
"""Column range of each group of features."""

FEATURES = int(_ends[-1])
"""Number of feature columns."""
