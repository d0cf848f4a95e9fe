"""Run a comparison: train missing runs, measure them, write the report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from motiontok.data.clips import Clips, ClipSet, every_clip, load_clips
from motiontok.data.sets import digests_of, set_names
from motiontok.data.training_data import TrainingData, make_training_data
from motiontok.errors import DataError, TrainingError
from motiontok.evaluate.bench import Bench, Cell
from motiontok.evaluate.cells import Run, run_cells
from motiontok.evaluate.clips import ClipCoder, CodecCoder, TokenCoder, measure_clips
from motiontok.evaluate.cost import clock_of, training_cost
from motiontok.evaluate.evaluation import evaluate_codec, evaluate_tokenizer
from motiontok.evaluate.machine import machine
from motiontok.evaluate.scalar_codec import PrincipalComponents, ScalarCodec
from motiontok.evaluate.sets import of_sets
from motiontok.methods import METHODS, MotionNetworks
from motiontok.progress import progress
from motiontok.tokenizer import MotionTokenizer
from motiontok.training import Trained, displayed, train

__all__ = ["Outcome", "fit_codec", "run_bench", "train_cell"]

_COMPONENTS = 768
_FIT_WINDOWS = 20_000


@dataclass(frozen=True, eq=False)
class Outcome:
    """Outcome of a cell.

    Attributes:
        cell: the run.
        result: its ``result.json``; None if it failed.
        curve: (seconds, step, joint error in mm) of each validation.
        error: reason of the failure, one line.
    """

    cell: Cell
    result: dict[str, Any] | None
    curve: tuple[tuple[float, float, float], ...] = ()
    error: str = ""


def run_bench(
    bench: Bench,
    *,
    out: Path,
    data: Sequence[str | Path] = (),
    unseen: Sequence[str | Path] = (),
    device: str = "cpu",
    only: Collection[str] = (),
    say: Callable[[str], None] = print,
    on_outcome: Callable[[list[Outcome]], object] | None = None,
) -> list[Outcome]:
    """Run every cell that has no result yet, one after the other.

    A finished cell is not run again, an interrupted one continues from its checkpoint, and a failed
    one does not stop the others; it is tried again the next time.

    On a CPU everything runs on one thread, and time, also of budgets, is the processor's. So other
    work on the machine hardly changes the outcome.

    Args:
        bench: the comparison.
        out: its folder: ``BUDGET/METHOD/seed-N`` for each run.
        data: folders, archives or files of clips, each a set; the data set may need none.
        unseen: more of them, that no run trains on. What is run now is also measured on each: its
            metrics have them as ``unseen``, by set.
        device: where to train and measure.
        only: methods to run now; all if empty. Earlier results of the others are reported.
        say: prints a line for the user.
        on_outcome: called with all outcomes so far after each cell.

    Raises:
        ConfigError: a result in ``out`` belongs to other settings, or ``only`` names a method that
            the comparison lacks.
        DataError: the data cannot be used.
    """

    @contextmanager
    def prepare(count: int) -> Iterator[Run]:
        clips, ready = _load(bench, data, device)
        others = _read_unseen(unseen, clips)
        for line in (*clips.notes, *others.notes):
            say(line)
        say(
            f"{len(clips.training)} clips to train on, {len(clips.held_out)} held out "
            f"({len(ready.validation)} windows), {count} runs to do"
        )

        yield lambda cell: _run(cell, out, clips, others.sets, ready, device)

    outcomes = run_cells(
        bench,
        prepare,
        _outcome,
        lambda metrics: f"MPJPE {metrics['mpjpe_mm']:.1f} mm",
        out=out,
        device=device,
        only=only,
        say=say,
        on_outcome=on_outcome,
    )
    for name in set_names([Path(path) for path in unseen], advice="name it once"):
        without = [o.cell.folder for o in outcomes if o.result and name not in _unseen_of(o.result)]
        if without:
            say(
                f"{len(without)} of the runs were there already and are not measured on {name}; "
                f"remove result.json of each, such as {out / without[0] / 'result.json'}, and run "
                "this again"
            )
    return outcomes


def _unseen_of(result: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = result["metrics"].get("unseen", {})
    return found


def _outcome(
    cell: Cell, result: dict[str, Any] | None, rows: list[dict[str, float]], error: str
) -> Outcome:
    curve = tuple((r["seconds"], r["step"], r["val_mpjpe_mm"]) for r in rows if "val_mpjpe_mm" in r)
    return Outcome(cell, result, curve, error)


def _load(bench: Bench, data: Sequence[str | Path], device: str) -> tuple[Clips, TrainingData]:
    config = bench.base
    with progress("reading clips", 1) as update:
        clips = load_clips(
            config.data, data, seed=config.train.seed, update=lambda n, of: update(n, total=of)
        )
    return clips, make_training_data(clips, config.data, device=device)


def _read_unseen(unseen: Sequence[str | Path], clips: Clips) -> Clips:
    """Every clip of these paths.

    Raises:
        DataError: one of them is among ``clips``.
    """
    if not unseen:
        return Clips((), "")
    with progress("reading clips", 1) as update:
        found = every_clip(
            unseen,
            calibrations=clips.calibrations,
            update=lambda n, of: update(n, total=of),
        )
    known = {digest for of in clips.sets for digest in digests_of(of.training)}
    for of in found.sets:
        for motion, digest in zip(of.held_out, digests_of(of.held_out), strict=True):
            if digest in known:
                raise DataError(
                    f"--unseen {of.name}: {motion.source.name} is among the clips of --data that "
                    "are trained on; leave it out of one of them"
                )
    return found


def _measure_unseen(
    coder: ClipCoder[Any], unseen: Sequence[ClipSet], device: str
) -> dict[str, dict[str, dict[str, float]]]:
    """Errors on the clips of each set, by its name, as metrics have them: nothing without sets."""
    out = {}
    for of in unseen:
        with progress(f"measuring on {of.name}", len(of.held_out)) as update:
            out[of.name] = measure_clips(coder, of.held_out, device=device, update=update)
    return {"unseen": out} if out else {}


def train_cell(
    cell: Cell, folder: Path, ready: TrainingData, *, licence: str, device: str
) -> tuple[MotionTokenizer, Trained]:
    """Train a cell's method, or continue its training.

    Args:
        cell: of a method, not of the codec.
        folder: of its run; the tokenizer is saved in ``folder/tokenizer``.
        ready: training data.
        licence: note on the data's licence.
        device: where to train.

    Returns:
        The tokenizer of the last step, and the loop's report.

    Raises:
        TrainingError: divergence, or a checkpoint that cannot be used.
    """
    config = cell.config
    doing, total = displayed(config)
    with progress(f"{doing} {cell.method}", total) as update:
        trained = train(
            config,
            data=ready.stretched(METHODS[config.method.name].stretch),
            networks=MotionNetworks(config, statistics=ready.statistics),
            out=folder,
            device=torch.device(device),
            resume=(folder / "checkpoint.safetensors").exists(),
            update=update,
            clock=clock_of(torch.device(device)),
        )
    if not all(p.isfinite().all() for p in trained.method.parameters()):
        raise TrainingError(f"{cell.method}: weights are not finite after training")
    tokenizer = MotionTokenizer(
        trained.method, ready.statistics, licence=licence, calibrations=ready.calibrations
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    return tokenizer, trained


def fit_codec(cell: Cell, ready: TrainingData, *, device: str) -> ScalarCodec:
    """The codec of variable length at the rate of a cell's sizes, on its training windows."""
    # As methods are fitted: to real windows, none of them twice.
    windows = ready.once(torch.Generator(device).manual_seed(cell.seed))(_FIT_WINDOWS)
    # A component gets half a bit or more, else it is not worth its place.
    count = min(16 + round(2 * cell.bits), _COMPONENTS)
    components = PrincipalComponents.fit(windows, count, seed=cell.seed)
    return ScalarCodec.at_rate(components, cell.bits, windows)


