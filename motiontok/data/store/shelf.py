"""Clips of several stores, and of memory, under one numbering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import root_between_bodies
from motiontok.data.placement import REFERENCE
from motiontok.data.store.frames import Frames, pack_frames
from motiontok.data.store.reading import Integers, StoredMotions

__all__ = ["Shelf", "is_stored"]


class _Source(Protocol):
    """Interface to clips by their numbers; see :class:`~motiontok.data.store.reading.Store`."""

    frames: Integers
    to_reference: Array

    def read(self, clip: int, first: int, last: int) -> Frames: ...


class _Packed:
    """Motions in memory, packed as in a store."""

    def __init__(self, motions: Sequence[Motion]) -> None:
        self._clips = [pack_frames(motion) for motion in motions]
        self.frames: Integers = np.array([len(clip) for clip in self._clips], dtype=np.int64)
        bodies = [root_between_bodies(motion.offsets, REFERENCE) for motion in motions]
        self.to_reference: Array = np.array(bodies).reshape(-1, 2)

    def read(self, clip: int, first: int, last: int) -> Frames:
        return self._clips[clip][first:last]


class Shelf:
    """Clips from which windows are read, in stores or in memory.

    Args:
        parts: clips: those of stores stay there, others are packed in memory.

    Attributes:
        numbers: of the clips of each part, on this shelf.
        frames: ``(clips,)`` frames of each.
        to_reference: ``(clips, 2)`` scale and lift, metres, of the root's path onto the
            reference body.

    Raises:
        BVHError: a clip in memory is of a body that has no features.
    """

    def __init__(self, parts: Sequence[Sequence[Motion]]) -> None:
        self._sources: list[_Source] = []
        begins: dict[int, int] = {}
        count = 0
        self.numbers: list[Integers] = []
        for part in parts:
            source: _Source = part.store if isinstance(part, StoredMotions) else _Packed(part)
            if id(source) not in begins:
                begins[id(source)] = count
                self._sources.append(source)
                count += len(source.frames)
            clips = part.clips if isinstance(part, StoredMotions) else np.arange(len(part))
            self.numbers.append(begins[id(source)] + clips.astype(np.int64))
        self._begins = np.array([begins[id(source)] for source in self._sources])
        self.frames: Integers = np.concatenate([source.frames for source in self._sources])
        self.to_reference: Array = np.concatenate([of.to_reference for of in self._sources])

    def read(self, clip: int, first: int, last: int) -> Frames:
        """Frames ``first`` to before ``last`` of a clip.

        Raises:
            DataError: its shard is damaged.
        """
        source = int(np.searchsorted(self._begins, clip, side="right")) - 1
        return self._sources[source].read(int(clip - self._begins[source]), first, last)


def is_stored(parts: Sequence[Sequence[Motion]]) -> bool:
    """Whether any clips are in a store."""
    return any(isinstance(part, StoredMotions) for part in parts)
