"""Smooth transitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["smoothstep", "smoothstep_tensor"]


def smoothstep(x: ArrayLike) -> NDArray[Any]:
    """From 0 at 0 and below to 1 at 1 and beyond, without a slope at either end: 3 x^2 - 2 x^3."""
    inside = np.clip(x, 0.0, 1.0)
    return np.asarray(inside * inside * (3.0 - 2.0 * inside))


def smoothstep_tensor(x: Tensor) -> Tensor:
    """:func:`smoothstep` of a tensor, on its device."""
    inside = x.clamp(0.0, 1.0)
    return inside * inside * (3.0 - 2.0 * inside)
