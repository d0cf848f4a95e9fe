"""``motiontok encode``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.number_types import FiniteRange
from motiontok.cli.pictures import encode_pictures
from motiontok.cli.ranges import range_options
from motiontok.cli.reading_options import of_robot, reading_options, robot_options
from motiontok.cli.shared_options import (
    default_tokenizer_option,
    device_option,
    effort_option,
    json_option,
    require_one_way,
    share_options,
    use_device,
)
from motiontok.encoding_limits import MOST_RATE_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bvh.reading import Reading
    from motiontok.cli.ranges import Range
    from motiontok.corpus.entries import Entry

__all__ = ["encode"]

_FAR = 0.5  # m that a decoded path is off and worth a word


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Codes file; a folder, if SOURCES are several, a folder or an archive.",
)
@default_tokenizer_option
@effort_option
@click.option(
    "--hold-path",
    is_flag=True,
    help="Correct windows back to the path: no drift, a fifth of the speed.",
)
@click.option(
    "--codes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the first N codes of each window: fewer bits, coarser motion.  [default: all]",
)
@click.option(
    "--rate-weight",
    type=FiniteRange(0.0, MOST_RATE_WEIGHT),
    default=0.0,
    show_default=True,
    help="Make tokens easier to predict, at some error (daps-temporal): the weight of a nat of its "
    "prior, 1 being a fair price. Use it with --effort 4.",
)
@click.option(
    "--pack",
    is_flag=True,
    help="Write the codes of many clips into each file, for training on a whole folder.",
)
@range_options
@share_options
@robot_options
@reading_options()
@device_option
@json_option
def encode(
    sources: tuple[Path, ...],
    out: Path | None,
    tokenizer: str,
    effort: int | None,
    hold_path: bool,
    codes: int | None,
    rate_weight: float,
    pack: bool,
    part: Range,
    shard: str | None,
    address: str | None,
    robot: str | None,
    map_path: Path | None,
    reading: Reading,
    strict: bool,
    device: str,
    as_json: bool,
) -> None:
    """Encode SOURCES (clip.bvh, motion.npz, or folders, archives and stores of clips) into tokens.

    A source may also be an .npz of the SMPL family, a .npy of joint positions, or a robot's
    trajectory (robot.npz, robot.csv; with --robot if it names none).


    For one file, writes codes.npy, (windows, codes_per_window) uint16, and beside it codes.json
    with what decoding needs; --from and --to cut the file first. A folder, archive or store, or
    several sources, are encoded on all cores into a folder of codes with a manifest.jsonl; each of
    several sources has a folder in it.
    The same command again continues where it ended. With --pack it becomes a few files that
    motiontok.corpus.Corpus reads, and machines can share the work (--shard, or torchrun). With a
    tokenizer of images, the source is a picture or a folder of pictures, and codes.npy has a row
    for each.
    """
    from bvh.archives import is_archive
    from motiontok.cli.sources import check_reading, open_tokenizer
    from motiontok.data.images import is_picture
    from motiontok.errors import InputError
    from motiontok.images import is_image_tokenizer
    from motiontok.paths import lasting_name

    folder = tokenizer
    if shard and not pack:
        raise InputError(f"--shard {shard}: only packed codes can be shared out; add --pack")
    if address and not pack:
        raise InputError(f"--ray {address}: only packed codes can be shared out; add --pack")
    require_one_way(shard, address)
    source = sources[0]
    # An archive of one clip counts as that clip where a file of codes is asked for.
    named = out is not None and out.suffix == ".npy"
    many = len(sources) > 1 or source.is_dir() or (is_archive(source) and not named)
    if many:
        reading = of_robot(reading, robot, map_path)
    if pack and (is_image_tokenizer(folder) or not many):
        raise InputError(
            f"--pack takes a folder of clips and a tokenizer of motion, got {source} and {folder}"
        )
    if is_image_tokenizer(folder) or many:
        part.refuse()
    check_reading(reading, [] if is_image_tokenizer(folder) else sources)
    if is_image_tokenizer(folder):
        if len(sources) > 1:
            raise InputError(f"{folder} is a tokenizer of images: it takes one picture or folder")
        asked = {"--codes": codes, "--rate-weight": rate_weight, "--hold-path": hold_path}
        if of_motion := next((option for option, value in asked.items() if value), None):
            raise InputError(f"{of_motion} is for motion; {folder} is a tokenizer of images")
        rows = encode_pictures(source, out, folder, effort or 1, use_device(device))
        if as_json:
            click.echo(json.dumps(rows if source.is_dir() else rows[0]))
        return
    if is_picture(source.name):
        raise InputError(
            f"{source}: a picture; give --tokenizer the folder of a tokenizer of images, such as "
            "one that `motiontok train imagenet256` wrote"
        )
    how: dict[str, Any] = {
        "effort": effort,
        "hold_path": hold_path,
        "first": codes,
        "rate_weight": rate_weight,
    }
    read: dict[str, Any] = {"reading": reading, "strict": strict}
    whose = {"robot": robot, "map_path": map_path}
    if pack:
        shared = {"shard": shard, "address": address}
        where = use_device(device)
        result = _pack(sources, out or Path("codes"), folder, where, how | read, **shared)
        click.echo(json.dumps(result) if as_json else _told(result))
        return
    if many:
        out = out or Path("codes")
        results = _encode_folder(sources, out, folder, use_device(device), how | read)
        frames = sum(r["frames"] for r in results)
        click.echo(
            json.dumps(results) if as_json else f"{len(results)} clips, {frames} frames -> {out}"
        )
        return
    opened = open_tokenizer(folder, device=use_device(device))
    out = out or Path("codes.npy")
    if not (source.exists() or any(path.is_file() for path in source.parents)):
        raise InputError(f"{source}: no such file or folder")
    if out.suffix != ".npy":
        raise InputError(f"--out {out}: codes are written to a .npy file")
    r = _encode_one(source, out, opened, lasting_name(folder), how, read | whose, part)
    kept = codes or opened.codes_per_window
    bits = opened.bits_per_second * kept / opened.codes_per_window
    nats = ""
    if "nats_per_window" in r:
        plain = r["unweighted_nats_per_window"]
        nats = f", {r['nats_per_window']:.0f} nats a window ({plain:.0f} without the weight)"
    click.echo(
        json.dumps(r)
        if as_json
        else f"{source.name}: {r['frames']} frames -> {r['windows']} windows x "
        f"{kept} codes of {opened.vocab_size} ({bits:.0f} bits/s){nats}, decoded joint error "
        f"{r['mpjpe_mm']:.1f} mm -> {r['codes']}"
    )
    if r["path_off_m"] > _FAR and not hold_path:
        click.echo(
            f"note: {source}: the path of its codes is up to {r['path_off_m']:.1f} m off; "
            "--hold-path corrects it",
            err=True,
        )


def _encode_one(
    source: Path,
    out: Path,
    tokenizer: Any,
    where: str,
    how: dict[str, Any],
    read: dict[str, Any],
    part: Range,
) -> dict[str, Any]:
    import numpy as np

    from bvh.arrays import read_npy
    from motiontok.cli.outputs import refuse_inputs
    from motiontok.cli.sources import is_codes, load_motion
    from motiontok.errors import InputError
    from motiontok.evaluate import compare_motions

    if is_codes(source):
        read_npy(source)  # A file that is cut short is told as damaged, whatever else is wrong.
        raise InputError(f"{source}: already codes; encode takes a clip or a motion.npz")
    refuse_inputs([out], [source])
    motion = load_motion(source, calibrations=tokenizer.calibrations, **read)
    since = 0.0
    if part:
        frames = part.frames(len(motion), motion.fps, source)
        motion, since = motion[frames], frames.start / motion.fps
    codes = replace(tokenizer.encode_to_codes(motion, tokenizer=where, **how), since=since)
    codes.save(out)
    again = tokenizer.decode_codes(codes)
    off = np.linalg.norm((again.root_positions - motion.root_positions)[:, :2], axis=1).max()
    return {
        "source": str(source),
        "codes": str(out),
        "frames": codes.frames,
        "windows": len(codes.array),
        "fingerprint": codes.fingerprint,
        "mpjpe_mm": compare_motions(motion, again)["mpjpe_mm"],
        "path_off_m": float(off),
        **_saved(codes.array, motion, tokenizer, how),
    }


def _saved(codes: Any, motion: Any, tokenizer: Any, how: dict[str, Any]) -> dict[str, float]:
    """What a weight of rates saves of whole windows, nats under the tokenizer's prior."""
    if not how["rate_weight"] or how["first"]:
        return {}
    plain = tokenizer.encode(motion, **how | {"rate_weight": 0.0})
    found = (tokenizer.nats(each).sum(axis=-1).mean() for each in (codes, plain))
    return dict(zip(("nats_per_window", "unweighted_nats_per_window"), found, strict=True))


