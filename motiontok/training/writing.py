"""Failures of writing, as errors of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motiontok.errors import TrainingError

__all__ = ["written"]


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Turn a system error in writing ``path`` into an error of the run.

    Raises:
        TrainingError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"cannot write {path}: {error.strerror or error}; the last checkpoint is kept"
        ) from None
