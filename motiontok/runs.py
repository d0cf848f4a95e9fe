"""A training run from configuration to tokenizer folder, for ``train`` and ``demo``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bvh.atomic_write import atomic_path
from bvh.dataset import lengths_of
from bvh.motion import Motion
from bvh.reading import Reading
from motiontok.config import Config, override, parse_config
from motiontok.data.clips import Clips, load_clips
from motiontok.data.training_data import TrainingData, make_training_data
from motiontok.errors import ConfigError, MissingDependencyError, TokenizerError, TrainingError
from motiontok.evaluate import compare_motions, plot_curves
from motiontok.evaluate.sets import metrics_of_sets
from motiontok.methods import METHODS, DiscreteAutoencoder, MotionNetworks, make_method
from motiontok.paths import SHIPPED_TOKENIZER
from motiontok.progress import progress
from motiontok.tokenizer import MotionTokenizer
from motiontok.training import (
    BEST,
    CHECKPOINT,
    Trained,
    displayed,
    header_of_run,
    load_checkpoint,
    require_new_or_same,
    train,
)
from motiontok.training.parallel import first_before_others, process_group
from motiontok.training.writing import alone_in

__all__ = [
    "SCRATCH",
    "DataOfRun",
    "Run",
    "data_of_run",
    "find_start",
    "held_out_metrics",
    "resumed_config",
    "run_training",
]

SCRATCH = "scratch"
"""Name for starting from no tokenizer."""

_START = "start"  # folder in that of a run
_DATA = "data.json"


@dataclass(frozen=True)
class DataOfRun:
    """Where the clips of a run lie, which its tokenizer, made to be passed on, does not say.

    Attributes:
        paths: absolute, as ``--data`` named them.
        reading: digest of how they were read; empty if nothing was said of that.
    """

    paths: tuple[Path, ...]
    reading: str


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        tokenizer: the trained tokenizer, saved in ``out/tokenizer``.
        trained: the loop's report.
        held_out: the held-out motions.
        metrics: of :func:`held_out_metrics`, and its ``mpjpe_mm`` of the tokenizer that the run
            started from, if any, as ``start_mpjpe_mm``.
        skipped: (file, reason) of clips that could not be read.
    """

    tokenizer: MotionTokenizer
    trained: Trained
    held_out: Sequence[Motion]
    metrics: dict[str, Any]
    skipped: Sequence[tuple[str, str]]


def resumed_config(name: str, out: Path, overrides: Sequence[str]) -> Config:
    """Settings to resume the run in ``out``: its own, and overrides.

    Raises:
        TrainingError: there is no run of that name.
        ConfigError: a bad key or value in the overrides.
    """
    path = out / CHECKPOINT
    saved = parse_config(header_of_run(path)["config"], str(path))
    if saved.name != name:
        raise TrainingError(
            f"{out} holds a run named {saved.name}, not {name}: resume it by its configuration, "
            f"or with --set name={saved.name}, or use another --out"
        )
    return override(saved, overrides, str(path))


