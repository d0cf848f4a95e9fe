"""What is in a store: its index, and the entries of its manifests."""

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
"""Name of the file by which a store is known."""

_SHARED = ("set", "calibration", "reader", "shard", "joints", "family")

_CURE = "remove the line to pack its clip again"


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip of a store, a line of a manifest.

    Attributes:
        set: name of the set it is in.
        file: path of its file in the set.
        digest: of the file's bytes and of what is said of how to read it; empty if it is to be
            read again.
        calibration: digest of the calibration it was normalised with; empty if with none.
        reader: digest of the code that read it; of a robot's file, of what knows robots too.
        shard: file that holds its frames; empty where there are none.
        row: where in it they begin.
        frames: how many they are.
        body: number of its bones in the shard.
        joints: key, in the shard's header, of its canonical joint -> source joint.
        motion: digest of the motion.
        name, fps, scale, family: of its :class:`bvh.motion.Source`.
        remarks: what looks wrong in the file, or had to be assumed.
        error: why there is no motion; empty where there is.
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
    """What holds for a whole store.

    Attributes:
        sets: their names, in the order in which they were packed.
        samples: by rig, the digest of the clips it was calibrated on.
        calibrations: by rig; None where each clip of it speaks for itself.
        listing: digest of the names, sizes and times of the files among which rigs were last
            looked for.
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
    """Entries of a store's finished shards, in the order in which they were made.

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
