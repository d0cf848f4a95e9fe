"""Options of how files are read, and of the robots that trajectories belong to."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.number_types import FiniteRange

if TYPE_CHECKING:
    from bvh.reading import Reading

__all__ = ["of_robot", "reading_options", "robot_options"]

_SAID = ("up", "scale", "frames", "height", "body_model", "quaternion", "angles")
"""Of :class:`bvh.reading.Reading`, by its names."""


def robot_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that name the robot of a trajectory: the command's ``robot`` and ``map_path``."""
    for option in (
        click.option(
            "--map",
            "map_path",
            type=click.Path(path_type=Path),
            help="Retarget map (TOML) of a robot that is not shipped.",
        ),
        click.option(
            "--robot",
            help="Robot of the trajectory: a shipped one or a .urdf  [default: as the file says]",
        ),
    ):
        command = option(command)
    return command


def of_robot(reading: Reading, robot: str | None, map_path: Path | None) -> Reading:
    """A reading of many files in which trajectories belong to ``robot``.

    Raises:
        RobotError: there is no such robot.
    """
    from dataclasses import replace

    if robot is not None:
        # Else every trajectory would be skipped, and none missed where there are none.
        from motiontok.robots.model.robot import require_known

        require_known(robot)
    of_map = reading.robot_map if map_path is None else str(map_path)
    return replace(reading, robot=robot or reading.robot, robot_map=of_map)


def reading_options(*, fps: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options for reading files, together as ``reading``, and ``strict``.

    Args:
        fps: whether ``--fps`` may mean the source's rate; else only ``--source-fps`` does.
    """
    rate = ("--fps", "--source-fps") if fps else ("--source-fps",)
    options = (
        click.option(
            "--source-joints",
            metavar="ORDER",
            help="Joint order of a tracker's .npz without names: isaaclab, mujoco, robot, or a "
            "file with one name a line  [default: found from its bodies]",
        ),
        click.option(
            "--angles",
            type=click.Choice(["radians", "degrees"]),
            help="Unit of joint values in a robot's .csv  [default: found from the robot's limits]",
        ),
        click.option(
            "--quaternion",
            type=click.Choice(["xyzw", "wxyz"]),
            help="Order of the base's quaternion in a robot's .csv  [default: found]",
        ),
        click.option(
            "--body-model",
            type=click.Path(),
            metavar="FILE",
            help="Body model (.npz) that turns the betas of an SMPL file into bones.",
        ),
        click.option(
            "--height",
            type=FiniteRange(min=0.3, max=3.0),
            metavar="METRES",
            help="Height of the subject of an SMPL file  [default: 1.72]",
        ),
        click.option(
            "--strict",
            is_flag=True,
            help="Refuse clips with faults or doubts, which are notes otherwise.",
        ),
        click.option(
            "--frames",
            type=click.Choice(["header", "rows"]),
            help="If a file's Frames: line and its rows disagree: refuse it (header), or take the "
            "rows  [default: header]",
        ),
        click.option(
            "--mapping",
            type=click.Path(path_type=Path),
            help='TOML or JSON file with lines such as LeftUpLeg = "thigh.L"; overrides the joints '
            "found.",
        ),
        click.option(
            *rate,
            "source_fps",
            type=FiniteRange(min=0, min_open=True),
            help="Frames per second of the clip  [default: its frame time]",
        ),
        click.option(
            "--scale",
            type=FiniteRange(min=0, min_open=True),
            metavar="METRES",
            help="Metres per unit of the clip, or of a robot's .csv  [default: found]",
        ),
        click.option(
            "--up",
            type=click.Choice(["x", "y", "z", "-x", "-y", "-z"]),
            help="Axis that points up in the clip  [default: found]",
        ),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def taken(**given: Any) -> Any:
            from bvh import read_mapping
            from motiontok.robots.files import trajectory_io

            mapping = given.pop("mapping")
            said = {name: given.pop(name) for name in _SAID}
            reading = trajectory_io.reading(
                fps=given.pop("source_fps"),
                joints=given.pop("source_joints"),
                mapping=None if mapping is None else read_mapping(mapping),
                **said,
            )
            return command(reading=reading, **given)

        for option in options:
            taken = option(taken)
        return taken

    return decorate
