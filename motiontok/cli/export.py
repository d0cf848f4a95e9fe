"""``motiontok export``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from motiontok.cli.shared_options import default_tokenizer_option

__all__ = ["export"]


@click.command()
@default_tokenizer_option
@click.option(
    "--prior",
    metavar="DIR",
    help='Also export the prior in this folder; "default" is the shipped one.',
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["torch", "onnx"]),
    default="torch",
    show_default=True,
    help="torch.export's files (.pt2), or ONNX (pip install 'motiontok[onnx]').",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("export"),
    show_default=True,
    help="Folder for the programs.",
)
def export(tokenizer: str, prior: str | None, kind: Literal["torch", "onnx"], out: Path) -> None:
    """Write encoder, decoder and the step to poses as programs, for C++ and other runtimes."""
    from motiontok.export import export_tokenizer
    from motiontok.prior import TokenPrior
    from motiontok.tokenizer import MotionTokenizer

    made = MotionTokenizer.from_pretrained(tokenizer)
    known = TokenPrior.from_pretrained(prior, tokenizer=made) if prior else None
    for path in export_tokenizer(made, out, prior=known, kind=kind):
        click.echo(f"{path.stat().st_size / 1e6:6.1f} MB  {path}")
