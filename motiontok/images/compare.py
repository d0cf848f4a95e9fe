"""Run a comparison of methods on images, as :mod:`motiontok.evaluate.compare` does on motion."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bvh.files import atomic_path
from motiontok.config import parse_config
from motiontok.data.images import ImageSet, open_image_set
from motiontok.errors import ConfigError, MotiontokError
from motiontok.evaluate.bench import Bench, Cell
from motiontok.evaluate.cost import clock_of, training_cost
from motiontok.evaluate.machine import machine
from motiontok.images.measuring import measure_images
from motiontok.images.runs import licence_note, reconstruct, train_images
from motiontok.images.tokenizer import ImageTokenizer
from motiontok.training.log import read_log

__all__ = ["ImageOutcome", "reconstructions", "run_image_bench"]


@dataclass(frozen=True, eq=False)
class ImageOutcome:
    """What became of a cell.

    Attributes:
        cell: the run.
        result: its ``result.json``; None if it failed.
        log: rows of its ``log.csv``.
        error: why it failed, one line.
    """

    cell: Cell
    result: dict[str, Any] | None
    log: tuple[dict[str, float], ...] = ()
    error: str = ""


def run_image_bench(
    bench: Bench,
    *,
    out: Path,
    data: Path | None,
    device: str = "cpu",
    only: Collection[str] = (),
    say: Callable[[str], None] = print,
    on_outcome: Callable[[list[ImageOutcome]], object] | None = None,
) -> list[ImageOutcome]:
    """Run every cell that has no result yet, one after the other.

    Finished cells are kept, interrupted ones go on, one that fails does not stop the
    others. On a CPU everything runs on one thread, and time is the processor's.

    Args:
        bench: the comparison.
        out: its folder: ``BUDGET/METHOD/seed-N`` for each run.
        data: path of the images.
        device: where to train and measure.
        only: methods to run now; every one if empty.
        say: prints a line for the user.
        on_outcome: called with all outcomes so far after each cell.

    Raises:
        ConfigError: a result in ``out`` belongs to other settings, or ``only`` names a
            method that the comparison has not.
        DataError: the images cannot be used.
    """
    for method in only:
        if method not in bench.methods:
            raise ConfigError(
                f"{bench.name} has no method {method!r}; choose from {', '.join(bench.methods)}"
            )
    outcomes = {cell: _finished(cell, out) for cell in bench.cells}
    missing = [c for c, o in outcomes.items() if o is None and (not only or c.method in only)]
    there = sum(outcome is not None for outcome in outcomes.values())
    if there:
        say(f"{there} of {len(bench.cells)} runs are there already")
    images = open_image_set(bench.base, data, device=device) if missing else None
    for number, cell in enumerate(missing, start=1):
        assert images is not None
        say(f"[{number}/{len(missing)}] {cell.budget}, {cell.method}, seed {cell.seed}")
        try:
            with _one_thread(device):
                result = _run(cell, images, out / cell.folder, device)
            with atomic_path(out / cell.folder / "result.json") as temporary:
                temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            outcomes[cell] = _finished(cell, out)
            say(f"  PSNR {result['metrics']['psnr']:.2f} dB")
        except MotiontokError as error:
            outcomes[cell] = ImageOutcome(cell, None, error=str(error))
            say(f"  failed: {error}")
        if on_outcome is not None:
            on_outcome([o for o in outcomes.values() if o is not None])
    if images is not None:
        images.close()
    return [o for o in outcomes.values() if o is not None]


def reconstructions(
    bench: Bench, outcomes: Sequence[ImageOutcome], *, out: Path, data: Path | None, count: int = 16
) -> dict[str, dict[str, Tensor]]:
    """Held-out images and what each method makes of them, for every budget.

    Args:
        bench: the comparison.
        outcomes: of its cells; the first seed of each method is taken.
        out: its folder, from which the tokenizers are read.
        data: path of the images.
        count: images.

    Returns:
        Rows by budget: label to standardised images ``(count, channels, height, width)``.

    Raises:
        DataError: the images cannot be used.
    """
    few = replace(bench.base, train=replace(bench.base.train, validation_windows=count))
    images = open_image_set(few, data)
    images.close()
    index = torch.linspace(0, len(images.validation) - 1, count).long()
    x = images.validation[index]
    rows: dict[str, dict[str, Tensor]] = {}
    for outcome in outcomes:
        of_budget = rows.setdefault(outcome.cell.budget, {"held out": x})
        if outcome.result is not None and outcome.cell.method not in of_budget:
            opened = ImageTokenizer.from_pretrained(out / outcome.cell.folder)
            of_budget[outcome.cell.method] = reconstruct(opened.method, x)
    return rows


def _run(cell: Cell, images: ImageSet, folder: Path, device: str) -> dict[str, Any]:
    config = cell.config
    trained = train_images(
        config,
        images,
        out=folder,
        device=device,
        resume=(folder / "checkpoint.safetensors").exists(),
        clock=clock_of(torch.device(device)),
    )
    ImageTokenizer(trained.method, licence=licence_note(config)).save_pretrained(
        folder / "tokenizer"
    )
    metrics, usage = measure_images(
        trained.method, images.validation, images.metrics, seed=cell.seed
    )
    batch = images.batch(config.train.batch_size, torch.Generator(device).manual_seed(cell.seed))
    parameters = sum(p.numel() for p in trained.method.parameters() if p.requires_grad)
    return {
        "config": config.to_dict(),
        "machine": machine(device),
        "test": {"data": images.note, "images": len(images.validation)},
        "metrics": metrics
        | {"steps": trained.step, "training_seconds": trained.seconds, "parameters": parameters}
        | training_cost(trained.method, batch),
        "used_per_position": usage.used.tolist(),
        "perplexity_per_position": usage.perplexity.tolist(),
    }


def _finished(cell: Cell, out: Path) -> ImageOutcome | None:
    """The outcome of a run that is there, checked to be this cell's."""
    path = out / cell.folder / "result.json"
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        config = parse_config(result["config"], str(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
        raise ConfigError(f"{path}: damaged result; delete its folder to run it again") from None
    if config != cell.config:
        raise ConfigError(
            f"{path}: is of a run with other settings; use another --out, or delete its folder to "
            "run it again"
        )
    log = path.parent / "log.csv"
    return ImageOutcome(cell, result, tuple(read_log(log)) if log.is_file() else ())


@contextmanager
def _one_thread(device: str) -> Iterator[None]:
    before = torch.get_num_threads()
    if torch.device(device).type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
