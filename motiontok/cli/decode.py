"""``motiontok decode``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click

from motiontok.cli.pictures import decode_pictures
from motiontok.cli.shared_options import device_option, tokenizer_option, use_device

__all__ = ["decode"]


@click.command()
@click.argument("codes", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="clip.bvh, motion.npz or AMASS' motion.smpl.npz [default: decoded.bvh]; of a folder a "
    "folder [default: decoded]; of images picture.png or a folder.",
)
@tokenizer_option
@device_option
def decode(codes: Path, out: Path | None, tokenizer: str | None, device: str) -> None:
    """Decode CODES (codes.npy) to motion: a BVH clip, or a motion.npz with all arrays.

    A name that ends in .smpl.npz gives AMASS' archive, by SMPL's mean body.

    A folder that `encode` wrote, or any folder of codes, becomes the folder OUT with a BVH file per
    clip. Codes of images become a picture, or a folder of pictures.
    """
    from motiontok.cli.outputs import save_motion
    from motiontok.cli.sources import open_codes
    from motiontok.errors import InputError
    from motiontok.images import is_image_codes, is_image_tokenizer

    if codes.is_dir():
        _decode_folder(codes, out or Path("decoded"), tokenizer, use_device(device))
        return
    if is_image_codes(codes) or (tokenizer is not None and is_image_tokenizer(tokenizer)):
        decode_pictures(codes, out, tokenizer, use_device(device))
        return
    out = out or Path("decoded.bvh")
    if out.suffix not in (".bvh", ".npz"):
        raise InputError(f"--out {out}: give a name that ends in .bvh or .npz")
    loaded, opened = open_codes(codes, tokenizer=tokenizer, device=use_device(device))
    motion = opened.decode_codes(loaded)
    save_motion(motion, out)
    click.echo(f"{codes.name}: {len(motion)} frames, {motion.duration:.1f} s -> {out}")


def _decode_folder(source: Path, out: Path, tokenizer: str | None, device: str) -> None:
    from collections import deque

    from bvh import write
    from bvh.archives import result_names
    from motiontok.cli.sources import open_tokenizer_of
    from motiontok.codes import Codes
    from motiontok.corpus import Corpus
    from motiontok.corpus.entries import has_manifest
    from motiontok.errors import CodesError, DataError, InputError
    from motiontok.motion_io import require_of
    from motiontok.progress import progress

    if out.suffix in (".bvh", ".npz"):
        raise InputError(f"--out {out}: CODES is a folder, so OUT must be a folder too")
    corpus = Corpus(source) if has_manifest(source) else None
    if corpus is not None:
        names = result_names(list(corpus), ".bvh")
    else:
        files = sorted(path.relative_to(source) for path in source.rglob("*.npy"))
        names = {path.as_posix(): path.with_suffix(".bvh").as_posix() for path in files}

    def read(name: str) -> Codes:
        return Codes.load(source / name) if corpus is None else corpus[name]

    # Names wait here until their motions come: short clips are decoded together.
    waiting: deque[str] = deque()
    broken: list[str] = []

    def readable() -> Iterator[Codes]:
        for name in names:
            try:
                codes = read(name)
            except (CodesError, DataError) as error:
                broken.append(str(error))
                continue
            waiting.append(name)
            yield codes

    found = readable()
    first = next(found, None)
    if first is None:
        reason = f"; {broken[0]}" if broken else ""
        raise InputError(f"{source}: no codes that can be decoded in this folder{reason}")
    opened = open_tokenizer_of(first, source, tokenizer=tokenizer, device=device)

    def decodable() -> Iterator[Codes]:
        for codes in chain([first], found):
            try:
                require_of(codes, source / waiting[-1], opened)
            except CodesError as error:
                broken.append(str(error))
                waiting.pop()
                continue
            yield codes

    frames = count = 0
    with progress("decoding", len(names)) as update:
        for motion in opened.decode_many(decodable()):
            path = out / names[waiting.popleft()]
            write(motion.to_clip(), path)
            frames, count = frames + len(motion), count + 1
            update(count + len(broken))
    if not count:
        raise InputError(f"{source}: no codes that can be decoded in this folder; {broken[0]}")
    for line in broken:
        click.echo(f"skipped {line}", err=True)
    click.echo(f"{count} clips, {frames} frames -> {out}")
