"""MNIST and its relatives from IDX files, gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motiontok.data.images.arrays import ImageArrays
from motiontok.errors import DataError

__all__ = ["load_mnist", "read_idx"]

_IMAGES = {"training": "train-images", "held_out": "t10k-images"}
_MOST_BYTES = 2**30


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Array of an IDX file of unsigned bytes.

    Raises:
        DataError: missing, truncated, or no such file.
    """
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                raw = file.read(_MOST_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if raw[:3] != b"\x00\x00\x08" or len(raw) < 4 or not 1 <= raw[3] <= 4:
        raise DataError(
            f"{path}: not an IDX file of bytes: it begins with {raw[:4].hex(' ') or 'nothing'}, "
            "not with 00 00 08 and the number of dimensions"
        )
    begin = 4 + 4 * raw[3]
    if len(raw) < begin:
        raise DataError(f"{path}: truncated: {len(raw)} bytes end in its header")
    shape = struct.unpack(f">{raw[3]}I", raw[4:begin])
    if len(raw) - begin != math.prod(shape):
        raise DataError(
            f"{path}: truncated or damaged: {len(raw) - begin} bytes for an array of "
            f"{' x '.join(map(str, shape))}"
        )
    return np.frombuffer(raw, np.uint8, offset=begin).reshape(shape)


def load_mnist(folder: Path) -> ImageArrays:
    """Images of MNIST, or of another set in its files (Fashion-MNIST, KMNIST).

    Args:
        folder: with ``train-images-idx3-ubyte`` and ``t10k-images-idx3-ubyte``, each with
            or without ``.gz``; at its top or one folder further down (``raw/``).

    Raises:
        DataError: a file is missing, truncated or foreign.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one that holds MNIST's IDX files")
    return ImageArrays(**{part: _images(folder, stem) for part, stem in _IMAGES.items()})


def _images(folder: Path, stem: str) -> NDArray[np.uint8]:
    # Some mirrors write a dot in place of the second dash.
    names = [f"{stem}{s}idx3-ubyte{end}" for s in "-." for end in ("", ".gz")]
    places = [folder / name for name in names] + [folder / "raw" / name for name in names]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        raise DataError(f"{folder}: no {names[0]}, plain or gzipped, in it")
    images = read_idx(path)
    if images.ndim != 3 or 0 in images.shape:
        raise DataError(f"{path}: expected images (count, rows, columns), found {images.shape}")
    return images[:, None]
