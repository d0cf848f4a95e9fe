"""Examining files before packing: their content, and their rigs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bvh.clip_files import at, examine_files
from bvh.reading import Settings
from bvh.rigs import File, Rig, calibrate_rig, group
from bvh.workers import Workers
from motiontok.data.store.entries import Index, read_index
from motiontok.locks import locked
from motiontok.shards import Share, share_of

__all__ = ["SetFiles", "examine", "index_locked"]


def index_locked(out: Path) -> AbstractContextManager[None]:
    """Hold the lock of the index, which all shares write in turn."""
    return locked(out / ".index.lock", "packing into this store", wait=True)


@dataclass(frozen=True, eq=False)
class SetFiles:
    """The files of a set.

    Attributes:
        set: name of the set.
        path: folder, archive or file, as given.
        folder: place of its files; those of an archive are unpacked elsewhere.
        names: of the files.
    """

    set: str
    path: Path
    folder: Path
    names: Sequence[str]

    def own(self, share: Share) -> list[str]:
        """Names of the clips of a share."""
        return [n for n in self.names if share_of(f"{self.set}/{n}", share[1]) == share[0]]

    def examined(self, names: Sequence[str], settings: Settings) -> list[File]:
        """Files by their names, read for their digests and rigs."""
        return examine_files(self.path, self.folder, names, settings)

    def listing(self, settings: Settings) -> Iterator[str]:
        """A digest that changes with files, without reading them."""
        for name in self.names if self.folder == self.path else [""]:
            path = at(self.path, name)
            with suppress(OSError):
                found = path.stat()
                said = settings.of(path).digest
                yield f"{self.set}/{name} {found.st_size} {found.st_mtime_ns} {said}"


def examine(
    out: Path, sets: Sequence[SetFiles], settings: Settings, share: Share, pool: Workers
) -> tuple[Index, list[list[File]]]:
    """The store's index with the rigs of all clips, and the files of the share, set by set.

    The share that comes first calibrates rigs, on clips of all shares. The others wait for it, and
    then need only their own files.

    Raises:
        DataError: the index is damaged.
    """
    lines = [line for of in sets for line in of.listing(settings)]
    listing = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    own = [of.own(share) for of in sets]
    with index_locked(out):
        index = read_index(out)
        if share[1] == 1 or index.listing != listing:
            every = [of.examined(of.names, settings) for of in sets]
            calibrated = replace(_calibrated(index, every, pool), listing=listing)
            if (calibrated.listing, calibrated.samples) != (index.listing, index.samples):
                calibrated.save(out)
            mine = [set(names) for names in own]
            return calibrated, [
                [file for file in files if file.name in names]
                for files, names in zip(every, mine, strict=True)
            ]
    return index, [of.examined(names, settings) for of, names in zip(sets, own, strict=True)]


def _calibrated(index: Index, sets: Sequence[Sequence[File]], pool: Workers) -> Index:
    """The index with the calibrations of all rigs of these sets.

    A rig has the calibration of the first set with several clips of it, and keeps it: later clips
    are read like the existing ones.
    """
    samples, calibrations = dict(index.samples), dict(index.calibrations)
    wanted: dict[str, Rig] = {}
    for files in sets:
        for name, rig in group(files).items():
            if rig.sample:
                wanted.setdefault(name, rig)
            else:
                samples.setdefault(name, "")
                calibrations.setdefault(name, None)
    new = {
        name: rig
        for name, rig in wanted.items()
        if calibrations.get(name) is None and samples.get(name) != rig.key
    }
    made = {rig.key: of for rig, of in pool.map(calibrate_rig, [*new.values()])}
    samples |= {name: rig.key for name, rig in new.items()}
    calibrations |= {name: made[rig.key] for name, rig in new.items()}
    return replace(index, samples=samples, calibrations=calibrations)
