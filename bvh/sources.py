"""The text of a BVH file, wherever it lies: plain, gzipped, or inside a zip archive."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from bvh.errors import BVHError

__all__ = ["read_text", "stem"]

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_LFS = b"version https://git-lfs.github.com/spec/"
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_FREE, _RATIO = 64 << 20, 200
_READ = (".bvh", ".bvh.gz", ".npz", ".npy", ".csv")
_DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def stem(path: str | os.PathLike[str]) -> str:
    """The file's name without ``.bvh`` and ``.gz``."""
    name = Path(path).name
    if name.lower().endswith(".gz"):
        name = name[:-3]
    return Path(name).stem


def read_text(path: str | os.PathLike[str]) -> bytes:
    """Read a BVH file as bytes, unpacked and without a byte-order mark.

    Args:
        path: a file, a gzipped file, a member of a zip archive named
            ``archive.zip/folder/clip.bvh``, or a zip archive with a single BVH file.

    Raises:
        BVHError: there is no such file or member, it is damaged, empty or a Git LFS
            pointer, or it unpacks to more than 64 MiB plus 200 times its size.
    """
    path = Path(path)
    try:
        data = _load(path)
        if data.startswith(_GZIP):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = _bounded(file, len(data), path)
    except _DAMAGED as error:
        raise BVHError(f"{path}: damaged archive ({error})") from None
    except (RuntimeError, NotImplementedError) as error:
        raise BVHError(f"{path}: cannot be unpacked ({error})") from None
    except OSError as error:
        raise BVHError(f"{path}: {error.strerror or error}") from None
    return _plain(data, path)


def _load(path: Path) -> bytes:
    archive = path
    while not archive.exists() and archive != archive.parent:
        archive = archive.parent
    mode = archive.stat().st_mode
    if stat.S_ISDIR(mode):
        raise BVHError(f"{path}: {_of_folder(path) if archive == path else 'no such file'}")
    if not stat.S_ISREG(mode):
        raise BVHError(f"{path}: not a regular file")
    with archive.open("rb") as file:
        if file.read(len(_ZIP)) == _ZIP:
            return _member(file, archive, path)
    data = archive.read_bytes()
    if archive != path:
        _plain(data, archive)
        raise BVHError(f"{path}: no such file ({archive.name} is not a zip archive)")
    return data


def _of_folder(path: Path) -> str:
    """That a folder is no file, and a file in it that may be meant."""
    for folder, within, names in os.walk(path):
        within[:] = sorted(name for name in within if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(_READ) and not name.startswith("."):
                return f"a folder; give one file in it, such as {Path(folder) / name}"
    return f"a folder; give one file ({', '.join(_READ)}), of which it has none"


def _member(file: IO[bytes], archive: Path, path: Path) -> bytes:
    with zipfile.ZipFile(file) as members:
        clips = {
            info.filename.replace("\\", "/"): info
            for info in members.infolist()
            if info.filename.lower().endswith((".bvh", ".bvh.gz"))
        }
        listing = ", ".join(list(clips)[:3]) + (", ..." if len(clips) > 3 else "")
        if archive != path:
            name = PurePosixPath(*path.parts[len(archive.parts) :]).as_posix()
        elif len(clips) == 1:
            name = next(iter(clips))
        elif not clips:
            raise BVHError(f"{path}: a zip archive without BVH files")
        else:
            raise BVHError(
                f"{path}: a zip archive of {len(clips)} BVH files ({listing}); "
                f"name one as {path.name}/{next(iter(clips))}"
            )
        if name not in clips:
            raise BVHError(f"{path}: no {name} in {archive.name}, which holds {listing or 'none'}")
        info = clips[name]
        with members.open(info) as packed:
            return _bounded(packed, min(info.compress_size, archive.stat().st_size), path)


def _bounded(file: _Readable, packed: int, path: Path) -> bytes:
    limit = _FREE + _RATIO * packed
    data = file.read(limit + 1)
    if len(data) > limit:
        raise BVHError(
            f"{path}: {packed} bytes that unpack to more than {limit}; "
            "if that is right, unpack it yourself first"
        )
    return data


def _plain(data: bytes, path: Path) -> bytes:
    """The bytes without a byte-order mark, if they are text at all."""
    if not data or data.isspace():
        raise BVHError(f"{path}: the file is empty")
    if data.startswith(_LFS):
        raise BVHError(
            f"{path}: a Git LFS pointer, not the file itself; in its repository run "
            "`git lfs install && git lfs pull`, or download the file from its web page"
        )
    if data.startswith(_UTF16_MARKS):
        try:
            return data.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise BVHError(f"{path}: damaged UTF-16 text ({error.reason})") from None
    return data.removeprefix(_UTF8_MARK)
