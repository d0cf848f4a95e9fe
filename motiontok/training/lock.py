"""A run folder is trained in by one process at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motiontok.errors import TrainingError
from motiontok.training.writing import written

if sys.platform != "win32":
    import fcntl

__all__ = ["alone_in"]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from training in ``folder``, which is made if it is not there.

    The folder itself is locked, so no file is left behind, and the kernel unlocks it when the
    process ends in whatever way. Without effect where folders cannot be locked, such as on
    NFS and on Windows.

    Raises:
        TrainingError: another process is training there, or the folder cannot be made.
    """
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"{folder}: another process is training here; wait until it ends, or give another "
                "--out"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)
