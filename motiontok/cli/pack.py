"""``motiontok pack``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motiontok.cli.reading_options import of_robot, reading_options, robot_options
from motiontok.cli.shared_options import json_option, require_one_way, share_options

if TYPE_CHECKING:
    from bvh.reading import Reading

__all__ = ["pack"]


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder of the store."
)
@share_options
@robot_options
@reading_options()
@json_option
def pack(
    sources: tuple[Path, ...],
    out: Path,
    shard: str | None,
    address: str | None,
    robot: str | None,
    map_path: Path | None,
    reading: Reading,
    strict: bool,
    as_json: bool,
) -> None:
    """Pack SOURCES (folders, archives or files of clips) into a store of motion.

    A store has each clip normalised, in 144 bytes a frame. `train`, `eval` and `encode` take it
    like a folder and hold little of it in memory, whatever its size. Each source is a set of the
    store, drawn like one of several --data. The same command again continues where it ended and
    packs new and changed clips, also of other machines' shares. Clips that cannot be read are
    named, and stop nothing. Machines can share the work (--shard, torchrun or --ray).
    """
    from bvh.remarks import summary
    from motiontok.cli.sources import check_reading, print_notes
    from motiontok.data.store.writing import pack_clips
    from motiontok.errors import DataError
    from motiontok.shards import share_of_process, share_said

    require_one_way(shard, address)
    reading = of_robot(reading, robot, map_path)
    check_reading(reading, sources)
    share = (0, 1)
    if address:
        from motiontok.data.store.on_ray import pack_on_ray

        made = pack_on_ray(sources, out, address=address, reading=reading, strict=strict)
    else:
        share = share_said(shard) if shard else share_of_process()
        made = pack_clips(sources, out, reading=reading, strict=strict, share=share)
    remarks = ((e.file, line) for e in made.remarked for line in e.remarks)
    print_notes(summary(remarks, clips=made.clips))
    for entry in made.failed:
        click.echo(f"skipped: {entry.set}/{entry.file}: {entry.error}", err=True)
    if share[1] == 1 and not made.clips:
        raise DataError(f"{out}: none of {len(made.failed)} clips could be packed")
    if strict and made.failed:
        raise DataError(f"{out}: {len(made.failed)} clips were not packed, with --strict")
    if as_json:
        result = {
            "store": str(out),
            "shard": f"{share[0]}/{share[1]}",
            "clips": made.clips,
            "packed": made.packed,
            "frames": made.frames,
            "bytes": made.size,
            "failed": [f"{entry.set}/{entry.file}" for entry in made.failed],
        }
        click.echo(json.dumps(result))
        return
    whose, size = f"shard {share[0]}/{share[1]}: ", ""
    if share[1] == 1:
        whose, size = "", f": {made.size:,} bytes, {made.size / made.frames:.0f} a frame"
    click.echo(
        f"{whose}{made.clips:,} clips ({made.packed:,} packed now), {made.frames:,} frames, "
        f"{len(made.failed)} skipped -> {out}{size}"
    )
