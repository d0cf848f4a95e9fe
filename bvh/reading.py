"""A user's settings for reading files of motion, where automatic recognition is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

from bvh.atomic_write import read_short
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.normalizer.mapping import read_mapping
from bvh.reader import read

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["SETTINGS", "UP", "Reading", "Settings", "Trajectories", "read_clip"]

SETTINGS = "bvh.toml"
"""Name of the file that says how the clips beside it, and in folders below it, are read."""

UP = ("x", "y", "z", "-x", "-y", "-z")
"""Axes that may point up."""


class Trajectories(Protocol):
    """Reads robots' files, which this package cannot; it must be picklable."""

    @property
    def version(self) -> str:
        """Version of the reading code: if it changes, files are read anew."""
        ...

    def __call__(self, path: Path, reading: Reading) -> Any:
        """The file's :class:`bvh.motion_io.Loaded`; raises BVHError."""
        ...


@dataclass(frozen=True)
class Reading:
    """How to read files. None means: found, or taken as the file states it.

    Attributes:
        up: source axis that points up.
        scale: metres per source unit.
        fps: frames per second of the source; overrides its frame time.
        mapping: canonical joint -> source joint, see :func:`bvh.read_mapping`.
        frames: ``"rows"`` believes the rows of numbers where ``Frames:`` disagrees with them.
        height: of the subject in metres, if the file has no bones.
        body_model: file of the body model (``.npz``) for a file of the SMPL family.
        robot: robot of a trajectory that names none: a name, or a description.
        robot_map: retarget map of a robot that is not shipped.
        quaternion: ``"xyzw"`` or ``"wxyz"``, order of the base's quaternion in a robot's table.
        angles: ``"radians"`` or ``"degrees"``, of the joints in a robot's table.
        joints: order of a robot's joints in an archive that does not name them.
        trajectories: reads robots' files, which need more than this package; with None they are
            refused.

    Raises:
        BVHError: an impossible value.
    """

    up: str | None = None
    scale: float | None = None
    fps: float | None = None
    mapping: Mapping[str, str] | None = None
    frames: Literal["header", "rows"] | None = None
    height: float | None = None
    body_model: str | None = None
    robot: str | None = None
    robot_map: str | None = None
    quaternion: Literal["xyzw", "wxyz"] | None = None
    angles: Literal["radians", "degrees"] | None = None
    joints: str | None = None
    trajectories: Trajectories | None = field(default=None, compare=False, repr=False)

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
        for name in ("body_model", "robot", "robot_map", "joints"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value):
                raise BVHError(f"{name} must be a text, got {value!r:.40}")
        if self.frames not in (None, "header", "rows"):
            raise BVHError(f"frames must be 'header' or 'rows', got {self.frames!r}")
        if self.quaternion not in (None, "xyzw", "wxyz"):
            raise BVHError(f"quaternion must be 'xyzw' or 'wxyz', got {self.quaternion!r}")
        if self.angles not in (None, "radians", "degrees"):
            raise BVHError(f"angles must be 'radians' or 'degrees', got {self.angles!r}")

    def over(self, other: Reading) -> Reading:
        """These settings, with gaps filled from ``other``."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(other, **{name: v for name, v in mine.items() if v is not None})

    @property
    def digest(self) -> str:
        """Digest of the settings; empty if there are none."""
        said = {name: v for name in _SAID if (v := getattr(self, name)) is not None}
        if not said:
            return ""
        for name in ("body_model", "robot", "robot_map", "joints"):
            if name in said:
                # A file counts by its content, wherever it lies.
                said[name] = _contents(Path(said[name]))
        text = json.dumps(said, sort_keys=True, default=dict)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


_SAID = tuple(f.name for f in fields(Reading) if f.compare)
"""Names of the settings, in a ``bvh.toml`` too."""


def _contents(path: Path) -> str:
    """Digest of a file's contents, or of its name if it is no file."""
    try:
        status = path.stat()
        return _digest_of(path, status.st_size, status.st_mtime_ns)
    except OSError:
        return str(path)


@lru_cache(maxsize=16)
def _digest_of(path: Path, size: int, changed: int) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


class Settings:
    """How to read each of many files: by the user's settings first, then by a ``bvh.toml``.

    The nearest ``bvh.toml`` counts, in the file's own folder or in one above it. So a file is read
    alike alone and with its folder. Files in an archive are read like files beside it.

    Args:
        given: the user's settings, for all files.
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
        """The ``bvh.toml`` that applies to a file.

        Raises:
            BVHError: a file beside it has nearly this name, and would not be read.
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
    """A BVH file, read by the settings, before it is normalised.

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
    for key in values:
        if key not in _SAID:
            raise BVHError(f"{path}: unknown key {key!r}; choose from {', '.join(_SAID)}")
    mapping = values.get("mapping")
    if isinstance(mapping, str):
        values["mapping"] = read_mapping(path.parent / mapping)
    elif mapping is not None and not (
        isinstance(mapping, dict) and all(isinstance(name, str) for name in mapping.values())
    ):
        raise BVHError(f'{path}: mapping must be a file or a table of LeftUpLeg = "source joint"')
    for key in ("body_model", "robot", "robot_map", "joints"):
        value = values.get(key)
        # A robot and an order may be names as well as files.
        if isinstance(value, str) and (key.endswith(("model", "map")) or "." in value):
            values[key] = str(path.parent / Path(value).expanduser())
    try:
        return Reading(**values)
    except BVHError as error:
        raise BVHError(f"{path}: {error}") from None
