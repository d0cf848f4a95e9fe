"""Files of the SMPL family, written without the package's own idea of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bvh import JOINTS, Motion
from bvh.rotations import Array, log
from bvh.smpl import OFFSETS, PARENTS

# SMPL's joints by their canonical names, in SMPL's order.
ORDER = (
    "Hips", "LeftUpLeg", "RightUpLeg", "Spine", "LeftLeg", "RightLeg", "Spine1", "LeftFoot",
    "RightFoot", "Spine2", "LeftToe", "RightToe", "Neck", "LeftShoulder", "RightShoulder", "Head",
    "LeftArm", "RightArm", "LeftForeArm", "RightForeArm", "LeftHand", "RightHand",
)  # fmt: skip
ROWS = [JOINTS.index(name) for name in ORDER]
Y_UP = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])  # X left, Y up, Z forward, of ours
UP_TO_Z = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # Y up to Z up, as AMASS turned it


def matrices(vectors: Array) -> Array:
    """Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None] + 1e-12
    x, y, z = np.moveaxis(vectors / angle[..., 0], -1, 0)
    o = np.zeros_like(x)
    k = np.moveaxis(np.array([[o, -z, y], [z, o, -x], [-y, x, o]]), (0, 1), (-2, -1))
    out: Array = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    return out


def vectors_of(turns: Array) -> Array:
    """Rotation vectors of matrices, away from half turns or not."""
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_rotvec()
    out: Array = flat.reshape(*turns.shape[:-2], 3)
    return out


def body(motion: Motion, *, z_up: bool, offsets: Array = OFFSETS) -> tuple[Array, Array, Array]:
    """Poses ``(frames, 22, 3)``, ``trans`` and where the joints then are ``(frames, 22, 3)``."""
    poses = log(motion.rotations)[:, ROWS] @ Y_UP.T
    trans = motion.root_positions @ Y_UP.T - offsets[0]
    if z_up:
        poses[:, 0] = vectors_of(UP_TO_Z @ matrices(poses[:, 0]))
        trans = (trans + offsets[0]) @ UP_TO_Z.T - offsets[0]
    turns = matrices(poses)
    places = np.broadcast_to(offsets, poses.shape).copy()
    places[:, 0] += trans
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            places[:, joint] = places[:, parent] + turns[:, parent] @ offsets[joint]
            turns[:, joint] = turns[:, parent] @ turns[:, joint]
    return poses, trans, places


def write(
    path: Path,
    motion: Motion,
    *,
    z_up: bool = True,
    width: int = 156,
    offsets: Array = OFFSETS,
    **more: Any,
) -> Array:
    """AMASS' archive of a motion; returns where the joints are in its world."""
    poses, trans, places = body(motion, z_up=z_up, offsets=offsets)
    arrays: dict[str, Any] = {
        "trans": trans,
        "mocap_framerate": np.array(motion.fps),
        "gender": np.array("male"),
        "betas": np.linspace(-1, 1, 16),
        "dmpls": np.zeros((len(motion), 8)),
    }
    flat = poses.reshape(len(motion), -1)
    if width:
        arrays["poses"] = np.zeros((len(motion), width))
        arrays["poses"][:, :66] = flat
    else:
        arrays |= {"root_orient": flat[:, :3], "pose_body": flat[:, 3:]}
    arrays |= more
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return places[:, np.argsort(ROWS)]
