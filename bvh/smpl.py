"""The SMPL family's skeleton, and its poses to a clip.

SMPL (Loper et al. 2015), SMPL+H and SMPL-X give each joint a rotation vector that turns it
against its parent, zero in a T-pose whose joints all have the world's axes: X left, Y up, Z
forward. The first 22 joints are the same in all of them. The licensed body model places the joints;
here they lie as in the mean of all people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bvh.arrays import check_finite, numbers, open_npz, words
from bvh.body_model import BodyModel, read_body_model
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.forward_kinematics import forward_kinematics
from bvh.normalizer.world_axes import world_from_source
from bvh.remarks import remark
from bvh.rotations import (
    Array,
    between,
    conjugate,
    exp,
    identity,
    multiply,
    rotate,
)
from bvh.skeleton import JOINTS
from bvh.skeleton import PARENTS as CANONICAL_PARENTS

__all__ = [
    "CANONICAL",
    "INDEX",
    "NAMES",
    "OFFSETS",
    "PARENTS",
    "STATURE",
    "Pose",
    "clip_of",
    "find_up",
    "mean_body",
    "read_smpl",
]

NAMES: tuple[str, ...] = (
    "Pelvis", "L_Hip", "R_Hip", "Spine1", "L_Knee", "R_Knee", "Spine2", "L_Ankle", "R_Ankle",
    "Spine3", "L_Foot", "R_Foot", "Neck", "L_Collar", "R_Collar", "Head", "L_Shoulder",
    "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist",
)  # fmt: skip
"""The body's joints, in SMPL's order."""

PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19,
)  # fmt: skip

OFFSETS: Array = np.array(
    [
        [-0.0018, -0.2233, 0.0282],
        [0.0695, -0.0914, -0.0068],
        [-0.0677, -0.0905, -0.0043],
        [-0.0025, 0.1090, -0.0267],
        [0.0343, -0.3752, -0.0045],
        [-0.0383, -0.3826, -0.0089],
        [0.0055, 0.1352, 0.0011],
        [-0.0136, -0.3980, -0.0437],
        [0.0158, -0.3984, -0.0423],
        [0.0015, 0.0529, 0.0254],
        [0.0264, -0.0558, 0.1193],
        [-0.0254, -0.0481, 0.1233],
        [-0.0028, 0.2139, -0.0429],
        [0.0788, 0.1217, -0.0341],
        [-0.0818, 0.1188, -0.0386],
        [0.0052, 0.0650, 0.0513],
        [0.0910, 0.0305, -0.0089],
        [-0.0960, 0.0326, -0.0091],
        [0.2596, -0.0128, -0.0275],
        [-0.2537, -0.0133, -0.0214],
        [0.2492, 0.0090, -0.0012],
        [-0.2553, 0.0078, -0.0056],
    ]
)
"""Offsets ``(22, 3)`` of the joints from their parents in metres, X left, Y up, Z forward: the
neutral mean body of SMPL (betas zero), as published in PHC's humanoid (Luo et al. 2023, file
``phc/data/assets/mjcf/smpl_humanoid.xml`` of ZhengyiLuo/PHC). The first is that of the pelvis
from the origin."""
OFFSETS.setflags(write=False)

STATURE = 1.72
"""Height in metres of the mean body from sole to crown, to which ``--height`` is related.
Measured as any subject's is (:class:`bvh.Report`): along the bones, 18 cm over the head's joint."""

_WIDTHS = {72: "SMPL", 156: "SMPL+H", 165: "SMPL-X"}
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps")
# AMASS' names and those of the smplx package.
_PELVIS, _OTHERS = ("root_orient", "global_orient"), ("pose_body", "body_pose")
_PLACES = ("trans", "transl")
_BODY = 3 * (len(NAMES) - 1)
_FULL = 4.0 * np.pi  # rad; two whole turns
_SURE = 0.5  # by which one axis must point up more than the other
_DOWN = -0.7  # of the pelvis' axis along Y, on average: the body's head is at -Y
_FLOOR, _NEAR, _LEVEL = 0.9, 0.15, 0.08  # weight of a floor; metres from zero, and of its spread

INDEX: tuple[int, ...] = (
    0, 1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12, 15, 13, 16, 18, 20, 14, 17, 19, 21,
)  # fmt: skip
"""SMPL's joint of each canonical one."""

