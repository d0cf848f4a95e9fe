"""The training log: a row every few steps, in a CSV file and for TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from bvh.atomic_write import atomic_path
from motiontok.training.events import EventLog
from motiontok.training.writing import written

__all__ = ["CsvLog", "RunLog", "read_log"]


class CsvLog:
    """Rows of named numbers; columns a row lacks stay empty.

    Args:
        path: the file.
        columns: every column that will be written.
        until: on resuming, rows after this step are dropped, since those steps will run again.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], *, until: int | None) -> None:
        self.path = path
        self.columns = columns
        rows: list[dict[str, str]] = []
        if until is not None and path.is_file():
            rows = [r for r in _read_rows(path) if int(r["step"]) <= until]
        with (
            written(path),
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
        with written(self.path), self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, extrasaction="ignore").writerow(row)


class RunLog:
    """``log.csv`` and TensorBoard's event files of a run.

    Args:
        out: folder of the run.
        columns, until: of :class:`CsvLog`.
    """

    def __init__(self, out: Path, columns: tuple[str, ...], *, until: int | None) -> None:
        self._csv = CsvLog(out / "log.csv", columns, until=until)
        self._events = EventLog(out, until=until)

    def append(self, row: dict[str, Any]) -> None:
        """Add one row to both.

        Raises:
            TrainingError: the disk is full or the folder cannot be written.
        """
        self._csv.append(row)
        self._events.append(row)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *exception: object) -> None:
        self._events.close()


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
    # A machine that died may leave anything where the last rows were.
    with path.open(newline="", encoding="ascii", errors="replace") as file:
        whole = [line for line in file if line.endswith("\n") and _is_text(line)]
    return [row for row in csv.DictReader(whole) if (row.get("step") or "").isdecimal()]


def _is_text(line: str) -> bool:
    return line.isascii() and line.rstrip("\r\n").isprintable()
