"""Canonical rotations and offsets of a body whose axes are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bvh.normalizer.body import INDEX, SIDES, Body
from bvh.normalizer.geometry import median, perpendicular, unit
from bvh.rotations import Array, between, conjugate, identity, multiply, rotate, slerp
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, PARENTS

__all__ = ["Solution", "solve"]

_UP = np.array([0.0, 0.0, 1.0])
_LEFT = np.array([0.0, 1.0, 0.0])

_BONES: dict[str, tuple[str, Array]] = {
    "Spine": ("Spine1", _UP),
    "Spine1": ("Spine2", _UP),
    "Neck": ("Head", _UP),
    "LeftUpLeg": ("LeftLeg", -_UP),
    "RightUpLeg": ("RightLeg", -_UP),
    "LeftShoulder": ("LeftArm", _LEFT),
    "LeftArm": ("LeftForeArm", _LEFT),
    "RightShoulder": ("RightArm", -_LEFT),
    "RightArm": ("RightForeArm", -_LEFT),
}
"""Joints that aim one bone: the child, and the bone's direction in the rest pose."""

_HINGES: dict[str, tuple[str, Array]] = {
    "LeftLeg": ("LeftFoot", -_UP),
    "RightLeg": ("RightFoot", -_UP),
    "LeftForeArm": ("LeftHand", _LEFT),
    "RightForeArm": ("RightHand", -_LEFT),
}
"""Joints that bend away from their parent and do not twist against it, likewise."""

_ENDS = ("Head", *(s + p for s, _ in SIDES for p in ("Hand", "Toe")))
_PARENT = {joint: PARENTS[i] for joint, i in INDEX.items()}
_SHORT = 1e-3  # m; a shorter bone has no direction
_CONSTANT = 1e-4  # m; a bone whose length varies less is rigid


@dataclass(frozen=True, eq=False)
class Solution:
    """Canonical motion at the source's rate, its floor not yet at z = 0.

    Attributes:
        positions: ``(frames, 3)`` hips, metres.
        rotations: ``(frames, 22, 4)`` local.
        offsets: ``(22, 3)`` rest offsets, metres.
        stretch: ``(22,)`` how far each joint strays from its offset, metres.
        moved: whether Spine1 is away from the source's joint, because dropped joints bend beside
            it.
    """

    positions: Array
    rotations: Array
    offsets: Array
    stretch: Array
    moved: bool


def solve(body: Body, axes: Array) -> Solution:
    """Put the canonical skeleton onto a body.

    Args:
        body: global transforms of the source's joints.
        axes: ``(22, 4)`` canonical_from_source axes per joint.
    """
    turns = multiply(body.rotations.swapaxes(0, 1), conjugate(axes)[:, None]).swapaxes(0, 1)
    positions = body.positions.copy()
    _fill(body, turns, positions)
    moved = _keep_lengths(positions, "Spine", "Spine1", "Spine2", turns)
    hips, chest = turns[:, INDEX["Hips"]], turns[:, INDEX["Spine2"]]
    for joint, share in (("Spine", 1 / 3), ("Spine1", 2 / 3)):
        turns[:, INDEX[joint]] = slerp(hips, chest, np.full(len(hips), share))
    for joint in ("Neck", "LeftShoulder", "RightShoulder"):
        turns[:, INDEX[joint]] = chest
    _aim(_BONES, turns, positions)
    for joint in _HINGES:
        turns[:, INDEX[joint]] = turns[:, _PARENT[joint]]
    _aim(_HINGES, turns, positions)
    for joint in _ENDS:
        if not body.present(joint):
            turns[:, INDEX[joint]] = turns[:, _PARENT[joint]]
    return _local(turns, positions, moved=moved)


def _local(turns: Array, positions: Array, *, moved: bool) -> Solution:
    parents = list(PARENTS[1:])
    to_parent = conjugate(turns[:, parents])
    local = np.concatenate([turns[:, :1], multiply(to_parent, turns[:, 1:])], axis=1)
    local = np.where(local[..., :1] < 0, -local, local)
    bones = rotate(to_parent, positions[:, 1:] - positions[:, parents])
    offsets = np.zeros((len(JOINTS), 3))
    offsets[1:] = median(bones)
    for child, direction in (_BONES | _HINGES).values():
        # Aimed bones lie along their rest direction; their length is all that is measured.
        offsets[INDEX[child]] = direction * (direction @ offsets[INDEX[child]])
    stretch = np.zeros(len(JOINTS))
    stretch[1:] = np.abs(bones - offsets[1:]).max(axis=(0, 2))
    # No negative zeros in what users will print.
    return Solution(positions[:, 0], local, offsets + 0.0, stretch, moved)