CANONICAL: tuple[int, ...] = tuple(INDEX.index(joint) for joint in range(len(INDEX)))
"""The canonical joint of each of SMPL's."""


@dataclass(frozen=True, eq=False)
class Pose:
    """Poses of the SMPL body.

    Attributes:
        rotations: ``(frames, 22, 4)`` local unit quaternions; the first is the pelvis in the world.
        positions: ``(frames, 3)`` of the pelvis in the world, metres.
        offsets: ``(22, 3)`` of the joints, metres.
        fps: frames per second.
        up: axis of the world that points up.
        model: its origin, for people to read.
        remarks: assumptions made.
        places: ``(frames, 22, 3)`` local positions, if they vary; else ``offsets``.
    """

    rotations: Array
    positions: Array
    offsets: Array
    fps: float
    up: str
    model: str
    remarks: tuple[str, ...] = ()
    places: Array | None = None


def read_smpl(
    path: Path,
    *,
    fps: float | None = None,
    up: str | None = None,
    height: float | None = None,
    body_model: str | None = None,
) -> Pose:
    """Read AMASS' ``.npz``: ``poses``, or ``root_orient`` and ``pose_body``; ``trans``; a rate.

    The names of the smplx package, as estimators of motion from video write them, will do too:
    ``global_orient``, ``body_pose`` (also of SMPL's 23 joints), ``transl``.

    Args:
        path: the file.
        fps: frames per second; overrides the file's.
        up: axis that points up; found if not given.
        height: stature of the subject, metres; of the mean body if not given.
        body_model: file of the body model, which places joints by betas.

    Raises:
        BVHError: an array is missing, of another width, not finite or of objects; no rate; or
            the body model cannot be used, or is given beside a height.
    """
    if height is not None and body_model is not None:
        raise BVHError(f"{path}: betas and the body model give its height; leave out --height")
    with open_npz(path) as data:
        vectors, model = _vectors(data)
        place = _either(data, _PLACES)
        trans = numbers(data, place)
        check_finite(trans, place, (3,))
        if len(trans) != len(vectors):
            raise BVHError(f"{place} has {len(trans)} frames, the poses have {len(vectors)}")
        rate = fps or next((_one(data, name) for name in _RATES if name in data), None)
        if rate is None:
            named = f"{', '.join(_RATES[:-1])} or {_RATES[-1]}"
            raise BVHError(f"states no {named}: give the rate with --source-fps")
        if not 0.5 <= rate <= 1e4:
            raise BVHError(f"states a rate of {rate:g} frames a second: give it with --source-fps")
        gender = _text(data, "gender")
        betas = _betas(data) if body_model is not None else np.zeros((1, 0))
    scale = 1.0 if height is None else height / STATURE
    offsets = scale * OFFSETS
    remarks = []
    if body_model is not None:
        offsets, told = _shaped(read_body_model(body_model), betas, gender)
        remarks += [remark("body", line) for line in told]
    elif height is None:
        who = f" ({gender})" if gender else ""
        remarks.append(
            remark(
                "body",
                f"the file has no bones of the subject{who}, so a mean body of {STATURE:g} m "
                "moves; give the stature with --height, or the bones with --body-model",
            )
        )
    rotations = exp(vectors)
    positions = trans + offsets[0]
    found, doubt = (up, "") if up else find_up(rotations[:, 0], _joints(rotations, positions))
    if doubt:
        remarks.append(remark("up-axis", doubt))
    return Pose(rotations, positions, offsets, rate, found, model, tuple(remarks))


def find_up(pelvis: Array, places: Array) -> tuple[str, str]:
    """Which axis of the world, Y, Z or -Y, points up; and a doubt, empty if there is none.

    A standing body points that way, and over a floor at zero the lowest joint is always near it.
    In a camera's coordinates, which estimators of motion from video use, Y points down.

    Args:
        pelvis: ``(frames, 4)`` world_from_pelvis; the pelvis' own Y points up when standing.
        places: ``(frames, 22, 3)`` of the joints in the world, metres.
    """
    y, z = rotate(pelvis, np.array([0.0, 1.0, 0.0])).mean(axis=0)[1:]
    low = places.min(axis=1)[:, 1:]
    near, level = np.abs(np.median(low, axis=0)) < _NEAR, low.std(axis=0) < _LEVEL
    floor_y, floor_z = (near & level).astype(float)
    if y < _DOWN and not floor_y and not floor_z:
        return "-y", "the body's head is at -Y, as in a camera's picture; give --up if it is wrong"
    sign = y - z + _FLOOR * (floor_y - floor_z)
    doubt = "the body leans too much to tell Y from Z; {} is taken, give --up if it is wrong"
    axis = "y" if sign > _SURE / 2 else "z"
    return axis, "" if abs(sign) > _SURE else doubt.format(axis.upper())


