"""Where pictures go: suffixes, and files that appear only when complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bvh.atomic_write import atomic_path
from motiontok.errors import RenderError

__all__ = ["PICTURES", "Progress", "check_suffix", "writing"]

PICTURES = (".png", ".jpg", ".jpeg")
"""Suffixes of pictures."""

Progress = Callable[[int, int], None]
"""Called with pictures done and pictures in all."""


def check_suffix(path: Path, suffixes: Sequence[str]) -> None:
    """Check that a file's suffix is one of those given.

    Raises:
        RenderError: it is not.
    """
    if path.suffix.lower() not in suffixes:
        raise RenderError(
            f"{path}: cannot write {path.suffix or 'a file without suffix'} here; "
            f"choose from {', '.join(suffixes)}"
        )


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes ``path`` on success; entered before anything is drawn.

    Raises:
        RenderError: the file cannot be written.
    """
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        raise RenderError(f"{path}: cannot be written ({error.strerror or error})") from error
