"""Recognise clips that are canonical motion already, such as those that this package writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.clip import Clip
from bvh.forward_kinematics import forward_kinematics
from bvh.normalizer.body import INDEX, body_length, uprightness
from bvh.normalizer.geometry import quantile, unit
from bvh.normalizer.shapes import recognize
from bvh.normalizer.units import UNITS, find_scale
from bvh.normalizer.up_axis import UP_AXES, find_up
from bvh.normalizer.world_axes import world_from_source
from bvh.remarks import remark
from bvh.rotations import Array, conjugate, multiply, rotate
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, PARENTS

__all__ = ["Canonical", "from_canonical"]

_ALIGNED = 1.0 - 1e-6
_TURNED = 0.01  # rad
_LOOKS = 60  # frames that tell whether the body is turned
_UPRIGHT = 0.5  # cosine; a body that crouches or bends forward is above, one that lies below
_BELOW, _ABOVE = 0.05, 0.3  # m; the lowest joint of a body on its floor
_FAR_BELOW = 0.2  # m; no body hangs so far below its floor all the time
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
        points: ``(n, 22, 3)`` joints in frames spread over the clip.
        problems: a line if the body is off its floor but on the floor of another axis.
    """

    positions: Array
    rotations: Array
    offsets: Array
    up: str
    scale: float
    unit: str
    points: Array
    problems: tuple[str, ...] = ()


def from_canonical(clip: Clip) -> Canonical | None:
    """Accept a clip that has the canonical joints in the canonical rest pose.

    That is: the 22 joints with their parents, the zero pose a T-pose with its bones
    along the axes, no position channels but the root's, and its floor under the body.
    None for any other clip.
    So a written motion comes back with all its rotations, also those that positions do not show.
    """
    if clip.frames == 0 or clip.names != JOINTS or tuple(clip.parents) != PARENTS:
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
    size = body_length(rest, np.ones(len(JOINTS), dtype=bool))
    # Files of this kind are written in centimetres, by a child and by a giant too.
    scale, unit_name = (UNITS["cm"], "cm") if 40.0 < size < 600.0 else find_scale(size)
    rotations = multiply(multiply(world, clip.rotations), conjugate(world))
    positions = scale * rotate(world, clip.positions[:, 0])
    points = _some_points(positions, rotations, scale * offsets)
    if _lies(points) and _is_turned(points, up, clip.duration / len(points)):
        return None
    problems = _doubts(points, up)
    return Canonical(positions, rotations, scale * offsets, up, scale, unit_name, points, problems)


def _some_points(positions: Array, rotations: Array, offsets: Array) -> Array:
    """Joints ``(n, 22, 3)`` in frames spread over the clip."""
    frames = np.unique(np.linspace(0, len(positions) - 1, _LOOKS).astype(int))
    local = np.broadcast_to(offsets, (len(frames), *offsets.shape)).copy()
    local[:, 0] = positions[frames]
    return forward_kinematics(rotations[frames], local, PARENTS)[1]


def _lies(points: Array) -> bool:
    return bool(np.median(uprightness(points)) < _UPRIGHT)


def _is_turned(points: Array, up: str, frame_time: float) -> bool:
    """Whether a body that lies does so because the file's root turns it out of its rest pose.

    It then hangs far below its floor, or off it while it stands on the floor of another
    axis. A body that lies on its own floor stays as it is.
    """
    lowest = points[..., 2].min(axis=1)
    if np.median(lowest) < -_FAR_BELOW:
        return True
    if _on_floor(lowest) or not np.isfinite(points).all():
        return False
    back = conjugate(world_from_source(up))
    source = rotate(back, points)
    every = np.ones(len(JOINTS), dtype=bool)
    found = find_up(
        source,
        every,
        standing=rotate(back, np.array([0.0, 0.0, 1.0])),
        size=body_length(points, every),
        frame_time=frame_time,
    ).axis
    heights = rotate(world_from_source(found), source)[..., 2]
    return found != up and _on_floor(heights.min(axis=1))


def _doubts(points: Array, up: str) -> tuple[str, ...]:
    """A line if the body is off the floor along ``up`` but on the floor of another axis."""
    if _on_floor(points[..., 2].min(axis=1)):
        return ()
    source = rotate(conjugate(world_from_source(up)), points)
    for other in UP_AXES:
        heights = rotate(world_from_source(other), source)[..., 2]
        if other != up and _on_floor(heights.min(axis=1)):
            why = "but the body is not on the file's floor along it"
            return (remark("up-axis", f"{up} is taken for up, {why}; it may be {other}"),)
    return ()


def _on_floor(lowest: Array) -> bool:
    """Whether heights ``(n,)`` of the lowest joint are those of a body on its floor."""
    return bool(quantile(lowest, 0.1) >= -_BELOW and quantile(lowest, 0.9) <= _ABOVE)


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
