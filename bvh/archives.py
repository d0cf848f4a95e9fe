"""Files of motion in folders and archives: listed in one order, unpacked safely."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from bvh.errors import BVHError

__all__ = [
    "MOTION_SUFFIXES",
    "absent",
    "find_motion_files",
    "is_archive",
    "is_lfs_pointer",
    "is_motion_file",
    "is_table",
    "is_trajectory_table",
    "natural_key",
    "result_names",
    "set_name",
    "sidecar_of",
    "table_sidecar",
    "unpack",
]

MOTION_SUFFIXES: tuple[str, ...] = (".bvh", ".bvh.gz", ".npz")
"""Suffixes, in lower case, of files that hold motion; a table may, too, by its content."""

_ARCHIVE_SUFFIXES = (
    ".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2",
)  # fmt: skip
_TABLE, _SIDECAR = ".csv", ".csv.json"
_CODES = ".npy"
_TITLES, _ROBOT = 8, 19  # lines; a base's 7 numbers and 12 joints
_NUMBER = re.compile(rb"[-+]?(?:[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?|[0-9]+\.|nan|inf)", re.IGNORECASE)
_SUBJECT = re.compile(r"(shape|.*_stagei)\.npz", re.IGNORECASE)
_MOTIONS = {
    f"{name}.npy"
    for name in ("poses", "root_orient", "global_orient", "rotations", "qpos", "joint_pos")
}
_SETTINGS = "bvh.toml"  # how clips are to be read, see bvh.reading
_MAX_MEMBER = 1 << 30
_MAX_TOTAL = 32 << 30
_MAX_MEMBERS = 1_000_000
_CHUNK = 1 << 20
_LONGEST = 240  # bytes of a name; file systems take 255


def natural_key(name: str) -> tuple[tuple[int, str | int], ...]:
    """Sort key that puts ``walk2`` before ``walk10``."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((0, int(p)) if p.isdecimal() else (1, p) for p in parts if p)


def is_motion_file(name: str) -> bool:
    """Whether a relative path names a file of motion, and no hidden or system file."""
    return PurePosixPath(name).name.lower().endswith(MOTION_SUFFIXES) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return any(
        part.startswith((".", "__MACOSX")) and part not in (".", "..")
        for part in PurePosixPath(name).parts
    )


