"""The training log: one CSV row every few steps, appended and flushed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from bvh.files import atomic_path

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
        rows: list[dict[str, Any]] = []
        if until is not None and path.is_file():
            rows = [r for r in read_log(path) if r["step"] <= until]
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def append(self, row: dict[str, Any]) -> None:
        """Add one row."""
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, extrasaction="ignore").writerow(row)


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a log; empty cells are left out. A half-written last row is dropped."""
    rows = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                rows.append({k: float(v) for k, v in row.items() if k and v})
            except (TypeError, ValueError):
                continue
    return [r for r in rows if "step" in r]