def _run(
    cell: Cell,
    out: Path,
    clips: Clips,
    unseen: Sequence[ClipSet],
    ready: TrainingData,
    device: str,
) -> dict[str, Any]:
    """Train a cell's method, or fit the codec, and measure it: its ``result.json``."""
    config = cell.config
    given = (ready.validation, clips.sets)
    coder: ClipCoder[Any]
    trained = None
    if cell.is_codec:
        codec = fit_codec(cell, ready, device=device)
        coder = CodecCoder(codec, ready.statistics, config.data.window)
        evaluate = partial(evaluate_codec, codec, *given, ready.statistics)
    else:
        tokenizer, trained = train_cell(
            cell, out / cell.folder, ready, licence=clips.licence, device=device
        )
        coder = TokenCoder(tokenizer)
        evaluate = partial(evaluate_tokenizer, tokenizer, *given, seed=cell.seed)
    with progress("measuring", len(clips.held_out)) as update:
        metrics = evaluate(update=update).to_dict()
    metrics |= _measure_unseen(coder, unseen, device)
    if trained is not None:
        batch = ready.windows.batch(
            config.train.batch_size, torch.Generator(device).manual_seed(cell.seed)
        )
        metrics |= {"steps": trained.step, "training_seconds": trained.seconds}
        metrics |= training_cost(trained.method, batch)
    return {
        "config": config.to_dict(),
        "machine": machine(device),
        "test": {
            "split": f"{config.data.dataset}, held out{of_sets(clips.sets)}",
            "clips": len(clips.held_out),
            "windows": len(ready.validation),
            "training_clips": len(clips.training),
        },
        "metrics": metrics,
    }
