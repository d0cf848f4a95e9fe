"""The training log: one CSV row every few steps, appended and flushed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bvh.files import atomic_path
from motiontok.errors import TrainingError

__all__ = ["CsvLog", "read_log"]


class CsvLog:
    """Rows of named numbers; columns a row lacks stay empty.

    Args:
        path: the file.
        columns: every column that will be written.
        until: on resuming, rows after this step are dropped, since those steps
            are about to be run again.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], *, until: int | None) -> None:
        self.path = path
        self.columns = columns
        rows: list[dict[str, str]] = []
        if until is not None and path.is_file():
            rows = [r for r in _read_rows(path) if int(r["step"]) <= until]
        with (
            _written(path),
            atomic_path(path) as temporary,
            temporary.open("w", newline="") as file,
        ):
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def append(self, row: dict[str, Any]) -> None:
        """Add one row.

        Raises:
            TrainingError: the disk is full or the folder cannot be written.
        """
        with _written(self.path), self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, extrasaction="ignore").writerow(row)


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a log; empty cells are left out. A half-written last row is dropped."""
    rows = []
    for row in _read_rows(path):
        try:
            rows.append({k: float(v) for k, v in row.items() if k and v})
        except (TypeError, ValueError):
            continue
    return rows


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        whole = [line for line in file if line.endswith("\n")]
    return [row for row in csv.DictReader(whole) if (row.get("step") or "").isdecimal()]


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"cannot write {path}: {error.strerror or error}; the last checkpoint is kept"
        ) from None
