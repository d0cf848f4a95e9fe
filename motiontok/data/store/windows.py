"""Windows of a store's clips, read and turned into features during training."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motiontok.data.features import FEATURES
from motiontok.data.statistics import Statistics
from motiontok.data.store.order import Permutation, Turns
from motiontok.data.store.places import PART, Place, Reader
from motiontok.data.store.reading import Integers
from motiontok.data.store.shelf import Shelf
from motiontok.data.time_warp import draw_speeds, warped
from motiontok.data.windows import accumulate, draw_shares

__all__ = ["StoredWindows"]

_AHEAD = 4
"""Batches to read ahead, each by a thread."""


@dataclass(frozen=True, eq=False)
class _Segments:
    """Parts of clips around windows to resample, and their speeds."""

    place: Place
    words: NDArray[np.int16]
    speeds: Tensor


@dataclass(frozen=True, eq=False)
class _Read:
    """Data of a batch: its windows, and segments for resampled ones."""

    place: Place
    words: NDArray[np.int16]
    second: slice
    segments: _Segments | None


class StoredWindows:
    """Every window of ``length`` consecutive frames of the clips on a shelf, standardised.

    The counterpart of :class:`motiontok.data.windows.WindowSet` in memory: the same windows,
    features to within 16 bits, and shares of sets. Windows are drawn independently of each other,
    so that windows of one clip come together only by chance. A batch follows from the seed and from
    the number of windows drawn before it, not from the loop's generator. So threads read batches
    ahead, and a run continues in the middle from that number.

    Args:
        shelf: where the clips are.
        sets: numbers of the clips, and weight, of each set.
        length: frames a window.
        statistics: to standardise windows with.
        mirror: also of every clip's mirror image.
        warp: as for :class:`~motiontok.data.windows.WindowSet`.
        seed: of the draws.
        device: where features are computed.

    Attributes:
        shares: of each set in the draws; their sum is 1.
        stretch: consecutive windows of an observation.
    """

    def __init__(
        self,
        shelf: Shelf,
        sets: Sequence[tuple[Integers, float]],
        length: int,
        statistics: Statistics,
        *,
        mirror: bool = False,
        warp: float = 1.0,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.length, self.stretch = length, 1
        self.statistics, self.mirror, self.warp = statistics, mirror, warp
        self._seed = seed % 2**63  # torch takes negative ones too
        self._reader = Reader(shelf, torch.device(device))
        self._clips = [clips for clips, _ in sets]
        self._weights = [weight for _, weight in sets]
        self._drawn = 0
        self._count()

    def stretched(self, stretch: int) -> StoredWindows:
        """The same clips, each observation ``stretch`` consecutive windows.

        Observations are ``(stretch, length, columns)``; clips that are shorter are held on their
        last frame.
        """
        out = copy.copy(self)
        out.stretch = stretch
        out._count()
        return out

    def _count(self) -> None:
        """Number of windows of each clip."""
        length = self.stretch * self.length
        frames = self._reader.shelf.frames
        self._ends = [np.cumsum(np.maximum(frames[clips] - length, 0) + 1) for clips in self._clips]
        self._counts = [(1 + self.mirror) * int(e[-1]) if len(e) else 0 for e in self._ends]
        self.shares = draw_shares(self._counts, self._weights)
        self._waiting: deque[Future[_Read]] = deque()
        self._asked: tuple[int, int, int] | None = None
        self._threads: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return sum(self._counts)

    def seek(self, drawn: int) -> None:
        """Continue after ``drawn`` windows."""
        self._drawn = drawn
        self._waiting.clear()

    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """The next ``size`` windows ``(size, length, columns)``, of the sets by their shares.

        Only ``rows`` of them are read. With a warp every second window is resampled. The generator
        is not used.
        """
        asked = (size, *rows.indices(size)[:2])
        if asked != self._asked:
            self._asked = asked
            self._waiting.clear()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_AHEAD, thread_name_prefix="reading")
        while len(self._waiting) < _AHEAD:
            drawn = self._drawn + size * len(self._waiting)
            self._waiting.append(self._threads.submit(self._read, drawn, *asked))
        read = self._waiting.popleft().result()
        self._drawn += size
        raw = self._reader.features(read.place, read.words)
        if read.segments is not None:
            raw[read.second] = self._warped(read.place.take(read.second), read.segments)
        return self._observations(raw)

    def _read(self, drawn: int, size: int, first: int, last: int) -> _Read:
        """Data of a batch; runs in a thread."""
        length = self.stretch * self.length
        place = self.places(size, drawn).take(slice(first, last))
        words = self._reader.read(place, length)
        if self.warp == 1.0:
            return _Read(place, words, slice(0), None)
        seed = int(np.random.default_rng((self._seed, drawn, 1)).integers(2**63))
        speeds = draw_speeds(size, self.warp, torch.Generator().manual_seed(seed))
        # Which ones does not depend on the rows: they are the same for any number of processes.
        second = slice(first % 2, None, 2)
        mine, speeds = place.take(second), speeds[first:last][second]
        reach = self.warp * (length - 1)
        end = self._reader.shelf.frames[mine.clips] - 1
        shift = np.minimum(end - mine.starts - speeds.numpy() * (length - 1), 0.0)
        begin = np.maximum(np.floor(mine.starts + shift).astype(np.int64) - 1, 0)
        at = Place(mine.clips, begin, mine.mirrored)
        return _Read(
            place,
            words,
            second,
            _Segments(at, self._reader.read(at, math.ceil(reach) + 5), speeds),
        )

    def _warped(self, place: Place, of: _Segments) -> Tensor:
        """Raw windows at other speeds, from segments of their clips around them."""
        device = self._reader.device
        frames = self._reader.features(of.place, of.words)
        # In frames of the segments, one after the other; a clip may begin before its segment.
        base = np.arange(len(place)) * frames.shape[1] - of.place.starts
        first, starts, last = (
            torch.from_numpy(base + at).to(device)
            for at in (0, place.starts, self._reader.shelf.frames[place.clips] - 1)
        )
        length = self.stretch * self.length
        return warped(frames.flatten(0, 1), starts, first, last, of.speeds.to(device), length)

    def places(self, size: int, drawn: int) -> Place:
        """Places of the ``size`` windows after ``drawn``."""
        random = np.random.default_rng((self._seed, drawn))
        of = np.searchsorted(np.cumsum(self.shares)[:-1], random.random(size), side="right")
        within = random.random(size)
        clips, starts = np.empty(size, np.int64), np.empty(size, np.int64)
        mirrored = np.empty(size, np.bool_)
        for number, count in enumerate(self._counts):
            mine = of == number
            which = np.minimum((within[mine] * count).astype(np.int64), count - 1)
            found = self._at(number, which)
            clips[mine], starts[mine] = found.clips, found.starts
            mirrored[mine] = found.mirrored
        return Place(clips, starts, mirrored)

    def _at(self, number: int, which: Integers) -> Place:
        """Places of a set's windows, by their numbers in it."""
        ends = self._ends[number]
        if not len(which):
            return Place(which, which, np.zeros(0, np.bool_))
        mirrored = which >= ends[-1]
        which = which % ends[-1]
        clip = np.searchsorted(ends, which, side="right")
        begin = np.where(clip > 0, ends[clip - 1], 0)
        return Place(self._clips[number][clip], which - begin, mirrored)

    def once(self, generator: torch.Generator) -> Callable[[int], Tensor]:
        """A function of a count that gives so many windows, each once, in random order.

        Until the windows of a set end, every prefix of the order has each set's share. At the end
        it gives fewer, and then none.
        """
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        turns = Turns(self._counts, self.shares)
        orders = [Permutation(count, seed + n) for n, count in enumerate(self._counts)]

        def give(count: int) -> Tensor:
            parts = [(at, self._at(of, orders[of][which])) for of, which, at in turns.take(count)]
            order = np.concatenate([at for at, _ in parts]).argsort()
            places = _joined([place for _, place in parts]).take(order)
            return self._found(places)

        return give

    def _found(self, places: Place) -> Tensor:
        """Observations at any number of places, in batches."""
        length = self.stretch * self.length
        shape = (self.length,) if self.stretch == 1 else (self.stretch, self.length)
        # Into one tensor: joined, all of them would be in memory twice.
        out = torch.empty((len(places), *shape, FEATURES), device=self._reader.device)
        for first in range(0, len(places), PART):
            some = places.take(slice(first, first + PART))
            raw = self._reader.features(some, self._reader.read(some, length))
            out[first : first + PART] = self._observations(raw)
        return out

    def _observations(self, raw: Tensor) -> Tensor:
        """Observations of raw features ``(count, frames, 203)``."""
        if self.stretch > 1:
            raw = raw.unflatten(1, (self.stretch, self.length))
        return self.statistics.standardize(accumulate(raw))


def _joined(places: Sequence[Place]) -> Place:
    return Place(
        np.concatenate([p.clips for p in places]),
        np.concatenate([p.starts for p in places]),
        np.concatenate([p.mirrored for p in places]),
    )
