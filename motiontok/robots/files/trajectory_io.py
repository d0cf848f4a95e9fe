"""Reading files of robots' trajectories of every kind, and finding their robot."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bvh.archives import absent
from bvh.arrays import open_npz, refuse_pickle, words
from bvh.errors import BVHError
from bvh.motion_io import Loaded
from bvh.reading import Reading
from motiontok.errors import InputError, MotiontokError, RobotError
from motiontok.paths import config_dir
from motiontok.robots.files.tables import read_about, read_table
from motiontok.robots.files.trajectory import Trajectory
from motiontok.robots.files.units import in_radians

if TYPE_CHECKING:
    from motiontok.robots.model.robot import Robot

__all__ = ["RobotReader", "find_robot", "load_trajectory", "reading", "robot_of"]


def robot_of(path: Path, given: Sequence[str]) -> str:
    """The name of a trajectory file's robot: the file's own, else the given one.

    Args:
        path: an .npz or .csv.
        given: names that the user gave, one of which may be the robot's.

    Raises:
        InputError: the file names none, and not exactly one is given.
        RobotError: it is damaged.
    """
    try:
        refuse_pickle(path)
    except BVHError as error:
        raise RobotError(str(error)) from None
    if not path.exists():
        raise RobotError(f"{path}: {absent(path)}")
    if path.suffix.lower() == ".csv":
        name, kind = read_about(path).robot, "a .csv"
    elif "qpos.npy" in _members(path):
        name, kind = Trajectory.load(path).robot, "it"
    else:
        name, kind = _stated(path), "it"
    if name:
        # A robot from a file of one's own is named after it; a trajectory knows only the name.
        return next((r for r in given if Path(r).stem == name), name)
    if len(given) != 1:
        raise InputError(f"{path}: {kind} names no robot; say which one with --robot")
    return given[0]


def load_trajectory(path: Path, robot: Robot, reading: Reading) -> tuple[Trajectory, list[str]]:
    """A file's trajectory with its joints in the robot's order, and assumptions.

    Args:
        path: a ``.csv``, an ``.npz`` of ours, a tracker's, or one with the arrays of GMR.
        robot: the trajectory's robot.
        reading: how to read it; overrides the file's own statements.

    Raises:
        RobotError: it cannot be read, or is another robot's.
        InputError: its joints are not those of the robot of that name.
    """
    if path.suffix.lower() == ".csv":
        table = read_table(
            path,
            robot=robot.name,
            joint_names=robot.joint_names,
            reading=reading,
            limits=(robot.lower, robot.upper),
            sliding=robot.sliding,
        )
        return Trajectory.of_table(table, robot=robot.name, source=path.stem), list(table.assumed)
    arrays = _members(path)
    told: list[str] = []
    if "qpos.npy" in arrays:
        trajectory = Trajectory.load(path)
    elif "joint_pos.npy" not in arrays and "dof_pos.npy" in arrays:
        from motiontok.robots.files.gmr_reading import read_gmr

        trajectory, told = read_gmr(path, robot, reading)
    else:
        from motiontok.robots.files.tracker_reading import read_tracking

        trajectory, told = read_tracking(path, robot, reading)
    try:
        trajectory = trajectory.in_order(robot.joint_names)
    except RobotError as error:
        raise InputError(f"{path}: {error}: {robot.name}, {robot.urdf}") from None
    limits = robot.lower, robot.upper
    _, odd = in_radians(trajectory.joints, "radians", limits, robot.joint_names, f"{path}")
    return trajectory, told + odd


class RobotReader:
    """Robots' trajectories as canonical motions, for ``Reading.trajectories``."""

    @property
    def version(self) -> str:
        """Digest of the code that turns a trajectory into a motion, including shipped maps."""
        return _version()

    def __call__(self, path: Path, reading: Reading) -> Loaded:
        """The canonical motion of a trajectory.

        Raises:
            BVHError: it cannot be read, or neither it nor ``reading`` names its robot.
        """
        try:
            from motiontok.robots.motions import motion_of

            robot = find_robot(path, reading)
            trajectory, assumed = load_trajectory(path, robot, reading)
            motion = motion_of(trajectory, robot)
        except MotiontokError as error:
            text = str(error)
            raise BVHError(text if str(path) in text else f"{path}: {text}") from None
        motion = replace(motion, source=replace(motion.source, name=path.stem))
        return Loaded(motion, tuple(assumed), f"trajectory of {robot.name}")


def reading(**said: Any) -> Reading:
    """A reading that also reads robots' files; see :class:`bvh.reading.Reading`."""
    return Reading(trajectories=RobotReader(), **said)


@cache
def _version() -> str:
    digest = hashlib.blake2b(digest_size=16)
    maps = config_dir() / "robots"
    code = Path(__file__).parents[1]  # motiontok/robots, all of it
    for file in sorted([*code.rglob("*.py"), *maps.glob("*.toml")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def find_robot(path: Path, reading: Reading) -> Robot:
    """The robot of a trajectory file, by the file's own name or the reading's.

    Raises:
        InputError: neither names it.
        RobotError: the file is damaged, or there is no such robot.
    """
    return _robot(robot_of(path, [reading.robot] if reading.robot else []), reading.robot_map)


@lru_cache(maxsize=4)
def _robot(name: str, map_path: str | None) -> Robot:
    from motiontok.robots.model.robot import load_robot

    return load_robot(name, map=map_path)


def _members(path: Path) -> set[str]:
    """Names of an archive's arrays; none if it is no archive, at which reading then raises."""
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return set()


def _stated(path: Path) -> str:
    try:
        with open_npz(path) as data:
            return "".join(words(data, "robot")[:1])
    except BVHError as error:
        raise RobotError(str(error)) from None
