"""The files of a set of clips, read in batches by any number of processes."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bvh.archives import (
    MOTION_SUFFIXES,
    find_motion_files,
    is_archive,
    is_motion_file,
    is_table,
    unpack,
)
from bvh.arrays import is_npy
from bvh.errors import BVHError
from bvh.motion_io import Calibrations, Loaded, read_motion
from bvh.normalizer import Calibration
from bvh.reading import Settings
from bvh.rigs import File, examine_file

__all__ = [
    "EXPECTED",
    "Batch",
    "Outcome",
    "at",
    "batches",
    "calibration_key",
    "examine_files",
    "files_of",
    "lying",
    "names_in",
    "read_batch",
]

EXPECTED = " or ".join(MOTION_SUFFIXES)

_BATCH = 8
"""Files a worker takes at a time."""

Outcome = Loaded | str
"""Result of a file: its motion, or the reason why there is none."""


def names_in(path: Path) -> list[str]:
    """Names of the clips in a folder at any depth, or of an archive or file itself.

    Raises:
        BVHError: nothing is there, or no clip.
    """
    if not path.exists():
        raise BVHError(f"{path}: no such file or folder")
    if path.is_dir():
        names = find_motion_files(path)
    elif is_archive(path) or is_motion_file(path.name) or is_table(path):
        names = [path.name]
    elif is_npy(path):
        raise BVHError(f"{path}: a .npy is read alone, since codes are .npy too; give no other")
    else:
        raise BVHError(
            f"{path}: not a folder, an archive (.zip, .tar, .tar.gz, .tar.xz) or a clip "
            f"({EXPECTED})"
        )
    if not names:
        archives = sorted(file.name for file in path.iterdir() if is_archive(file))
        hint = f"; did you mean the archive {archives[0]} in it?" if archives else ""
        raise BVHError(f"{path}: no clips here; expected {EXPECTED} files{hint}")
    return names


def at(path: Path, name: str) -> Path:
    """Where a clip of :func:`names_in` lies."""
    return path / name if path.is_dir() else path


@contextmanager
def lying(path: Path, names: Sequence[str]) -> Iterator[tuple[Path, Sequence[str]]]:
    """Where the clips of a folder, archive or file lie, and their names.

    An archive's lie unpacked meanwhile.

    Args:
        path: the folder, archive or file.
        names: of :func:`names_in`.
    """
    if path.is_dir() or not is_archive(path):
        yield path, names
        return
    # Read in place, a compressed archive would be unpacked again by every worker.
    with tempfile.TemporaryDirectory(prefix="motiontok-") as folder:
        yield Path(folder), unpack(path, Path(folder))


@contextmanager
def files_of(path: Path, names: Sequence[str], settings: Settings) -> Iterator[list[File]]:
    """The clips of a folder, archive or file, examined; an archive is unpacked meanwhile.

    Args:
        path, names: as :func:`lying` has them.
        settings: how files are to be read.
    """
    with lying(path, names) as (folder, members):
        yield examine_files(path, folder, members, settings)


def examine_files(path: Path, folder: Path, names: Sequence[str], settings: Settings) -> list[File]:
    """Examine clips of ``path`` that lie in ``folder``."""
    files = []
    for name in names:
        # What an archive held is read as what lies beside the archive.
        beside = at(folder, name) if folder == path else path
        files.append(examine_file(at(folder, name), name, settings.of(beside)))
    return files


@dataclass(frozen=True, eq=False)
class Batch:
    """Files of one rig for one worker."""

    files: tuple[File, ...]
    calibration: Calibration | None


def batches(files: Sequence[File], found: Calibrations) -> list[Batch]:
    """Cut files into pieces for workers, each of one rig."""
    by_rig: dict[str, list[File]] = {}
    for file in files:
        by_rig.setdefault(file.rig, []).append(file)
    return [
        Batch(tuple(members[i : i + _BATCH]), found.get(rig))
        for rig, members in by_rig.items()
        for i in range(0, len(members), _BATCH)
    ]


def read_batch(batch: Batch) -> list[Outcome]:
    """The motion of each file, or why there is none."""
    return [_read_one(file, batch.calibration) for file in batch.files]


def _read_one(file: File, calibration: Calibration | None) -> Outcome:
    try:
        return read_motion(file.path, file.reading, calibration)
    except BVHError as error:
        # The name stands beside the reason; the folder may be a temporary one.
        return str(error).replace(f"{file.path}: ", "").replace(str(file.path), file.name)
    except Exception as error:
        # One odd file must not end the run, whatever code it trips.
        return f"unexpected {type(error).__name__}: {error}"


def calibration_key(calibration: Calibration | None) -> str:
    """Digest of a calibration; empty for none."""
    if calibration is None:
        return ""
    text = json.dumps(calibration.to_dict(), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
