"""Failures of writing, as errors of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from motiontok.errors import TrainingError
from motiontok.locks import locked

__all__ = ["alone_in", "written"]

# Of atomic_path, and of safetensors, which writes beside what it is told.
_UNFINISHED = re.compile(r"\.((checkpoint|best|log|config)-\w{8}\.tmp\.\w+|tmp[A-Za-z0-9]{6})")


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


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """The folder of a run, made, and locked while the ``with`` block runs.

    What a killed run was writing is removed: it may be as large as a checkpoint.

    Raises:
        TrainingError: the folder cannot be made.
        InputError: another process trains there.
    """
    with written(out):
        out.mkdir(parents=True, exist_ok=True)
    with locked(out, "training here"):
        for path in out.iterdir():
            if _UNFINISHED.fullmatch(path.name) and path.is_file():
                with suppress(OSError):
                    path.unlink()
        yield
