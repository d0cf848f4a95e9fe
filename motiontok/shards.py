"""Results of many files in a few shards, whole at every instant; corpora and stores use it.

While a shard grows, each result is a line of ``open-NUMBER-SHARE.jsonl``; only whole lines count.
When the shard is large enough, or the run ends, its owner writes it under its own name, with
``manifest-NUMBER-SHARE.jsonl`` beside it, and only then removes the open file. So at every instant
each result is in one file or the other, and a new run finishes the shards of a killed one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from motiontok.errors import DataError, InputError
from motiontok.locks import locked

__all__ = [
    "SHARD_CLIPS",
    "GrowingShard",
    "Share",
    "finish_left",
    "make_folder",
    "manifest_lines",
    "manifests",
    "open_lines",
    "require_share",
    "share_name",
    "share_of",
    "share_of_process",
    "share_said",
]

_Entry = TypeVar("_Entry")

SHARD_CLIPS = 4_096
"""Clips after which a shard is closed, for any length of clips."""


Share = tuple[int, int]
"""A share of the clips: its number, from 0, and the number of shares."""


def share_of(clip: str, count: int) -> int:
    """The share of a clip, by its path and the number of shares alone."""
    return int(hashlib.sha256(clip.encode()).hexdigest()[:12], 16) % count


def share_name(share: Share) -> str:
    """The share in names of files, such as ``0of4``."""
    return f"{share[0]}of{share[1]}"


def require_share(share: Share) -> None:
    """Refuse a share that does not exist.

    Raises:
        InputError: its number is not below the number of shares.
    """
    if not 0 <= share[0] < share[1]:
        raise InputError(f"share {share[0]} of {share[1]}: count from 0")


def share_said(text: str) -> Share:
    """The share that ``I/N`` stands for.

    Raises:
        InputError: it is not of that form.
    """
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise InputError(f"--shard {text}: expected I/N with I from 0 to N - 1, such as 0/4")
    return int(index), int(count)


def share_of_process() -> Share:
    """This process's share of the clips: ``RANK`` of ``WORLD_SIZE``, as torchrun sets.

    Raises:
        InputError: they are no such numbers.
    """
    rank, world = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdigit() and world.isdigit() and int(rank) < int(world)):
        raise InputError(f"RANK={rank} and WORLD_SIZE={world} in the environment: no share of work")
    return int(rank), int(world)


def make_folder(out: Path, what: str) -> None:
    """Make the folder of results.

    Raises:
        InputError: it is a file; ``what`` names the results.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{out}: a file; {what} into a folder") from None


class GrowingShard:
    """The open shard: lines are added to it, and closing it begins the next.

    Args:
        out: folder of the shards.
        name: of the share whose shards these are, such as ``0of1``.
        finish: makes a shard and its manifest of an open file, and removes it.
        rows: rows of results after which a shard is closed.
        clips: results after which a shard is closed, for any number of rows.
    """

    def __init__(
        self, out: Path, name: str, *, finish: Callable[[Path], object], rows: int, clips: int
    ) -> None:
        self._out, self._name, self._finish = out, name, finish
        self._most_rows, self._most_clips = rows, clips
        numbers = [int(m[1]) for p in out.iterdir() if (m := re.match(r"\w+-(\d+)-", p.name))]
        self._number = max(numbers, default=-1) + 1
        self._clips = self._rows = 0

    @property
    def _path(self) -> Path:
        return self._out / f"open-{self._number:05d}-{self._name}.jsonl"

    def __enter__(self) -> GrowingShard:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What an error or an interruption leaves open, the next run finishes.
        if kind is None:
            self._close()

    def add(self, row: dict[str, Any], rows: int) -> None:
        """Add a result of so many rows as one line.

        Raises:
            OSError: the disk is full, or cannot be written; earlier results are kept.
        """
        line = (json.dumps(row) + "\n").encode()
        with self._path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                with suppress(OSError):
                    file.truncate(before)
                raise OSError(error.errno, error.strerror, str(self._path)) from None
        self._clips += 1
        self._rows += rows
        if self._rows >= self._most_rows or self._clips >= self._most_clips:
            self._close()

    def _close(self) -> None:
        if self._clips:
            self._finish(self._path)
            self._number += 1
            self._clips = self._rows = 0


def open_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Results of an open shard, without an unfinished last line."""
    with path.open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                # The machine went down while this was written; it is done again.
                return
            yield row


def finish_left(out: Path, name: str, finish: Callable[[Path], object], doing: str) -> None:
    """Finish shards that ended runs left open, also runs with another number of shares.

    Shares of the same number finish their own: they may be starting at this moment.
    """
    for path in sorted(out.glob("open-*-*.jsonl")):
        whose = path.stem.rpartition("-")[2]
        if whose == name:
            finish(path)
        elif whose.partition("of")[2] != name.partition("of")[2]:
            # One that is at work holds its lock.
            with suppress(InputError), locked(out / f".{whose}.lock", doing):
                if path.exists():
                    finish(path)
    for path in out.glob(f".*-{name}-????????.tmp.*"):
        path.unlink()


def manifests(folder: Path) -> list[Path]:
    """Manifests of the finished shards of a folder, in the order in which they were begun."""
    return sorted(folder.glob("manifest-*-*.jsonl"), key=_number)


def _number(path: Path) -> tuple[int, str]:
    """Number of a shard by its name; later ones are higher."""
    found = re.match(r"manifest-(\d+)-", path.name)
    return (int(found[1]) if found else -1, path.name)


def manifest_lines(
    path: Path, cure: str, read: Callable[[dict[str, Any]], _Entry]
) -> Iterator[_Entry]:
    """Entries of a manifest's lines, without an unfinished last one.

    Args:
        path: of the manifest.
        cure: advice about a damaged line, for the error.
        read: makes an entry of a line; ValueError and TypeError mean a damaged one.

    Raises:
        DataError: a line is damaged.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not a table")
                entry = read(row)
            except (ValueError, TypeError) as error:
                raise DataError(f"{path}, line {number}: damaged ({error}); {cure}") from None
            yield entry
