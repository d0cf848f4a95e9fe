"""CIFAR-10, binary version: folder or archive."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motiontok.data.images.arrays import ImageArrays
from motiontok.errors import DataError

__all__ = ["load_cifar10"]

_FOLDER = "cifar-10-batches-bin"
_TRAINING = tuple(f"data_batch_{n}.bin" for n in range(1, 6))
_HELD_OUT = "test_batch.bin"
_RECORD = 1 + 3 * 32 * 32
_WHERE = "the binary version is cifar-10-binary.tar.gz on the data set's page"


def load_cifar10(path: Path) -> ImageArrays:
    """Images of CIFAR-10.

    Args:
        path: ``cifar-10-binary.tar.gz``, which is read in place, or its unpacked folder or
            the folder around that.

    Raises:
        DataError: a file is missing, truncated or of another data set, or this is the
            pickled version.
    """
    names = (*_TRAINING, _HELD_OUT)
    raw = _from_archive(path, names) if path.is_file() else _from_folder(path, names)
    *training, held_out = (_images(path, name, raw[name]) for name in names)
    return ImageArrays(np.concatenate(training), held_out)


def _images(path: Path, name: str, raw: bytes) -> NDArray[np.uint8]:
    if not raw or len(raw) % _RECORD:
        raise DataError(
            f"{path}: {name} is truncated or foreign: {len(raw)} bytes are not a whole number of "
            f"records of {_RECORD}"
        )
    records = np.frombuffer(raw, np.uint8).reshape(-1, _RECORD)
    if records[:, 0].max() > 9:
        raise DataError(
            f"{path}: {name} is not of CIFAR-10: it has label {records[:, 0].max()}, labels are "
            "0 to 9"
        )
    return records[:, 1:].reshape(-1, 3, 32, 32)


def _from_folder(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder; {_WHERE}")
    folder = path / _FOLDER if (path / _FOLDER).is_dir() else path
    for candidate in (folder, path / "cifar-10-batches-py"):
        if (candidate / "data_batch_1").is_file():
            raise _pickled(path)
    archive = path / "cifar-10-binary.tar.gz"
    if not (folder / _HELD_OUT).is_file() and archive.is_file():
        return _from_archive(archive, names)
    found = {}
    for name in names:
        try:
            found[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            raise DataError(f"{folder}: no {name} in it; {_WHERE}") from None
        except OSError as error:
            raise DataError(f"{folder / name}: cannot be read ({error.strerror})") from None
    return found


def _from_archive(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    wanted, found = set(names), {}
    try:
        with tarfile.open(path, "r|*") as members:
            for member in members:
                name = member.name.rpartition("/")[2]
                if name == "data_batch_1" or name == "batches.meta":
                    raise _pickled(path)
                file = members.extractfile(member) if name in wanted else None
                if file is not None:
                    # Never more than a batch is, whatever the archive claims.
                    found[name] = file.read(10_001 * _RECORD)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path}: truncated, damaged or no tar archive ({error})") from None
    missing = sorted(wanted - found.keys())
    if missing:
        raise DataError(f"{path}: no {missing[0]} in it; {_WHERE}")
    return found


def _pickled(path: Path) -> DataError:
    return DataError(
        f"{path}: this is CIFAR-10's Python version, which is pickled: reading it could run "
        f"whatever code is in it; {_WHERE}"
    )
