"""The training loop: batches, updates, logging, validation, checkpoints, resume."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from bvh.atomic_write import atomic_path
from motiontok.config import Config
from motiontok.errors import TrainingError
from motiontok.methods import METHODS, DiscreteAutoencoder, Networks, make_method
from motiontok.methods.process_group import ProcessGroup
from motiontok.progress import WHOLE, Progress
from motiontok.training.allocation import keep_freed_memory
from motiontok.training.checkpoint import (
    CHECKPOINT,
    load_checkpoint,
    save_checkpoint,
    save_weights,
)
from motiontok.training.data import Drawing, TrainingSet, evaluate
from motiontok.training.interrupt import deferred_interrupt
from motiontok.training.log import RunLog
from motiontok.training.memory import cure_of_shortage
from motiontok.training.parallel import (
    any_of,
    broadcast_scalar,
    broadcast_state,
    destroy_process_group,
    process_group,
    require_shares,
)
from motiontok.training.resuming import best_of, is_done, require_same
from motiontok.training.updates import Updates
from motiontok.training.writing import alone_in, written

__all__ = ["BEST", "LOG_COLUMNS", "Best", "Trained", "displayed", "train"]

BEST = "best.safetensors"
"""The weights of its best validation."""

LOG_COLUMNS = (
    "step", "seconds", "policy_loss", "reward", "mse", "psnr", "ess", "eta", "beta", "temperature",
    "kl", "quantizer_loss", "code_usage", "skipped",
)  # fmt: skip
"""Columns of the log for every kind of data; those of its validation follow."""

_USAGE_MEMORY = 0.999
_MAX_SKIPPED = 100
# A hundred times the error of coding nothing: no step on the way to anything.
_EXPLODED = 100.0


@dataclass(frozen=True)
class Best:
    """The validation of the least ``mse``, whose weights are in ``best.safetensors``."""

    step: int
    validation: dict[str, float]


@dataclass(frozen=True)
class Trained:
    """Outcome of a run.

    Attributes:
        method: the trained autoencoder at the last step, in evaluation mode.
        step: steps done.
        validation: last validation metrics.
        best: the best validation.
        seconds: by the clock of the run, preparation and validation included, and earlier
            parts of a resumed run.
    """

    method: DiscreteAutoencoder
    step: int
    validation: dict[str, float]
    best: Best
    seconds: float


def displayed(config: Config) -> tuple[str, int | None]:
    """What :func:`~motiontok.progress.progress` shows of a run.

    Returns:
        What it does, and its steps; None for shares of the whole, if it ends by the clock or is
        only fitted.
    """
    if not METHODS[config.method.name].takes_steps:
        return "fitting", None
    return "training", None if config.train.time_budget else config.train.steps


def train(
    config: Config,
    *,
    data: TrainingSet,
    networks: Networks,
    out: Path,
    device: torch.device | str = "cpu",
    resume: bool = False,
    start_from: DiscreteAutoencoder | None = None,
    update: Progress | None = None,
    measure: Callable[[DiscreteAutoencoder], dict[str, float]] | None = None,
    on_evaluation: Callable[[DiscreteAutoencoder, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train a discrete autoencoder; one without trainable parameters is only fitted.

    Writes ``config.json``, ``checkpoint.safetensors``, ``best.safetensors``, ``log.csv`` and, with
    tensorboardX, event files to ``out``. On Ctrl-C the step is finished and the state saved
    before :class:`KeyboardInterrupt` is raised. Of several processes (``torch.distributed``)
    each takes its share of every batch, and the first one writes.

    Args:
        config: the run.
        data: training data, on ``device``.
        networks: of that kind of data.
        out: folder of the run.
        device: where to train.
        resume: continue from the checkpoint in ``out``.
        start_from: a trained autoencoder of the same sizes, with whose weights the run starts.
        update: progress display, of :func:`displayed`.
        measure: gives the validation metrics, including ``mse`` and ``psnr``; by default greedy
            reconstruction of at most ``train.validation_windows`` observations.
        on_evaluation: called with the model and step after each validation.
        clock: seconds, for the time budget and the log; ``time.process_time`` makes runs comparable
            on a shared processor.

    Raises:
        TrainingError: divergence, a checkpoint that cannot be used, or ``out`` cannot be made.
        InputError: another process trains in ``out``.
        ConfigError: a method or a batch that several processes cannot share.
    """
    # Of many processes that train together the first one writes.
    with nullcontext() if process_group().rank else alone_in(out):
        return _train(
            config,
            data,
            networks,
            out,
            torch.device(device),
            resume,
            start_from,
            update,
            measure,
            on_evaluation,
            clock,
        )


