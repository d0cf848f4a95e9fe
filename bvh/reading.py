"""What a user says of files of motion, where what would be found is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from bvh.atomic_write import read_short
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.normalizer.mapping import read_mapping
from bvh.reader import read

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["SETTINGS", "UP", "Reading", "Settings", "read_clip"]

SETTINGS = "bvh.toml"
"""Name of the file that says how the clips beside it, and in folders below it, are read."""

UP = ("x", "y", "z", "-x", "-y", "-z")
"""Axes that may point up."""


@dataclass(frozen=True)
class Reading:
    """How files are to be understood; what is None is found, or believed as it is written.

    Attributes:
        up: source axis that points up.
        scale: metres per source unit.
        fps: frames per second of the source, instead of those that its frame time says.
        mapping: canonical joint -> source joint, see :func:`bvh.read_mapping`.
        frames: ``"rows"`` believes the rows of numbers where ``Frames:`` disagrees with them.
        height: of the subject in metres, where the file does not have its bones.

    Raises:
        BVHError: a value that none of them can have.
    """

    up: str | None = None
    scale: float | None = None
    fps: float | None = None
    mapping: Mapping[str, str] | None = None
    frames: Literal["header", "rows"] | None = None
    height: float | None = None

    def __post_init__(self) -> None:
        if self.up is not None and self.up not in UP:
            raise BVHError(f"up must be one of {', '.join(UP)}, got {self.up!r}")
        for name in ("scale", "fps", "height"):
            value = getattr(self, name)
            if value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            # One over it must be a number too, and TOML's integers may be beyond floats.
            if not (number and 1e-300 < value < 1e300):
                raise BVHError(f"{name} must be a number above zero, got {value!r:.40}")
            object.__setattr__(self, name, float(value))
        if self.frames not in (None, "header", "rows"):
            raise BVHError(f"frames must be 'header' or 'rows', got {self.frames!r}")

    def over(self, other: Reading) -> Reading:
        """This, and what it leaves open as ``other`` has it."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(other, **{name: v for name, v in mine.items() if v is not None})

    @property
    def digest(self) -> str:
        """Of what is said; empty if nothing is."""
        said = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        if not said:
            return ""
        text = json.dumps(said, sort_keys=True, default=dict)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Settings:
    """How each of many files is to be read: as a user says, then as a ``bvh.toml`` does.

    The nearest one counts, in the file's own folder or in one above it, so that a file is read
    alike alone and with its folder. What lies in an archive is read as what lies beside it.

    Args:
        given: what the user says, for all files.
    """

    def __init__(self, given: Reading | None = None) -> None:
        self.given = given or Reading()
        self._read: dict[Path, Reading] = {}
        self._nearest: dict[Path, Path | None] = {}

    def of(self, path: str | os.PathLike[str]) -> Reading:
        """How one file is to be read.

        Raises:
            BVHError: its ``bvh.toml`` cannot be used.
        """
        file = self.file_of(path)
        if file is None:
            return self.given
        if file not in self._read:
            self._read[file] = _read_settings(file)
        return self.given.over(self._read[file])

    def file_of(self, path: str | os.PathLike[str]) -> Path | None:
        """The ``bvh.toml`` that a file is read by.

        Raises:
            BVHError: what lies beside the file is nearly named so, and would not be read.
        """
        folder = Path(path).absolute().parent
        if folder not in self._nearest:
            places = (place / SETTINGS for place in (folder, *folder.parents))
            # Whatever it is: a folder or a broken link of this name is told when it is read.
            found = next((place for place in places if os.path.lexists(place)), None)
            if found is None or found.parent != folder:
                _refuse_misnamed(folder)
            self._nearest[folder] = found
        return self._nearest[folder]


def _refuse_misnamed(folder: Path) -> None:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.lower().removesuffix(".txt") in (SETTINGS, f".{SETTINGS}"):
            raise BVHError(f"{folder / name}: not read under this name; call it {SETTINGS}")


def read_clip(path: str | os.PathLike[str], reading: Reading) -> Clip:
    """A BVH file as it is to be read, before it is normalised.

    Raises:
        BVHError: it cannot be read.
    """
    return read(path, frames=reading.frames or "header", fps=reading.fps)


def _read_settings(path: Path) -> Reading:
    text = read_short(path)
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BVHError(f"{path}: not TOML ({error})") from None
    known = [f.name for f in fields(Reading)]
    for key in values:
        if key not in known:
            raise BVHError(f"{path}: unknown key {key!r}; choose from {', '.join(known)}")
    mapping = values.get("mapping")
    if isinstance(mapping, str):
        values["mapping"] = read_mapping(path.parent / mapping)
    elif mapping is not None and not (
        isinstance(mapping, dict) and all(isinstance(name, str) for name in mapping.values())
    ):
        raise BVHError(f'{path}: mapping must be a file or a table of LeftUpLeg = "source joint"')
    try:
        return Reading(**values)
    except BVHError as error:
        raise BVHError(f"{path}: {error}") from None
