"""Write files atomically, by a temporary name and a rename; read files of settings."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bvh.errors import BVHError

__all__ = ["atomic_folder", "atomic_path", "read_short"]

_SHORT = 1 << 20


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it on success.

    A crash, a full disk or an exception inside the block leaves the old file
    untouched (or no file, if there was none); readers never see a half-written
    one. The temporary name keeps the suffix, since encoders choose their
    format by it. Missing parent folders are made.

    Raises:
        OSError: the folder cannot be made or written, or the disk is full; it names
            ``path``, not the temporary file.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        text = os.strerror(errno.ENOTDIR)
        raise NotADirectoryError(errno.ENOTDIR, text, str(path.parent)) from None
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{_short(path.stem)}-", suffix=f".tmp{path.suffix}"
        )
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _make_public(temporary, 0o666)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is None or str(error.filename) == name:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder`` that takes its place on success.

    ``folder`` must be empty or not there. Missing parent folders are made.

    Raises:
        OSError: it cannot be made, or is not empty.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{_short(folder.name)}-"
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix, suffix=".tmp"))
    try:
        yield made
        _make_public(made, 0o777)
        made.replace(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _make_public(path: Path, mode: int) -> None:
    """Give a privately made file or folder the usual permissions."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(mode & ~umask)


def _short(stem: str) -> str:
    """The name, shortened so that a longer one made of it still fits the file system."""
    return os.fsencode(stem)[:100].decode("utf-8", errors="ignore")


def read_short(path: Path) -> str:
    """The text of a file of settings that a user's file names; its content is not trusted.

    Raises:
        BVHError: it is missing, no regular file, larger than 1 MiB or no UTF-8.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        data = b""
        if regular:
            with path.open("rb") as file:
                data = file.read(_SHORT + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise BVHError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise BVHError(f"{path}: not a text file ({error})") from None
    if not regular:
        raise BVHError(f"{path}: not a regular file")
    if len(data) > _SHORT:
        raise BVHError(f"{path}: larger than 1 MiB, too large for a file of settings")
    return text