def _is_subject(path: Path) -> bool:
    """Whether a file is AMASS' file of a subject's shape, which lies among its motions."""
    if not _SUBJECT.fullmatch(path.name):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return _MOTIONS.isdisjoint(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False  # Reading it reports the fault.


def is_table(path: Path) -> bool:
    """Whether the name is that of a table, which robots' trajectories are kept in."""
    return path.name.lower().endswith(_TABLE)


def sidecar_of(path: Path) -> Path:
    """Path of the file that describes a table: ``robot.csv.json`` for ``robot.csv``."""
    return path.with_name(f"{path.name}.json")


def table_sidecar(path: Path) -> Path | None:
    """The sidecar of a table if it is there; None without one, and for other files."""
    beside = sidecar_of(path)
    return beside if is_table(path) and beside.is_file() else None


def is_trajectory_table(path: Path) -> bool:
    """Whether a table is a robot's trajectory, not a table of labels, figures or names.

    A trajectory has a sidecar, or a first row (below a few lines of titles) with enough numbers for
    a base and two legs.
    """
    if not is_table(path):
        return False
    if table_sidecar(path) is not None:
        return True
    try:
        with path.open("rb") as file:
            lines = [file.readline(_CHUNK) for _ in range(_TITLES)]
    except OSError:
        return False
    rows = (re.split(rb"[,;\t ]+", line.strip()) for line in lines)
    return any(len(row) >= _ROBOT and all(map(_NUMBER.fullmatch, row)) for row in rows)


def is_archive(path: Path) -> bool:
    """Whether the name is that of a zip or tar archive."""
    return path.name.lower().endswith(_ARCHIVE_SUFFIXES)


def set_name(path: Path) -> str:
    """Name of a set of clips: its folder's, archive's or file's name without endings."""
    if path.is_dir():
        return path.name
    return _without_suffix(path.name, (*_ARCHIVE_SUFFIXES, *MOTION_SUFFIXES, _TABLE)) or path.name


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is a Git LFS pointer, left in place of a large file that was not fetched."""
    prefix = b"version https://git-lfs.github.com/spec/"
    if not path.is_file():
        return False  # A pipe would have to be waited for.
    try:
        with path.open("rb") as file:
            return file.read(len(prefix)) == prefix
    except OSError:
        return False


def absent(path: Path) -> str:
    """Why there is no file at a path, in words: it may be meant as one in an archive."""
    archive = next((p for p in path.parents if is_archive(p) and p.is_file()), None)
    if archive is None:
        return "no such file"
    return f"only BVH files are read out of an archive by their names; unpack {archive.name}"


def find_motion_files(folder: Path) -> list[str]:
    """Relative POSIX paths of the files of motion below ``folder``, in natural order.

    A ``.csv`` is one if it looks like a robot's trajectory; AMASS' ``shape.npz`` and
    ``*_stagei.npz``, which have a subject's shape and no motion, are none.

    Links to files and folders are followed, each folder at most once.

    Raises:
        BVHError: a folder cannot be listed.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        here = folder / inside
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = list(os.scandir(here))
        except OSError as error:
            raise BVHError(f"{here}: cannot be listed ({error.strerror})") from None
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir():
                if not entry.name.startswith((".", "__MACOSX")):
                    waiting.append(name)
            elif entry.is_file() and (
                (is_motion_file(name) and not _is_subject(Path(entry.path)))
                or (not entry.name.startswith(".") and is_trajectory_table(Path(entry.path)))
            ):
                found.append(name)
    return sorted(found, key=natural_key)


def result_names(names: Sequence[str], suffix: str) -> dict[str, str]:
    """File of motion -> a file made of it, with ``suffix`` instead of its own.

    Files that differ in their suffixes only, such as ``walk.bvh`` and ``walk.npz``, keep
    them (``walk.bvh.npy``), so that no two results have one name. Names that file systems
    would not take, with what is written beside them, end in a digest instead.

    Args:
        names: relative POSIX paths of files of motion, or of codes (``.npy``).
        suffix: of the results, such as ``.npy``.
    """
    endings = (*MOTION_SUFFIXES, _TABLE, _CODES)
    found = {name: f"{_without_suffix(name, endings)}{suffix}" for name in names}
    while len(set(found.values())) < len(found):
        count = Counter(found.values())
        found = {n: r if count[r] == 1 else f"{n}{suffix}" for n, r in found.items()}
    return {name: _fitting(result, suffix) for name, result in found.items()}


def _fitting(result: str, suffix: str) -> str:
    folder, _, name = result.rpartition("/")
    data = os.fsencode(name)
    if len(data) <= _LONGEST:
        return result
    digest = hashlib.blake2b(data, digest_size=6).hexdigest()
    kept = data[: _LONGEST - len(digest) - len(suffix) - 1].decode("utf-8", errors="ignore")
    return f"{folder}/{kept}-{digest}{suffix}" if folder else f"{kept}-{digest}{suffix}"


def _without_suffix(name: str, suffixes: Sequence[str]) -> str:
    # The longest, so that .bvh.gz is taken away as a whole.
    fitting = [s for s in suffixes if name.lower().endswith(s)]
    return name[: -max(map(len, fitting), default=0) or None]


def unpack(path: Path, into: Path, *, max_total: int = _MAX_TOTAL) -> list[str]:
    """Unpack from an archive only the files of motion and the files that say how to read them.

    A ``.csv`` is one if it looks like a robot's trajectory, as in a folder. Links and special
    files are left out. Sizes are counted while bytes are written,
    so an archive that lies about them is caught.

    Args:
        path: zip or tar archive, compressed or not.
        into: an existing folder.
        max_total: bytes that all files together may have.

    Returns:
        Relative POSIX paths of the files of motion, in natural order.

    Raises:
        BVHError: the archive is damaged or encrypted, a member's path leads outside,
            or it unpacks to more than 1 GiB in a file, ``max_total`` or the disk's room.
    """
    if is_lfs_pointer(path):
        raise BVHError(
            f"{path}: a Git LFS pointer, not the archive itself; in its repository run "
            "`git lfs install && git lfs pull`, or download the file from its web page"
        )
    room = min(max_total, shutil.disk_usage(into).free)
    names: list[str] = []
    try:
        with _members(path) as members:
            for name, file in members:
                if PurePosixPath(name).name == _SETTINGS:
                    if not os.path.lexists(path.parent / _SETTINGS):
                        raise BVHError(
                            f"{path}: {name} in the archive is not read; put a copy beside the "
                            "archive"
                        )
                    continue
                target = into / _inside(name, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                room -= _copy(file, target, min(_MAX_MEMBER, room), f"{path}: {name}")
                names.append(name)
                if len(names) > _MAX_MEMBERS:
                    raise BVHError(f"{path}: more than {_MAX_MEMBERS} files")
        # A table is known by its content, and by a sidecar that may come later in the archive.
        others = {n for n in names if not (is_motion_file(n) or is_trajectory_table(into / n))}
        others |= {name for name in names if _is_subject(into / name)}
        for name in others:
            if not name.lower().endswith(_SIDECAR):
                (into / name).unlink(missing_ok=True)
        names = [name for name in names if name not in others]
    except FileNotFoundError:
        raise BVHError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise BVHError(f"{path}: damaged archive ({error})") from None
    except (RuntimeError, NotImplementedError) as error:
        raise BVHError(f"{path}: cannot be unpacked ({error})") from None
    except OSError as error:
        raise BVHError(f"{path}: cannot be unpacked ({error.strerror or error})") from None
    return sorted(set(names), key=natural_key)


@contextmanager
def _members(path: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield _zip_members(archive)
    else:
        with tarfile.open(path, "r|*") as stream:
            yield _tar_members(stream)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in archive.infolist():
        # The upper half of the attributes holds the Unix mode; 0o12 is a link.
        link = (info.external_attr >> 28) == 0o12
        if not info.is_dir() and not link and _is_wanted(info.filename):
            with archive.open(info) as file:
                yield info.filename, file


def _tar_members(archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in archive:
        name = info.name.removeprefix("./")
        if info.isreg() and _is_wanted(name):
            file = archive.extractfile(info)
            if file is not None:
                with file:
                    yield name, file


def _is_wanted(name: str) -> bool:
    table = name.lower().endswith((_TABLE, _SIDECAR)) and not _is_hidden(name)
    return is_motion_file(name) or table or PurePosixPath(name).name == _SETTINGS


def _inside(name: str, archive: Path) -> PurePosixPath:
    """The member's path, if it stays inside the folder it is unpacked into."""
    inner = PurePosixPath(name)
    strange = "\\" in name or "\0" in name or (inner.parts and ":" in inner.parts[0])
    if inner.is_absolute() or ".." in inner.parts or strange:
        raise BVHError(f"{archive}: unsafe path {name!r} in the archive; nothing was loaded")
    return inner


def _copy(source: IO[bytes], target: Path, limit: int, what: str) -> int:
    written = 0
    with target.open("wb") as out:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                raise BVHError(f"{what} unpacks to more than the {limit} bytes allowed")
            out.write(chunk)
    return written
