"""Whether a run can continue from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from motiontok.config import Config, parse_config
from motiontok.errors import TrainingError
from motiontok.training.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    load_checkpoint,
    read_header,
    save_weights,
)

__all__ = ["best_of", "header_of_run", "is_done", "require_new_or_same", "require_same"]

_NEEDED = {"config", "step", "seconds", "skipped", "validation"}

# Settings that a resumed run may change.
_FREE = (
    "steps", "time_budget", "evaluate_every", "evaluations", "checkpoint_every", "log_every",
    "validation_windows", "chunk",
)  # fmt: skip


def header_of_run(path: Path) -> dict[str, Any]:
    """Header of a checkpoint that a run can go on from.

    Raises:
        TrainingError: it cannot be read, or is of something else.
    """
    header = read_header(path)
    if not header.keys() >= _NEEDED:
        raise TrainingError(
            f"{path}: holds weights alone or is of a prior, and no run of `motiontok train` goes "
            "on from it; use another --out"
        )
    return header


def require_new_or_same(
    config: Config, out: Path, *, resume: bool, say: Callable[[str], None]
) -> None:
    """Refuse a folder of another run, or of a run that is not to be continued.

    Args:
        config: of the run now.
        out: folder of the run.
        resume: whether to continue the run in it.
        say: prints a line for the user, if nothing is left to train.

    Raises:
        TrainingError: the folder holds a run and ``resume`` is not set, or holds none, or one that
            was trained with other settings or for longer.
    """
    checkpoint = out / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise TrainingError(
            f"{out} already holds a run: --resume continues it, another --out starts a new one"
        )
    if resume:
        require_same(config, checkpoint)
        if is_done(config, checkpoint):
            say(f"nothing left to train: {out} is at the end of what is asked for")


def require_same(config: Config, path: Path, *, data: str = "") -> None:
    """Refuse a checkpoint with other data, another model or another method.

    Lengths and intervals may change: a finished run continues with more steps.

    Args:
        config: of the run now.
        path: of the checkpoint.
        data: fingerprint of the data, once it is known.

    Raises:
        TrainingError: the checkpoint cannot be read, or a setting or the data differs.
    """
    header = header_of_run(path)
    if data and header.get("data", data) != data:
        raise TrainingError(
            f"{path}: was trained on other data (fingerprint {header['data']}, now {data}): clips "
            "were added, removed or cut; resume with the same data or use another --out"
        )
    # Settings missing from an old file take their defaults.
    saved, now = parse_config(header["config"], str(path)).to_dict(), config.to_dict()
    for section in ("data", "model", "method", "train"):
        for key, value in now[section].items():
            if key not in _FREE and saved[section].get(key) != value:
                raise TrainingError(
                    f"{path}: was trained with {section}.{key} = {saved[section].get(key)!r}, this "
                    f"run asks for {value!r}; resume with the same settings or use another --out"
                )


def is_done(config: Config, path: Path) -> bool:
    """Whether a checkpoint is exactly at the wanted end of the run.

    Args:
        config: of the run now.
        path: of the checkpoint.

    Raises:
        TrainingError: the checkpoint cannot be read, or was trained for longer than wanted.
    """
    header, train = header_of_run(path), config.train
    step, minutes = header["step"], header["seconds"] / 60.0
    # Methods that are only fitted take no steps.
    if step == 0:
        return False
    if not train.time_budget:
        if step > train.steps:
            raise TrainingError(
                f"{path}: is at step {step}, this run asks for {train.steps}; give --steps of "
                f"{step} or more, or use another --out"
            )
        return step == train.steps
    if minutes < train.time_budget:
        return False
    # The last step ends a little after the budget does.
    if header["config"]["train"].get("time_budget") != train.time_budget:
        raise TrainingError(
            f"{path}: has trained for {minutes:.1f} minutes, this run asks for "
            f"{train.time_budget:g}; give a longer --time-budget, or use another --out"
        )
    return True


def best_of(
    path: Path, checkpoint: Checkpoint, model: nn.Module, *, writes: bool
) -> dict[str, Any]:
    """Step and validation of the best weights of a run that goes on.

    They are those in the file: a run that was killed may have validated after its checkpoint.
    Where there is no file, the best that is left are the weights of the checkpoint.

    Args:
        path: of the best weights.
        checkpoint: of the run.
        model: with its weights.
        writes: whether this process writes what is missing.

    Raises:
        TrainingError: the file is damaged, or cannot be written.
    """
    if path.is_file():
        found = load_checkpoint(path).header
    else:
        found = checkpoint.header
        if writes:
            save_weights(path, model=model, header=found)
    return {key: found[key] for key in ("step", "validation")}
