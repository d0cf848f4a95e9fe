"""``motiontok train-prior``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from motiontok.cli.shared_options import device_option, json_option, seed_option, use_device

__all__ = ["train_prior"]


@click.command("train-prior")
@click.option(
    "--tokenizer",
    default="default",
    show_default=True,
    metavar="DIR",
    help="Tokenizer, or run folder, of the codes.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="Folder, archive or store of clips; may be repeated. File names give action and style.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/prior"),
    show_default=True,
    help="Run folder.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    help="Optimiser steps.",
)
@click.option(
    "--shifts",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    help="Cuts of each clip into windows, from different first frames.",
)
@click.option(
    "--codes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Learn only the first N codes of each window; a daps-temporal tokenizer adds the "
    "likeliest others.  [default: all]",
)
@click.option(
    "--width",
    type=click.IntRange(min=8),
    help="Width of the network, a multiple of 8.  [default: 192]",
)
@click.option(
    "--layers",
    type=click.IntRange(min=1),
    help="Layers of the network.  [default: 3]",
)
@click.option(
    "--from",
    "start",
    metavar="DIR",
    help="Prior to start from, or default; --codes, --width and --layers are then its own. It may "
    "be of another tokenizer of the same sizes: that from which this one was trained.",
)
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@seed_option
@device_option
@json_option
def train_prior(
    tokenizer: str,
    data: tuple[Path, ...],
    out: Path,
    steps: int,
    shifts: int,
    codes: int | None,
    width: int | None,
    layers: int | None,
    start: str | None,
    resume: bool,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Train a prior over a tokenizer's codes, from which `sample` and `plan` draw.

    Writes OUT/prior, and beside it checkpoint, log and metrics. Ctrl-C leaves a checkpoint that
    --resume continues from. All cores encode the clips, once, into the cache. Training reads tokens
    from there as it needs them. Neither takes more memory for more clips.
    """
    from motiontok.errors import InputError
    from motiontok.prior.runs import run_prior_training
    from motiontok.tokenizer import MotionTokenizer

    if width is not None and width % 8:
        raise InputError(f"--width {width}: must be a multiple of 8")
    opened = MotionTokenizer.from_pretrained(tokenizer)
    try:
        run = run_prior_training(
            opened,
            data=data,
            out=out,
            steps=steps,
            shifts=shifts,
            codes=codes,
            width=width,
            layers=layers,
            start=start,
            seed=seed,
            device=use_device(device),
            resume=resume,
            say=lambda line: click.echo(line, err=as_json),
        )
    except KeyboardInterrupt:
        if (out / "checkpoint.safetensors").exists():
            click.echo("stopped; continue with the same line and --resume", err=True)
        raise
    m = run.metrics
    if as_json:
        click.echo(json.dumps({"out": str(out / "prior"), **m}))
        return
    click.echo(
        f"{m['steps']} steps in {m['seconds'] / 60:.1f} min; held-out nats a code: {m['nats']:.2f} "
        f"(first windows {m['nats_first_window']:.2f}, without conditions "
        f"{m['nats_unconditional']:.2f}); uniform {m['nats_uniform']:.2f}, unigram "
        f"{m['nats_unigram']:.2f}, bigram {m['nats_bigram']:.2f}, across windows "
        f"{m['nats_across']:.2f}"
    )
    click.echo(f"prior -> {out / 'prior'}")
