"""Tables of a robot's configurations: the ``.csv`` of a trajectory, and what stands beside it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bvh.arrays import refuse_pickle
from bvh.errors import BVHError
from bvh.rotations import Array
from motiontok.errors import RobotError

__all__ = ["FPS", "About", "Table", "read_about", "read_table", "reordered", "sidecar_of"]

FPS = 30.0
"""Frames per second of the LAFAN1 retargeting data set, whose tables state none."""

_FASTEST = 1000.0  # frames/s; a frame a quarter of an hour is the slowest
_WAY, _AHEAD = 1.0, 0.5  # m; share of it that goes ahead
_UPRIGHT = 0.8  # a mean tilt of 37 degrees; one who lies reaches 0.5 in the wrong order
_APART = 0.1  # of the cosine of the tilt, averaged: less does not tell the two orders apart


@dataclass(frozen=True)
class About:
    """What a sidecar says of its table; None or empty where it does not say.

    Attributes:
        robot: its name.
        fps: frames per second.
        quaternion: ``"xyzw"`` or ``"wxyz"``, the base's.
        joint_names: of the columns behind it.
        source: name of the motion it came from.
        frames: rows of the table.
    """

    robot: str = ""
    fps: float | None = None
    frames: int | None = None
    quaternion: str | None = None
    joint_names: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was understood.

    Attributes:
        qpos: ``(frames, 7 + joints)``, base quaternion as (x, y, z, w).
        joint_names: of the joints, in their order.
        about: what the sidecar said.
        fps: frames per second.
        assumed: what it did not say and was found or assumed, a line each.
    """

    qpos: Array
    joint_names: tuple[str, ...]
    about: About
    fps: float
    assumed: tuple[str, ...] = field(default=())


def sidecar_of(path: Path) -> Path:
    """``robot.csv`` has ``robot.csv.json`` beside it."""
    return path.with_name(f"{path.name}.json")


