"""Reading ``.npz`` files with the arrays of GMR (Araujo et al. 2025) as trajectories.

GMR itself pickles a dict of ``root_pos``, ``root_rot``, ``dof_pos`` and ``fps``; its scripts turn
MuJoCo's quaternion (w, x, y, z) into (x, y, z, w) before they write it, and leave the joints in the
order of MuJoCo's ``qpos``. Tools that were derived from it write the same arrays in either order,
so the order is taken only if the base stands upright in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bvh.arrays import check_finite, numbers, open_npz, words
from bvh.errors import BVHError
from bvh.reading import Reading
from bvh.rotations import Array
from motiontok.errors import RobotError
from motiontok.robots.files.tables import FASTEST, find_quaternion_order, reordered
from motiontok.robots.files.trajectory import Trajectory
from motiontok.robots.files.units import unit_quaternions
from motiontok.robots.model.joint_orders import joint_order
from motiontok.robots.model.robot import Robot

__all__ = ["read_gmr"]


def read_gmr(path: Path, robot: Robot, reading: Reading) -> tuple[Trajectory, list[str]]:
    """The trajectory of a file with GMR's arrays, and assumptions.

    Args:
        path: an ``.npz`` with ``root_pos`` ``(frames, 3)`` in metres, ``root_rot``
            ``(frames, 4)``, ``dof_pos`` ``(frames, joints)`` in radians, and ``fps``. Optional are
            ``quaternion`` (``"xyzw"``, ``"wxyz"``) and ``joint_names`` or ``dof_names``.
        robot: the trajectory's robot.
        reading: rate, order of the quaternion and order of the joints; override the file's.

    Raises:
        RobotError: an array is missing, of another shape or not finite; no rate; other joints; or
            the quaternion's order is not stated and the base does not stand upright in GMR's alone.
    """
    try:
        with open_npz(path) as data:
            places, turns = numbers(data, "root_pos"), numbers(data, "root_rot")
            joints = numbers(data, "dof_pos")
            names = words(data, "joint_names") or words(data, "dof_names")
            order = reading.quaternion or "".join(words(data, "quaternion")[:1])
            source = "".join(words(data, "source")[:1]) or path.stem
            rate = reading.fps or _rate(data)
        count = len(robot.joint_names)
        if joints.ndim == 2 and joints.shape[1] != count:
            raise BVHError(f"dof_pos has {joints.shape[1]} joints, {robot.name} has {count}")
        check_finite(places, "root_pos", (3,))
        check_finite(turns, "root_rot", (4,))
        check_finite(joints, "dof_pos", (count,))
        if not len(places) == len(turns) == len(joints):
            raise BVHError(
                f"root_pos has {len(places)} frames, root_rot {len(turns)}, dof_pos {len(joints)}"
            )
        if order not in ("", "xyzw", "wxyz"):
            raise BVHError(f"quaternion is {order!r}, neither xyzw nor wxyz")
        turns = unit_quaternions(turns, "root_rot: its rows")
        qpos, told = np.concatenate([places, turns, joints], axis=1), []
        if not order:
            order, why = "xyzw", _why_xyzw(qpos)
            told.append(f"root_rot taken as x y z w, as GMR writes it: {why}")
        if order == "wxyz":
            qpos[:, 3:7] = qpos[:, [4, 5, 6, 3]]
        if reading.joints is not None:
            names = joint_order(robot, reading.joints)
        elif not names:
            names = joint_order(robot, "mujoco")
            if names != robot.joint_names:
                told.append("names no joints; taken in MuJoCo's order, as GMR writes them")
        found = reordered(qpos, names, robot.joint_names, "dof_pos")
    except (BVHError, RobotError) as error:
        raise RobotError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return Trajectory(found, robot.joint_names, rate, robot.name, source), told


def _rate(data: Mapping[str, Any]) -> float:
    if "fps" not in data:
        raise BVHError("states no fps: give the rate with --source-fps")
    stated = numbers(data, "fps")
    if stated.size != 1 or not 1 / FASTEST <= float(stated.reshape(-1)[0]) <= FASTEST:
        raise BVHError(f"fps: expected one number of frames a second, got {stated}")
    return float(stated.reshape(-1)[0])


def _why_xyzw(qpos: Array) -> str:
    """Why the base's quaternion is (x, y, z, w)."""
    found = find_quaternion_order(qpos)
    if found is None:
        raise BVHError(
            "the order of root_rot cannot be told from the numbers; GMR writes x y z w: give it "
            "with --quaternion, or quaternion in a bvh.toml beside the file"
        )
    order, why = found
    if order != "xyzw":
        raise BVHError(
            "root_rot is x y z w as GMR writes it, but the base stands upright as w x y z: give "
            "the order with --quaternion, or quaternion in a bvh.toml beside the file"
        )
    return why
