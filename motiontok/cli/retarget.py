"""``motiontok retarget``: put a motion on a robot."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["retarget"]


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "output",
    required=True,
    type=click.Path(path_type=Path),
    help="Robot trajectory to write: .npz (qpos, joint names, fps) or .csv (one row a frame).",
)
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
@click.option("--json", "as_json", is_flag=True, help="Print the quality report as JSON.")
def retarget(
    source: Path,
    output: Path,
    robot_name: str,
    map_path: Path | None,
    tokenizer: str | None,
    fps: float | None,
    order: str,
    as_json: bool,
) -> None:
    """Put SOURCE on a robot by inverse kinematics.

    SOURCE is a clip (.bvh), a motion (.npz) or tokens (codes.npy).
    """
    import json
    import time

    from motiontok.cli.sources import load_motion
    from motiontok.errors import InputError
    from motiontok.progress import progress
    from motiontok.robots import load_robot
    from motiontok.robots import retarget as solve
    from motiontok.robots.report import evaluate

    if output.suffix not in (".npz", ".csv"):
        raise InputError(f"{output}: a robot trajectory is written as .npz or .csv")
    if fps is not None and not fps > 0:
        raise InputError(f"--fps must be positive, got {fps:g}")
    motion = load_motion(source, tokenizer=tokenizer)
    robot = load_robot(robot_name, map=map_path)
    start = time.perf_counter()
    with progress("inverse kinematics", len(motion)) as update:
        trajectory = solve(motion, robot, progress=update)
    seconds = time.perf_counter() - start
    report = evaluate(trajectory, motion, robot)
    result = trajectory if fps is None else trajectory.resample(fps)
    result.save(output, order="mujoco" if order == "mujoco" else "pinocchio")

    rate = len(motion) / max(seconds, 1e-9)
    if as_json:
        summary = {"output": str(output), "robot": robot.name, "frames": len(result),
                   "fps": result.fps, "frames_per_second": rate, **report.to_dict()}  # fmt: skip
        click.echo(json.dumps(summary, indent=2))
        return
    click.echo(report.table())
    click.echo(
        f"wrote {output}: {len(result)} frames at {result.fps:g} fps for {robot.name}"
        f" ({rate:.0f} frames solved a second)"
    )
