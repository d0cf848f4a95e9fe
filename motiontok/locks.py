"""Locks for one writer at a time: a run, the shards of a share, a folder of results."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motiontok.errors import InputError

if sys.platform != "win32":
    import fcntl

__all__ = ["locked"]


@contextmanager
def locked(path: Path, doing: str, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes from ``path`` while the ``with`` block runs.

    The kernel unlocks it when the process ends in any way. A folder is locked itself, so that no
    file is left behind; a missing file is made. Without effect if the system has no locks, as some
    network file systems and Windows.

    Args:
        path: of an existing folder, or of a file in the folder that is written to.
        doing: the other process' activity, for the refusal.
        wait: wait until the other process is done, instead of refusing.

    Raises:
        InputError: another process holds it.
        OSError: the file cannot be made.
    """
    if sys.platform == "win32":
        yield
        return
    is_folder = path.is_dir()
    handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            where = path if is_folder else path.parent
            raise InputError(
                f"{where}: another process is {doing}; wait until it ends, or give another folder"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)
