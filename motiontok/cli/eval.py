"""``motiontok eval``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.pictures import eval_on_images
from motiontok.cli.reading_options import of_robot, reading_options, robot_options
from motiontok.cli.shared_options import (
    data_option,
    device_option,
    effort_option,
    json_option,
    one_path,
    seed_option,
    use_device,
)

if TYPE_CHECKING:
    from bvh.reading import Reading
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["eval"]

_BASELINES = "lafan-baselines"


@click.command()
@click.argument("tokenizer")
@data_option
@click.option(
    "--all", "everything", is_flag=True, help="Measure on all clips, not only on held-out ones."
)
@click.option("--fid", is_flag=True, help="Images: also FID, which needs --inception.")
@click.option(
    "--inception", type=click.Path(path_type=Path), help="Images: the Inception network, for FID."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for eval.md, eval.json and usage.png.",
)
@effort_option
@robot_options
@reading_options()
@seed_option
@device_option
@json_option
def eval(
    tokenizer: str,
    data: tuple[Path, ...],
    everything: bool,
    fid: bool,
    inception: Path | None,
    out: Path | None,
    effort: int | None,
    robot: str | None,
    map_path: Path | None,
    reading: Reading,
    strict: bool,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Measure TOKENIZER (its folder, or "default") on the clips its training held out.

    Reports errors of motion beside the source's own values, the metrics of the DAPS
    paper, bits and use of codes, and the speed of encoding and decoding. The split is that of the
    tokenizer's training, and so are the clips of a run unless --data names others; --all takes
    every clip, for data of your own. Each --data is a set: errors
    are given for each set, and as means over all frames and over sets. For images it reports PSNR,
    SSIM, log-likelihood, use of codes and, on request, FID.

    "motiontok eval lafan-baselines" instead computes the two naive baselines of
    LAFAN1's in-betweening benchmark beside their published figures. This checks the computation
    from file to metric.
    """
    from motiontok.cli.sources import check_reading

    reading = of_robot(reading, robot, map_path)
    if tokenizer == _BASELINES:
        check_reading(reading, [])
        _baselines(one_path(data, "the baselines"), as_json)
        return
    from motiontok.images import is_image_tokenizer

    if is_image_tokenizer(tokenizer):
        check_reading(reading, [])
        eval_on_images(
            tokenizer,
            one_path(data, "images"),
            everything=everything,
            fid=fid,
            inception=inception,
            out=out,
            effort=effort or 1,
            seed=seed,
            device=use_device(device),
            as_json=as_json,
        )
        return
    from motiontok.cli.eval_clips import clips_to_measure
    from motiontok.data.training_data import windows_to_measure
    from motiontok.evaluate.evaluation import evaluate_tokenizer
    from motiontok.evaluate.machine import machine
    from motiontok.evaluate.report import evaluation_markdown
    from motiontok.evaluate.sets import sets_markdown
    from motiontok.progress import progress
    from motiontok.tokenizer import MotionTokenizer

    opened = MotionTokenizer.from_pretrained(tokenizer, device=use_device(device))
    clips, split = clips_to_measure(
        tokenizer, opened, data, everything=everything, reading=reading, strict=strict
    )
    for line in clips.notes:
        click.echo(line, err=True)
    windows = windows_to_measure(clips, opened.frames_per_window, opened.statistics)
    with progress("measuring", len(clips.held_out)) as update:
        evaluation = evaluate_tokenizer(
            opened, windows, clips.sets, seed=seed, effort=effort, update=update
        )
    metrics = evaluation.to_dict()
    result = {
        "tokenizer": tokenizer,
        "fingerprint": opened.fingerprint,
        "method": opened.config.method.name,
        "effort": effort or opened.method.usual_effort,
        "machine": machine(str(opened.device)),
        "test": {
            "split": split,
            "clips": len(clips.held_out),
            "windows": len(windows),
            "training_clips": len(clips.training),
        },
        "metrics": metrics,
    }
    name = f"{Path(tokenizer).resolve().name} ({opened.config.method.name})"
    text = evaluation_markdown(name, result)
    if table := sets_markdown(metrics):
        text += f"\n{table}"
    if out is not None:
        _write(out, name, opened, result, text)
    click.echo(json.dumps(result) if as_json else text)
    if out is not None:
        click.echo(f"report -> {out / 'eval.md'}   numbers -> {out / 'eval.json'}", err=as_json)


def _write(
    out: Path, name: str, tokenizer: MotionTokenizer, result: dict[str, Any], text: str
) -> None:
    from bvh.atomic_write import atomic_path
    from motiontok.errors import MissingDependencyError
    from motiontok.evaluate.bench import Cell
    from motiontok.evaluate.compare import Outcome
    from motiontok.evaluate.figures import plot_usage

    for file, content in (("eval.json", json.dumps(result, indent=1) + "\n"), ("eval.md", text)):
        with atomic_path(out / file) as temporary:
            temporary.write_text(content, encoding="utf-8")
    cell = Cell(name, result["test"]["split"], 0, tokenizer.config)
    try:
        plot_usage([Outcome(cell, result)], [name], out / "usage.png")
    except MissingDependencyError as error:
        click.echo(str(error), err=True)


def _baselines(data: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from motiontok.evaluate.inbetweening import PUBLISHED, evaluate_baselines
    from motiontok.progress import progress

    with progress("reading clips", 1) as update:
        scores = evaluate_baselines(data, progress=lambda n, of: update(n, total=of))
    if as_json:
        rows = [
            {"measured": asdict(s), "published": asdict(p)}
            for s, p in zip(scores, PUBLISHED, strict=True)
        ]
        click.echo(json.dumps(rows))
        return
    click.echo("measured (published)")
    click.echo(f"{'':16}{'frames':>8}{'L2Q':>18}{'L2P':>20}{'NPSS':>20}")
    for s, p in zip(scores, PUBLISHED, strict=True):
        click.echo(
            f"{s.method:16}{s.length:8}{s.l2q:10.2f} ({p.l2q:.2f}){s.l2p:12.3f} ({p.l2p:.3f})"
            f"{s.npss:11.4f} ({p.npss:.4f})"
        )
