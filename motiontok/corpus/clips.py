"""The clips of a corpus, in folders, archives and files, and in stores of motion."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from bvh.archives import is_archive, set_name, table_sidecar
from bvh.clip_files import EXPECTED, at, lying, names_in
from bvh.errors import BVHError
from bvh.motion_io import Calibrations, Loaded, load_motion
from bvh.reading import Reading, Settings
from motiontok.data.sets import set_names
from motiontok.data.store.entries import is_store
from motiontok.data.store.reading import Store
from motiontok.errors import DataError
from motiontok.shards import manifests

__all__ = ["Clips", "Place", "Sources", "open_clips", "places_of", "unpacked", "where"]

Sources = str | Path | Sequence[str | Path]
"""A source of clips, or several."""


@dataclass(frozen=True)
class Place:
    """A source of clips, as each worker finds it.

    Attributes:
        path: folder, archive, file or store, as it was given.
        folder: folder of its clips; for an archive, the folder with the unpacked clips.
        set: first part of its clips' names, or, for a file, its clip's name; empty if there is no
            other source.
    """

    path: Path
    folder: Path
    set: str = ""

    def own(self, name: str) -> str | None:
        """Name, in this source, of a clip of the corpus; None if it is in another source."""
        if not self.set:
            return name
        if name == self.set and self.path.is_file():
            return self.path.name
        return name.removeprefix(f"{self.set}/") if name.startswith(f"{self.set}/") else None

    def name(self, own: str) -> str:
        """Name, in the corpus, of a clip of this source."""
        if not self.set or (own == self.path.name and self.path.is_file()):
            return self.set or own
        return f"{self.set}/{own}"


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


def places_of(sources: Sources) -> tuple[Place, ...]:
    """The sources of a corpus, with the names of sets of clips.

    Raises:
        DataError: a source is given twice.
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    paths = [Path(path).expanduser() for path in given]
    if len(paths) == 1:
        return (Place(paths[0], paths[0]),)
    # A name that is a whole path must not lead out of the folder of results.
    names = [name.lstrip("/").replace(":", "") for name in set_names(paths, advice="name it once")]
    for number, path in enumerate(paths):
        ending = path.name.removeprefix(set_name(path))
        if path.is_file() and not is_archive(path) and not names[number].endswith(ending):
            names[number] += ending
    for name in names:
        if above := next((other for other in names if name.startswith(f"{other}/")), None):
            raise DataError(
                f"clips of {above} and of {name} could get the same name; rename a folder, or "
                "encode them one after the other"
            )
    return tuple(Place(path, path, name) for path, name in zip(paths, names, strict=True))


@contextmanager
def unpacked(places: Sequence[Place]) -> Iterator[tuple[Place, ...]]:
    """The same sources, with archives unpacked until the context ends.

    Raises:
        BVHError: a source is missing, has no clips, or is a damaged archive.
    """
    with ExitStack() as stack:
        out = []
        for place in places:
            if is_store(place.path):
                out.append(place)
                continue
            # Once for all workers; else each would unpack it again.
            folder, names = stack.enter_context(lying(place.path, names_in(place.path)))
            if not names:
                raise BVHError(f"{place.path}: no clips in this archive; expected {EXPECTED} files")
            out.append(replace(place, folder=folder))
        yield tuple(out)


def where(places: Sequence[Place], name: str) -> Path:
    """Path of a clip, also inside an archive, by its name in the corpus."""
    for place in places:
        own = place.own(name)
        if own is not None:
            return (
                place.path
                if place.path.is_file() and own == place.path.name
                else (place.path / own)
            )
    raise KeyError(name)


def open_clips(places: Sequence[Place], reading: Reading | None) -> Clips:
    """The clips of folders, archives, files and stores.

    Args:
        places: sources from :func:`unpacked`.
        reading: how to read files; overrides a ``bvh.toml`` beside them.

    Raises:
        DataError: a store is damaged, or ``reading`` asks for another reading of its clips.
    """
    opened = [(place, _open(place, reading)) for place in places]
    return opened[0][1] if len(opened) == 1 else _Several(opened)


def _open(place: Place, reading: Reading | None) -> Clips:
    if not is_store(place.path):
        return _Files(place, reading)
    if reading is not None and reading.digest:
        raise DataError(
            f"{place.path}: its clips were read when they were packed; to read them otherwise, "
            "pack them again"
        )
    written = ((path.name, path.stat().st_mtime_ns) for path in manifests(place.path))
    return _Stored(_opened(place.path, tuple(written)))


@lru_cache(maxsize=8)
def _opened(source: Path, written: tuple[tuple[str, int], ...]) -> Store:
    """A store at the state of its manifests, opened once a process."""
    return Store(source)


class _Several:
    """Clips of several sources; their names begin with their sets' names."""

    def __init__(self, opened: Sequence[tuple[Place, Clips]]) -> None:
        self._opened = opened

    @property
    def names(self) -> list[str]:
        found = [place.name(own) for place, clips in self._opened for own in clips.names]
        twice = [name for name, times in Counter(found).items() if times > 1]
        if twice:
            raise DataError(f"two clips would be called {twice[0]}: rename the file of one")
        return found

    def digest(self, name: str) -> str:
        clips, own = self._of(name)
        return clips.digest(own)

    def load(self, name: str, calibrations: Calibrations) -> Loaded:
        clips, own = self._of(name)
        return clips.load(own, calibrations)

    def _of(self, name: str) -> tuple[Clips, str]:
        for place, clips in self._opened:
            own = place.own(name)
            if own is not None:
                return clips, own
        raise KeyError(name)


class _Files:
    """Clips of a folder or archive, or a file as one clip."""

    def __init__(self, place: Place, reading: Reading | None) -> None:
        self._place, self._settings = place, Settings(reading)

    @property
    def names(self) -> list[str]:
        return names_in(self._place.folder)

    def digest(self, name: str) -> str:
        path = at(self._place.folder, name)
        data = path.read_bytes()
        if (sidecar := table_sidecar(path)) is not None:
            data += sidecar.read_bytes()
        return hashlib.sha256(data + self._said(path).digest.encode()).hexdigest()

    def load(self, name: str, calibrations: Calibrations) -> Loaded:
        path = at(self._place.folder, name)
        try:
            return load_motion(path, reading=self._said(path), calibrations=calibrations)
        except BVHError as error:
            # For an archive, name it and not the temporary folder.
            raise BVHError(
                str(error).replace(str(self._place.folder), str(self._place.path))
            ) from None

    def _said(self, path: Path) -> Reading:
        # An archive's clips are read with the settings beside the archive.
        own = self._place.folder == self._place.path
        return self._settings.of(path if own else self._place.path)


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
