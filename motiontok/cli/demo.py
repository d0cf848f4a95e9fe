"""``motiontok demo``."""

from __future__ import annotations

from pathlib import Path

import click

from motiontok.cli.shared_options import device_option, json_option, seed_option, use_device

__all__ = ["demo"]


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/demo"),
    show_default=True,
    help="Folder for the results.",
)
@click.option("--robot", default="g1", show_default=True, help="Robot to retarget to.")
@seed_option
@device_option
@json_option
def demo(out: Path, robot: str, seed: int, device: str, as_json: bool) -> None:
    """Train, encode, decode, retarget and render, on made-up clips, in minutes.

    Makes clips, trains a tokenizer on them, and takes one unseen clip the whole way: tokens,
    decoded motion, robot trajectory, video.
    """
    import json

    from motiontok.demonstration import run_demo

    summary = run_demo(
        out,
        robot_name=robot,
        seed=seed,
        device=use_device(device),
        say=lambda line: click.echo(line, err=as_json),
    )
    if as_json:
        click.echo(json.dumps(summary.metrics))
    else:
        summary.print()
