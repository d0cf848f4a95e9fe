"""``motiontok retarget``: put a motion on a robot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.ranges import range_options
from motiontok.cli.reading_options import of_robot, reading_options

if TYPE_CHECKING:
    from bvh import Motion
    from bvh.reading import Reading
    from motiontok.cli.layouts import Layout
    from motiontok.cli.ranges import Range
    from motiontok.robots import Robot
    from motiontok.robots.files.trajectory import Order

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
@click.option("--csv", is_flag=True, help="Write .csv files into a folder, instead of .npz.")
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
    help="Retarget map (TOML): which robot frame follows which joint. Needed with a .urdf that "
    "no shipped map fits and that `motiontok robots --check` doubts.",
)
@click.option(
    "--from-robot",
    help="Robot of SOURCE, or of trajectories in it, for trajectories that name none.",
)
@click.option("--tokenizer", help="Tokenizer of the codes, if SOURCE is codes.")
@range_options
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
@click.option(
    "--beyondmimic",
    is_flag=True,
    help="Write BeyondMimic's motion file (.npz): joints and bodies with velocities, and "
    "contacts, at 50 frames a second unless --fps says otherwise.",
)
@click.option(
    "--joints",
    metavar="ORDER",
    help="Joint order with --beyondmimic: isaaclab, mujoco, robot, or a file with one name a line"
    "  [default: isaaclab]",
)
@click.option(
    "--max",
    "bounds",
    multiple=True,
    metavar="FIGURE=VALUE",
    help="Leave out clips of a folder with a larger figure in their report (see --json), in SI "
    "units, such as root_jerk=80 or near_limit=0.01; may be given several times.",
)
@click.option(
    "--ground",
    "planes",
    multiple=True,
    metavar="A,B,C",
    help="Plane z = A x + B y + C to stand on, in metres of the person; feet stand on the "
    "nearest. May be given several times; 0,0,0 is the flat floor  [default: found in the "
    "motion]",
)
@reading_options(fps=False)
@click.option("--json", "as_json", is_flag=True, help="Print the quality report as JSON.")
def retarget(
    source: Path,
    output: Path,
    csv: bool,
    robot_name: str,
    map_path: Path | None,
    from_robot: str | None,
    tokenizer: str | None,
    part: Range,
    fps: float | None,
    order: Order,
    plot: Path | None,
    beyondmimic: bool,
    joints: str | None,
    bounds: tuple[str, ...],
    planes: tuple[str, ...],
    reading: Reading,
    strict: bool,
    as_json: bool,
) -> None:
    """Put SOURCE on a robot by inverse kinematics.

    SOURCE is a clip (.bvh), a motion (.npz), tokens (codes.npy), another robot's trajectory
    (.npz, .csv), or a folder of all of these, such as the codes that `encode FOLDER` writes. --from
    and --to cut one file. For a folder, OUTPUT is a folder too, all cores are used, and the same
    command again continues where it ended; retarget.jsonl there has a report per clip. What this
    command wrote below SOURCE is left out.
    """
    from motiontok.cli.layouts import Layout
    from motiontok.cli.sources import check_reading, load_motion, open_robot
    from motiontok.errors import InputError

    if fps is not None and not 0 < fps <= _MOST_FPS:
        raise InputError(f"--fps must be above 0 and at most {_MOST_FPS}, got {fps:g}")
    check_reading(reading, [source])
    read: dict[str, Any] = {"reading": reading, "strict": strict}
    if from_robot is not None:
        # The option would do nothing: the trajectory names its robot.
        from motiontok.robots.model.robot import require_known

        require_known(from_robot)
    _check_layout(beyondmimic, joints, csv or output.suffix == ".csv", order)
    layout = Layout(order, fps, joints or "isaaclab", beyondmimic)
    ground = _planes(planes)
    if source.is_dir():
        if plot is not None:
            raise InputError("--plot takes one clip, not a folder")
        part.refuse()
        from motiontok.cli.retarget_folder import retarget_folder
        from motiontok.robots.reports.ledger import parse_limits, require_measured

        limits = parse_limits(bounds)
        read["reading"] = of_robot(reading, from_robot, None)
        robot = open_robot(robot_name, map_path)
        require_measured(limits, robot)
        suffix = ".csv" if csv else ".npz"
        retarget_folder(
            source,
            output,
            robot,
            read,
            layout,
            suffix=suffix,
            tokenizer=tokenizer,
            bounds=limits,
            ground=ground,
            as_json=as_json,
        )
        return
    if bounds:
        raise InputError("--max is for a folder of clips; --json prints the figures of one clip")
    if csv:
        raise InputError(f"--csv is for a folder of clips; for {source} give -o NAME.csv")
    if output.suffix not in (".npz", ".csv"):
        raise InputError(f"{output}: a robot trajectory is written as .npz or .csv")
    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{plot}: a plot is written as .png, .svg or .pdf")
    from motiontok.cli.outputs import refuse_inputs

    refuse_inputs([output], [source])
    motion = load_motion(source, tokenizer=tokenizer, robot=from_robot, part=part, **read)
    robot = open_robot(robot_name, map_path)
    _clip(motion, output, robot, layout, ground=ground, plot=plot, as_json=as_json)


def _planes(texts: tuple[str, ...]) -> list[list[float]] | None:
    from motiontok.errors import InputError

    try:
        planes = [[float(part) for part in text.split(",")] for text in texts]
    except ValueError:
        planes = [[]]
    if any(len(plane) != 3 for plane in planes):
        raise InputError(
            f"--ground {' '.join(texts)}: expected A,B,C of a plane z = A x + B y + C, such as"
            " 0,0,0.17"
        )
    return planes or None


def _check_layout(beyondmimic: bool, joints: str | None, csv: bool, order: str) -> None:
    from motiontok.errors import InputError

    if joints is not None and not beyondmimic:
        raise InputError("--joints is for --beyondmimic; other files name their joints")
    if beyondmimic and csv:
        raise InputError("--beyondmimic writes .npz; for BeyondMimic's csv_to_npz.py leave it out")
    if beyondmimic and order != "pinocchio":
        raise InputError("--beyondmimic always writes quaternions as w x y z; leave out --order")


def _clip(
    motion: Motion,
    output: Path,
    robot: Robot,
    layout: Layout,
    *,
    ground: list[list[float]] | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    import json
    import time

    from motiontok.progress import progress
    from motiontok.robots import retarget as solve
    from motiontok.robots.reports.report import measure

    robot.self_collision  # noqa: B018 - made now, not while the clock runs
    start = time.perf_counter()
    with progress("inverse kinematics", len(motion)) as update:
        trajectory = solve(motion, robot, ground=ground, progress=update)
    rate = len(motion) / max(time.perf_counter() - start, 1e-9)
    result = layout.at_rate(trajectory, robot)
    measurement = measure(trajectory, motion, robot, ground=ground, written=result)
    report = measurement.report()
    layout.save(result, robot, output)
    written = [str(output)]
    if plot is not None:
        from motiontok.robots.reports.plot import plot_measurement

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
