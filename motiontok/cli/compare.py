"""``motiontok compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motiontok.cli.pictures import compare_on_images
from motiontok.cli.shared_options import (
    data_option,
    device_option,
    json_option,
    one_path,
    use_device,
)

if TYPE_CHECKING:
    from motiontok.evaluate.bench import Bench
    from motiontok.evaluate.compare import Outcome

__all__ = ["compare"]


@click.command()
@click.argument("bench", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of all runs.")
@data_option
@click.option(
    "--unseen",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder, archive or store of clips that no run trains on; each is measured, too.",
)
@click.option("--only", metavar="METHOD", multiple=True, help="Run only this method now.")
@device_option
@json_option
def compare(
    bench: Path,
    out: Path,
    data: tuple[Path, ...],
    unseen: tuple[Path, ...],
    only: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Train every method of BENCH.toml at every budget with every seed, and report.

    Finished runs are kept, an interrupted one continues where it stopped, and methods added to the
    file are run the next time. What is run with --unseen is also measured on these sets, each in a
    table of its own. On a CPU budgets are minutes of one thread's processor time. Writes
    report.md and report.json to --out after each run, and pictures at the end: validation curves,
    use of codes by position, distortion against rate and cost.
    """
    from motiontok.errors import InputError, MissingDependencyError, TrainingError
    from motiontok.evaluate.bench import load_bench
    from motiontok.evaluate.compare import run_bench

    loaded = load_bench(bench)
    if loaded.base.data.is_images:
        if unseen:
            raise InputError("--unseen takes clips of motion; this comparison is of images")
        images = one_path(data, "images")
        failures = compare_on_images(loaded, out, images, use_device(device), only, as_json)
        if failures:
            raise TrainingError(f"failed: {', '.join(failures)}; the report says why")
        return

    def report(outcomes: list[Outcome]) -> None:
        _write(loaded, outcomes, out, {})

    outcomes = run_bench(
        loaded,
        out=out,
        data=data,
        unseen=unseen,
        device=use_device(device),
        only=only,
        say=lambda line: click.echo(line, err=as_json),
        on_outcome=report,
    )
    try:
        pictures = _draw(loaded, outcomes, out)
    except MissingDependencyError as error:
        click.echo(str(error), err=True)
        pictures = {}
    _write(loaded, outcomes, out, pictures)
    if as_json:
        click.echo((out / "report.json").read_text(encoding="utf-8"), nl=False)
    else:
        click.echo((out / "report.md").read_text(encoding="utf-8"))
        click.echo(f"report -> {out / 'report.md'}")
    failed = [o for o in outcomes if o.result is None]
    if failed:
        raise TrainingError(
            f"{len(failed)} of {len(outcomes)} runs failed: "
            f"{', '.join(sorted({o.cell.method for o in failed}))}; the report says why, and the "
            "same command tries them again"
        )


def _write(bench: Bench, outcomes: list[Outcome], out: Path, pictures: dict[str, str]) -> None:
    from bvh.atomic_write import atomic_path
    from motiontok.evaluate.report import comparison_markdown

    runs = [
        {
            "method": o.cell.method,
            "budget": o.cell.budget,
            "seed": o.cell.seed,
            "error": o.error,
            "curve": [
                dict(zip(("seconds", "step", "val_mpjpe_mm"), c, strict=True)) for c in o.curve
            ],
            **(o.result or {}),
        }
        for o in outcomes
    ]
    content = {"name": bench.name, "runs_in_all": len(bench.cells), "runs": runs}
    for name, text in (
        ("report.json", json.dumps(content, indent=1) + "\n"),
        ("report.md", comparison_markdown(bench, outcomes, pictures)),
    ):
        with atomic_path(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _draw(bench: Bench, outcomes: list[Outcome], out: Path) -> dict[str, str]:
    """Files in ``out`` by what they show."""
    from motiontok.evaluate.figures import (
        plot_cost,
        plot_rate_distortion,
        plot_usage,
        plot_validation,
    )
    from motiontok.evaluate.report import comparison_rows

    rows = comparison_rows(outcomes, bench.target_mm)
    if not rows:
        return {}
    pictures = {
        "Joint error of held-out windows while training": "validation.png",
        "Use of codes by position": "usage.png",
        "Rate and distortion": "rate_distortion.png",
        "Cost": "cost.png",
    }
    curves, usage, rates, cost = (out / name for name in pictures.values())
    plot_validation(outcomes, bench.methods, curves)
    plot_usage(outcomes, bench.methods, usage)
    plot_rate_distortion(rows, bench.methods, rates)
    plot_cost(rows, bench.methods, cost)
    return pictures
