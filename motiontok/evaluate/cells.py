"""Run the cells of a comparison, for any kind of data."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from bvh.atomic_write import atomic_path
from motiontok.config import parse_config
from motiontok.errors import ConfigError, MotiontokError
from motiontok.evaluate.bench import Bench, Cell
from motiontok.training.log import read_log

__all__ = ["MakeOutcome", "Run", "run_cells"]

Run = Callable[[Cell], dict[str, Any]]
"""Trains and measures one cell; returns its ``result.json``."""

Made = TypeVar("Made", covariant=True)


class MakeOutcome(Protocol[Made]):
    """Makes the outcome of a cell: its result and log, or the reason of its failure."""

    def __call__(
        self, cell: Cell, result: dict[str, Any] | None, rows: list[dict[str, float]], error: str
    ) -> Made:
        """What stands for the cell.

        Args:
            cell: of the bench.
            result: its ``result.json``; None if it failed.
            rows: of its log, as far as it came.
            error: why it failed; empty if it did not.
        """
        ...


def run_cells(
    bench: Bench,
    prepare: Callable[[int], AbstractContextManager[Run]],
    make: MakeOutcome[Made],
    headline: Callable[[dict[str, Any]], str],
    *,
    out: Path,
    device: str,
    only: Collection[str],
    wanted: Callable[[Cell], bool] = lambda cell: True,
    say: Callable[[str], None],
    on_outcome: Callable[[list[Made]], object] | None,
) -> list[Made]:
    """Run every cell that has no result yet, one after the other.

    A finished cell is not run again, and one that fails does not stop the others; it is
    tried again the next time. On a CPU everything runs on one thread.

    Args:
        bench: the comparison.
        prepare: called with the number of runs to do, if there are any; loads their data.
        make: makes an outcome.
        headline: text of a result's metrics.
        out: folder of the comparison: ``BUDGET/METHOD/seed-N`` for each run.
        device: where to train and measure.
        only: methods to run now; all if empty. Earlier results of the others are reported.
        wanted: whether to run a cell of these now; all by default.
        say: prints a line for the user.
        on_outcome: called with all outcomes so far after each cell.

    Raises:
        ConfigError: a result in ``out`` belongs to other settings, or ``only`` names a method that
            the comparison lacks.
    """
    for method in only:
        if method not in bench.methods:
            raise ConfigError(
                f"{bench.name} has no method {method!r}; choose from {', '.join(bench.methods)}"
            )

    def finished(cell: Cell) -> Made | None:
        found = _finished(cell, out)
        return None if found is None else make(cell, *found, "")

    outcomes = {cell: finished(cell) for cell in bench.cells}
    there = sum(outcome is not None for outcome in outcomes.values())
    missing = [
        c for c, o in outcomes.items() if o is None and (not only or c.method in only) and wanted(c)
    ]
    if there:
        say(f"{there} of {len(bench.cells)} runs are there already")
    if missing:
        with prepare(len(missing)) as run:
            for number, cell in enumerate(missing, start=1):
                say(f"[{number}/{len(missing)}] {cell.label}")
                try:
                    with _one_thread(device):
                        result = run(cell)
                    with atomic_path(out / cell.folder / "result.json") as temporary:
                        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
                    outcomes[cell] = finished(cell)
                    say(f"  {headline(result['metrics'])}")
                except MotiontokError as error:
                    outcomes[cell] = make(cell, None, [], str(error))
                    say(f"  failed: {error}")
                if on_outcome is not None:
                    on_outcome([o for o in outcomes.values() if o is not None])
    return [o for o in outcomes.values() if o is not None]


def _finished(cell: Cell, out: Path) -> tuple[dict[str, Any], list[dict[str, float]]] | None:
    """Result and log of an existing run, checked to be this cell's."""
    path = out / cell.folder / "result.json"
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        # What a setting that came later stood for is its default.
        config = parse_config(result["config"], str(path)).to_dict()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
        raise ConfigError(f"{path}: damaged result; delete its folder to run it again") from None
    for section, now in cell.config.to_dict().items():
        if config.get(section) != now:
            raise ConfigError(
                f"{path}: is of a run with other settings in {section}; use another --out, or "
                "delete its folder to run it again"
            )
    log = path.parent / "log.csv"
    return result, read_log(log) if log.is_file() else []


@contextmanager
def _one_thread(device: str) -> Iterator[None]:
    before = torch.get_num_threads()
    if torch.device(device).type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
