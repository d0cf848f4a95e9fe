"""``motiontok export``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["export"]


@click.command()
@click.option("--tokenizer", default="default", show_default=True, metavar="DIR")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("export"), show_default=True
)
def export(tokenizer: str, out: Path) -> None:
    """Write encoder and decoder as torch.export programs, for C++ and other runtimes."""
    from motiontok.tokenizer import MotionTokenizer
    from motiontok.tokens.export import export_tokenizer

    for path in export_tokenizer(MotionTokenizer.from_pretrained(tokenizer), out):
        click.echo(f"{path.stat().st_size / 1e6:6.1f} MB  {path}")