def _train(
    config: Config,
    data: TrainingSet,
    networks: Networks,
    out: Path,
    device: torch.device,
    resume: bool,
    start_from: DiscreteAutoencoder | None,
    update: Progress | None,
    measure: Callable[[DiscreteAutoencoder], dict[str, float]] | None,
    on_evaluation: Callable[[DiscreteAutoencoder, int], None] | None,
    clock: Callable[[], float],
) -> Trained:
    settings = config.train
    if device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(settings.seed)
    generator = torch.Generator(device).manual_seed(settings.seed)
    method = make_method(config, networks).to(device)
    method.group = members = process_group()
    require_shares(config, method, members)
    first = members.rank == 0
    rows = members.rows(settings.batch_size)
    updates = Updates(method, settings)
    optimizer = updates.optimizer
    usage = torch.zeros(config.model.codes_per_window, config.model.vocab_size, device=device)
    path = out / CHECKPOINT
    guard = _Guard(data, path)
    step = 0
    metrics: dict[str, float] = {}
    best: Best | None = None
    begin = clock()

    def preparing(share: float, doing: str) -> None:
        # The display counts steps; of what is only fitted, parts of the fit.
        if update is not None:
            part = {} if updates.trainable else {"total": WHOLE}
            update(int(WHOLE * share) if part else 0, doing, **part)

    if resume:
        require_same(config, path, data=data.fingerprint)
        is_done(config, path)
        checkpoint = load_checkpoint(path)
        checkpoint.restore(method, optimizer, generator)
        step = checkpoint.header["step"]
        updates.restore_count(checkpoint.header["skipped"])
        begin -= checkpoint.header["seconds"]
        metrics = checkpoint.header["validation"]
        best = Best(**best_of(out / BEST, checkpoint, method, writes=first))
        saved = checkpoint.extra("usage")
        if saved is not None and first:
            usage.copy_(saved)
    else:
        draw = Drawing(data, generator)
        if start_from is None:
            method.fit(draw, generator, preparing)
        else:
            method.start_from(start_from, draw, generator)
        if not updates.trainable:
            preparing(1.0, "measuring")
    if first:
        settings_path = out / "config.json"
        with written(settings_path), atomic_path(settings_path) as temporary:
            temporary.write_text(json.dumps(config.to_dict(), indent=1) + "\n", encoding="utf-8")
    broadcast_state(method, generator, members)
    data.seek(step * settings.batch_size)

    origin = {"config": config.to_dict(), "data": data.fingerprint}

    def save() -> None:
        total = members.sum(usage)
        if not first:
            return
        save_checkpoint(
            path,
            model=method,
            optimizer=optimizer,
            generator=generator,
            header={
                "step": step,
                "skipped": updates.counts()[0],
                "seconds": clock() - begin,
                "validation": metrics,
                **origin,
            },
            extra={"usage": total},
        )

    def spent() -> float:
        # By steps the clock does not matter, and need not be told.
        return broadcast_scalar(clock() - begin, members) if settings.time_budget else 0.0

    def done() -> int:
        # With a time budget the display counts parts of it.
        return min(int(WHOLE * progress), WHOLE) if settings.time_budget else step

    def validate() -> dict[str, float]:
        nonlocal metrics, best
        if measure is not None:
            metrics = measure(method)
        else:
            metrics = evaluate(method, data, limit=settings.validation_windows)
        guard.check(step, "val_mse", metrics["mse"])
        if best is None or metrics["mse"] < best.validation["mse"]:
            best = Best(step, metrics)
            if first:
                save_weights(out / BEST, model=method, header=asdict(best) | origin)
        if on_evaluation is not None:
            on_evaluation(method, step)
        return {f"val_{k}": v for k, v in metrics.items()}

    begun = None if resume else validate()
    columns = (*LOG_COLUMNS, *(f"val_{name}" for name in metrics))
    progress = _progress(config, step, spent())
    until = step if resume else None
    writing = RunLog(out, columns, until=until) if first else nullcontext()
    half = settings.precision == "bfloat16"
    figures = _of_held_out(metrics)
    if resume and update is not None:
        update(done(), before=done())
    short = cure_of_shortage(method, rows.stop - rows.start)
    with writing as log, short, deferred_interrupt() as interrupted:
        if log is not None and begun is not None:
            log.append({"step": 0, "seconds": clock() - begin, **begun})
        while updates.trainable and progress < 1.0:
            method.train()
            x = data.batch(settings.batch_size, generator, rows)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
                result = method.training_step(x, progress, generator)
            updates.step(result.loss, progress)
            step += 1
            _count(usage, result.codes)
            before = progress
            progress = _progress(config, step, spent())
            last = progress >= 1.0
            parts = settings.evaluations
            due = int(parts * progress) > int(parts * before)
            due = due or last or step % settings.evaluate_every == 0
            told = step % settings.log_every == 0 or due
            if told or device.type == "cpu":
                skipped, in_a_row = updates.counts()
                if in_a_row > _MAX_SKIPPED:
                    guard.stop(
                        f"gradients not finite for {in_a_row} steps up to step {step - 1}, "
                        f"loss {float(result.loss.detach()):g}"
                    )
            if told:
                row = _means(result.metrics, members, device)
                guard.check(step, "mse", row.get("mse", 0.0))
                errors = data.metrics(
                    members.all_gather(x), members.all_gather(result.reconstruction)
                )
                row["psnr"] = errors["psnr"]
                row["code_usage"] = _used(members.sum(usage))
                row["skipped"] = skipped
                if due:
                    row |= validate()
                row |= {"step": step, "seconds": clock() - begin}
                if log is not None:
                    log.append(row)
                figures = _describe(row, metrics)
            if update is not None:
                # A time budget's display does not count steps.
                update(done(), f"step {step}  {figures}" if settings.time_budget else figures)
            stop = any_of(interrupted(), members)
            if step % settings.checkpoint_every == 0 or last or stop:
                # What is not good is not kept.
                values = _means(result.metrics, members, device)
                guard.check(step, "mse", values.get("mse", 0.0))
                save()
            if stop:
                raise KeyboardInterrupt
    if step == 0:
        save()
    destroy_process_group()
    method.eval()
    assert best is not None
    return Trained(method, step, metrics, best, clock() - begin)


