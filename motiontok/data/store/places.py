"""Places of windows in clips, and reading windows there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motiontok.data.features import COLUMNS
from motiontok.data.store.features import features_of
from motiontok.data.store.frames import WORDS
from motiontok.data.store.reading import Integers
from motiontok.data.store.shelf import Shelf

__all__ = ["PART", "Place", "Reader"]

_ROOT = slice(COLUMNS["yaw_rate"].start, COLUMNS["velocity"].stop)

PART = 1_024
"""Largest number of windows whose features are computed at once."""


@dataclass(frozen=True, eq=False)
class Place:
    """Places of windows.

    Attributes:
        clips: ``(windows,)`` numbers of clips on the shelf.
        starts: ``(windows,)`` first frame of each in its clip.
        mirrored: ``(windows,)`` whether it is the mirror image.
    """

    clips: Integers
    starts: Integers
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, rows: slice | Integers) -> Place:
        """Some of them."""
        return Place(self.clips[rows], self.starts[rows], self.mirrored[rows])


class Reader:
    """Frames of windows, and features of them."""

    def __init__(self, shelf: Shelf, device: torch.device) -> None:
        self.shelf, self.device = shelf, device

    def read(self, place: Place, length: int) -> NDArray[np.int16]:
        """``(windows, length + 1, 72)``: the frame before each window, and the window.

        Before a clip its first frame is repeated, and after it the last one.
        """
        out = np.empty((len(place), length + 1, WORDS), dtype=np.uint16)
        frames = self.shelf.frames
        for row, clip, start in zip(out, place.clips, place.starts, strict=True):
            first, last = max(int(start) - 1, 0), min(int(start) + length, int(frames[clip]))
            there = self.shelf.read(clip, first, last)
            before = int(start == 0)
            row[before : before + len(there)] = there
            row[:before] = there[:1]
            row[before + len(there) :] = there[-1:]
        return out.view(np.int16)

    def features(self, place: Place, words: NDArray[np.int16]) -> Tensor:
        """Raw features ``(windows, length, 203)`` of frames read.

        After the last frame of a clip the body stands still.
        """
        device = self.device
        out = features_of(
            torch.from_numpy(words).to(device),
            torch.from_numpy(self.shelf.to_reference[place.clips]).to(device),
            torch.from_numpy(place.mirrored).to(device),
            torch.from_numpy(place.starts == 0).to(device),
        )
        length = out.shape[1]
        left = self.shelf.frames[place.clips] - place.starts
        if (left < length).any():
            last = torch.from_numpy(left).to(device)[:, None] - 1
            steps = torch.arange(length, device=device)
            windows = torch.arange(len(out), device=device)[:, None]
            out = out[windows, steps.minimum(last)]
            out[..., _ROOT].masked_fill_((steps > last)[..., None], 0.0)
        return out
