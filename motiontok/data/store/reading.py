"""Reading a store: its clips as motions, read on access."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import overload
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from bvh.archives import natural_key
from bvh.closing import Closing
from bvh.dataset import Dataset, LazyMotions
from bvh.motion import FPS, Motion, Source
from bvh.skeleton import root_between_bodies
from motiontok.data.placement import REFERENCE
from motiontok.data.store.entries import read_entries, read_index
from motiontok.data.store.frames import Frames, unpack_frames
from motiontok.data.store.shard import Shard
from motiontok.errors import DataError

__all__ = ["Integers", "Store", "StoredMotions"]

_OPEN = 256
"""Shards to keep open; some systems allow a process few open files."""

Integers = NDArray[np.int64]


class Store(Closing):
    """Clips of a folder that ``motiontok pack FOLDERS -o STORE`` wrote.

    ::

        store = Store("store")
        for name, clips in store.datasets():    # a bvh.dataset.Dataset of each set
            for motion in clips:                # read from disk one by one
                ...

    Memory holds the clips' entries, not their frames. Shards are opened as they are read, and
    closed by :meth:`close`, at the end of a ``with``, or with the last that refers to the store.

    Attributes:
        sets: names of the sets.
        entries: of clips with motion, set by set and in natural order of their files' names.
        failed: of clips without motion, with the reason.
        calibrations: of the rigs.
        frames: ``(clips,)`` frames of each.
        to_reference: ``(clips, 2)`` scale and lift, metres, of the root's path onto the
            reference body (:func:`bvh.skeleton.root_between_bodies`).

    Args:
        folder: the store.

    Raises:
        DataError: it is no store, or a file of it is missing, damaged or of another version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        index = read_index(self.folder)
        self.calibrations = index.calibrations
        last = {(entry.set, entry.file): entry for entry in read_entries(self.folder)}
        self.sets = tuple(dict.fromkeys([*index.sets, *(name for name, _ in last)]))
        place = {name: number for number, name in enumerate(self.sets)}
        order = sorted(last.values(), key=lambda e: (place[e.set], natural_key(e.file)))
        self.entries = [entry for entry in order if not entry.error]
        self.failed = [entry for entry in order if entry.error]
        if not self.entries:
            raise DataError(f"{folder}: no clips in this store; pack some into it")
        self.shards = list(dict.fromkeys(entry.shard for entry in self.entries))
        numbers = {name: number for number, name in enumerate(self.shards)}
        self.shard_of: Integers = np.array([numbers[e.shard] for e in self.entries])
        self.rows: Integers = np.array([e.row for e in self.entries], dtype=np.int64)
        self.frames: Integers = np.array([e.frames for e in self.entries], dtype=np.int64)
        self._opened = lru_cache(maxsize=_OPEN)(self._open)
        self._files: WeakSet[Shard] = WeakSet()
        ends = np.zeros(len(self.shards), dtype=np.int64)
        np.maximum.at(ends, self.shard_of, self.rows + self.frames)
        bodies = []
        for number, end in enumerate(ends):
            # All are looked at once, so that what is missing is said before work begins.
            shard = self.shard(number)
            if end > shard.rows:
                raise DataError(
                    f"{self.folder / self.shards[number]}: has {shard.rows} frames, its manifest "
                    f"says {end}; remove both, and pack again"
                )
            bodies.append([_to_reference(body.tobytes()) for body in shard.bodies])
        self.to_reference = np.array(
            [bodies[number][e.body] for number, e in zip(self.shard_of, self.entries, strict=True)]
        )

    def __len__(self) -> int:
        return len(self.entries)

    @override
    def close(self) -> None:
        """Close all shards; reading opens them again."""
        self._opened.cache_clear()
        for shard in list(self._files):
            shard.close()

    def shard(self, number: int) -> Shard:
        """The shard of that number, opened.

        Raises:
            DataError: it is missing, damaged or of another version.
        """
        return self._opened(int(number))

    def _open(self, number: int) -> Shard:
        shard = Shard(self.folder / self.shards[number])
        self._files.add(shard)
        return shard

    def read(self, clip: int, first: int, last: int) -> Frames:
        """Frames ``first`` to before ``last`` of a clip.

        Raises:
            DataError: its shard is damaged.
        """
        return self.shard(self.shard_of[clip]).read(int(self.rows[clip]) + first, last - first)

    def motion(self, clip: int) -> Motion:
        """The motion of a clip, by its number.

        Raises:
            DataError: its shard is damaged.
        """
        entry = self.entries[clip]
        shard = self.shard(self.shard_of[clip])
        root, rotations = unpack_frames(shard.read(entry.row, entry.frames))
        joints = shard.joints(entry.joints)
        source = Source(entry.name, entry.fps, entry.scale, entry.family, joints)
        return Motion(root, rotations, shard.bodies[entry.body], FPS, source)

    def datasets(self) -> list[tuple[str, Dataset]]:
        """Name and clips of each set that has any."""
        numbers: dict[str, list[int]] = {name: [] for name in self.sets}
        for number, entry in enumerate(self.entries):
            numbers[entry.set].append(number)
        return [(name, self._dataset(name, clips)) for name, clips in numbers.items() if clips]

    def _dataset(self, name: str, clips: list[int]) -> Dataset:
        entries = [self.entries[clip] for clip in clips]
        return Dataset(
            StoredMotions(self, clips),
            [entry.file for entry in entries],
            [(entry.file, entry.error) for entry in self.failed if entry.set == name],
            [entry.digest for entry in entries],
            [(entry.file, line) for entry in entries for line in entry.remarks],
            dict(self.calibrations),
        )


@lru_cache(maxsize=65_536)
def _to_reference(body: bytes) -> tuple[float, float]:
    """Scale and lift onto the reference body; many shards have the same bodies."""
    return root_between_bodies(np.frombuffer(body).reshape(-1, 3), REFERENCE)


class StoredMotions(LazyMotions):
    """Motions of a store by their numbers, each read on access.

    Args:
        store: the store.
        clips: their numbers in it.
    """

    def __init__(self, store: Store, clips: Iterable[int]) -> None:
        self.store = store
        self.clips: Integers = np.fromiter(clips, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.clips)

    @overload
    def __getitem__(self, index: int) -> Motion: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Motion]: ...
    def __getitem__(self, index: int | slice) -> Motion | Sequence[Motion]:
        if isinstance(index, slice):
            return StoredMotions(self.store, self.clips[index].tolist())
        return self.store.motion(int(self.clips[index]))

    @property
    @override
    def lengths(self) -> list[int]:
        found: list[int] = self.store.frames[self.clips].tolist()
        return found

    @property
    @override
    def names(self) -> list[str]:
        return [self.store.entries[clip].name for clip in self.clips]

    @property
    @override
    def digests(self) -> list[str]:
        return [self.store.entries[clip].motion for clip in self.clips]

    @override
    def take(self, indices: Iterable[int]) -> StoredMotions:
        return StoredMotions(self.store, (int(self.clips[i]) for i in indices))
