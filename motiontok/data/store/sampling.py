"""Samples of a store, for statistics and for measuring."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from motiontok.data.statistics import Moments, Statistics
from motiontok.data.store.places import PART, Place, Reader
from motiontok.data.store.reading import Integers
from motiontok.data.store.shelf import Shelf
from motiontok.data.windows import accumulate, draw_shares

__all__ = ["held_out_windows", "sample_statistics"]

_SAMPLE = 16_384
"""Largest number of windows for statistics."""


def sample_statistics(
    shelf: Shelf, sets: Sequence[tuple[Integers, float]], length: int, *, mirror: bool
) -> Statistics:
    """Statistics of windows that do not overlap; each set counts for its share.

    They are of all windows if there are few, else of 16,384, spread evenly over the clips: with so
    many, a deviation is known to less than a hundredth.

    Args:
        shelf: where the clips are.
        sets: numbers of the clips, and weight, of each.
        length: frames a window.
        mirror: also of mirror images.
    """
    reader, frames = Reader(shelf, torch.device("cpu")), shelf.frames
    windows = [int((np.maximum(frames[clips] - length, 0) + 1).sum()) for clips, _ in sets]
    shares = draw_shares(windows, [weight for _, weight in sets])
    whole = [-(-frames[clips] // length) for clips, _ in sets]
    counts = [(1 + mirror) * int(of.sum()) for of in whole]
    enough = sum(counts) <= _SAMPLE
    moments = Moments()
    for (clips, _), of, count, share in zip(sets, whole, counts, shares, strict=True):
        if not count:
            continue
        most = count if enough else min(count, math.ceil(_SAMPLE * share))
        which = np.linspace(0, count - 1, most).round().astype(np.int64)
        place = _enumerated(clips, of, which, length)
        for first in range(0, len(place), PART):
            some = place.take(slice(first, first + PART))
            raw = accumulate(reader.features(some, reader.read(some, length)))
            moments.add(raw, torch.full((len(raw),), share / len(place)))
    return moments.statistics()


def held_out_windows(
    shelf: Shelf,
    clips: Integers,
    length: int,
    statistics: Statistics,
    *,
    most: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Consecutive windows ``(windows, length, 203)`` of clips, standardised.

    Args:
        shelf: where the clips are.
        clips: their numbers.
        length: frames a window.
        statistics: to standardise with.
        most: largest number, evenly spread.
        device: where they are put.
    """
    reader = Reader(shelf, torch.device(device))
    whole = np.maximum(shelf.frames[clips] // length, 1)
    count = int(whole.sum())
    which = np.linspace(0, count - 1, min(count, most)).astype(np.int64)
    place = _enumerated(clips, whole, which, length)
    out = []
    for first in range(0, len(place), PART):
        some = place.take(slice(first, first + PART))
        raw = reader.features(some, reader.read(some, length))
        out.append(statistics.standardize(accumulate(raw)))
    return torch.cat(out)


def _enumerated(clips: Integers, whole: Integers, which: Integers, length: int) -> Place:
    """Places of windows that do not overlap, by their numbers; mirror images come last.

    Args:
        clips: numbers of the clips.
        whole: number of such windows of each.
        which: their numbers.
        length: frames a window.
    """
    ends = np.cumsum(whole)
    mirrored, which = which >= ends[-1], which % ends[-1]
    clip = np.searchsorted(ends, which, side="right")
    begin = np.where(clip > 0, ends[clip - 1], 0)
    return Place(clips[clip], (which - begin) * length, mirrored)
