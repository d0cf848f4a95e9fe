"""Files of NumPy arrays, opened without running code that they may contain."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bvh.archives import absent, is_lfs_pointer
from bvh.errors import BVHError
from bvh.rotations import Array

__all__ = [
    "check_finite",
    "is_npy",
    "is_npz",
    "is_pickle",
    "numbers",
    "open_npz",
    "read_npy",
    "refuse_pickle",
    "words",
]

_START = 64
_ENDINGS = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
# Later protocols begin with 0x80 and their number, the first two with a dict, list or class.
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\([dlti]|[}\]]q|c[\w.]+\n[\w.]+\n")
_NUMBERS = "fiu"


def is_npz(path: Path) -> bool:
    """Whether the name is that of an archive of arrays."""
    return path.name.lower().endswith(".npz")


def is_npy(path: Path) -> bool:
    """Whether the name is that of one array."""
    return path.name.lower().endswith(".npy")


def is_pickle(path: Path) -> bool:
    """Whether a file begins like a pickle, is called one, or is an archive that has one."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            start = file.read(_START)
        if start.startswith(b"PK\x03\x04"):
            # As torch writes them.
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith(".pkl") for name in archive.namelist()):
                    return True
    except (OSError, zipfile.BadZipFile):
        return False  # Whoever reads it says what is wrong.
    return bool(_PICKLE.match(start)) or path.name.lower().endswith(_ENDINGS)


def refuse_pickle(path: Path) -> None:
    """Refuse a pickle, whatever its name: loading a pickle runs any program in it.

    Raises:
        BVHError: it is one, or a pipe or device, which would have to be waited for.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise BVHError(f"{path}: not a regular file")
    if is_pickle(path):
        raise BVHError(
            f"{path}: a pickle is not loaded, since it may run any program; if you trust it, save "
            "its arrays with numpy.savez"
        )


@contextmanager
def open_npz(path: Path) -> Iterator[Mapping[str, Any]]:
    """The arrays of a ``.npz`` by name, each read on access.

    Raises:
        BVHError: the file is missing, a Git LFS pointer, a pickle, or damaged; on access also a
            damaged array.
    """
    if is_lfs_pointer(path):
        raise BVHError(f"{path}: a Git LFS pointer, not the motion; run `git lfs pull`")
    refuse_pickle(path)
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            # NumPy would take it for a pickle, and say how to load it.
            raise BVHError("not a motion file (no .npz archive)")
        with np.load(path, allow_pickle=False) as data:
            yield data
    except (FileNotFoundError, NotADirectoryError):
        raise BVHError(f"{path}: {absent(path)}") from None
    except BVHError as error:
        text = str(error).removeprefix(f"{path}: ")
        raise BVHError(f"{path}: {text}") from None
    except Exception as error:
        # Damage shows as almost any exception of zipfile, zlib or numpy's header parser.
        what = " ".join(str(error).split()) or type(error).__name__
        raise BVHError(f"{path}: not a motion file ({what})") from None


def read_npy(path: Path) -> Array:
    """The numbers of a ``.npy``, as they are stored.

    Raises:
        BVHError: as :func:`open_npz`, or it holds something else than numbers.
    """
    if is_lfs_pointer(path):
        raise BVHError(f"{path}: a Git LFS pointer, not the motion; run `git lfs pull`")
    refuse_pickle(path)
    try:
        with path.open("rb") as file:
            value = np.lib.format.read_array(file, allow_pickle=False)
    except (FileNotFoundError, NotADirectoryError):
        raise BVHError(f"{path}: {absent(path)}") from None
    except Exception as error:
        reason = "an array of objects" if "Object" in str(error) else " ".join(str(error).split())
        cut = "" if "Object" in str(error) else "damaged, or "
        raise BVHError(f"{path}: {cut}no array of numbers ({reason})") from None
    return _plain(value, path.name)


def numbers(data: Mapping[str, Any], name: str) -> Array:
    """The array of an archive that must be numbers, in double precision.

    Raises:
        BVHError: it is not there, or holds objects or text.
    """
    if name not in data:
        raise BVHError(f"lacks the array {name!r}; it has {', '.join(list(data)[:8]) or 'none'}")
    try:
        value = np.asarray(data[name])
    except ValueError as error:
        if "Object" not in str(error):
            raise
        raise BVHError(
            f"{name} is an array of objects, and pickles are not loaded; save it as numbers"
        ) from None
    return _plain(value, name).astype(np.float64)


def words(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Text of an archive, stored as text or bytes; none if there is no text, or objects."""
    try:
        value = np.asarray(data[name]).reshape(-1)
    except (KeyError, ValueError):
        return ()
    if value.dtype.kind == "S":
        return tuple(word.decode("utf-8", "replace") for word in value.tolist())
    return tuple(value.tolist()) if value.dtype.kind == "U" else ()


def check_finite(value: Array, name: str, shape: Sequence[int | None]) -> None:
    """Refuse an array of another shape, without frames, or with NaN or infinity.

    Args:
        value: ``(frames, ...)``.
        name: for the message.
        shape: of a frame.

    Raises:
        BVHError: it says what is wrong, and where.
    """
    if value.ndim != 1 + len(shape) or value.shape[1:] != tuple(shape):
        wanted = ", ".join(("frames", *map(str, shape)))
        raise BVHError(f"{name}: expected shape ({wanted}), got {value.shape}")
    if not len(value):
        raise BVHError(f"{name}: no frames")
    if not np.isfinite(value).all():
        frame = int(np.argwhere(~np.isfinite(value))[0, 0])
        raise BVHError(f"{name}: frame {frame} holds a value that is not finite")


def _plain(value: Array, name: str) -> Array:
    if value.dtype.kind not in _NUMBERS:
        raise BVHError(f"{name}: expected numbers, got {value.dtype}")
    return value
