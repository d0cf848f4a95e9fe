"""``motiontok convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from motiontok.cli.ranges import range_options
from motiontok.cli.reading_options import reading_options, robot_options

if TYPE_CHECKING:
    from bvh import Motion
    from bvh.reading import Reading
    from motiontok.cli.ranges import Range

__all__ = ["convert"]

_ROBOTS = (".robot.npz", ".csv")


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@robot_options
@click.option("--from-robot", help="Robot of IN, if OUT is a trajectory too.")
@click.option(
    "--tokenizer",
    help="Tokenizer of the codes, if IN is codes.npy, or for a data set's tokens.",
)
@range_options
@reading_options()
def convert(
    source: Path,
    out: Path,
    robot: str | None,
    map_path: Path | None,
    from_robot: str | None,
    tokenizer: str | None,
    part: Range,
    reading: Reading,
    strict: bool,
) -> None:
    """Write the motion of IN as another kind of file, which the ending of OUT says.

    \b
    OUT         is
    .bvh        a clip, Y up, centimetres
    .npz        a motion with all arrays
    .smpl.npz   AMASS' archive, by SMPL's mean body
    .npy        positions of 22 joints of SMPL's mean body, Y up, 20 frames/s
    .robot.npz  a trajectory of --robot
    .csv        the same in the layout of LAFAN1 retargeting

    IN is any of them, or codes; --from and --to cut it. --robot names the robot of OUT, or of IN if
    OUT is no trajectory.

    A folder of a robot's trajectories, as `retarget` writes it, becomes a data set of LeRobot (v3)
    with tokens of the default or given tokenizer. Such a data set becomes a folder of trajectories.
    """  # noqa: D301 - click takes a real backspace as the mark of lines to keep
    from motiontok.cli.outputs import refuse_inputs, save_motion
    from motiontok.cli.sources import check_reading, load_motion
    from motiontok.errors import InputError

    if source.is_dir():
        part.refuse()
        _folder(source, out, robot, map_path, tokenizer, alone=bool(from_robot or reading.digest))
        return
    name = out.name.lower()
    onto = name.endswith(_ROBOTS)
    if not name.endswith((".bvh", ".npz", ".npy", ".csv")):
        raise InputError(
            f"{out}: give a name that ends in .bvh, .npz, .smpl.npz, .npy, .robot.npz or .csv"
        )
    if onto and robot is None:
        raise InputError(f"{out}: a trajectory needs its robot; give --robot")
    if from_robot is not None and not onto:
        raise InputError(
            "--from-robot puts a trajectory on another robot; give that one as --robot"
        )
    refuse_inputs([out], [source])
    check_reading(reading, [source])
    motion = load_motion(
        source,
        tokenizer=tokenizer,
        reading=reading,
        strict=strict,
        robot=from_robot if onto else robot,
        map_path=None if onto else map_path,
        part=part,
    )
    if not len(motion):
        raise InputError(f"{source}: has no frames")
    if onto and robot is not None:
        _onto(motion, out, robot, map_path)
    elif name.endswith(".npy"):
        from bvh.positions import save_positions

        save_positions(motion, out)
    else:
        save_motion(motion, out)
    click.echo(f"{source.name}: {len(motion)} frames, {motion.duration:.1f} s -> {out}")


def _folder(
    source: Path,
    out: Path,
    robot: str | None,
    map_path: Path | None,
    tokenizer: str | None,
    *,
    alone: bool,
) -> None:
    from motiontok.cli.convert_folder import from_dataset, to_dataset
    from motiontok.errors import InputError
    from motiontok.lerobot import is_dataset

    if alone:
        raise InputError(
            f"{source}: a folder; --from-robot and options of reading are for one file"
        )
    if not is_dataset(source):
        to_dataset(source, out, robot=robot, map_path=map_path, tokenizer=tokenizer)
    elif robot or map_path or tokenizer:
        raise InputError(f"{source}: a data set names its robot; leave out --robot")
    else:
        from_dataset(source, out)


def _onto(motion: Motion, out: Path, name: str, map_path: Path | None) -> None:
    from motiontok.cli.sources import open_robot
    from motiontok.progress import progress
    from motiontok.robots import retarget

    robot = open_robot(name, map_path)
    with progress("inverse kinematics", len(motion)) as update:
        retarget(motion, robot, progress=update).save(out)
