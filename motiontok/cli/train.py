"""``motiontok train``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.reading_options import of_robot, reading_options, robot_options
from motiontok.cli.shared_options import (
    data_option,
    device_option,
    json_option,
    one_path,
    use_device,
)
from motiontok.paths import shipped_configs

if TYPE_CHECKING:
    from bvh.reading import Reading
    from motiontok.config import Config

__all__ = ["train"]

_HELP = f"""Train a tokenizer.

CONFIG is a TOML file, or one of those that come with motiontok: {", ".join(shipped_configs())}.

--time-budget MINUTES is how long: by default ten for lafan, bandai and folder, thirty for
general.

Writes a run folder with the tokenizer, checkpoint, log, curves and metrics. Ctrl-C
leaves a checkpoint that --resume continues from; lopq and pca-pq are fitted in one pass,
which leaves none. Several --data are sets of clips: each has its own held-out clips, and is
drawn in proportion to the square root of its size. `torchrun -m motiontok train ...` trains
with many processes (docs/training.md).
"""


@click.command(help=_HELP)
@click.argument("config")
@data_option
@click.option(
    "--weight",
    "weights",
    multiple=True,
    metavar="SET=W",
    help="Draw clips of SET, named by its folder or archive, W times as often.",
)
@click.option("--download", is_flag=True, help="Fetch LAFAN1 (144 MB) if it is not there yet.")
@click.option("--method", help="Training method, such as daps-pq or daps.")
@click.option(
    "--from",
    "start",
    metavar="TOKENIZER",
    help="Tokenizer to start from: a folder, default or scratch  [default: the shipped one, if "
    "its sizes and method are the same]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Run folder  [default: runs/CONFIG]")
@click.option("--steps", type=click.IntRange(min=1), help="Optimiser steps, not minutes.")
@click.option(
    "--time-budget",
    type=float,
    metavar="MINUTES",
    help="How long to train, instead of --steps; with --resume in all.",
)
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of CONFIG."
)
@click.option("--seed", type=int, help="Random seed.")
@robot_options
@reading_options()
@device_option
@json_option
def train(
    config: str,
    data: tuple[Path, ...],
    weights: tuple[str, ...],
    download: bool,
    method: str | None,
    start: str | None,
    out: Path | None,
    steps: int | None,
    time_budget: float | None,
    resume: bool,
    overrides: tuple[str, ...],
    seed: int | None,
    robot: str | None,
    map_path: Path | None,
    reading: Reading,
    strict: bool,
    device: str,
    as_json: bool,
) -> None:
    """Train a tokenizer; the help that is shown lists methods and configurations as they are."""
    from motiontok.cli.sources import check_reading
    from motiontok.config import load_config
    from motiontok.errors import InputError
    from motiontok.runs import resumed_config, run_training
    from motiontok.training.parallel import init_process_group, launched, restarted

    reading = of_robot(reading, robot, map_path)
    keys = list(overrides)
    keys += [f'method.name="{method}"'] if method is not None else []
    if steps is not None and time_budget:
        raise InputError(
            f"--steps {steps} and --time-budget {time_budget:g}: a run ends after so many steps or "
            "after so many minutes; leave one out"
        )
    if time_budget == 0:
        raise InputError("--time-budget 0: give minutes above 0, or --steps")
    # --steps asks for steps: a time budget, of the configuration or of --set, gives way.
    keys += [f"train.steps={steps}", "train.time_budget=0.0"] if steps is not None else []
    keys += [f"train.time_budget={time_budget}"] if time_budget is not None else []
    keys += [f"train.seed={seed}"] if seed is not None else []
    settings = load_config(config, keys)
    if weights:
        if settings.data.is_images:
            raise InputError("--weight is for sets of clips; images are one set")
        keys += map(_weight_key, weights)
        settings = load_config(config, keys)
    out = out or Path("runs") / settings.name

    def say(line: str) -> None:
        if speaks:
            click.echo(line, err=as_json)

    if download:
        data = (_download(settings.data.dataset, data),)
    where = use_device(device)
    speaks = True
    if launched():
        # One command serves a job's first start and all later ones.
        begun = (out / "checkpoint.safetensors").exists()
        resume = begun and (resume or restarted())
        where = init_process_group(where)
        speaks = os.environ["RANK"] == "0"
    if resume:
        # A run goes on with what it was started with; nothing needs to be said twice.
        settings = resumed_config(settings.name, out, keys)
    if settings.data.is_images:
        check_reading(reading, [])
        if start not in (None, "scratch"):
            raise InputError("--from is for tokenizers of motion; images are trained from scratch")
        images = one_path(data, "images")
        _train_on_images(config, settings, out, images, where, resume, as_json, say)
        return
    try:
        run = run_training(
            settings,
            out=out,
            data=data,
            strict=strict,
            reading=reading,
            device=where,
            resume=resume,
            start_from=start,
            say=say,
        )
    except KeyboardInterrupt:
        _say_how_to_go_on(config, data, out, reading)
        raise
    if as_json:
        click.echo(json.dumps({"out": str(out), "step": run.trained.step, **run.metrics}))
        return
    m, seconds, held = run.metrics, run.trained.seconds, len(run.held_out)
    time = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
    over = ", mean over frames" if len(m["sets"]) > 1 else ""
    click.echo(
        f"{run.trained.step} steps in {time}; on {held} held-out clip{'s' if held != 1 else ''}"
        f"{over}: {_quality(m)}, {m['bits_per_second']:.0f} bits/s"
    )
    for line in _of_sets(m):
        click.echo(line)
    curves = out / "curves.png"
    drawn = f"   curves -> {curves}" if curves.exists() else ""
    click.echo(f"tokenizer -> {out / 'tokenizer'}{drawn}")


def _train_on_images(
    config: str,
    settings: Config,
    out: Path,
    data: Path | None,
    device: str,
    resume: bool,
    as_json: bool,
    say: Callable[[str], None],
) -> None:
    from motiontok.images.runs import run_image_training

    try:
        run = run_image_training(
            settings,
            out=out,
            data=data,
            device=device,
            resume=resume,
            say=say,
        )
    except KeyboardInterrupt:
        _say_how_to_go_on(config, [data] if data else [], out)
        raise
    m, trained = run.metrics, run.trained
    if as_json:
        click.echo(json.dumps({"out": str(out), "step": trained.step, **m}))
        return
    elbo = f", beta-ELBO {m['beta_elbo']:.2f}" if "beta_elbo" in m else ""
    click.echo(
        f"{trained.step} steps in {trained.seconds / 60:.1f} min; held-out images: "
        f"PSNR {m['psnr']:.2f} dB, SSIM {m['ssim']:.3f}{elbo}, {m['bits_per_image']:.0f} bits an "
        f"image, {100 * m['code_usage']:.0f} % of codes used"
    )
    click.echo(f"tokenizer -> {out / 'tokenizer'}   grid -> {out / 'grid.png'}")


def _say_how_to_go_on(
    config: str, data: Sequence[Path], out: Path, reading: Reading | None = None
) -> None:
    if (out / "checkpoint.safetensors").exists():
        given = "".join(f" --data {path}" for path in data)
        said = (
            ", with the options of reading clips that it had"
            if reading is not None and reading.digest
            else ""
        )
        click.echo(
            f"stopped; continue: motiontok train {config}{given} --out {out} --resume{said}",
            err=True,
        )


def _weight_key(text: str) -> str:
    """The setting that ``SET=W`` stands for.

    Raises:
        InputError: it is not of that form.
        ConfigError: no weight a set can have.
    """
    from motiontok.config_checks import check_weight
    from motiontok.errors import InputError

    name, equals, weight = text.rpartition("=")
    try:
        value = float(weight)
    except ValueError:
        equals = ""
    if not equals or not name:
        raise InputError(f"--weight {text}: expected SET=W, such as --weight snu=2")
    check_weight(value, f"--weight {text}: W")
    return f"data.weights.{json.dumps(name)}={value}"


def _of_sets(metrics: Mapping[str, Any]) -> list[str]:
    """Lines on each of several sets and on the mean over them."""
    if len(metrics["sets"]) < 2:
        return []
    rows = metrics["sets"] | {"mean over sets": metrics["mean_over_sets"]}
    return [f"  {name}: {_quality(of)}" for name, of in rows.items()]


def _quality(m: Mapping[str, float]) -> str:
    before = f", {m['start_mpjpe_mm']:.1f} before" if "start_mpjpe_mm" in m else ""
    return (
        f"MPJPE {m['mpjpe_mm']:.1f} mm{before}, rotation {m['rotation_deg']:.1f} deg, foot skate "
        f"{m['skate_mm_s']:.0f} mm/s (source {m['skate_truth_mm_s']:.0f})"
    )


def _download(dataset: str, data: Sequence[Path]) -> Path:
    """LAFAN1's archive, fetched into the cache unless it is there."""
    from bvh import lafan
    from motiontok.errors import InputError
    from motiontok.progress import progress

    if dataset != "lafan" or data:
        raise InputError("--download fetches LAFAN1: it goes with `train lafan` without --data")
    with progress("downloading LAFAN1", 1) as update:
        return lafan.download(progress=lambda done, total: update(done, total=total))
