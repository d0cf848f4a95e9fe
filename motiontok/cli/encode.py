"""``motiontok encode``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from motiontok.cli.options import device_option, json_option, tokenizer_option, use_device
from motiontok.cli.pictures import encode_pictures

__all__ = ["encode"]


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Codes file, or folder for a folder."
)
@tokenizer_option
@click.option(
    "--effort",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Candidates a window; the best reconstructing one is kept.",
)
@click.option(
    "--hold-path", is_flag=True, help="Steer each window back to the path: no drift, but slower."
)
@device_option
@json_option
def encode(
    source: Path,
    out: Path | None,
    tokenizer: str | None,
    effort: int,
    hold_path: bool,
    device: str,
    as_json: bool,
) -> None:
    """Encode SOURCE (clip.bvh, motion.npz, or a folder of clips) into tokens.

    Writes codes.npy, (windows, codes_per_window) uint16, and beside it codes.json with
    what decoding needs. A folder is encoded clip by clip into a folder of codes. With a
    tokenizer of images SOURCE is a picture or a folder of them, and codes.npy has a row
    for each.
    """
    from motiontok.data.images import is_picture
    from motiontok.errors import InputError
    from motiontok.images import is_image_tokenizer
    from motiontok.paths import lasting_name
    from motiontok.tokenizer import MotionTokenizer

    folder = tokenizer or "default"
    if is_image_tokenizer(folder):
        rows = encode_pictures(source, out, folder, effort, use_device(device))
        if as_json:
            click.echo(json.dumps(rows if source.is_dir() else rows[0]))
        return
    if is_picture(source.name):
        raise InputError(
            f"{source}: a picture; give --tokenizer the folder of a tokenizer of images, such as "
            "one that `motiontok train imagenet256` wrote"
        )
    where = lasting_name(folder)
    opened = MotionTokenizer.from_pretrained(folder, device=use_device(device))
    how: dict[str, Any] = {"effort": effort, "hold_path": hold_path}
    if source.is_dir():
        results = _encode_folder(source, out or Path("codes"), opened, where, how)
    else:
        out = out or Path("codes.npy")
        if out.suffix != ".npy":
            raise InputError(f"--out {out}: codes are written to a .npy file")
        results = [_encode_one(source, out, opened, where, how)]
    if as_json:
        click.echo(json.dumps(results if source.is_dir() else results[0]))
        return
    if source.is_dir():
        frames = sum(r["frames"] for r in results)
        click.echo(f"{len(results)} clips, {frames} frames -> {out or 'codes'}")
    for r in results if not source.is_dir() else []:
        click.echo(
            f"{source.name}: {r['frames']} frames -> {r['windows']} windows x "
            f"{opened.codes_per_window} codes of {opened.vocab_size} "
            f"({opened.bits_per_second:.0f} bits/s) -> {r['codes']}"
        )


def _encode_one(
    source: Path, out: Path, tokenizer: Any, where: str, how: dict[str, Any]
) -> dict[str, Any]:
    from motiontok.cli.sources import load_motion
    from motiontok.errors import InputError

    if source.suffix == ".npy":
        raise InputError(f"{source}: already codes; encode takes a clip or a motion.npz")
    codes = tokenizer.encode_to_codes(load_motion(source), tokenizer=where, **how)
    codes.save(out)
    return {
        "source": str(source),
        "codes": str(out),
        "frames": codes.frames,
        "windows": len(codes.array),
        "fingerprint": codes.fingerprint,
    }


def _encode_folder(
    source: Path, out: Path, tokenizer: Any, where: str, how: dict[str, Any]
) -> list[dict[str, Any]]:
    from bvh.errors import BVHError
    from motiontok.errors import DataError, InputError
    from motiontok.progress import progress

    if out.suffix == ".npy":
        raise InputError(f"--out {out}: a folder of clips is encoded into a folder, not a file")
    clips = sorted(p for p in source.rglob("*") if p.suffix.lower() in (".bvh", ".npz"))
    if not clips:
        raise DataError(f"{source}: no .bvh or .npz files in this folder")
    results, failures = [], 0
    with progress("encoding", len(clips)) as update:
        for done, clip in enumerate(clips, start=1):
            target = out / clip.relative_to(source).with_suffix(".npy")
            try:
                results.append(_encode_one(clip, target, tokenizer, where, how))
            except (BVHError, DataError) as error:
                failures += 1
                click.echo(f"skipped: {error}", err=True)
            update(done)
    if failures:
        click.echo(f"{failures} of {len(clips)} clips skipped", err=True)
    if not results:
        raise DataError(f"{source}: none of its {len(clips)} clips could be encoded")
    return results