def clip_of(pose: Pose, name: str) -> Clip:
    """Poses as a clip of SMPL's joints, metres, Y up: how the family's zero pose stands.

    Normalised with ``up="y"`` and ``scale=1`` it is in the world of ``pose.up``.
    """
    turn = multiply(conjugate(world_from_source("y")), world_from_source(pose.up))
    rotations = pose.rotations.copy()
    rotations[:, 0] = multiply(np.broadcast_to(turn, rotations[:, 0].shape), rotations[:, 0])
    places = pose.offsets if pose.places is None else pose.places
    positions = np.broadcast_to(places, (len(rotations), *pose.offsets.shape)).copy()
    positions[:, 0] = rotate(turn, pose.positions)
    root = ("Xposition", "Yposition", "Zposition", "Zrotation", "Yrotation", "Xrotation")
    return Clip(
        names=NAMES,
        parents=PARENTS,
        offsets=pose.offsets,
        channels=(root, *[root[3:]] * (len(NAMES) - 1)),
        rotations=rotations,
        positions=positions,
        frame_time=1.0 / pose.fps,
        name=name,
        remarks=pose.remarks,
    )


def mean_body() -> tuple[Array, Array]:
    """Rest turns and offsets of the canonical skeleton in the mean body.

    Returns:
        ``(22, 4)`` constants C with ``S = G C``, global rotations of SMPL's and of the canonical
        joint in canonical axes; ``(22, 3)`` canonical offsets, metres.
    """
    rest = rotate(world_from_source("y"), OFFSETS)[list(INDEX)]
    turns = identity(len(JOINTS))
    for joint, parent in enumerate(CANONICAL_PARENTS):
        name = JOINTS[parent]
        side = 1.0 if name.startswith("Left") else -1.0
        way = {"UpLeg": [0, 0, -1], "Leg": [0, 0, -1], "Arm": [0, side, 0],
               "ForeArm": [0, side, 0], "Shoulder": [0, side, 0], "Spine": [0, 0, 1],
               "Spine1": [0, 0, 1], "Neck": [0, 0, 1]}  # fmt: skip
        kind = name.removeprefix("Left").removeprefix("Right")
        if parent >= 0 and kind in way:
            turns[parent] = between(rest[joint], np.array(way[kind], dtype=float))
        if parent >= 0 and kind == "Foot":
            # The toe is forward, whatever way it points out.
            ahead = np.array([1.0, 0.0, 0.0])
            turns[parent] = turns[joint] = between(rest[joint] * [1.0, 1.0, 0.0], ahead)
    for side_name in ("Left", "Right"):
        # A hand that is not turned goes on as its arm does.
        turns[JOINTS.index(side_name + "Hand")] = turns[JOINTS.index(side_name + "Arm")]
    offsets = rest.copy()
    for joint, parent in enumerate(CANONICAL_PARENTS):
        if parent >= 0:
            offsets[joint] = rotate(turns[parent], rest[joint])
    offsets[0] = 0.0
    return turns, offsets


def _shaped(model: BodyModel, betas: Array, gender: str) -> tuple[Array, list[str]]:
    """Offsets ``(22, 3)`` of the joints by a body model, metres, and what was assumed."""
    if model.parents[: len(PARENTS)] != PARENTS:
        raise BVHError(f"{model.name}: its first {len(PARENTS)} joints are not those of SMPL")
    told = []
    if not betas.size:
        told.append(f"the file states no betas, so the mean body of {model.name} moves")
        betas = np.zeros((1, 1))
    elif np.ptp(betas, axis=0).max() > 0:
        told.append("the betas change from frame to frame, so their mean is taken")
    shape, count = betas.mean(axis=0), model.shapes.shape[-1]
    if shape[count:].any():
        told.append(
            f"{model.name} has {count} betas, so the file's other {len(shape) - count} do not count"
        )
    sex = next((s for s in ("female", "neutral", "male") if s in model.name.lower()), "")
    if sex and gender in ("female", "male", "neutral") and sex != gender:
        told.append(f"the subject is {gender}, but {model.name} is of a {sex} body")
    joints = model.joints(shape)[: len(PARENTS)]
    offsets = joints.copy()
    offsets[1:] -= joints[list(PARENTS[1:])]
    return offsets, told