class _Guard:
    """Stops a run that diverges before it replaces its last good checkpoint."""

    def __init__(self, data: TrainingSet, path: Path) -> None:
        # Of the mean of what is held out no more than a sample need be read.
        self._limit = _EXPLODED * float((data.validation[:256].float() ** 2).mean())
        self._path = path

    def check(self, step: int, name: str, value: float) -> None:
        if not value <= self._limit:
            self.stop(f"{name} is {value:.3g} at step {step}")

    def stop(self, what: str) -> NoReturn:
        kept = (
            f"the last good checkpoint is {self._path}" if self._path.exists() else "none is kept"
        )
        raise TrainingError(f"training diverged: {what}; {kept}; try a smaller train.learning_rate")


def _progress(config: Config, step: int, seconds: float) -> float:
    """Progress of the run, 1 at its end: by the clock with a time budget, else by steps."""
    budget = 60.0 * config.train.time_budget
    return seconds / budget if budget else step / config.train.steps


def _count(usage: Tensor, codes: Tensor) -> None:
    usage.mul_(_USAGE_MEMORY).scatter_add_(1, codes.T, torch.ones_like(codes.T, dtype=usage.dtype))


def _means(metrics: dict[str, Tensor], group: ProcessGroup, device: torch.device) -> dict[str, Any]:
    """Scalars of a step, over all processes, on the host after one transfer."""
    if not metrics:
        return {}
    values = group.mean(torch.stack([v.detach().to(device).double() for v in metrics.values()]))
    return dict(zip(metrics, values.tolist(), strict=True))


def _used(usage: Tensor) -> float:
    """Share of codes seen lately, mean over positions."""
    return float((usage > 0.01).float().mean())


def _of_held_out(validation: dict[str, float]) -> str:
    if "mpjpe_mm" in validation:
        return f"val {validation['mpjpe_mm']:.1f} mm"
    return f"val psnr {validation['psnr']:.1f}"


def _describe(row: dict[str, Any], validation: dict[str, float]) -> str:
    parts = [
        f"psnr {row['psnr']:.1f}",
        _of_held_out(validation),
        *(f"{k} {row[k]:.3g}" for k in ("ess", "eta", "beta") if k in row),
        f"codes {100 * row['code_usage']:.0f}%",
    ]
    if row["skipped"]:
        parts.append(f"skipped {row['skipped']}")
    return "  ".join(parts)
