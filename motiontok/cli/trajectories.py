"""Reading a robot's trajectory, to draw it or to take it for a motion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from motiontok.render import Actor
    from motiontok.robots import Robot, Trajectory

__all__ = ["is_trajectory", "open_trajectory", "trajectory_actor"]


def is_trajectory(path: Path) -> bool:
    """Whether a file holds a robot's trajectory rather than a motion."""
    import zipfile

    if path.suffix.lower() == ".csv":
        return True
    if path.suffix.lower() != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return not {"qpos.npy", "body_pos_w.npy"}.isdisjoint(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        # Whoever reads it says what is wrong.
        return False


def open_trajectory(
    source: Path,
    robots: Sequence[str],
    map_path: Path | None,
    *,
    fps: float | None = None,
    strict: bool = False,
) -> tuple[Trajectory, Robot]:
    """A trajectory file, with its joints in the robot's order, and the robot.

    Args:
        source: an .npz or .csv.
        robots: names that the user gave, one of which may be the robot's.
        map_path: of a robot that is not shipped.
        fps: frames per second of a table, over what stands beside it.
        strict: what a table leaves to be found or assumed is an error.

    Raises:
        InputError, RobotError: the file cannot be used, or the robot is not known.
    """
    from motiontok.cli.sources import STRICT, open_robot
    from motiontok.errors import InputError, RobotError
    from motiontok.robots import Trajectory
    from motiontok.robots.files.tables import read_about, read_table

    if source.suffix.lower() == ".csv":
        name = read_about(source).robot
        if not name and len(robots) != 1:
            raise InputError(f"{source}: a .csv names no robot; say which one with --robot")
        robot = open_robot(_named(name, robots) if name else robots[0], map_path)
        table = read_table(source, robot=robot.name, joint_names=robot.joint_names, fps=fps)
        if strict and table.assumed:
            raise InputError(f"{source}: {table.assumed[0]}{STRICT}")
        for line in table.assumed:
            click.echo(f"note: {source}: {line}", err=True)
        return Trajectory.of_table(table, robot=robot.name, source=source.stem), robot
    trajectory = Trajectory.load(source)
    robot = open_robot(_named(trajectory.robot, robots), map_path)
    try:
        return trajectory.in_order(robot.joint_names), robot
    except RobotError as error:
        raise InputError(f"{source}: {error}: {robot.name}, {robot.urdf}") from None


def trajectory_actor(
    source: Path,
    robots: Sequence[str],
    map_path: Path | None,
    *,
    fps: float | None = None,
    strict: bool = False,
) -> Actor:
    """The robot of a trajectory file, playing it; see :func:`open_trajectory`."""
    from motiontok.render.robot import RobotActor

    given = [r for r in robots if r != "skeleton"]
    trajectory, robot = open_trajectory(source, given, map_path, fps=fps, strict=strict)
    return RobotActor(robot, trajectory.qpos, fps=trajectory.fps, label=robot.name)


def _named(name: str, given: Sequence[str]) -> str:
    """A robot from a file of one's own is named after it; a trajectory knows only the name."""
    return next((r for r in given if Path(r).stem == name), name)
