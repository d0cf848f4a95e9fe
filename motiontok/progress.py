"""The one progress display: a bar with an ETA on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["WHOLE", "Progress", "ProgressCallback", "progress", "silent"]

WHOLE = 1000
"""The amount done, at the end of a job that counts shares of the whole and not things."""

ProgressCallback = Callable[[float, str], object]
"""Called with the progress, in [0, 1], and the present activity."""


def silent(share: float, doing: str) -> None:
    """A progress callback that does nothing."""


class Progress(Protocol):
    """Called with the amount done and, optionally, a few words and a corrected total.

    A resumed job first reports the amount done ``before``.
    """

    def __call__(
        self, done: int, detail: str = "", *, total: int | None = None, before: int | None = None
    ) -> None:
        """Show it.

        Args:
            done: how much is done, of the total.
            detail: a few words on what goes on.
            total: the size of the job, where it turned out another.
            before: how much was done when a resumed job began.
        """
        ...


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Progress]:
    """Show the progress of a long job on standard error; with many processes, the first one's.

    Args:
        title: name of the job.
        total: size of the job; None if what is done is counted in parts of :data:`WHOLE`, which is
            shown in per cent.
    """
    if os.environ.get("RANK", "0") != "0":
        yield _nothing
    elif sys.stderr.isatty():
        with _bar(title, total) as update:
            yield update
    else:
        yield _lines(title, total)


def _nothing(
    done: int, detail: str = "", *, total: int | None = None, before: int | None = None
) -> None:
    pass


@contextmanager
def _bar(title: str, total: int | None) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn() if total is None else MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total or WHOLE, detail="")

        def update(
            done: int, detail: str = "", *, total: int | None = None, before: int | None = None
        ) -> None:
            if before is not None:
                bar.reset(task, completed=before)
            bar.update(task, completed=done, total=total)
            if detail:
                bar.update(task, detail=detail)

        yield update


def _lines(title: str, total: int | None) -> Progress:
    """Updates as lines, at most one every ten seconds, and the last one."""
    begin = time.monotonic()
    last = begin
    first, whole, in_percent = 0, total or WHOLE, total is None

    def update(
        done: int, detail: str = "", *, total: int | None = None, before: int | None = None
    ) -> None:
        nonlocal begin, first, last, whole
        whole = total or whole
        now = time.monotonic()
        if before is not None:
            begin, first = now, before
        if done < whole and now - last < 10.0:
            return
        last = now
        rate = (done - first) / max(now - begin, 1e-9)
        left = (whole - done) / rate if rate > 0 else float("inf")
        eta = f", ETA {left:.0f} s" if done < whole and left < float("inf") else ""
        amount = f"{100 * done // whole} %" if in_percent else f"{done}/{whole}"
        print(f"{title} {amount}{eta}  {detail}".rstrip(), file=sys.stderr, flush=True)

    return update
