"""Files of images, or stretches of tar archives that are read in place."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from bvh.archives import natural_key
from motiontok.data.images.pictures import is_picture
from motiontok.errors import DataError

__all__ = ["ImageFile", "ImageFiles", "find_images", "tar_images"]

_MOST_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One picture's bytes.

    Attributes:
        path: a picture, or the archive it is in.
        name: within the archive or the folder that was searched.
        offset, size: stretch of the archive; size 0 means the whole file.
    """

    path: str
    name: str
    offset: int = 0
    size: int = 0

    @property
    def folder(self) -> str:
        """The last folder of the name, which in class folders is the class."""
        return self.name.rpartition("/")[0].rpartition("/")[2]

    def read(self) -> bytes:
        """The picture's bytes.

        Raises:
            DataError: it cannot be read, or is larger than any picture.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                raw = file.read(self.size or _MOST_BYTES + 1)
        except OSError as error:
            raise DataError(f"{self.name}: cannot be read ({error.strerror})") from None
        if len(raw) > _MOST_BYTES:
            raise DataError(f"{self.name}: more than {_MOST_BYTES} bytes")
        return raw


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Pictures to train on and held out.

    Attributes:
        training, held_out: the files.
        note: how the two were separated, one line.
    """

    training: Sequence[ImageFile]
    held_out: Sequence[ImageFile]
    note: str


def find_images(folder: Path) -> list[ImageFile]:
    """Pictures in a folder at any depth, in natural order of their paths.

    Hidden files and folders are left out; links to folders are not followed.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; give a folder of pictures")
    names = sorted(_walk(str(folder), ""), key=natural_key)
    return [ImageFile(os.path.join(folder, name), name) for name in names]


def _walk(folder: str, prefix: str) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{prefix}{entry.name}/")
        elif is_picture(entry.name):
            yield f"{prefix}{entry.name}"


def tar_images(path: Path) -> list[ImageFile]:
    """Pictures in an uncompressed tar archive, in its order, and in archives inside it.

    Nothing is unpacked: a picture is a stretch of the file. Names are never paths; links, devices
    and other files are skipped. An archive inside (ILSVRC's training archive holds one a class)
    gives its name as a folder.

    Raises:
        DataError: truncated, compressed, damaged, or no tar archive.
    """
    try:
        with path.open("rb") as file:
            return list(_members(path, file, 0, path.stat().st_size, "", depth=0))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _members(
    path: Path, file: IO[bytes], base: int, end: int, prefix: str, *, depth: int
) -> Iterator[ImageFile]:
    try:
        stretch = cast(IO[bytes], _Stretch(file, base, end))
        with tarfile.open(fileobj=stretch, mode="r:") as archive:
            for member in archive:
                if not member.isreg() or member.issparse():
                    continue
                begin = base + member.offset_data
                if begin + member.size > end:
                    raise DataError(
                        f"{path}: truncated tar archive: {prefix}{member.name} goes on after its "
                        "end; copy or download it again"
                    )
                if is_picture(member.name) and member.size:
                    yield ImageFile(str(path), prefix + member.name, begin, member.size)
                elif member.name.endswith(".tar") and depth == 0:
                    inner = f"{Path(member.name).stem}/"
                    yield from _members(path, file, begin, begin + member.size, inner, depth=1)
    except tarfile.TarError as error:
        with path.open("rb") as start:
            packed = start.read(2) in (b"\x1f\x8b", b"BZ", b"\xfd7", b"(\xb5")
        why = (
            "compressed: pictures cannot be read in place; unpack it to a plain .tar"
            if packed
            else f"truncated, damaged or no tar archive ({prefix}{error})"
        )
        raise DataError(f"{path}: {why}") from None


class _Stretch:
    """Part of a file as a file of its own, which is all that tarfile needs."""

    def __init__(self, file: IO[bytes], base: int, end: int) -> None:
        self._file, self._base, self._end = file, base, end
        self._place = base

    def tell(self) -> int:
        return self._place - self._base

    def seek(self, offset: int, whence: int = 0) -> int:
        start = {0: self._base, 1: self._place, 2: self._end}[whence]
        self._place = start + offset
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        left = max(self._end - self._place, 0)
        self._file.seek(self._place)
        raw = self._file.read(left if size < 0 else min(size, left))
        self._place += len(raw)
        return raw
