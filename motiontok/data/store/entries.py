"""The index of a store, and the entries of its manifests."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bvh.atomic_write import atomic_path
from bvh.motion_io import Calibrations
from bvh.normalizer import Calibration
from motiontok.errors import DataError
from motiontok.shards import manifest_lines, manifests

__all__ = ["FORMAT", "INDEX", "Entry", "Index", "is_store", "read_entries", "read_index"]

FORMAT = "motiontok-store-1"

INDEX = "store.json"
"""Name of the file that marks a store."""

_SHARED = ("set", "calibration", "reader", "shard", "joints", "family")

_CURE = "remove the line to pack its clip again"


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip of a store, a line of a manifest.

    Attributes:
        set: name of its set.
        file: path of its file in the set.
        digest: of the file's bytes and of the settings it is read with; empty if it has to be read
            again.
        calibration: digest of its calibration; empty if there is none.
        reader: digest of the code that read it; for a robot's file, of the robots' code and maps
            too.
        shard: file with its frames; empty if there are none.
        row: first of its frames in the shard.
        frames: their number.
        body: number of its bones in the shard.
        joints: key, in the shard's header, of its canonical joint -> source joint.
        motion: digest of the motion.
        name, fps, scale, family: of its :class:`bvh.motion.Source`.
        remarks: faults and assumptions of the file.
        error: reason why there is no motion; empty if there is one.
    """

    set: str
    file: str
    digest: str
    calibration: str = ""
    reader: str = ""
    shard: str = ""
    row: int = 0
    frames: int = 0
    body: int = 0
    joints: str = ""
    motion: str = ""
    name: str = ""
    fps: float = 30.0
    scale: float = 1.0
    family: str = ""
    remarks: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Index:
    """Values of a whole store.

    Attributes:
        sets: their names, in the order of packing.
        samples: by rig, the digest of the clips of its calibration.
        calibrations: by rig; None if each clip of it is measured on itself.
        listing: digest of the names, sizes and times of the files in the last search for rigs.
    """

    sets: tuple[str, ...] = ()
    samples: Mapping[str, str] = field(default_factory=dict)
    calibrations: Calibrations = field(default_factory=dict)
    listing: str = ""

    def save(self, folder: Path) -> None:
        """Write it into the folder of a store."""
        rigs = {
            rig: {"sample": self.samples.get(rig, ""), "calibration": of and of.to_dict()}
            for rig, of in self.calibrations.items()
        }
        values = {"format": FORMAT, "sets": self.sets, "rigs": rigs, "listing": self.listing}
        with atomic_path(folder / INDEX) as temporary:
            temporary.write_text(json.dumps(values) + "\n", encoding="utf-8")


def is_store(path: Path) -> bool:
    """Whether ``motiontok pack`` wrote this folder."""
    return (path / INDEX).is_file()


def read_index(folder: Path) -> Index:
    """The index of a store.

    Raises:
        DataError: there is none, it is damaged, or of another version.
    """
    path = folder / INDEX
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = values["format"]
        if found != FORMAT:
            raise DataError(
                f"{path}: format {found!r} is not {FORMAT!r}; use the motiontok that wrote it, or "
                "pack into another folder"
            )
        rigs: dict[str, dict[str, Any]] = values["rigs"]
        return Index(
            tuple(map(str, values["sets"])),
            {rig: of["sample"] for rig, of in rigs.items()},
            {rig: _calibration(of["calibration"]) for rig, of in rigs.items()},
            # Stores of before clips could be shared out have none.
            str(values.get("listing", "")),
        )
    except FileNotFoundError:
        raise DataError(
            f"{folder}: no {INDEX} in it: not a store; `motiontok pack` writes one"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: damaged ({error}); remove it and pack again, which reads what is missing"
        ) from None


def _calibration(of: dict[str, Any] | None) -> Calibration | None:
    return None if of is None else Calibration.from_dict(of)


def read_entries(folder: Path) -> Iterator[Entry]:
    """Entries of a store's finished shards, in the order of their making.

    A clip that was packed again has several: the last one counts.

    Raises:
        DataError: a line is damaged.
    """
    for path in manifests(folder):
        yield from manifest_lines(path, _CURE, _entry)


def _entry(values: dict[str, Any]) -> Entry:
    # Of many clips most of the words are the same, and need be there once.
    shared = {key: sys.intern(values[key]) for key in _SHARED if key in values}
    return Entry(**values | shared | {"remarks": tuple(map(sys.intern, values.get("remarks", ())))})
