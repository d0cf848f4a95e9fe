"""A clip reduced to the canonical joints, in metres and Z-up world axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.clip import Clip
from bvh.normalizer.mapping import JointMap
from bvh.normalizer.world import find_scale, find_up, world_from_source
from bvh.rotations import Array, identity, multiply, rotate
from bvh.skeleton import JOINTS

__all__ = ["INDEX", "Body", "body_length", "extract"]

INDEX: dict[str, int] = {name: i for i, name in enumerate(JOINTS)}
"""Canonical joint -> its index."""

_CHAINS = (
    ("LeftUpLeg", "LeftLeg", "LeftFoot"),
    ("RightUpLeg", "RightLeg", "RightFoot"),
    ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"),
)


@dataclass(frozen=True, eq=False)
class Body:
    """Global transforms of the canonical joints as the source has them.

    Rotations are right only up to an unknown constant rotation on the right per
    joint: that is all a BVH file fixes, since its local axes are arbitrary.

    Attributes:
        rotations: ``(frames, 22, 4)`` world_from_source_joint; identity where missing.
        positions: ``(frames, 22, 3)`` metres; zero where missing.
        has: ``(22,)`` whether the source has the joint.
        frame_time: seconds per frame.
        up: source axis that points up.
        scale: metres per source unit.
        unit: its name, or ``"unknown"``.
    """

    rotations: Array
    positions: Array
    has: Array
    frame_time: float
    up: str
    scale: float
    unit: str

    def at(self, joint: str) -> Array:
        """Positions ``(frames, 3)`` of a joint."""
        out: Array = self.positions[:, INDEX[joint]]
        return out

    def present(self, joint: str) -> bool:
        """Whether the source has the joint."""
        return bool(self.has[INDEX[joint]])


def body_length(positions: Array, has: Array) -> float:
    """Mean leg plus hips-to-head length ``(frames, 22, 3)``, summed along the bones."""
    lengths = []
    for chain in _CHAINS:
        points = positions[:, [INDEX[j] for j in chain if has[INDEX[j]]]]
        bones = np.linalg.norm(np.diff(points, axis=1), axis=-1)
        lengths.append(float(np.median(bones, axis=0).sum()))
    return (lengths[0] + lengths[1]) / 2 + lengths[2]


def extract(clip: Clip, joints: JointMap, *, up: str | None, scale: float | None) -> Body:
    """Take the mapped joints of ``clip`` into world axes and metres."""
    all_rotations, all_positions = clip.global_transforms()
    rows = [INDEX[j] for j in joints.joints]
    columns = list(joints.joints.values())
    has = np.zeros(len(JOINTS), dtype=bool)
    has[rows] = True
    rotations = identity(clip.frames, len(JOINTS))
    positions = np.zeros((clip.frames, len(JOINTS), 3))
    rotations[:, rows] = all_rotations[:, columns]
    positions[:, rows] = all_positions[:, columns]
    if up is None:
        feet = positions[:, [INDEX["LeftFoot"], INDEX["RightFoot"]]]
        up = find_up(positions[:, INDEX["Hips"]], positions[:, INDEX["Spine2"]], feet)
    unit = "given"
    if scale is None:
        scale, unit = find_scale(body_length(positions, has))
    world = world_from_source(up)
    return Body(
        rotations=multiply(world, rotations),
        positions=scale * rotate(world, positions),
        has=has,
        frame_time=clip.frame_time,
        up=up,
        scale=scale,
        unit=unit,
    )