def read_about(path: Path) -> About:
    """What stands beside a table; nothing if there is no sidecar.

    Raises:
        RobotError: the sidecar is damaged.
    """
    beside = sidecar_of(path)
    if not beside.is_file():
        return About()
    try:
        values: Any = json.loads(beside.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("expected an object")
        about = About(
            robot=str(values.get("robot", "")),
            fps=float(values["fps"]) if "fps" in values else None,
            frames=values.get("frames"),
            quaternion=values.get("quaternion"),
            joint_names=tuple(map(str, values.get("joint_names", ()))),
            source=str(values.get("source", "")),
        )
        if about.quaternion not in (None, "xyzw", "wxyz"):
            raise ValueError(f"quaternion is {about.quaternion!r}, neither xyzw nor wxyz")
        if about.fps is not None and not _FASTEST >= about.fps >= 1.0 / _FASTEST:
            raise ValueError(f"fps is {about.fps}")
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise RobotError(f"{beside}: not the sidecar of a trajectory ({error})") from None
    return about


def read_table(
    path: Path, *, robot: str, joint_names: Sequence[str], fps: float | None = None
) -> Table:
    """Read a ``.csv`` of base position, base quaternion and joints, one row a frame.

    Sidecar or header line, where there is one, names the joints, which may be in any order.
    The quaternion's order is the sidecar's; without one it is that in which the base stands.
    Of a base that stands in both, it is that in which it faces where it goes.

    Args:
        path: the file.
        robot: the robot's name, for messages.
        joint_names: of its joints, in the order wanted.
        fps: frames per second, over what the sidecar says.

    Raises:
        RobotError: the file is missing or no such table, its joints are others, or both
            orders of the quaternion are possible.
    """
    about = read_about(path)
    header, qpos = _numbers(path)
    names = about.joint_names or header[7:] or tuple(joint_names)
    width = 7 + len(names)
    wanted = f"base x y z, quaternion, {len(names)} joints of {robot}"
    if qpos.shape[1] != width:
        raise RobotError(
            f"{path}: {qpos.shape[1]} columns instead of {width} ({wanted}): is it another robot's?"
        )
    if about.frames not in (None, len(qpos)):
        raise RobotError(
            f"{sidecar_of(path)}: describes {about.frames} frames, the table has {len(qpos)}: "
            "is it another one's? correct or remove it"
        )
    if not np.isfinite(qpos).all():
        frame = int(np.argwhere(~np.isfinite(qpos))[0, 0])
        raise RobotError(f"{path}: frame {frame} holds a value that is not finite")
    if (np.abs(np.linalg.norm(qpos[:, 3:7], axis=1) - 1.0) > 1e-2).any():
        raise RobotError(f"{path}: columns 4 to 7 are not unit quaternions ({wanted})")
    assumed = []
    order = about.quaternion
    if order is None:
        order, why = _order(qpos, path)
        assumed.append(f"base quaternion taken as {' '.join(order)}: {why}")
    if order == "wxyz":
        qpos[:, 3:7] = qpos[:, [4, 5, 6, 3]]
    rate = fps or about.fps
    if rate is None:
        assumed.append(f"states no rate; {FPS:g} frames a second assumed")
    return Table(
        reordered(qpos, names, joint_names, f"{path}"),
        tuple(joint_names),
        about,
        rate or FPS,
        tuple(assumed),
    )


def reordered(qpos: Array, names: Sequence[str], wanted: Sequence[str], where: str) -> Array:
    """Columns ``(frames, 7 + joints)`` with the joints in another order, by their names.

    Raises:
        RobotError: they are not the same joints; it names the first that differ.
    """
    if tuple(names) == tuple(wanted):
        return qpos
    lacking = [name for name in wanted if name not in names]
    other = [name for name in names if name not in wanted]
    if lacking or other or len(set(names)) != len(names):
        what = [f"without {lacking[0]}"] if lacking else []
        what += [f"with {other[0]}"] if other else []
        raise RobotError(
            f"{where}: its joints are not those of the robot"
            f" ({', '.join(what) or 'a name is there twice'})"
        )
    columns = [7 + list(names).index(name) for name in wanted]
    out: Array = qpos[:, [*range(7), *columns]]
    return out


def _numbers(path: Path) -> tuple[tuple[str, ...], Array]:
    """Header, empty if there is none, and rows."""
    try:
        refuse_pickle(path)
    except BVHError as error:
        raise RobotError(str(error)) from None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise RobotError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = " ".join(str(error).split())
        raise RobotError(f"{path}: not a table of numbers ({message})") from None
    if not rows:
        raise RobotError(f"{path}: no rows")
    header: tuple[str, ...] = ()
    if len(rows) > 1 and not any(map(_is_number, rows[0])):
        header = tuple(cell.strip() for cell in rows.pop(0))
    try:
        return header, np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise RobotError(f"{path}: not a table of numbers ({error})") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _order(qpos: Array, path: Path) -> tuple[str, str]:
    """The order of the base quaternion in a table, and why it is that.

    Steps between frames are as large in either order, so they tell nothing. A base that faces
    +X in one faces -X in the other and stands in both; then it faces where it goes.
    """
    q = qpos[:, 3:7]
    # Cosines of the tilt, entry (z, z) of the rotation matrix.
    upright = {
        "xyzw": float(np.mean(1.0 - 2.0 * (q[:, 0] ** 2 + q[:, 1] ** 2))),
        "wxyz": float(np.mean(1.0 - 2.0 * (q[:, 1] ** 2 + q[:, 2] ** 2))),
    }
    best, other = sorted(upright, key=upright.__getitem__, reverse=True)
    if upright[best] > _UPRIGHT and upright[best] - upright[other] > _APART:
        return best, "so the base stands upright"
    # Only x y z w is taken for that: else what goes backwards would be the other order.
    if upright["xyzw"] > _UPRIGHT and _goes_forward(qpos):
        return "xyzw", "so the base faces where it goes"
    raise RobotError(
        f"{path}: the order of its base quaternion is not to be told from the numbers; write "
        f'{{"quaternion": "xyzw"}} or "wxyz" into {sidecar_of(path).name}'
    )


def _goes_forward(qpos: Array) -> bool:
    """Whether a base whose quaternion is (x, y, z, w) moves along its own x axis."""
    x, y, z, w = qpos[:-1, 3:7].T
    forward = np.stack([1.0 - 2.0 * (y**2 + z**2), 2.0 * (x * y + z * w)], axis=1)
    steps = np.diff(qpos[:, :2], axis=0)
    length = float(np.linalg.norm(steps, axis=1).sum())
    return length > _WAY and float((steps * forward).sum()) > _AHEAD * length
