"""Tables of a robot's configurations: the ``.csv`` of a trajectory, and its sidecar."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bvh.archives import sidecar_of
from bvh.errors import BVHError
from bvh.reading import Reading
from bvh.rotations import Array
from motiontok.errors import RobotError
from motiontok.robots.files.rows import angles_in, joints_of, order_in, read_rows, unit_in
from motiontok.robots.files.units import in_metres, in_radians, is_unit, unit_quaternions

__all__ = [
    "FASTEST",
    "FPS",
    "About",
    "Table",
    "find_quaternion_order",
    "read_about",
    "read_table",
    "reordered",
]

FPS = 30.0
"""Frames per second of the LAFAN1 retargeting data set, whose tables state none."""

FASTEST = 1000.0
"""Frames per second at most; a frame a quarter of an hour is the slowest."""

_WAY, _AHEAD = 1.0, 0.5  # m; share of it that goes ahead
_UPRIGHT = 0.8  # a mean tilt of 37 degrees; one who lies reaches 0.5 in the wrong order
_APART = 0.1  # of the cosine of the tilt, averaged: less does not tell the two orders apart


@dataclass(frozen=True)
class About:
    """Content of a table's sidecar; None or empty for missing values.

    Attributes:
        robot: its name.
        fps: frames per second.
        quaternion: ``"xyzw"`` or ``"wxyz"``, the base's.
        joint_names: of the columns after it.
        source: name of the original motion.
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
    """A table, interpreted.

    Attributes:
        qpos: ``(frames, 7 + joints)``, base quaternion as (x, y, z, w).
        joint_names: of the joints, in their order.
        about: content of the sidecar.
        fps: frames per second.
        assumed: values that were found or assumed, a line each.
    """

    qpos: Array
    joint_names: tuple[str, ...]
    about: About
    fps: float
    assumed: tuple[str, ...] = field(default=())


def read_about(path: Path) -> About:
    """The sidecar of a table; empty if there is none.

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
        if about.fps is not None and not FASTEST >= about.fps >= 1.0 / FASTEST:
            raise ValueError(f"fps is {about.fps}")
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise RobotError(f"{beside}: not the sidecar of a trajectory ({error})") from None
    return about


def read_table(
    path: Path,
    *,
    robot: str,
    joint_names: Sequence[str],
    fps: float | None = None,
    reading: Reading | None = None,
    limits: tuple[Array, Array] | None = None,
    sliding: Array | None = None,
) -> Table:
    """Read a ``.csv`` of base position, base quaternion and joints, one row a frame.

    A sidecar or a header line names the joints, which may be in any order. It also gives the
    quaternion's order; without it, the order is the one in which the base stands upright. If the
    base stands in both, it is the one in which it faces its direction of travel. The base's height
    and the joints' limits show centimetres and degrees.

    Args:
        path: the file.
        robot: the robot's name, for messages.
        joint_names: of its joints, in the wanted order.
        fps: frames per second; overrides the sidecar's.
        reading: rate, metres per unit, order of the quaternion and unit of angles; override what is
            found.
        limits: of the joints, lower and upper; without them angles are taken as radians.
        sliding: which joints slide; none by default.

    Raises:
        RobotError: the file is missing or no such table, it has other joints, or several orders of
            the quaternion or several units are possible.
    """
    reading, about = reading or Reading(), read_about(path)
    header, qpos = read_rows(path)
    assumed: list[str] = []
    counted = None
    if qpos.shape[1] == 8 + len(about.joint_names or joint_names) and is_unit(qpos[:, 4:8]):
        counted, why = _counted(qpos[:, 0])
        if why:
            header, qpos = header[1:], qpos[:, 1:]
            assumed.append(f"first column taken as {why}, and left out")
    names = about.joint_names or joints_of(header[7:], joint_names) or tuple(joint_names)
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
    try:
        qpos[:, 3:7] = unit_quaternions(qpos[:, 3:7], f"{path}: columns 4 to 7")
    except BVHError as error:
        raise RobotError(f"{error} ({wanted})") from None
    order = reading.quaternion or about.quaternion or order_in(header[3:7])
    if order is None:
        found = find_quaternion_order(qpos)
        if found is None:
            raise RobotError(
                f"{path}: the order of its base quaternion cannot be told from the numbers; give "
                f'it with --quaternion, or write {{"quaternion": "xyzw"}} or "wxyz" into '
                f"{sidecar_of(path).name}"
            )
        order, why = found
        assumed.append(f"base quaternion taken as {' '.join(order)}: {why}")
    if order == "wxyz":
        qpos[:, 3:7] = qpos[:, [4, 5, 6, 3]]
    rate = fps or reading.fps or about.fps or counted
    if rate is None:
        assumed.append(f"states no rate; {FPS:g} frames a second assumed")
    qpos = reordered(qpos, names, joint_names, f"{path}")
    # What has its whole sidecar was written in metres and radians.
    if not (about.joint_names and about.fps):
        unit = unit_in(header[:3])
        qpos[:, :3], told = in_metres(qpos[:, :3], reading.scale or unit, f"{path}")
        assumed += [told] if told else []
        angles = reading.angles or angles_in(header[7:])
        around = limits or (np.full(width - 7, -np.inf), np.full(width - 7, np.inf))
        joints, where = qpos[:, 7:], f"{path}"
        qpos[:, 7:], more = in_radians(joints, angles, around, joint_names, where, sliding=sliding)
        assumed += more
    elif reading.scale is not None or reading.angles is not None:
        raise RobotError(
            f"{path}: its sidecar {sidecar_of(path).name} says metres and radians; leave out "
            "--scale and --angles"
        )
    return Table(qpos, tuple(joint_names), about, rate or FPS, tuple(assumed))


def reordered(qpos: Array, names: Sequence[str], wanted: Sequence[str], where: str) -> Array:
    """Columns ``(frames, 7 + joints)`` with the joints in another order, by their names.

    Raises:
        RobotError: they are not the same joints; the message names the first that differ.
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


def _counted(column: Array) -> tuple[float | None, str]:
    """The rate of a column of times, and its description; empty if it counts nothing."""
    steps = np.diff(column)
    if not len(steps) or steps.min() <= 0 or np.ptp(steps) > 0.1 * steps.mean():
        return None, ""
    if np.abs(steps - 1.0).max() < 1e-6:
        return None, "the number of the frame"
    rate = float(1.0 / steps.mean())
    return (rate, "times in seconds") if 1.0 < rate <= FASTEST else (None, "")


def find_quaternion_order(qpos: Array) -> tuple[str, str] | None:
    """The order of the base quaternion in configurations, and the reason; None if both are likely.

    Steps between frames are equal in both orders, so they show nothing. A base that faces +X in one
    order faces -X in the other and stands in both; then the direction of travel decides.
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
    return None


def _goes_forward(qpos: Array) -> bool:
    """Whether a base whose quaternion is (x, y, z, w) moves along its own x axis."""
    x, y, z, w = qpos[:-1, 3:7].T
    forward = np.stack([1.0 - 2.0 * (y**2 + z**2), 2.0 * (x * y + z * w)], axis=1)
    steps = np.diff(qpos[:, :2], axis=0)
    length = float(np.linalg.norm(steps, axis=1).sum())
    return length > _WAY and float((steps * forward).sum()) > _AHEAD * length