def _fill(body: Body, turns: Array, positions: Array) -> None:
    """Place joints the source lacks."""

    def local(joint: str, base: str) -> Array:
        bone = positions[:, INDEX[joint]] - positions[:, INDEX[base]]
        return median(rotate(conjugate(turns[:, INDEX[base]]), bone))

    def place(joint: str, base: str, offset: Array, turned_like: str) -> None:
        turned = rotate(turns[:, INDEX[turned_like]], offset)
        positions[:, INDEX[joint]] = positions[:, INDEX[base]] + turned

    def place_between(joint: str, a: str, b: str, share: float) -> None:
        start, end = positions[:, INDEX[a]], positions[:, INDEX[b]]
        positions[:, INDEX[joint]] = start + share * (end - start)

    default = {joint: DEFAULT_OFFSETS[i] for joint, i in INDEX.items()}
    missing = {joint for joint in JOINTS if not body.present(joint)}
    if "Spine" in missing:
        place_between("Spine", "Hips", "Spine2", 1 / 3)
    if "Spine1" in missing:
        place_between("Spine1", "Spine", "Spine2", 1 / 2)
    if "Neck" in missing:
        above = default["Neck"] if "Head" in missing else local("Head", "Spine2") * (2 / 3)
        place("Neck", "Spine2", above, "Spine2")
    if "Head" in missing:
        place("Head", "Neck", default["Head"], "Spine2")
    for side, _ in SIDES:
        arm, fore = side + "Arm", side + "ForeArm"
        if side + "Shoulder" in missing:
            # Beside the spine at the height of the arm, so that the clavicle lies across.
            place(side + "Shoulder", "Spine2", local(arm, "Spine2") * [1, 1 / 3, 1], "Spine2")
        if side + "Hand" in missing:
            place(side + "Hand", fore, default[side + "Hand"], arm)
        if side + "Toe" in missing:
            place(side + "Toe", side + "Foot", default[side + "Toe"], side + "Foot")


def _keep_lengths(positions: Array, top: str, middle: str, end: str, turns: Array) -> bool:
    """Move a joint so that both its bones have constant length.

    Joints that the canonical skeleton drops bend the way between those it keeps.

    Returns:
        Whether it had to be moved.
    """
    a, b, c = (positions[:, INDEX[j]] for j in (top, middle, end))
    upper, lower = np.linalg.norm(b - a, axis=-1), np.linalg.norm(c - b, axis=-1)
    if max(np.ptp(upper), np.ptp(lower)) < _CONSTANT:
        return False
    reach = np.linalg.norm(c - a, axis=-1)
    first, second = np.median(upper), np.median(lower)
    # Long enough to reach from end to end in every frame.
    stretch = max(1.0, float(reach.max() / (first + second)))
    first, second = stretch * first, stretch * second
    axis = unit(c - a)
    along = (reach**2 + first**2 - second**2) / (2 * np.maximum(reach, _SHORT))
    out = np.sqrt(np.maximum(first**2 - along**2, 0.0))
    # Where the source is straight, spines bend back.
    back = rotate(turns[:, INDEX[end]], np.array([-1e-4, 0.0, 0.0]))
    side = unit(perpendicular(b - a + back, axis))
    positions[:, INDEX[middle]] = a + along[:, None] * axis + out[:, None] * side
    return True


def _aim(bones: Mapping[str, tuple[str, Array]], turns: Array, positions: Array) -> None:
    """Swing each bone, by the least rotation, exactly onto its child."""
    joints = [INDEX[j] for j in bones]
    children = [INDEX[child] for child, _ in bones.values()]
    rest = np.stack([direction for _, direction in bones.values()])
    ways = positions[:, children] - positions[:, joints]
    swing = between(rotate(turns[:, joints], rest), ways)
    long = np.linalg.norm(ways, axis=-1, keepdims=True) > _SHORT
    turns[:, joints] = multiply(np.where(long, swing, identity()), turns[:, joints])