def run_training(
    config: Config,
    *,
    out: Path,
    data: Sequence[str | Path] = (),
    strict: bool = False,
    reading: Reading | None = None,
    device: str = "cpu",
    resume: bool = False,
    start_from: str | None = None,
    say: Callable[[str], None] = print,
) -> Run:
    """Load data, train, save the tokenizer, measure it on held-out clips.

    Args:
        config: the run.
        out: its folder: config.json, log.csv, event files of TensorBoard,
            checkpoint.safetensors, best.safetensors, curves.png, metrics.json, data.json (the
            paths in ``data``) and tokenizer/, which holds the weights of the best validation.
        data: folders, archives or files of clips, each a set; some data sets need none.
        strict: stop at a clip that cannot be read, or with a fault in it.
        reading: how to read the files; it overrides a ``bvh.toml`` beside them.
        device: where to train.
        resume: continue the run in ``out``.
        start_from: folder of a tokenizer to start from, ``default`` for the shipped one, or
            ``scratch``; by default the shipped one, if its sizes are the same.
        say: prints a line for the user.

    Raises:
        TrainingError: ``out`` already holds a run and ``resume`` is not set, or the run
            there was trained with other settings or for longer.
        ConfigError: the tokenizer to start from is of another kind or other sizes.
    """
    require_new_or_same(config, out, resume=resume, say=say)
    # What cannot be built fails before clips are read, not after.
    make_method(config, MotionNetworks(config))
    fitted = not METHODS[config.method.name].takes_steps
    start = _start_of(config, out, start_from, resume=resume, say=say)
    # What the first process reads is in the cache of the others.
    with first_before_others(), progress("reading clips", 1) as update:
        clips = load_clips(
            config.data,
            data,
            seed=config.train.seed,
            strict=strict,
            reading=reading,
            update=lambda n, of: update(n, total=of),
        )
    for name, reason in clips.skipped[:5]:
        say(f"skipped {name}: {reason}")
    if len(clips.skipped) > 5:
        say(f"skipped {len(clips.skipped)} clips in all")
    for line in clips.notes:
        say(line)
    statistics = None if start is None else start.statistics
    ready = make_training_data(
        clips,
        config.data,
        statistics=statistics,
        device=device,
        seed=config.train.seed,
        most_held_out=config.train.validation_windows,
    )
    for line in _what_is_trained_on(clips, ready, config):
        say(line)
    if start is not None and not resume:
        # For a run that is resumed; a run whose clips cannot be read leaves nothing behind.
        with first_before_others():
            _keep_start(start, out)

    def tokenizer_of(method: DiscreteAutoencoder) -> MotionTokenizer:
        known = {} if start is None else start.calibrations
        calibrations = {**known, **ready.calibrations}
        return MotionTokenizer(
            method, ready.statistics, licence=clips.licence, calibrations=calibrations
        )

    if fitted:
        say(f"fitting {config.method.name} in one pass: it takes no steps and no time budget")
        for name, changed in (("warp", config.data.warp > 1.0), ("mix", config.data.mix > 0.0)):
            if changed:
                say(f"{config.method.name} is fitted to real windows: data.{name} does nothing")
    doing, total = displayed(config)
    with progress(f"{doing} {config.name}", total) as update:
        trained = train(
            config,
            data=ready.stretched(METHODS[config.method.name].stretch),
            networks=MotionNetworks(config, statistics=ready.statistics),
            out=out,
            device=torch.device(device),
            resume=resume,
            start_from=None if start is None else start.method,
            update=update,
        )
    load_checkpoint(out / BEST).restore_weights(trained.method)
    if not fitted:
        say(
            f"best of the held-out windows: step {trained.best.step} of {trained.step}; the "
            "tokenizer has its weights"
        )
    tokenizer = tokenizer_of(trained.method)
    tokenizer.save_pretrained(out / "tokenizer")
    _keep_data(out, data, reading)
    metrics = held_out_metrics(tokenizer, clips)
    if start is not None:
        of_start = held_out_metrics(start.to(device), clips, doing="measuring its start")
        metrics["start_mpjpe_mm"] = of_start["mpjpe_mm"]
    metrics |= {f"window_{k}": v for k, v in trained.best.validation.items()}
    metrics |= {"bits_per_second": tokenizer.bits_per_second, "training_seconds": trained.seconds}
    _write_json(out / "metrics.json", metrics)
    if not fitted:
        try:
            plot_curves(
                out / "log.csv", out / "curves.png", title=f"{config.name}: {config.method.name}"
            )
        except MissingDependencyError as error:
            say(str(error))
    return Run(tokenizer, trained, clips.held_out, metrics, clips.skipped)


def data_of_run(folder: str | Path) -> DataOfRun | None:
    """The clips that a run was trained on.

    Args:
        folder: of the run, or of the tokenizer in it.

    Returns:
        None if it is no run's, or needed none to be named.
    """
    folder = Path(folder)
    for path in (folder / _DATA, folder.absolute().parent / _DATA):
        if path.is_file() and (path.parent / "tokenizer").is_dir():
            try:
                values = json.loads(path.read_text(encoding="utf-8"))
                return DataOfRun(tuple(map(Path, values["data"])), str(values["reading"]))
            except (ValueError, KeyError, TypeError) as error:
                raise TrainingError(f"{path}: damaged ({error}); remove it") from None
    return None


def _keep_data(out: Path, data: Sequence[str | Path], reading: Reading | None) -> None:
    """What :func:`data_of_run` gives; of a run that goes on, what it was last given."""
    if data:
        paths = [str(Path(path).expanduser().absolute()) for path in data]
        said = "" if reading is None else reading.digest
        _write_json(out / _DATA, {"data": paths, "reading": said})
    else:
        (out / _DATA).unlink(missing_ok=True)