def _betas(data: Mapping[str, Any]) -> Array:
    """Betas ``(frames or 1, betas)``; none if the archive has none."""
    if "betas" not in data:
        return np.zeros((1, 0))
    betas = np.atleast_2d(numbers(data, "betas"))
    check_finite(betas, "betas", betas.shape[1:])
    return betas


def _joints(rotations: Array, pelvis: Array) -> Array:
    """World positions ``(frames, 22, 3)`` of the mean body's joints, metres."""
    local = np.broadcast_to(OFFSETS, (*rotations.shape[:2], 3)).copy()
    local[:, 0] = pelvis
    return forward_kinematics(rotations, local, PARENTS)[1]


def _vectors(data: Mapping[str, Any]) -> tuple[Array, str]:
    """Rotation vectors ``(frames, 22, 3)`` and the name of the model they are of."""
    if "poses" in data:
        poses = _flat(_no_matrices(numbers(data, "poses"), "poses"))
        if poses.ndim != 2 or poses.shape[1] not in _WIDTHS:
            wanted = ", ".join(f"{width} ({name})" for width, name in _WIDTHS.items())
            raise BVHError(f"poses: expected (frames, one of {wanted}), got {poses.shape}")
        check_finite(poses, "poses", (poses.shape[1],))
        model = _WIDTHS[poses.shape[1]]
        body = poses[:, : 3 + _BODY]
    else:
        pelvis, others = _either(data, _PELVIS), _either(data, _OTHERS)
        root, rest = (_flat(_no_matrices(numbers(data, name), name)) for name in (pelvis, others))
        if rest.ndim == 2 and rest.shape[1] == _BODY + 6:
            rest = rest[:, :_BODY]  # SMPL's hands are two joints more
        check_finite(root, pelvis, (3,))
        check_finite(rest, others, (_BODY,))
        if len(root) != len(rest):
            raise BVHError(f"{pelvis} has {len(root)} frames, {others} {len(rest)}")
        body, model = np.concatenate([root, rest], axis=1), "SMPL family"
    if (most := float(np.abs(body).max())) > _FULL:
        what = "poses" if "poses" in data else f"{pelvis} and {others}"
        raise BVHError(f"{what}: a rotation of {most:.4g} rad is too large; are they in degrees?")
    return body.reshape(len(body), -1, 3), model


def _either(data: Mapping[str, Any], names: tuple[str, str]) -> str:
    """Which of AMASS' and the smplx package's name an archive has, or would have."""
    smplx = any(those[1] in data for those in (_PELVIS, _OTHERS, _PLACES))
    return next((name for name in names if name in data), names[smplx])


def _no_matrices(rotations: Array, name: str) -> Array:
    if rotations.ndim > 2 and rotations.shape[-2:] == (3, 3):
        raise BVHError(
            f"{name}: rotation matrices {rotations.shape}, expected rotation vectors; "
            "scipy's Rotation.from_matrix(...).as_rotvec() makes them"
        )
    return rotations


def _flat(vectors: Array) -> Array:
    """``(frames, joints, 3)`` as ``(frames, 3 joints)``, as most files have it."""
    frames, *joints = vectors.shape
    return vectors.reshape(frames, math.prod(joints)) if vectors.ndim == 3 else vectors


def _one(data: Mapping[str, Any], name: str) -> float:
    value = numbers(data, name)
    if value.size != 1:
        raise BVHError(f"{name}: expected one number, got an array of {value.shape}")
    return float(value.reshape(-1)[0])


def _text(data: Mapping[str, Any], name: str) -> str:
    """Text of an archive, stored as text or bytes; empty if there is none."""
    text = "".join(words(data, name)[:1])
    return "".join(c for c in text if c.isalnum())[:16]
