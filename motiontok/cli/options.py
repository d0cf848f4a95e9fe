"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.encoding_limits import MOST_EFFORT
from motiontok.errors import InputError
from motiontok.sampling_defaults import LABEL_GUIDANCE

if TYPE_CHECKING:
    from bvh.reading import Reading

__all__ = [
    "SECONDS",
    "FiniteNumber",
    "FiniteRange",
    "data_option",
    "device_option",
    "effort_option",
    "json_option",
    "of_robot",
    "one_path",
    "prior_option",
    "reading_options",
    "require_one_way",
    "robot_options",
    "sampling_options",
    "seed_option",
    "share_options",
    "tokenizer_option",
    "use_device",
]


class FiniteNumber(click.types.FloatParamType):
    """Any number but NaN and infinity. A range without bounds would show in help as x<=None."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or click's error with the option's name."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class FiniteRange(click.FloatRange):
    """A number in a range; NaN and infinity are refused."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or click's error with the option's name."""
        return float(super().convert(FiniteNumber().convert(value, param, ctx), param, ctx))


_SAID = ("up", "scale", "frames", "height", "body_model", "quaternion", "angles")
"""Of :class:`bvh.reading.Reading`, by its names."""

SECONDS = FiniteRange(min=0.1, max=3600.0)
"""Length of motion that is drawn or planned."""

device_option = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, or auto."
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder, archive or store of clips, or images; may be repeated for several sets of clips.",
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Random seed.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
effort_option: Callable[[Any], Any] = click.option(
    "--effort",
    type=click.IntRange(1, MOST_EFFORT),
    help="1 takes the likeliest codes; more looks further, for codes that decode to what is "
    "nearer, and takes longer.  [default: 3 for temporal and daps-temporal, else 1]",
)

tokenizer_option: Callable[[Any], Any] = click.option(
    "--tokenizer",
    metavar="DIR",
    help="Tokenizer or run folder; by default the one that the codes name, else the shipped one.",
)
prior_option: Callable[[Any], Any] = click.option(
    "--prior",
    default="default",
    show_default=True,
    metavar="DIR",
    help="Folder of a prior, as `train-prior` writes it.",
)


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


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of how codes are drawn, which the command takes together as ``drawing``."""

    @wraps(command)
    def taken(**given: Any) -> Any:
        names = ("temperature", "top_k", "top_p", "guidance", "tolerance")
        return command(drawing={name: given.pop(name) for name in names}, **given)

    for option in (
        click.option(
            "--tolerance",
            type=float,
            default=0.1,
            show_default=True,
            help="Allowed standard deviation of velocity (m/s) and yaw rate (rad/s); inf leaves "
            "them to the network.",
        ),
        click.option(
            "--guidance",
            type=float,
            default=None,
            help="How closely to follow conditions; 1 is as in training  [default: labels "
            f"{LABEL_GUIDANCE:g}, commands 1]",
        ),
        click.option(
            "--top-p",
            type=float,
            default=0.95,
            show_default=True,
            help="Draw from the most likely codes that together have this probability.",
        ),
        click.option(
            "--top-k",
            type=int,
            default=0,
            show_default=True,
            help="Draw from the k most likely codes; 0 for all.",
        ),
        click.option(
            "--temperature",
            type=float,
            default=1.0,
            show_default=True,
            help="Randomness of draws; 0 takes the most likely code.",
        ),
    ):
        taken = option(taken)
    return taken


def one_path(data: tuple[Path, ...], what: str) -> Path | None:
    """The one ``--data`` of what takes no more than that; None if there is none.

    Raises:
        InputError: there are several.
    """
    if len(data) > 1:
        raise InputError(f"--data is given {len(data)} times: {what} take one")
    return data[0] if data else None


def use_device(name: str) -> str:
    """Resolve ``auto`` and check that the device is there.

    Raises:
        InputError: no such device on this machine.
    """
    import torch

    from motiontok.tokens.checks import usable_device

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: no such device; choose from cpu, cuda, cuda:1 and auto")
    return str(usable_device(name))


def share_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--shard`` and ``--ray``, as ``shard`` and ``address``, of what many machines can do."""
    shard = click.option(
        "--shard",
        metavar="I/N",
        help="Pack only share I (counted from 0) of N  [default: RANK of WORLD_SIZE]",
    )
    ray = click.option(
        "--ray",
        "address",
        metavar="ADDRESS",
        help="Pack on a Ray cluster: auto, HOST:PORT, or local for this machine.",
    )
    return shard(ray(command))


def require_one_way(shard: str | None, address: str | None) -> None:
    """Refuse a share for what a cluster shares out.

    Raises:
        InputError: both are given.
    """
    if shard and address:
        raise InputError(f"--ray {address}: hands out shares itself; leave out --shard {shard}")
