"""A data set of small images that fits in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motiontok.errors import DataError

__all__ = ["ImageArrays"]


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """Images ``(count, channels, height, width)`` of bytes to train on and held out.

    Attributes:
        training, held_out: the paper's split, which is the data set's own.

    Raises:
        DataError: the two differ in shape.
    """

    training: NDArray[np.uint8]
    held_out: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.training.shape[1:] != self.held_out.shape[1:]:
            raise DataError(
                f"training images are {self.training.shape[1:]}, held-out ones "
                f"{self.held_out.shape[1:]} (channels, height, width)"
            )
