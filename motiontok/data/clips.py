"""The clips a configuration names, split into training and held-out ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate as accumulated
from pathlib import Path
from typing import overload

from bvh import lafan, procedural
from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.motion_io import Calibrations
from bvh.reading import Reading
from motiontok.config import DataConfig
from motiontok.data.sets import (
    check_weights,
    find_copies,
    notes_on,
    open_sets,
    read_sets,
    remarks_on,
    shared_calibrations,
    split_sets,
    without,
)
from motiontok.data.store.entries import is_store
from motiontok.errors import DataError

__all__ = ["ClipSet", "Clips", "Joined", "every_clip", "load_clips"]

_LICENCES = {
    "lafan": "trained on LAFAN1 (Ubisoft La Forge), CC BY-NC-ND 4.0",
    "bandai": "trained on the Bandai-Namco Research Motion Dataset, CC BY-NC 4.0",
    "folder": "trained on the user's own clips; their licence applies",
    "general": "trained on the user's own sets of clips; the licence of each applies",
    "procedural": "trained on procedural clips, no restriction from data",
}


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Motions of one folder, archive or file.

    Attributes:
        name: of the set.
        training, held_out: canonical motions for training and for measuring.
        skipped: (file, reason) of files that could not be read.
        weight: frequency of its draws relative to a set of equal size with weight 1.
    """

    name: str
    training: Sequence[Motion]
    held_out: Sequence[Motion]
    skipped: Sequence[tuple[str, str]] = ()
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Clips:
    """Sets of motions for training and for measuring.

    Attributes:
        sets: in the given order.
        licence: note on the data's licence.
        notes: lines for the user: clips that two sets have, sets without held-out clips, and faults
            and assumptions of files.
        calibrations: of their rigs, by rig.
    """

    sets: tuple[ClipSet, ...]
    licence: str
    notes: tuple[str, ...] = ()
    calibrations: Calibrations = field(default_factory=dict)

    @property
    def training(self) -> Sequence[Motion]:
        """Motions to train on, set by set."""
        return Joined([of.training for of in self.sets])

    @property
    def held_out(self) -> Sequence[Motion]:
        """Motions held out, set by set."""
        return Joined([of.held_out for of in self.sets])

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(file, reason) of files that could not be read; of several sets with the set's name."""
        several = len(self.sets) > 1
        return [
            (f"{of.name}/{file}" if several else file, reason)
            for of in self.sets
            for file, reason in of.skipped
        ]


class Joined(Sequence[Motion]):
    """Motions of several sets, one after the other; motions of a store are read one by one."""

    def __init__(self, parts: Sequence[Sequence[Motion]]) -> None:
        self._parts = parts
        self._ends = list(accumulated(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Motion: ...
    @overload
    def __getitem__(self, index: slice) -> list[Motion]: ...
    def __getitem__(self, index: int | slice) -> Motion | list[Motion]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        part = bisect_right(self._ends, place)
        return self._parts[part][place - (self._ends[part] - len(self._parts[part]))]


def load_clips(
    config: DataConfig,
    paths: Sequence[str | Path],
    *,
    seed: int,
    strict: bool = False,
    reading: Reading | None = None,
    calibrations: Calibrations | None = None,
    update: Callable[[int, int], object] | None = None,
) -> Clips:
    """Read or make the clips of a configuration.

    Each path is a set. A share of it is held out as if it were alone, so that measuring on it alone
    uses the same clips. A clip that an earlier set has too is left out.

    Args:
        config: data section of a run.
        paths: folders, archives or files of clips; procedural data takes none.
        seed: of procedural clips.
        strict: an unreadable clip, or a fault in one, is an error.
        reading: how to read the files.
        calibrations: of the tokenizer to measure; without them rigs are calibrated.
        update: called with files done and files in all, of the sets so far.

    Raises:
        DataError: a path is missing, has nothing usable, or weights name sets that do not exist.
    """
    if config.dataset not in _LICENCES:
        raise DataError(
            f"data.dataset: no data set {config.dataset!r}; choose from {', '.join(_LICENCES)}"
        )
    licence = _LICENCES[config.dataset]
    if config.dataset == "procedural":
        if paths:
            raise DataError(
                "procedural data is made, not read; leave out --data, or take a configuration for "
                "clips, such as general"
            )
        check_weights(config, ["procedural"])
        held = max(config.clips // config.holdout, 1)
        made = ClipSet(
            "procedural",
            procedural.dataset(config.clips, seconds=config.seconds, seed=seed),
            # Another seed: other bodies, styles and paths, never a cut of a training clip.
            procedural.dataset(held, seconds=config.seconds, seed=seed + 1_000_003),
        )
        return Clips((made,), licence)
    if not paths and config.dataset != "lafan":
        raise DataError(
            f"training on {config.dataset} needs --data: a folder, .zip or .tar of BVH files; "
            "several may be given"
        )
    try:
        if config.dataset == "lafan":
            given = [Path(path) for path in paths]
            places = [path if is_store(path) else lafan.find(path) for path in given]
            places = places or [lafan.find()]
        else:
            places = [Path(path) for path in paths]
        names, opened = open_sets(places)
        check_weights(config, names)
        found = read_sets(
            opened, strict=strict, reading=reading, calibrations=calibrations, update=update
        )
        copies = find_copies(found, names)
        parts = split_sets(config, names, found, copies)
    except BVHError as error:
        missing = config.dataset == "lafan" and not paths
        how = " with --data (lafan1.zip, its folder, or the clone)" if missing else ""
        raise DataError(f"{error}{how}") from None
    sets = (
        ClipSet(
            name,
            part.train.motions,
            part.held_out.motions,
            of.skipped,
            config.weights.get(name, 1.0),
        )
        for name, of, part in zip(names, found, parts, strict=True)
    )
    alone = [name for name, part in zip(names, parts, strict=True) if not part.held_out.motions]
    notes = [f"{name}: a single clip, which is trained on; nothing is held out" for name in alone]
    clips = Clips(
        tuple(sets),
        licence,
        (*notes_on(copies, names), *notes, *remarks_on(found, names)),
        shared_calibrations(found),
    )
    if not clips.held_out:
        raise DataError(
            f"nothing is held out of {', '.join(names)}: a set needs two clips for that; put clips "
            "that belong together in one folder"
        )
    return clips


def every_clip(
    paths: Sequence[str | Path],
    *,
    strict: bool = False,
    reading: Reading | None = None,
    calibrations: Calibrations | None = None,
    update: Callable[[int, int], object] | None = None,
) -> Clips:
    """All clips of all paths, to measure on.

    Args:
        paths, strict, reading, calibrations, update: as :func:`load_clips` takes them.

    Raises:
        BVHError: nothing is there, or no clip that can be read.
        DataError: a path is given twice, or has only clips of an earlier one.
    """
    places = [Path(path) for path in paths]
    names, opened = open_sets(places)
    found = read_sets(
        opened, strict=strict, reading=reading, calibrations=calibrations, update=update
    )
    copies = find_copies(found, names)
    sets = (
        ClipSet(name, (), without(of, copied).motions, of.skipped)
        for name, of, copied in zip(names, found, copies, strict=True)
    )
    return Clips(tuple(sets), "", (*notes_on(copies, names), *remarks_on(found, names)))
