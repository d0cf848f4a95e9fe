"""Canonical rotations and offsets of a calibrated body."""

from __future__ import annotations

import numpy as np

from bvh.normalizer.body import INDEX, Body
from bvh.rotations import Array, between, conjugate, identity, multiply, rotate, slerp
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, PARENTS

__all__ = ["solve"]

_UP = np.array([0.0, 0.0, 1.0])
_LEFT = np.array([0.0, 1.0, 0.0])

_BONES: dict[str, tuple[str, Array]] = {
    "Spine": ("Spine1", _UP),
    "Spine1": ("Spine2", _UP),
    "Neck": ("Head", _UP),
    "LeftUpLeg": ("LeftLeg", -_UP),
    "LeftLeg": ("LeftFoot", -_UP),
    "RightUpLeg": ("RightLeg", -_UP),
    "RightLeg": ("RightFoot", -_UP),
    "LeftShoulder": ("LeftArm", _LEFT),
    "LeftArm": ("LeftForeArm", _LEFT),
    "LeftForeArm": ("LeftHand", _LEFT),
    "RightShoulder": ("RightArm", -_LEFT),
    "RightArm": ("RightForeArm", -_LEFT),
    "RightForeArm": ("RightHand", -_LEFT),
}
"""Joints that aim one bone: the child, and the bone's direction in the rest pose."""

_SHORT = 1e-3  # m; a shorter bone has no direction


def solve(body: Body, calibration: Array) -> tuple[Array, Array, Array]:
    """Put the canonical skeleton onto a body.

    Args:
        body: global transforms of the source's joints.
        calibration: ``(22, 4)`` canonical_from_source axes per joint.

    Returns:
        Root positions ``(frames, 3)``, local rotations ``(frames, 22, 4)`` and
        offsets ``(22, 3)``.
    """
    turns = multiply(body.rotations, conjugate(calibration))
    positions = body.positions.copy()
    _fill(body, turns, positions)
    _derive(body, turns, positions)
    _aim(turns, positions)
    parents = list(PARENTS[1:])
    local = turns.copy()
    local[:, 1:] = multiply(conjugate(turns[:, parents]), turns[:, 1:])
    local = np.where(local[..., :1] < 0, -local, local)
    bones = positions[:, 1:] - positions[:, parents]
    offsets = np.zeros((len(JOINTS), 3))
    offsets[1:] = np.median(rotate(conjugate(turns[:, parents]), bones), axis=0)
    for child, direction in _BONES.values():
        # Aimed bones lie along their rest direction; their length is all that is measured.
        bone = bones[:, INDEX[child] - 1]
        offsets[INDEX[child]] = direction * np.median(np.linalg.norm(bone, axis=-1))
    return positions[:, 0], local, offsets


def _fill(body: Body, turns: Array, positions: Array) -> None:
    """Place joints the source lacks."""

    def place(joint: str, base: str, offset: Array) -> None:
        b = INDEX[base]
        positions[:, INDEX[joint]] = positions[:, b] + rotate(turns[:, b], offset)

    def local(joint: str, base: str) -> Array:
        b = INDEX[base]
        bone = positions[:, INDEX[joint]] - positions[:, b]
        out: Array = np.median(rotate(conjugate(turns[:, b]), bone), axis=0)
        return out

    def default(joint: str) -> Array:
        out: Array = DEFAULT_OFFSETS[INDEX[joint]]
        return out

    def between_joints(joint: str, a: str, b: str, share: float) -> None:
        start, end = positions[:, INDEX[a]], positions[:, INDEX[b]]
        positions[:, INDEX[joint]] = start + share * (end - start)

    missing = {joint for joint in JOINTS if not body.present(joint)}
    if "Spine" in missing:
        between_joints("Spine", "Hips", "Spine2", 1 / 3)
    if "Spine1" in missing:
        between_joints("Spine1", "Spine", "Spine2", 0.5)
    if "Neck" in missing:
        above = local("Head", "Spine2") * (2 / 3) if "Head" not in missing else default("Neck")
        place("Neck", "Spine2", above)
    if "Head" in missing:
        place("Head", "Spine2", local("Neck", "Spine2") + default("Head"))
    for side in ("Left", "Right"):
        if side + "Shoulder" in missing:
            place(side + "Shoulder", "Spine2", local(side + "Arm", "Spine2") * [1, 1 / 3, 1])
        if side + "Hand" in missing:
            place(side + "Hand", side + "ForeArm", default(side + "Hand"))
        if side + "Toe" in missing:
            place(side + "Toe", side + "Foot", default(side + "Toe"))


def _derive(body: Body, turns: Array, positions: Array) -> None:
    """Orient joints whose rotation follows from positions and from their neighbours."""
    hips, chest = turns[:, INDEX["Hips"]], turns[:, INDEX["Spine2"]]
    for joint, share in (("Spine", 1 / 3), ("Spine1", 2 / 3)):
        turns[:, INDEX[joint]] = slerp(hips, chest, np.full(len(hips), share))
    for joint in ("Neck", "LeftShoulder", "RightShoulder"):
        turns[:, INDEX[joint]] = chest
    for joint, parent in (
        ("Head", "Neck"),
        *((s + "Toe", s + "Foot") for s in ("Left", "Right")),
        *((s + "Hand", s + "ForeArm") for s in ("Left", "Right")),
    ):
        if not body.present(joint):
            turns[:, INDEX[joint]] = turns[:, INDEX[parent]]


def _aim(turns: Array, positions: Array) -> None:
    """Swing each bone, by the least rotation, exactly onto its child."""
    joints = [INDEX[j] for j in _BONES]
    children = [INDEX[child] for child, _ in _BONES.values()]
    rest = np.stack([direction for _, direction in _BONES.values()])
    bones = positions[:, children] - positions[:, joints]
    swing = between(rotate(turns[:, joints], rest), bones)
    long = np.linalg.norm(bones, axis=-1, keepdims=True) > _SHORT
    swing = np.where(long, swing, identity())
    turns[:, joints] = multiply(swing, turns[:, joints])
