"""Run a comparison of methods on images, as :mod:`motiontok.evaluate.compare` does on motion."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motiontok.data.images import ImageSet, open_image_set
from motiontok.evaluate.bench import Bench, Cell
from motiontok.evaluate.cells import Run, run_cells
from motiontok.evaluate.cost import clock_of, training_cost
from motiontok.evaluate.machine import machine
from motiontok.images.measuring import measure_images
from motiontok.images.runs import licence_note, reconstruct, train_images
from motiontok.images.tokenizer import ImageTokenizer

__all__ = ["ImageOutcome", "reconstructions", "run_image_bench"]


@dataclass(frozen=True, eq=False)
class ImageOutcome:
    """Outcome of a cell.

    Attributes:
        cell: the run.
        result: its ``result.json``; None if it failed.
        log: rows of its ``log.csv``.
        error: reason of the failure, one line.
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

    Finished cells are kept, interrupted ones continue, and a failed one does not stop the others.
    On a CPU everything runs on one thread, and time is the processor's.

    Args:
        bench: the comparison.
        out: its folder: ``BUDGET/METHOD/seed-N`` for each run.
        data: path of the images.
        device: where to train and measure.
        only: methods to run now; every one if empty.
        say: prints a line for the user.
        on_outcome: called with all outcomes so far after each cell.

    Raises:
        ConfigError: a result in ``out`` belongs to other settings, or ``only`` names a method that
            the comparison lacks.
        DataError: the images cannot be used.
    """

    @contextmanager
    def prepare(count: int) -> Iterator[Run]:
        with closing(open_image_set(bench.base, data, device=device)) as images:
            yield lambda cell: _run(cell, images, out / cell.folder, device)

    return run_cells(
        bench,
        prepare,
        _outcome,
        lambda metrics: f"PSNR {metrics['psnr']:.2f} dB",
        out=out,
        device=device,
        only=only,
        say=say,
        on_outcome=on_outcome,
    )


def _outcome(
    cell: Cell, result: dict[str, Any] | None, rows: list[dict[str, float]], error: str
) -> ImageOutcome:
    return ImageOutcome(cell, result, tuple(rows), error)


def reconstructions(
    bench: Bench, outcomes: Sequence[ImageOutcome], *, out: Path, data: Path | None, count: int = 16
) -> dict[str, dict[str, Tensor]]:
    """Held-out images and each method's reconstructions, for every budget.

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
