"""The clips of a corpus, in a folder of files or in a store of motion."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from bvh.archives import MOTION_SUFFIXES, find_motion_files, is_table
from bvh.motion_io import Calibrations, Loaded, load_motion
from bvh.reading import Reading, Settings
from motiontok.data.store.entries import is_store
from motiontok.data.store.reading import Store
from motiontok.errors import DataError
from motiontok.shards import manifests

__all__ = ["Clips", "open_clips"]


class Clips(Protocol):
    """Clips by their relative paths."""

    @property
    def names(self) -> list[str]:
        """Their paths, in natural order."""
        ...

    def digest(self, name: str) -> str:
        """Digest of a clip's content and of the settings it is read with.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def load(self, name: str, calibrations: Calibrations) -> Loaded:
        """The motion of a clip, read with the known calibrations.

        Raises:
            BVHError, DataError: it cannot be read.
        """
        ...


def open_clips(source: Path, reading: Reading | None) -> Clips:
    """The clips of a folder or store.

    Args:
        source: folder or store.
        reading: how to read files; overrides a ``bvh.toml`` beside them.

    Raises:
        DataError: the store is damaged, or ``reading`` asks for another reading of its clips.
    """
    if not is_store(source):
        return _Folder(source, reading)
    if reading is not None and reading.digest:
        raise DataError(
            f"{source}: how clips of a store are read was said when they were packed: pack anew"
        )
    written = ((path.name, path.stat().st_mtime_ns) for path in manifests(source))
    return _Stored(_opened(source, tuple(written)))


@lru_cache(maxsize=1)
def _opened(source: Path, written: tuple[tuple[str, int], ...]) -> Store:
    """A store at the state of its manifests, opened once a process."""
    return Store(source)


class _Folder:
    def __init__(self, source: Path, reading: Reading | None) -> None:
        self._source, self._settings = source, Settings(reading)

    @property
    def names(self) -> list[str]:
        found = find_motion_files(self._source)
        if not found:
            raise DataError(f"{self._source}: no {', '.join(MOTION_SUFFIXES)} files in this folder")
        return found

    def digest(self, name: str) -> str:
        path = self._source / name
        said = self._settings.of(path).digest.encode()
        beside = path.with_name(f"{path.name}.json")
        if is_table(path) and beside.is_file():
            said += beside.read_bytes()
        return hashlib.sha256(path.read_bytes() + said).hexdigest()

    def load(self, name: str, calibrations: Calibrations) -> Loaded:
        path = self._source / name
        return load_motion(path, reading=self._settings.of(path), calibrations=calibrations)


class _Stored:
    """Clips of a store, as ``SET/FILE``; they stay as packed, and calibrations do not apply."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers = {f"{e.set}/{e.file}": n for n, e in enumerate(store.entries)}

    @property
    def names(self) -> list[str]:
        return list(self._numbers)

    def digest(self, name: str) -> str:
        return self._store.entries[self._numbers[name]].motion

    def load(self, name: str, calibrations: Calibrations) -> Loaded:
        number = self._numbers[name]
        return Loaded(self._store.motion(number), self._store.entries[number].remarks)
