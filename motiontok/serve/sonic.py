"""The pose stream of NVIDIA's SONIC whole-body controller (GR00T), protocol version 1.

One ZeroMQ part a message: topic, a JSON header padded with zero bytes to 1,280 bytes,
then the fields' data one after the other. The controller expects a Unitree G1's 29
joints in the order in which Isaac Lab counts them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bvh.rotations import Array
from motiontok.errors import InputError
from motiontok.robots import Robot

__all__ = ["HEADER_SIZE", "TOPIC", "joint_order", "pack_pose"]

HEADER_SIZE = 1280
TOPIC = b"pose"


def pack_pose(
    *, joint_pos: Array, joint_vel: Array, body_quat: Array, frame_index: int, topic: bytes = TOPIC
) -> bytes:
    """One frame as the controller reads it.

    Args:
        joint_pos, joint_vel: ``(joints,)`` rad and rad/s, in the controller's order.
        body_quat: ``(4,)`` world_from_base, (w, x, y, z).
        frame_index: counts frames.
        topic: what the controller subscribes to.
    """
    fields = (
        ("joint_pos", "f32", joint_pos[None].astype("<f4")),
        ("joint_vel", "f32", joint_vel[None].astype("<f4")),
        ("body_quat", "f32", body_quat[None].astype("<f4")),
        ("frame_index", "i64", np.array([frame_index], dtype="<i8")),
    )
    header = {
        "v": 1,
        "endian": "le",
        "count": 1,
        "fields": [{"name": n, "dtype": d, "shape": list(a.shape)} for n, d, a in fields],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    return topic + text.ljust(HEADER_SIZE, b"\0") + b"".join(a.tobytes() for _, _, a in fields)


def joint_order(robot: Robot, order: str) -> tuple[str, ...]:
    """Joint names in a named order.

    Args:
        robot: whose joints.
        order: ``"robot"``, as the robot description has them; ``"isaaclab"``, breadth
            first from the base; or a text file with one name a line.

    Raises:
        InputError: no such order, or the file does not name each joint once.
    """
    if order == "robot":
        return robot.joint_names
    if order == "isaaclab":
        return _breadth_first(robot)
    try:
        names = tuple(Path(order).read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"no joint order {order!r}: choose isaaclab, robot, or a file with one name a line"
        ) from None
    if sorted(names) != sorted(robot.joint_names):
        wrong = sorted(set(names) ^ set(robot.joint_names))
        what = ", ".join(wrong[:4]) if wrong else "a name stands there twice"
        raise InputError(f"{order}: must name each joint of {robot.name} once; differs in {what}")
    return names


def _breadth_first(robot: Robot) -> tuple[str, ...]:
    """Level by level from the base, siblings and cousins in the description's order."""
    model = robot.model
    # Joints 0 and 1 are the world and the floating base.
    level: Sequence[int] = [1]
    names: list[str] = []
    while level:
        level = [
            j for parent in level for j in range(2, model.njoints) if model.parents[j] == parent
        ]
        names += [model.names[j] for j in level]
    return tuple(names)
