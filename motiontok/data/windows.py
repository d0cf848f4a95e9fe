"""Fixed-length windows of features, with the root's path relative to the window's start.

A frame's root columns are velocities. Coding those well does not code the path well:
small errors add up. Within a window they are therefore replaced by their running sums,
yaw (rad) and distances (m) since the frame before the window, by :func:`accumulate`; so the error
of the path is coded like that of a joint. :func:`differentiate` undoes it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data.epoch_sampler import EpochSampler
from motiontok.data.features import COLUMNS
from motiontok.data.statistics import Statistics
from motiontok.data.time_warp import draw_speeds, warped
from motiontok.errors import DataError

__all__ = [
    "WindowSet",
    "accumulate",
    "differentiate",
    "draw_shares",
    "split_windows",
    "starts_in",
]

_ROOT = slice(COLUMNS["yaw_rate"].start, COLUMNS["velocity"].stop)


def accumulate(windows: Tensor) -> Tensor:
    """Velocities to running sums within each window ``(..., frames, columns)``."""
    out = windows.clone()
    out[..., _ROOT] = windows[..., _ROOT].cumsum(dim=-2) / FPS
    return out


def differentiate(windows: Tensor) -> Tensor:
    """Running sums back to velocities: the inverse of :func:`accumulate`."""
    out = windows.clone()
    out[..., 1:, _ROOT] = windows[..., _ROOT].diff(dim=-2)
    out[..., _ROOT] *= FPS
    return out


def starts_in(frames: int, length: int) -> int:
    """Number of windows of ``length`` frames that begin in a clip; one, held, in a shorter clip."""
    return max(frames - length, 0) + 1


def split_windows(features: Array, length: int) -> Array:
    """Cut ``(frames, columns)`` into consecutive windows ``(windows, length, columns)``.

    The last window is filled up by holding the last frame (still: its velocities
    are zero), so a clip of any length, also one shorter than a window, is covered.
    """
    frames = len(features)
    windows = max(1, -(-frames // length))
    missing = windows * length - frames
    if missing:
        hold = np.repeat(features[-1:], missing, axis=0)
        hold[:, _ROOT] = 0.0
        features = np.concatenate([features, hold])
    return features.reshape(windows, length, features.shape[1])


class WindowSet:
    """Every window of ``length`` consecutive frames of clips, standardised.

    All clips lie in one tensor on the training device; a window is a row of
    indices, so that drawing a batch is a single gather without host work.

    The clips belong to one set or to several. A set's share of the draws is its weight times the
    square root of its windows. In proportion to the windows a large set would drown the others, and
    with equal shares a small one would repeat over and over. It is the temperature sampling of
    multilingual models with T = 2 (Arivazhagan et al. 2019, "Massively Multilingual Neural Machine
    Translation in the Wild", arXiv 1907.05019: p ~ size^(1/T)).

    Args:
        clips: features ``(frames, 203)`` of each clip; clips shorter than a window are
            held on their last frame.
        length: frames a window.
        statistics: to standardise windows with.
        sets: (number of clips, weight) of each set, in the order of the clips; one set by default.
        warp: half of the windows of a batch are up to so many times faster or slower than the clips
            (:mod:`motiontok.data.time_warp`); 1 changes none.
        device: where the frames live.

    Attributes:
        shares: of each set in the draws; their sum is 1.
        stretch: consecutive windows of an observation, see :meth:`stretched`.

    Raises:
        DataError: there are no clips.
    """

    def __init__(
        self,
        clips: Sequence[Array],
        length: int,
        statistics: Statistics,
        *,
        sets: Sequence[tuple[int, float]] = (),
        warp: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:
        if not clips:
            raise DataError("no clips to cut windows from")
        padded = [_hold(torch.tensor(c, dtype=torch.float32), length) for c in clips]
        self.length = length
        self.stretch = 1
        # There already: what is sent waits for the device.
        self.statistics = statistics.to(device)
        self.warp = warp
        self.frames = torch.cat(padded).to(device)
        ends = torch.tensor([len(clip) for clip in padded]).cumsum(0)
        self._ends = torch.cat([ends.new_zeros(1), ends]).to(device)
        self._given = tuple(sets) or ((len(clips), 1.0),)
        of_sets = sum(count for count, _ in self._given)
        if of_sets != len(clips):
            raise ValueError(f"sets are of {of_sets} clips, there are {len(clips)}")
        self._find_starts()
        whole = [torch.arange(a, b - length + 1, length) for a, b in self._bounds()]
        self._enumerated = torch.cat(whole).to(device)

    def stretched(self, stretch: int) -> WindowSet:
        """The same clips, each observation ``stretch`` consecutive windows.

        Observations are ``(stretch, length, columns)``; clips that are shorter are held on their
        last frame.
        """
        out = copy.copy(self)
        out.stretch = stretch
        out._find_starts()
        return out

    def _bounds(self) -> list[tuple[int, int]]:
        """First frame of every clip, and the one after its last."""
        ends = self._ends.tolist()
        return list(pairwise(ends))

    def _find_starts(self) -> None:
        """Starts of observations, and the set of each."""
        length, device = self.stretch * self.length, self._ends.device
        by_clip = [a + torch.arange(starts_in(b - a, length)) for a, b in self._bounds()]
        self.starts = torch.cat(by_clip).to(device)
        counts, done = [], 0
        for clips_of_set, _ in self._given:
            counts.append(sum(map(len, by_clip[done : done + clips_of_set])))
            done += clips_of_set
        self.shares = draw_shares(counts, [weight for _, weight in self._given])
        # Of the sets that have windows: where theirs begin, how many they are, their share, and
        # the share of all sets before.
        self._sets = [
            (sum(counts[:i]), count, share, sum(self.shares[:i]))
            for i, (count, share) in enumerate(zip(counts, self.shares, strict=True))
            if count
        ]
        self._table = torch.tensor(self._sets, dtype=torch.float64, device=device)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """``size`` windows ``(size, length, columns)``, of the sets by their shares.

        Only ``rows`` of them are gathered. Within a set each valid start is equally likely. With
        a warp every second window is resampled.
        """
        places = self._places(size, generator)[rows]
        windows = self._gather(self.starts[places])
        if self.warp == 1.0:
            return windows
        speeds = draw_speeds(size, self.warp, generator, self.starts.device)[rows]
        # Which ones does not depend on the rows: they are the same for any number of processes.
        second = slice(range(size)[rows].start % 2, None, 2)
        windows[second] = self._warped(self.starts[places[second]], speeds[second])
        return windows

    def seek(self, drawn: int) -> None:
        """Nothing to do: the generator alone decides the next windows."""

    def once(self, generator: torch.Generator) -> EpochSampler:
        """Every window once, unwarped, in random order.

        Until the windows of a set end, every prefix of the order has each set's share of windows,
        to within the number of sets.
        """
        device = self.starts.device
        order, turns = [], []
        for first, count, share, _ in self._sets:
            order.append(first + torch.randperm(count, generator=generator, device=device))
            # The n-th window of a set is due when about n / share windows were given in all.
            turn = torch.arange(count, device=device, dtype=torch.float64)
            turns.append((turn + 0.5) / share)
        places = torch.cat(order)[torch.cat(turns).argsort(stable=True)]
        return EpochSampler(self.starts[places], self._gather)

    def enumerated(self) -> Tensor:
        """The consecutive windows of every clip, ``(windows, length, columns)``, no overlap."""
        return self.stretched(1)._gather(self._enumerated)

    def _places(self, size: int, generator: torch.Generator) -> Tensor:
        """``(size,)`` windows drawn by the shares; with several sets from 53 random bits each."""
        device = self.starts.device
        if len(self._sets) == 1:
            return torch.randint(len(self), (size,), generator=generator, device=device)
        drawn = torch.rand(size, generator=generator, device=device, dtype=torch.float64)
        first, count, share, before = self._table.T
        of = torch.searchsorted(before.contiguous(), drawn, right=True) - 1
        within = ((drawn - before[of]) / share[of] * count[of]).floor()
        # Rounding may touch the next set.
        return (first[of] + within.clamp(min=0.0).minimum(count[of] - 1)).long()

    def _gather(self, starts: Tensor) -> Tensor:
        clip = torch.searchsorted(self._ends, starts, right=True)
        last = self._ends[clip, None] - 1
        steps = torch.arange(self.stretch * self.length, device=starts.device)
        places = starts[:, None] + steps
        raw = self.frames[places.minimum(last)]
        # Beyond the last frame of a clip it stands still.
        raw[..., _ROOT].masked_fill_((places > last)[..., None], 0.0)
        return self._standardized(raw)

    def _warped(self, starts: Tensor, speeds: Tensor) -> Tensor:
        clip = torch.searchsorted(self._ends, starts, right=True)
        first, last = self._ends[clip - 1], self._ends[clip] - 1
        length = self.stretch * self.length
        return self._standardized(warped(self.frames, starts, first, last, speeds, length))

    def _standardized(self, raw: Tensor) -> Tensor:
        """Observations of raw frames ``(count, frames, columns)``."""
        if self.stretch > 1:
            raw = raw.unflatten(1, (self.stretch, self.length))
        return self.statistics.standardize(accumulate(raw))


def draw_shares(windows: Sequence[int], weights: Sequence[float]) -> tuple[float, ...]:
    """Share of each set in the draws, by its windows and weight (:class:`WindowSet`)."""
    parts = [weight * math.sqrt(count) for count, weight in zip(windows, weights, strict=True)]
    return tuple(part / sum(parts) for part in parts)


def _hold(clip: Tensor, length: int) -> Tensor:
    missing = length - len(clip)
    if missing <= 0:
        return clip
    hold = clip[-1:].repeat(missing, 1)
    hold[:, _ROOT] = 0.0
    return torch.cat([clip, hold])