def _encode_folder(
    sources: Sequence[Path], out: Path, tokenizer: str, device: str, how: dict[str, Any]
) -> list[dict[str, Any]]:
    from motiontok.corpus import encode_folder
    from motiontok.corpus.clips import places_of, where
    from motiontok.errors import InputError

    if out.suffix == ".npy":
        what = "a folder of clips is" if len(sources) == 1 else f"{len(sources)} sources are"
        raise InputError(f"--out {out}: {what} encoded into a folder, not a file")
    places = places_of(sources)
    entries = encode_folder(sources, out, tokenizer=tokenizer, device=device, **how)
    _tell(sources, entries, len(entries), strict=how["strict"])
    return [
        {
            "source": str(where(places, entry.file)),
            "codes": str(out / entry.codes),
            "frames": entry.frames,
            "windows": entry.windows,
            "fingerprint": entry.fingerprint,
        }
        for entry in entries
        if not entry.error
    ]


def _pack(
    sources: Sequence[Path],
    out: Path,
    tokenizer: str,
    device: str,
    how: dict[str, Any],
    *,
    shard: str | None,
    address: str | None,
) -> dict[str, Any]:
    from motiontok.corpus import encode_packed
    from motiontok.paths import lasting_name
    from motiontok.shards import share_of_process, share_said

    if address:
        from motiontok.corpus.on_ray import encode_on_ray

        share = (0, 1)
        # Workers are in other folders than this process.
        how = how | {"tokenizer": lasting_name(tokenizer), "device": device}
        made = encode_on_ray(sources, out, address=address, **how)
    else:
        share = share_said(shard) if shard else share_of_process()
        made = encode_packed(sources, out, tokenizer=tokenizer, device=device, share=share, **how)
    _tell(sources, [*made.failed, *made.remarked], made.clips, strict=how["strict"])
    return {
        "source": _named(sources),
        "codes": str(out),
        "shard": f"{share[0]}/{share[1]}",
        "clips": made.clips,
        "encoded": made.encoded,
        "frames": made.frames,
        "windows": made.windows,
        "failed": [entry.file for entry in made.failed],
        "fingerprint": made.fingerprint,
    }


