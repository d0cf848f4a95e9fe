"""Reading a robot's trajectory for drawing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from motiontok.render import Actor

__all__ = ["is_trajectory", "trajectory_actor"]


def is_trajectory(path: Path) -> bool:
    """Whether a file holds a robot's trajectory rather than a motion."""
    import zipfile

    if path.suffix == ".csv":
        return True
    if path.suffix != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "qpos.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        # Whoever reads it says what is wrong.
        return False


def trajectory_actor(source: Path, robots: Sequence[str], map_path: Path | None) -> Actor:
    """The robot of a trajectory file, playing it.

    Args:
        source: an .npz or .csv.
        robots: names that the user gave, one of which may be the robot's.
        map_path: of a robot that is not shipped.

    Raises:
        InputError, RobotError: the file cannot be used, or the robot is not known.
    """
    from motiontok.errors import InputError
    from motiontok.render.robot import RobotActor
    from motiontok.robots import Trajectory, load_robot

    if source.suffix == ".csv":
        given = [r for r in robots if r != "skeleton"]
        if len(given) != 1:
            raise InputError(f"{source}: a .csv names no robot; say which one with --robot")
        robot = load_robot(given[0], map=map_path)
        trajectory = Trajectory.load_csv(source, robot=robot.name, joint_names=robot.joint_names)
        click.echo(f"note: {source} states no rate; 30 frames a second assumed", err=True)
        return RobotActor(robot, trajectory.qpos, fps=trajectory.fps, label=robot.name)
    trajectory = Trajectory.load(source)
    # A robot from a file of one's own is named after it; the trajectory knows only the name.
    given = [r for r in robots if Path(r).stem == trajectory.robot]
    robot = load_robot(given[0] if given else trajectory.robot, map=map_path)
    if robot.joint_names != trajectory.joint_names:
        raise InputError(f"{source}: its joints are not those of {robot.name} ({robot.urdf})")
    return RobotActor(robot, trajectory.qpos, fps=trajectory.fps, label=robot.name)
