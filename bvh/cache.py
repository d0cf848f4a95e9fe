"""Normalised motions on disk, so that a folder of clips is read once.

One plain ``.npz`` holds all motions of a folder; a small index beside it lists the files. Both are
found again by the files' stamps (path, size and time of change), or by their contents if they were
moved or touched. The code that reads and normalises is part of every key, so a new version never
finds old motions.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from bvh.atomic_write import atomic_path
from bvh.errors import BVHError
from bvh.motion import Motion, Source
from bvh.normalizer import Calibration
from bvh.rotations import Array
from bvh.skeleton import JOINTS

__all__ = ["Pack", "Stamp", "Store", "cache_dir", "code_version", "file_digest"]

_KEEP = 60 * 86400
"""Seconds that motions stay in the cache without being used."""

_NO_MATTER = ("atomic_write", "cache", "closing", "errors", "lafan", "splits", "workers", "writer")
"""Modules of this package that do not change what a file's motion is."""

Stamp = tuple[str, int, int]
"""Name, bytes and time of change (ns) of a file."""


def cache_dir() -> Path:
    """``$MOTIONTOK_CACHE``, else ``motiontok`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if own := os.environ.get("MOTIONTOK_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "motiontok"


@cache
def code_version() -> str:
    """Digest of the code that turns a file into a motion."""
    package = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted([*package.glob("*.py"), *(package / "normalizer").rglob("*.py")]):
        if file.stem not in _NO_MATTER:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Digest of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class Pack:
    """Motions of a set of files.

    Attributes:
        motions: one for each file that could be read.
        names: their files' names.
        digests: digest of the contents of each of these files.
        calibrations: key of the calibration of each of these motions; empty where a
            motion was normalised by itself.
        skipped: name and reason of each file that could not be read.
        remarks: on each motion's file.
        rigs: calibration of each rig, by its digest.
    """

    motions: list[Motion] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    calibrations: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[list[str]] = field(default_factory=list)
    rigs: dict[str, Calibration | None] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write an ``.npz``; rotations and root positions in single precision."""
        meta = {
            "joints": JOINTS,
            "names": self.names,
            "digests": self.digests,
            "calibrations": self.calibrations,
            "skipped": self.skipped,
            "remarks": self.remarks,
            "rigs": {rig: of and of.to_dict() for rig, of in self.rigs.items()},
            "sources": [asdict(motion.source) for motion in self.motions],
        }
        arrays = {
            "rotations": _joined((m.rotations for m in self.motions), len(JOINTS), 4),
            "root_positions": _joined((m.root_positions for m in self.motions), 3),
            "offsets": np.array([m.offsets for m in self.motions]).reshape(-1, len(JOINTS), 3),
            "lengths": np.array([len(m) for m in self.motions], dtype=np.int64),
            "fps": np.array([m.fps for m in self.motions], dtype=np.float64),
            "meta": np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8),
        }
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> Pack:
        """Read what :meth:`save` wrote.

        Raises:
            BVHError: the file is missing, damaged or of another kind.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                arrays = {key: data[key] for key in data.files}
            meta = json.loads(arrays["meta"].tobytes())
            if tuple(meta["joints"]) != JOINTS:
                raise BVHError(f"{path}: other joints")
            ends = np.cumsum(arrays["lengths"])
            motions = [
                Motion(
                    root_positions=arrays["root_positions"][start:end],
                    rotations=arrays["rotations"][start:end],
                    offsets=offsets,
                    fps=float(fps),
                    source=Source(**source),
                )
                for start, end, offsets, fps, source in zip(
                    ends - arrays["lengths"],
                    ends,
                    arrays["offsets"],
                    arrays["fps"],
                    meta["sources"],
                    strict=True,
                )
            ]
            names, digests, calibrations = (
                [str(x) for x in meta[key]] for key in ("names", "digests", "calibrations")
            )
            remarks = [[str(line) for line in of] for of in meta["remarks"]]
            parts: list[Sequence[object]] = [names, digests, calibrations, remarks]
            if any(len(part) != len(motions) for part in parts):
                raise BVHError(f"{path}: names and motions differ in number")
            skipped = [(str(name), str(reason)) for name, reason in meta["skipped"]]
            rigs = {
                str(rig): None if of is None else Calibration.from_dict(of)
                for rig, of in meta["rigs"].items()
            }
            return cls(motions, names, digests, calibrations, skipped, remarks, rigs)
        except BVHError:
            raise
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            EOFError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise BVHError(f"{path}: not a pack of motions ({error})") from None


class Store:
    """The cached pack of one folder, archive or file, read in one way.

    A failure to read counts as nothing found, and a failure to write is a warning: the cache never
    stops a caller.
    """

    def __init__(self, root: Path, variant: str = "") -> None:
        self._folder = cache_dir() / "motions"
        place = os.fsencode(root.resolve()) + variant.encode()
        name = hashlib.blake2b(place, digest_size=16).hexdigest()
        self._index = self._folder / f"{name}.json"

    @staticmethod
    def key(digests: Iterable[tuple[str, str]]) -> str:
        """Name of the pack of files with these names and digests of contents."""
        text = json.dumps([code_version(), *digests])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def find_by_stamps(self, stamps: Sequence[Stamp]) -> Pack | None:
        """The pack of the files with these stamps."""
        index = self._read_index()
        if index.get("stamps") != [list(stamp) for stamp in stamps]:
            return None
        with suppress(OSError):
            os.utime(self._index)
        return self._load(str(index.get("pack")))

    def find_by_key(self, key: str, stamps: Sequence[Stamp]) -> Pack | None:
        """The pack of the files with these contents; their new stamps are noted."""
        pack = self._load(key)
        if pack is not None:
            self._write_index(key, stamps)
        return pack

    def find_previous(self) -> Pack | None:
        """The pack of this folder's content at its last reading."""
        return self._load(str(self._read_index().get("pack")))

    def save(self, pack: Pack, key: str, stamps: Sequence[Stamp]) -> None:
        """Keep a pack, in place of the previous one of this folder."""
        try:
            # The index goes first: a pack that none names may be swept by another process.
            self._write_index(key, stamps)
            pack.save(self._folder / f"{key}.npz")
            self._sweep()
        except OSError as error:
            warnings.warn(
                f"motions are not cached in {self._folder}: {error.strerror or error}; "
                "set MOTIONTOK_CACHE to a folder that can be written",
                RuntimeWarning,
                stacklevel=3,
            )

    def _sweep(self) -> None:
        """Remove indices that were not used for long, and packs without an index."""
        used = set()
        for index in self._folder.glob("[!.]*.json"):
            with suppress(FileNotFoundError):  # another process was first
                if time.time() - index.stat().st_mtime > _KEEP:
                    index.unlink()
                else:
                    used.add(_read_json(index).get("pack"))
        for pack in self._folder.glob("[!.]*.npz"):
            if pack.stem not in used:
                pack.unlink(missing_ok=True)

    def _load(self, key: str) -> Pack | None:
        path = self._folder / f"{key}.npz"
        if not path.is_file():
            return None
        try:
            return Pack.load(path)
        except BVHError:
            return None

    def _read_index(self) -> dict[str, object]:
        index = _read_json(self._index)
        return index if index.get("version") == code_version() else {}

    def _write_index(self, key: str, stamps: Sequence[Stamp]) -> None:
        with atomic_path(self._index) as temporary:
            temporary.write_text(
                json.dumps({"version": code_version(), "pack": key, "stamps": stamps})
            )


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _joined(parts: Iterable[Array], *shape: int) -> Array:
    arrays = [np.asarray(part, dtype=np.float32) for part in parts]
    return np.concatenate([np.zeros((0, *shape), dtype=np.float32), *arrays])
