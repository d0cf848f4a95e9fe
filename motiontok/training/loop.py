"""The training loop: batches, updates, logging, validation, checkpoints, resume."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motiontok.config import Config
from motiontok.errors import TrainingError
from motiontok.methods import DiscreteAutoencoder, Networks, make_method
from motiontok.methods.schedule import cosine
from motiontok.progress import Progress
from motiontok.training.checkpoint import load_checkpoint, read_header, save_checkpoint
from motiontok.training.clipping import clip_adaptively
from motiontok.training.data import TrainingSet, evaluate
from motiontok.training.interrupt import deferred_interrupt
from motiontok.training.log import CsvLog

__all__ = ["LOG_COLUMNS", "Trained", "require_same", "train"]

LOG_COLUMNS = (
    "step", "seconds", "policy_loss", "reward", "mse", "psnr", "ess", "eta", "beta", "temperature",
    "kl", "quantizer_loss", "code_usage", "skipped",
)  # fmt: skip
"""Columns of the log that every kind of data has; those of its validation come after."""

_PREPARE = 20_000
_PREPARE_BYTES = 2**30
_USAGE_MEMORY = 0.999
_MAX_SKIPPED = 100
# Settings that a resumed run may change.
_FREE = (
    "steps", "time_budget", "evaluate_every", "evaluations", "checkpoint_every", "log_every",
    "validation_windows",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """Outcome of a run.

    Attributes:
        method: the trained autoencoder, in evaluation mode.
        step: steps done.
        validation: last validation metrics.
        seconds: by the clock of the run, preparation and validation included, and earlier
            parts of a resumed run.
    """

    method: DiscreteAutoencoder
    step: int
    validation: dict[str, float]
    seconds: float


def train(
    config: Config,
    *,
    data: TrainingSet,
    networks: Networks,
    out: Path,
    device: torch.device | str = "cpu",
    resume: bool = False,
    update: Progress | None = None,
    measure: Callable[[DiscreteAutoencoder], dict[str, float]] | None = None,
    on_evaluation: Callable[[DiscreteAutoencoder, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train a discrete autoencoder; one without trainable parameters is only fitted.

    Writes ``checkpoint.safetensors`` and ``log.csv`` to ``out``. On Ctrl-C the step is
    finished and the state saved before :class:`KeyboardInterrupt` is raised.

    Args:
        config: the run.
        data: what to train on, on ``device``.
        networks: of that kind of data.
        out: folder of the run.
        device: where to train.
        resume: continue from the checkpoint in ``out``.
        update: progress display.
        measure: gives the validation metrics, ``mse`` and ``psnr`` among them; by default
            greedy reconstruction of at most ``train.validation_windows`` observations.
        on_evaluation: called with the model and step after each validation.
        clock: seconds, for the time budget and the log: ``time.process_time`` makes runs
            comparable on a processor that is shared.

    Raises:
        TrainingError: divergence, or a checkpoint that cannot be used.
    """
    device = torch.device(device)
    settings = config.train
    torch.manual_seed(settings.seed)
    generator = torch.Generator(device).manual_seed(settings.seed)
    method = make_method(config, networks).to(device)
    groups = method.parameter_groups()
    clipped = [p for g in groups if g.pop("clip") for p in g["params"]]
    # Some methods are fitted by prepare() and have nothing to train.
    trainable = any(group["params"] for group in groups)
    for group in groups:
        group["follows"] = "lr" not in group
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    usage = torch.zeros(config.model.codes_per_window, config.model.vocab_size, device=device)
    path = out / "checkpoint.safetensors"
    step, skipped, in_a_row = 0, 0, 0
    metrics: dict[str, float] = {}
    begin = clock()

    if resume:
        require_same(config, path)
        checkpoint = load_checkpoint(path)
        checkpoint.restore(method, optimizer, generator)
        step, skipped = checkpoint.header["step"], checkpoint.header["skipped"]
        begin -= checkpoint.header["seconds"]
        metrics = checkpoint.header["validation"]
        saved = checkpoint.extra("usage")
        if saved is not None:
            usage.copy_(saved)
    else:
        method.prepare(data.batch(_to_prepare(data), generator), generator)
    data.seek(step * settings.batch_size)

    def save() -> None:
        save_checkpoint(
            path,
            model=method,
            optimizer=optimizer,
            generator=generator,
            header={
                "step": step,
                "skipped": skipped,
                "seconds": clock() - begin,
                "validation": metrics,
                "config": config.to_dict(),
            },
            extra={"usage": usage},
        )

    def done() -> int:
        # With a time budget the display counts thousandths of it.
        return min(int(1000 * progress), 1000) if settings.time_budget else step

    def validate() -> dict[str, float]:
        nonlocal metrics
        if measure is not None:
            metrics = measure(method)
        else:
            metrics = evaluate(method, data, limit=settings.validation_windows)
        if on_evaluation is not None:
            on_evaluation(method, step)
        return {f"val_{k}": v for k, v in metrics.items()}

    first = None if resume else validate()
    columns = (*LOG_COLUMNS, *(f"val_{name}" for name in metrics))
    log = CsvLog(out / "log.csv", columns, until=step if resume else None)
    if first is not None:
        log.append({"step": 0, "seconds": clock() - begin, **first})
    progress = _progress(config, step, clock() - begin)
    with deferred_interrupt() as interrupted:
        while trainable and progress < 1.0:
            method.train()
            for group in optimizer.param_groups:
                if group["follows"]:
                    group["lr"] = cosine(
                        progress, start=settings.learning_rate, end=settings.final_learning_rate
                    )
            x = data.batch(settings.batch_size, generator)
            result = method.training_step(x, progress, generator)
            optimizer.zero_grad(set_to_none=True)
            result.loss.backward()
            gradients = [
                p.grad for g in optimizer.param_groups for p in g["params"] if p.grad is not None
            ]
            # One host synchronisation a step buys that no bad gradient is ever applied.
            finite = bool(torch.stack([g.isfinite().all() for g in gradients]).all())
            if finite:
                clip_adaptively(clipped)
                optimizer.step()
                in_a_row = 0
            else:
                skipped, in_a_row = skipped + 1, in_a_row + 1
                if in_a_row > _MAX_SKIPPED:
                    raise TrainingError(
                        f"training diverged: gradients not finite for {in_a_row} steps up to step "
                        f"{step}; the last good checkpoint is {path}; try a smaller "
                        "train.learning_rate"
                    )
            step += 1
            _count(usage, result.codes)
            before, progress = progress, _progress(config, step, clock() - begin)
            last = progress >= 1.0
            parts = settings.evaluations
            due = int(parts * progress) > int(parts * before)
            due = due or last or step % settings.evaluate_every == 0
            if step % settings.log_every == 0 or due:
                row: dict[str, Any] = {k: float(v) for k, v in result.metrics.items()}
                row["psnr"] = data.metrics(x, result.reconstruction)["psnr"]
                row["code_usage"] = _used(usage)
                row["skipped"] = skipped
                if due:
                    row |= validate()
                row |= {"step": step, "seconds": clock() - begin}
                log.append(row)
                if update is not None:
                    update(done(), _describe(row, metrics))
            elif update is not None:
                update(done())
            stop = interrupted()
            if step % settings.checkpoint_every == 0 or last or stop:
                save()
            if stop:
                raise KeyboardInterrupt
    if step == 0:
        save()
    method.eval()
    return Trained(method, step, metrics, clock() - begin)


