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
    what decoding needs. A folder is encoded on all cores into a folder of codes with a
    manifest.jsonl; the same command again goes on where it was ended. With a tokenizer of
    images SOURCE is a picture or a folder of them, and codes.npy has a row for each.
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
    how: dict[str, Any] = {"effort": effort, "hold_path": hold_path}
    if source.is_dir():
        out = out or Path("codes")
        results = _encode_folder(source, out, folder, use_device(device), how)
        frames = sum(r["frames"] for r in results)
        click.echo(
            json.dumps(results) if as_json else f"{len(results)} clips, {frames} frames -> {out}"
        )
        return
    opened = MotionTokenizer.from_pretrained(folder, device=use_device(device))
    out = out or Path("codes.npy")
    if out.suffix != ".npy":
        raise InputError(f"--out {out}: codes are written to a .npy file")
    r = _encode_one(source, out, opened, lasting_name(folder), how)
    click.echo(
        json.dumps(r)
        if as_json
        else f"{source.name}: {r['frames']} frames -> {r['windows']} windows x "
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
    source: Path, out: Path, tokenizer: str, device: str, how: dict[str, Any]
) -> list[dict[str, Any]]:
    from motiontok.corpus import encode_folder
    from motiontok.errors import DataError, InputError

    if out.suffix == ".npy":
        raise InputError(f"--out {out}: a folder of clips is encoded into a folder, not a file")
    entries = encode_folder(source, out, tokenizer=tokenizer, device=device, **how)
    failed = [entry for entry in entries if entry.error]
    for entry in failed:
        click.echo(f"skipped: {entry.error}", err=True)
    if failed:
        click.echo(f"{len(failed)} of {len(entries)} clips skipped", err=True)
    if len(failed) == len(entries):
        raise DataError(f"{source}: none of its {len(entries)} clips could be encoded")
    return [
        {
            "source": str(source / entry.file),
            "codes": str(out / entry.codes),
            "frames": entry.frames,
            "windows": entry.windows,
            "fingerprint": entry.fingerprint,
        }
        for entry in entries
        if not entry.error
    ]
