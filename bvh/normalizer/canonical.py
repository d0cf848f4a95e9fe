"""Recognise clips that already are canonical motion, such as this package writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.clip import Clip
from bvh.normalizer.body import INDEX, body_length
from bvh.normalizer.geometry import unit
from bvh.normalizer.shapes import recognize
from bvh.normalizer.world import UP_AXES, find_scale, world_from_source
from bvh.rotations import Array, conjugate, multiply, rotate
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, PARENTS

__all__ = ["Canonical", "from_canonical"]

_ALIGNED = 1.0 - 1e-6
_TURNED = 0.01  # rad
_STRAIGHT = [
    INDEX[j]
    for j in ("Spine1", "Spine2", *(
        side + part for side in ("Left", "Right")
        for part in ("Leg", "Foot", "Arm", "ForeArm", "Hand")
    ))
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Canonical:
    """A clip in the canonical layout, in metres and world axes.

    Attributes:
        positions: ``(frames, 3)`` hips.
        rotations: ``(frames, 22, 4)`` local.
        offsets: ``(22, 3)`` rest offsets.
        up: source axis that points up.
        scale: metres per source unit.
        unit: that unit's name.
    """

    positions: Array
    rotations: Array
    offsets: Array
    up: str
    scale: float
    unit: str


def from_canonical(clip: Clip) -> Canonical | None:
    """Take over a clip that has the canonical joints in the canonical rest pose.

    That is: the 22 joints with their parents, the zero pose a T-pose with its bones
    along the axes, and no position channels but the root's. None for any other clip.
    Only so does a motion that was written come back with all of its rotations, also
    those that positions do not show.
    """
    if clip.names != JOINTS or tuple(clip.parents) != PARENTS:
        return None
    if not np.allclose(clip.positions[:, 1:], clip.offsets[1:], rtol=0, atol=1e-9):
        return None
    up = next((u for u in UP_AXES if _is_t_pose(rotate(world_from_source(u), clip.offsets))), None)
    if up is None:
        return None
    world = world_from_source(up)
    offsets = rotate(world, clip.offsets)
    offsets[0] = 0.0
    rest = np.zeros((1, len(JOINTS), 3))
    for joint, parent in enumerate(PARENTS[1:], start=1):
        rest[0, joint] = rest[0, parent] + offsets[joint]
    scale, unit_name = find_scale(body_length(rest, np.ones(len(JOINTS), dtype=bool)))
    rotations = multiply(multiply(world, clip.rotations), conjugate(world))
    positions = scale * rotate(world, clip.positions[:, 0])
    return Canonical(positions, rotations, scale * offsets, up, scale, unit_name)


def _is_t_pose(offsets: Array) -> bool:
    given, wanted = offsets[_STRAIGHT], DEFAULT_OFFSETS[_STRAIGHT]
    aligned = np.sum(unit(given) * unit(wanted), axis=-1)
    left, right, spine = (offsets[INDEX[j]] for j in ("LeftUpLeg", "RightUpLeg", "Spine"))
    width = left[1] - right[1]
    if (aligned < _ALIGNED).any() or width <= 0:
        return False
    # A known rig whose pelvis is tilted in its T-pose is that rig, not a canonical file.
    known = recognize((left + right)[[0, 2]] / 2 / width, spine[[0, 2]] / width)
    return known is None or abs(known[1]) < _TURNED