def _progress(config: Config, step: int, seconds: float) -> float:
    """How far the run is, 1 at its end: by the clock with a time budget, else by steps."""
    budget = 60.0 * config.train.time_budget
    return seconds / budget if budget else step / config.train.steps


def _to_prepare(data: TrainingSet) -> int:
    """Observations to prepare on: many, but never more than memory should hold."""
    fitting = _PREPARE_BYTES // data.validation[:1].nbytes
    return max(min(_PREPARE, 4 * len(data), fitting), 1)


def _count(usage: Tensor, codes: Tensor) -> None:
    usage.mul_(_USAGE_MEMORY).scatter_add_(1, codes.T, torch.ones_like(codes.T, dtype=usage.dtype))


def _used(usage: Tensor) -> float:
    """Share of codes seen lately, mean over positions."""
    return float((usage > 0.01).float().mean())


def _describe(row: dict[str, Any], validation: dict[str, float]) -> str:
    held_out = (
        f"{validation['mpjpe_mm']:.1f} mm"
        if "mpjpe_mm" in validation
        else f"psnr {validation['psnr']:.1f}"
    )
    parts = [
        f"psnr {row['psnr']:.1f}",
        f"val {held_out}",
        *(f"{k} {row[k]:.3g}" for k in ("ess", "eta", "beta") if k in row),
        f"codes {100 * row['code_usage']:.0f}%",
    ]
    if row["skipped"]:
        parts.append(f"skipped {row['skipped']}")
    return "  ".join(parts)


def require_same(config: Config, path: Path) -> None:
    """Refuse to go on from a checkpoint with other data, another model or method.

    Lengths and intervals may change: a finished run goes on with more steps.

    Raises:
        TrainingError: the checkpoint cannot be read, or a setting differs.
    """
    saved, now = read_header(path)["config"], config.to_dict()
    for section in ("data", "model", "method", "train"):
        for key, value in now[section].items():
            if key not in _FREE and saved[section].get(key) != value:
                raise TrainingError(
                    f"{path}: was trained with {section}.{key} = {saved[section].get(key)!r}, this "
                    f"run asks for {value!r}; resume with the same settings or use another --out"
                )
