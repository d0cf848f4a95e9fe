"""Codes, features and clips as a user gives them, checked at the border."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data import FEATURES, from_motion
from motiontok.errors import CodesError, DataError

__all__ = ["check_codes", "features_of", "motion_of"]


def motion_of(motion: Motion | str | os.PathLike[str]) -> Motion:
    """The motion itself, or that of a clip (.bvh) or motion (.npz) file."""
    if isinstance(motion, Motion):
        return motion
    if Path(motion).suffix == ".npz":
        return Motion.load(motion)
    from bvh import normalize, read

    return normalize(read(motion))


def features_of(motion: Motion | str | os.PathLike[str] | Array | Tensor) -> Array:
    """Raw features ``(..., frames, 203)`` of whatever holds a motion.

    Raises:
        DataError: wrong shape or type, or a value that is not finite.
    """
    if isinstance(motion, Tensor):
        motion = motion.detach().cpu().double().numpy()
    if isinstance(motion, np.ndarray):
        if motion.ndim < 2 or motion.shape[-1] != FEATURES or 0 in motion.shape:
            raise DataError(f"features: expected (..., frames, {FEATURES}), got {motion.shape}")
        if motion.dtype.kind not in "fiu":
            raise DataError(f"features: expected numbers, got {motion.dtype}")
        if not np.isfinite(motion).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(motion))[0])
            raise DataError(f"features: value at {where} is not finite")
        return motion
    return from_motion(motion_of(motion))


def check_codes(
    codes: NDArray[Any] | Tensor, *, codes_per_window: int, vocab_size: int | None
) -> Tensor:
    """Codes as an int64 tensor ``(..., windows, codes_per_window)``.

    Args:
        codes: an array, tensor or nested list of integers.
        codes_per_window: length of the last axis.
        vocab_size: codes must lie below it; None lets any integer pass.

    Raises:
        CodesError: wrong shape, type or a value outside the vocabulary.
    """
    try:
        z = codes if isinstance(codes, Tensor) else np.asarray(codes)
    except ValueError:
        raise CodesError("codes: expected an array, got rows of different lengths") from None
    if z.ndim < 2 or z.shape[-1] != codes_per_window or 0 in z.shape:
        raise CodesError(
            f"codes: expected (..., windows, {codes_per_window}), got {tuple(z.shape)}"
        )
    if not isinstance(z, Tensor):
        if z.dtype.kind not in "ui":
            raise CodesError(f"codes: expected integers, got {z.dtype}")
        z = torch.from_numpy(z.astype(np.int64))
    if z.is_floating_point() or z.dtype == torch.bool:
        raise CodesError(f"codes: expected integers, got {z.dtype}")
    z = z.long()
    if vocab_size is None:
        return z
    low, high = int(z.min()), int(z.max())
    if low < 0 or high >= vocab_size:
        bad = high if high >= vocab_size else low
        where = tuple(int(i) for i in (z == bad).nonzero()[0])
        raise CodesError(
            f"codes: value {bad} at {where} is outside the vocabulary, 0 to {vocab_size - 1}"
        )
    return z
