"""The pose stream of NVIDIA's SONIC whole-body controller (GR00T), protocol version 1.

One ZeroMQ part a message: topic, a JSON header padded with zero bytes to 1,280 bytes,
then the fields' data one after the other. The controller expects a Unitree G1's 29
joints in the order in which Isaac Lab counts them.
"""

from __future__ import annotations

import json

import numpy as np

from bvh.rotations import Array

__all__ = ["HEADER_SIZE", "TOPIC", "pack_pose"]

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
