"""``motiontok decode``."""

from __future__ import annotations

from pathlib import Path

import click

from motiontok.cli.options import device_option, tokenizer_option, use_device
from motiontok.cli.pictures import decode_pictures

__all__ = ["decode"]


@click.command()
@click.argument("codes", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="clip.bvh or motion.npz [default: decoded.bvh]; of images picture.png or a folder.",
)
@tokenizer_option
@device_option
def decode(codes: Path, out: Path | None, tokenizer: str | None, device: str) -> None:
    """Decode CODES (codes.npy) to motion: a BVH clip, or a motion.npz with all arrays.

    Codes of images become a picture, or a folder of pictures.
    """
    from motiontok.cli.sources import open_codes
    from motiontok.errors import InputError
    from motiontok.images import is_image_codes, is_image_tokenizer

    if is_image_codes(codes) or (tokenizer is not None and is_image_tokenizer(tokenizer)):
        decode_pictures(codes, out, tokenizer, use_device(device))
        return
    out = out or Path("decoded.bvh")
    if out.suffix not in (".bvh", ".npz"):
        raise InputError(f"--out {out}: give a name that ends in .bvh or .npz")
    loaded, opened = open_codes(codes, tokenizer=tokenizer, device=use_device(device))
    motion = opened.decode_codes(loaded)
    if out.suffix == ".npz":
        motion.save(out)
    else:
        from bvh import write

        write(motion.to_clip(), out)
    click.echo(f"{codes.name}: {len(motion)} frames, {motion.duration:.1f} s -> {out}")
