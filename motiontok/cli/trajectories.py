"""Reading a robot's trajectory, to draw it or to take it for a motion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bvh.reading import Reading
    from motiontok.render import Actor
    from motiontok.robots import Robot, Trajectory

__all__ = ["is_trajectory", "open_trajectory", "trajectory_actor"]


def is_trajectory(path: Path) -> bool:
    """Whether a file holds a robot's trajectory rather than a motion."""
    from bvh import motion_io

    return motion_io.is_trajectory(path)


def open_trajectory(
    source: Path,
    robots: Sequence[str],
    map_path: Path | None,
    *,
    reading: Reading | None = None,
    strict: bool = False,
) -> tuple[Trajectory, Robot]:
    """A trajectory file, with its joints in the robot's order, and the robot.

    Args:
        source: an .npz or .csv.
        robots: names that the user gave, one of which may be the robot's.
        map_path: of a robot that is not shipped.
        reading: how the file is to be understood, over what it says.
        strict: what it leaves to be found or assumed is an error.

    Raises:
        InputError, RobotError: the file cannot be used, or the robot is not known.
    """
    from bvh.reading import Settings
    from motiontok.cli.sources import STRICT, open_robot, print_notes
    from motiontok.errors import InputError
    from motiontok.robots.files.trajectory_io import load_trajectory, robot_of

    reading = Settings(reading).of(source)
    said = [*robots] or ([reading.robot] if reading.robot else [])
    of_map = map_path or (Path(reading.robot_map) if reading.robot_map else None)
    robot = open_robot(robot_of(source, said), of_map)
    trajectory, assumed = load_trajectory(source, robot, reading)
    if strict and assumed:
        raise InputError(f"{source}: {assumed[0]}{STRICT}")
    print_notes(f"{source}: {line}" for line in assumed)
    return trajectory, robot


def trajectory_actor(
    source: Path,
    robots: Sequence[str],
    map_path: Path | None,
    *,
    reading: Reading | None = None,
    strict: bool = False,
) -> Actor:
    """The robot of a trajectory file, playing it; see :func:`open_trajectory`."""
    from motiontok.render.robot import RobotActor

    given = [r for r in robots if r != "skeleton"]
    trajectory, robot = open_trajectory(source, given, map_path, reading=reading, strict=strict)
    return RobotActor(robot, trajectory.qpos, fps=trajectory.fps, label=robot.name)