def find_start(config: Config, name: str | None) -> MotionTokenizer | None:
    """The tokenizer whose weights a run starts from, if any.

    Args:
        config: of the run.
        name: a folder, ``default`` for the shipped tokenizer or ``scratch``; by default the shipped
            one, if the run can start from it.

    Raises:
        TokenizerError: there is none in that folder.
        ConfigError: it is of another kind or other sizes than the run.
    """
    if name == SCRATCH:
        return None
    try:
        tokenizer = MotionTokenizer.from_pretrained(name or SHIPPED_TOKENIZER)
    except TokenizerError:
        if name is None:
            return None
        raise
    differs = _differs(config, tokenizer.method)
    if not differs:
        return tokenizer
    if name is None:
        return None
    raise ConfigError(
        f"--from {name}: {differs}; train with its settings, or --from {SCRATCH} to begin anew"
    )


def _differs(config: Config, trained: DiscreteAutoencoder) -> str:
    """Differences that prevent a run from starting from a trained autoencoder."""
    own, kind = trained.config, METHODS[config.method.name]
    if not kind.goes_on_from(trained):
        return f"it was trained by {own.method.name}, this run trains {config.method.name}"
    sizes = [("data.window", own.data.window, config.data.window)]
    mine, its = asdict(config.model), asdict(own.model)
    sizes += [(f"model.{key}", its[key], value) for key, value in mine.items() if key in kind.sizes]
    for key, has, asked in sizes:
        if has != asked:
            return f"its {key} is {has}, this run asks for {asked}"
    return ""


def _start_of(
    config: Config, out: Path, name: str | None, *, resume: bool, say: Callable[[str], None]
) -> MotionTokenizer | None:
    """:func:`find_start`, or the start that a resumed run has kept."""
    if resume:
        kept = out / _START
        return MotionTokenizer.from_pretrained(kept) if kept.exists() else None
    start = find_start(config, name)
    if start is not None:
        which = "the shipped tokenizer" if name in (None, SHIPPED_TOKENIZER) else name
        say(f"starts from {which} ({start.fingerprint}); --from {SCRATCH} begins anew")
    return start


def _keep_start(start: MotionTokenizer, out: Path) -> None:
    """Save the start of a run, unless another one trains in its folder."""
    if process_group().rank:
        return
    with alone_in(out):
        start.save_pretrained(out / _START)


def held_out_metrics(
    tokenizer: MotionTokenizer, clips: Clips, *, doing: str = "measuring"
) -> dict[str, Any]:
    """Motion metrics of whole reconstructed clips, each on its own skeleton.

    Args:
        tokenizer: to measure.
        clips: whose held-out ones are reconstructed.
        doing: what the display of progress says.

    Returns:
        What :func:`~motiontok.evaluate.sets.metrics_of_sets` does.
    """
    done = 0
    rows: dict[str, list[tuple[int, dict[str, float]]]] = {}
    with progress(doing, len(clips.held_out)) as update:
        for of in clips.sets:
            rows[of.name] = []
            for motion in of.held_out:
                found = compare_motions(motion, tokenizer.reconstruct(motion))
                rows[of.name].append((len(motion), found))
                done += 1
                update(done)
    return metrics_of_sets(rows)


def _what_is_trained_on(clips: Clips, ready: TrainingData, config: Config) -> list[str]:
    """A line on each of several sets, and one on all."""
    lines = []
    if len(clips.sets) > 1:
        for of, share in zip(clips.sets, ready.windows.shares, strict=True):
            frames = sum(lengths_of(of.training))
            clip = "clip" if len(of.training) == 1 else "clips"
            lines.append(
                f"{of.name}: {len(of.training)} {clip}, {frames:,} frames, {len(of.held_out)} held "
                f"out, {100 * share:.1f} % of the draws"
            )
    mirrored = "included" if config.data.mirror else "left out"
    lines.append(
        f"{len(clips.training)} clips to train on ({len(ready.windows)} windows, mirror images "
        f"{mirrored}), {len(clips.held_out)} held out"
    )
    return lines


def _write_json(path: Path, values: object) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
