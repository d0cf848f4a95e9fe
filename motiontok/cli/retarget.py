"""``motiontok retarget``: put a motion on a robot."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.options import reading_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bvh import Motion
    from bvh.reading import Reading
    from motiontok.robots import Robot
    from motiontok.robots.trajectory import Order

__all__ = ["retarget"]

_MOST_FPS = 1000


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "output",
    required=True,
    type=click.Path(path_type=Path),
    help="Robot trajectory: .npz (qpos, joint names, fps) or .csv (one row a frame); a folder"
    " if SOURCE is one.",
)
@click.option("--csv", is_flag=True, help="Into a folder: .csv files instead of .npz.")
@click.option(
    "--robot",
    "robot_name",
    default="g1",
    show_default=True,
    help="A shipped robot (see `motiontok robots`) or a .urdf file.",
)
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path),
    help="Retarget map (TOML): which robot frame follows which joint. Needed with a .urdf.",
)
@click.option("--tokenizer", help="Tokenizer that made the codes, if SOURCE is codes.npy.")
@click.option("--fps", type=float, help="Frames per second of the output  [default: the motion's]")
@click.option(
    "--order",
    type=click.Choice(["pinocchio", "mujoco"]),
    default="pinocchio",
    show_default=True,
    help="Base quaternion as x y z w (pinocchio) or w x y z (mujoco).",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="Draw errors, speeds and contacts over time to this .png, .svg or .pdf.",
)
@reading_options(fps=False)
@click.option("--json", "as_json", is_flag=True, help="Print the quality report as JSON.")
def retarget(
    source: Path,
    output: Path,
    csv: bool,
    robot_name: str,
    map_path: Path | None,
    tokenizer: str | None,
    fps: float | None,
    order: Order,
    plot: Path | None,
    reading: Reading,
    strict: bool,
    as_json: bool,
) -> None:
    """Put SOURCE on a robot by inverse kinematics.

    SOURCE is a clip (.bvh), a motion (.npz), tokens (codes.npy), or a folder of clips
    and motions: OUTPUT is then a folder too, and all cores are used.
    """
    from motiontok.cli.sources import check_reading, load_motion, open_robot
    from motiontok.errors import InputError

    if fps is not None and not 0 < fps <= _MOST_FPS:
        raise InputError(f"--fps must be above 0 and at most {_MOST_FPS}, got {fps:g}")
    check_reading(reading, [source])
    read: dict[str, Any] = {"reading": reading, "strict": strict}
    if source.is_dir():
        if plot is not None:
            raise InputError("--plot takes one clip, not a folder")
        robot = open_robot(robot_name, map_path)
        suffix = ".csv" if csv else ".npz"
        _folder(source, output, robot, read, suffix=suffix, fps=fps, order=order, as_json=as_json)
        return
    if csv:
        raise InputError(f"--csv is for a folder of clips; for {source} give -o NAME.csv")
    if output.suffix not in (".npz", ".csv"):
        raise InputError(f"{output}: a robot trajectory is written as .npz or .csv")
    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{plot}: a plot is written as .png, .svg or .pdf")
    from motiontok.cli.outputs import refuse_inputs
    from motiontok.cli.trajectories import is_trajectory

    refuse_inputs([output], [source])
    if is_trajectory(source):
        raise InputError(f"{source}: this is a robot's trajectory; give the clip, motion or codes")
    motion = load_motion(source, tokenizer=tokenizer, **read)
    robot = open_robot(robot_name, map_path)
    _clip(motion, output, robot, fps=fps, order=order, plot=plot, as_json=as_json)


def _clip(
    motion: Motion,
    output: Path,
    robot: Robot,
    *,
    fps: float | None,
    order: Order,
    plot: Path | None,
    as_json: bool,
) -> None:
    import json
    import time

    from motiontok.progress import progress
    from motiontok.robots import retarget as solve
    from motiontok.robots.report import measure

    robot.self_collision  # noqa: B018 - made now, not while the clock runs
    start = time.perf_counter()
    with progress("inverse kinematics", len(motion)) as update:
        trajectory = solve(motion, robot, progress=update)
    rate = len(motion) / max(time.perf_counter() - start, 1e-9)
    measurement = measure(trajectory, motion, robot)
    report = measurement.report()
    result = trajectory if fps is None else trajectory.resample(fps)
    result.save(output, order=order)
    written = [str(output)]
    if plot is not None:
        from motiontok.robots.plot import plot_measurement

        plot_measurement(measurement, plot, title=f"{motion.source.name} on {robot.name}")
        written.append(str(plot))
    if as_json:
        summary = {
            "output": str(output),
            "robot": robot.name,
            "frames": len(result),
            "fps": result.fps,
            "frames_per_second": rate,
            **report.to_dict(),
        }
        click.echo(json.dumps(summary, indent=2))
        return
    click.echo(report.table())
    click.echo(
        f"wrote {', '.join(written)}: {len(result)} frames at {result.fps:g} fps for {robot.name}"
        f" ({rate:.0f} frames solved a second)"
    )


def _folder(
    source: Path,
    output: Path,
    robot: Robot,
    read: dict[str, Any],
    *,
    suffix: str,
    fps: float | None,
    order: Order,
    as_json: bool,
) -> None:
    import json

    from bvh import BVHError
    from bvh.archives import MOTION_SUFFIXES, find_motion_files, result_names
    from bvh.remarks import summary as in_few_lines
    from motiontok.cli.outputs import refuse_inputs
    from motiontok.cli.sources import load_motion, print_notes
    from motiontok.cli.trajectories import is_trajectory
    from motiontok.errors import InputError
    from motiontok.progress import progress
    from motiontok.robots import Report, retarget_and_evaluate_all

    if output.suffix in (".npz", ".csv"):
        raise InputError(f"{output}: SOURCE is a folder, so the output must be a folder too")
    files = find_motion_files(source)
    solved = {file for file in files if is_trajectory(source / file)}
    files = [file for file in files if file not in solved]
    if not files:
        raise InputError(f"{source}: no {', '.join(MOTION_SUFFIXES)} files in this folder")
    results = result_names(files, suffix)
    refuse_inputs((output / name for name in results.values()), (source / file for file in files))
    # Reading runs ahead of solving: names wait here until their trajectories come.
    names: deque[str] = deque()
    # What an earlier run wrote, into this folder or one below it, is not worth a word.
    broken = [
        f"{source / file}: this is a robot's trajectory"
        for file in sorted(solved)
        if output.resolve() not in (source / file).resolve().parents
    ]

    remarks: list[tuple[str, str]] = []

    def motions() -> Iterator[Motion]:
        for file in files:
            try:
                motion = load_motion(source / file, tell=remarks.append, **read)
            except (BVHError, InputError) as error:
                broken.append(str(error))
                continue
            if not len(motion):
                broken.append(f"{source / file}: has no frames")
                continue
            names.append(file)
            yield motion

    rows: list[dict[str, object]] = []
    reports: list[Report] = []
    frames: list[int] = []
    with progress("inverse kinematics", len(files) + len(broken)) as update:
        for trajectory, report in retarget_and_evaluate_all(motions(), robot, fps=fps):
            file = names.popleft()
            trajectory.save(output / results[file], order=order)
            reports.append(report)
            frames.append(len(trajectory))
            rows.append(
                {
                    "source": str(source / file),
                    "output": str(output / results[file]),
                    "frames": len(trajectory),
                    "fps": trajectory.fps,
                    **report.to_dict(),
                }
            )
            update(len(rows) + len(broken), results[file])
    print_notes(in_few_lines(remarks, clips=len(files)))
    for line in broken:
        click.echo(f"skipped {line}", err=True)
    if not rows:
        raise InputError(f"{source}: none of {len(files)} files could be used")
    if read["strict"] and broken:
        raise InputError(f"{source}: {len(broken)} of its files were not used, with --strict")
    together = Report.of_many(reports, frames)
    if as_json:
        summary = {
            "output": str(output),
            "robot": robot.name,
            "written": len(rows),
            "skipped": broken,
            "frames": sum(frames),
            **together.to_dict(),
            "files": rows,
        }
        click.echo(json.dumps(summary, indent=2))
        return
    click.echo(together.table())
    click.echo(f"wrote {len(rows)} trajectories, {sum(frames)} frames for {robot.name} to {output}")