def _told(result: dict[str, Any]) -> str:
    share = "" if result["shard"] == "0/1" else f"shard {result['shard']}: "
    return (
        f"{share}{result['clips']} clips, {result['encoded']} encoded now ({result['frames']} "
        f"frames), {len(result['failed'])} skipped -> {result['codes']}"
    )


def _named(sources: Sequence[Path]) -> str:
    return " and ".join(map(str, sources))


def _tell(sources: Sequence[Path], entries: Sequence[Entry], clips: int, *, strict: bool) -> None:
    """Report faults of clips, and fail if none could be used or, with strict, not all."""
    from bvh.remarks import summary
    from motiontok.cli.sources import print_notes
    from motiontok.errors import DataError

    print_notes(summary(((e.file, line) for e in entries for line in e.remarks), clips=clips))
    reasons = [entry.error for entry in entries if entry.error]
    for reason in reasons:
        click.echo(f"skipped: {reason}", err=True)
    if reasons:
        click.echo(f"{len(reasons)} of {clips} clips skipped", err=True)
    if clips and len(reasons) == clips:
        raise DataError(f"{_named(sources)}: none of its {clips} clips could be encoded")
    if strict and reasons:
        raise DataError(
            f"{_named(sources)}: {len(reasons)} of its clips were not encoded, with --strict"
        )
