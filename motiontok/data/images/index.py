"""Where pictures lie in tar archives, kept between runs.

Finding them is a small read for each picture, all over the archive, ImageNet's of 138 GB.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bvh.atomic_write import atomic_path
from bvh.cache import cache_dir
from motiontok.data.images.files import ImageFile, tar_images

__all__ = ["indexed_images"]

_WORTH = 1000


def indexed_images(path: Path) -> list[ImageFile]:
    """Pictures of a tar archive, as :func:`~motiontok.data.images.files.tar_images` finds them.

    From a thousand pictures on they are kept in :func:`bvh.cache.cache_dir` until the archive's
    size or date changes. A damaged or unwritable cache never stands in the way.

    Raises:
        DataError: as ``tar_images`` does.
    """
    name = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=16).hexdigest()
    kept = cache_dir() / "pictures" / f"{name}.npz"
    try:
        status = path.stat()
        stamp = np.array([status.st_size, status.st_mtime_ns])
        found = _load(path, kept, stamp)
    except OSError:
        return tar_images(path)
    if found is None:
        found = tar_images(path)
        if len(found) >= _WORTH:
            _save(kept, found, stamp)
    return found


def _load(path: Path, kept: Path, stamp: NDArray[np.int64]) -> list[ImageFile] | None:
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            if not np.array_equal(arrays["stamp"], stamp):
                return None
            names = arrays["names"].tobytes().decode().split("\0")
            stretches = arrays["stretches"].tolist()
        return [
            ImageFile(str(path), name, begin, size)
            for name, (begin, size) in zip(names, stretches, strict=True)
        ]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _save(kept: Path, found: list[ImageFile], stamp: NDArray[np.int64]) -> None:
    try:
        with atomic_path(kept) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                stamp=stamp,
                names=np.frombuffer("\0".join(f.name for f in found).encode(), np.uint8),
                stretches=np.array([(f.offset, f.size) for f in found], dtype=np.int64),
            )
    except OSError as error:
        warnings.warn(
            f"places of pictures are not kept in {kept.parent}: {error.strerror or error}; "
            "set MOTIONTOK_CACHE to a folder that can be written",
            RuntimeWarning,
            stacklevel=3,
        )
