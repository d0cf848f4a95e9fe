"""A clip reduced to the canonical joints, in metres and Z-up world axes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.normalizer.geometry import median, unit
from bvh.normalizer.mapping import SIDES, JointMap
from bvh.normalizer.rest import standing_up
from bvh.normalizer.units import find_scale
from bvh.normalizer.up_axis import Up, find_up
from bvh.normalizer.world_axes import world_from_source
from bvh.rates import SLOWEST
from bvh.rotations import Array, cross, identity, length, multiply, rotate
from bvh.skeleton import JOINTS

__all__ = [
    "INDEX",
    "SIDES",
    "Body",
    "body_length",
    "check_time",
    "extract",
    "left_is_left",
    "leg_length_of",
    "uprightness",
]

INDEX: dict[str, int] = {name: i for i, name in enumerate(JOINTS)}
"""Canonical joint -> its index."""

_SIZES = (1e-3, 1e4)  # m; bodies that a scale may make
_LEGS = tuple(tuple(s + part for part in ("UpLeg", "Leg", "Foot")) for s, _ in SIDES)
_ARMS = tuple((s + "Arm", s + "ForeArm") for s, _ in SIDES)
_TRUNK = ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")


@dataclass(frozen=True, eq=False)
class Body:
    """Global transforms of the canonical joints as the source has them.

    Each joint's rotations are known only up to a constant rotation on the right: a BVH file fixes
    no more, since its local axes are arbitrary.

    Attributes:
        rotations: ``(frames, 22, 4)`` world_from_source_joint; identity where missing.
        positions: ``(frames, 22, 3)`` metres; zero where missing.
        has: ``(22,)`` whether the source has the joint.
        frame_time: seconds per frame.
        up: source axis that points up.
        scale: metres per source unit.
        unit: its name, ``"given"`` or ``"unknown"``.
        found: how ``up`` was found; None where it was given.
    """

    rotations: Array
    positions: Array
    has: Array
    frame_time: float
    up: str
    scale: float
    unit: str
    found: Up | None = None

    def at(self, joint: str) -> Array:
        """Positions ``(frames, 3)`` of a joint."""
        out: Array = self.positions[:, INDEX[joint]]
        return out

    def present(self, joint: str) -> bool:
        """Whether the source has the joint."""
        return bool(self.has[INDEX[joint]])


def body_length(positions: Array, has: Array) -> float:
    """Mean leg plus hips-to-head length of ``(frames, 22, 3)``, summed along the bones."""
    trunk = [joint for joint in _TRUNK if has[INDEX[joint]]]
    return leg_length_of(positions) + float(_median_lengths(positions, list(pairwise(trunk))).sum())


def leg_length_of(positions: Array) -> float:
    """Mean length of thigh and shin of ``(frames, 22, 3)``, in their unit."""
    return float(_median_lengths(positions, [b for leg in _LEGS for b in pairwise(leg)]).sum() / 2)


def _median_lengths(positions: Array, bones: list[tuple[str, str]]) -> Array:
    """Median length ``(bones,)`` of bones between two joints each, of ``(frames, 22, 3)``."""
    upper, lower = ([INDEX[joint] for joint in ends] for ends in zip(*bones, strict=True))
    return median(length(positions[:, lower] - positions[:, upper])[..., 0])


def check_time(clip: Clip) -> None:
    """Raise a :class:`BVHError` for a clip without frames or without time between them."""
    if clip.frames == 0:
        raise BVHError(f"{clip.name}: no frames to normalise")
    if not (np.isfinite(clip.frame_time) and clip.frame_time > 0):
        raise BVHError(f"{clip.name}: frame time must be above zero, got {clip.frame_time}")
    if clip.frame_time >= SLOWEST:
        raise BVHError(
            f"{clip.name}: a frame time of {clip.frame_time:g} s is no motion; frames must be less "
            f"than {SLOWEST:g} s apart"
        )


def extract(clip: Clip, joints: JointMap, *, up: str | None, scale: float | None) -> Body:
    """Take the mapped joints of ``clip`` into world axes and metres.

    Raises:
        BVHError: a value is not finite, or a limb has no length.
    """
    rotations, positions, has = _gather(clip, joints)
    _check_finite(clip, joints, positions)
    size = body_length(positions, has)
    _check_limbs(clip, joints, positions, size)
    found = None
    if up is None:
        found = find_up(
            positions,
            has,
            standing=standing_up(clip, joints),
            size=size,
            frame_time=clip.frame_time,
        )
        up = found.axis
    unit_name = "given"
    if scale is None:
        scale, unit_name = find_scale(size)
    elif not (_SIZES[0] < scale * size < _SIZES[1]):
        if not scale > 0:
            raise BVHError(f"scale must be metres per source unit, above zero, got {scale}")
        raise BVHError(
            f"{clip.name}: with a scale of {scale:g} metres per source unit the body is "
            f"{scale * size:.3g} m large; give another scale"
        )
    world = world_from_source(up)
    return Body(
        # Joint by joint in memory, since that is how they are looked at.
        rotations=multiply(world, rotations.swapaxes(0, 1)).swapaxes(0, 1),
        positions=scale * rotate(world, positions.swapaxes(0, 1)).swapaxes(0, 1),
        has=has,
        frame_time=clip.frame_time,
        up=up,
        scale=scale,
        unit=unit_name,
        found=found,
    )


def _gather(clip: Clip, joints: JointMap) -> tuple[Array, Array, Array]:
    # Infinities are reported, with frame and joint, once it is known where they lead.
    with np.errstate(invalid="ignore"):
        all_rotations, all_positions = clip.global_transforms()
    has = np.zeros(len(JOINTS), dtype=bool)
    rotations = identity(clip.frames, len(JOINTS))
    positions = np.zeros((clip.frames, len(JOINTS), 3))
    rows = [INDEX[j] for j in joints.joints]
    columns = list(joints.joints.values())
    has[rows] = True
    rotations[:, rows] = all_rotations[:, columns]
    positions[:, rows] = all_positions[:, columns]
    for tip, parent in joints.tips.items():
        has[INDEX[tip]] = True
        rotations[:, INDEX[tip]] = all_rotations[:, parent]
        site = rotate(all_rotations[:, parent], clip.end_sites[parent])
        positions[:, INDEX[tip]] = all_positions[:, parent] + site
    return rotations, positions, has


def _check_finite(clip: Clip, joints: JointMap, positions: Array) -> None:
    finite = np.isfinite(positions)
    if not finite.all():
        frame, joint = (int(i) for i in np.argwhere(~finite)[0][:2])
        raise BVHError(
            f"{clip.name}: position of {joints.names(clip)[JOINTS[joint]]} is not finite "
            f"in frame {frame}"
        )


def _check_limbs(clip: Clip, joints: JointMap, positions: Array, size: float) -> None:
    bones = [bone for limb in (*_LEGS, *_ARMS) for bone in pairwise(limb)]
    for (a, b), length_ in zip(bones, _median_lengths(positions, bones), strict=True):
        if length_ <= 0.01 * size:
            names = joints.names(clip)
            raise BVHError(
                f"{clip.name}: {names[a]} and {names[b]} are at the same place, so they cannot "
                "be two joints of a limb; give another mapping"
            )


def uprightness(positions: Array) -> Array:
    """How far trunk and legs of ``(frames, 22, 3)`` point up, Z, in each frame: -1 to 1."""
    hips, feet = positions[:, INDEX["Hips"]], (INDEX["LeftFoot"], INDEX["RightFoot"])
    trunk = unit(positions[:, INDEX["Spine2"]] - hips)
    legs = unit(hips - positions[:, feet].mean(axis=1))
    out: Array = (trunk[:, 2] + legs[:, 2]) / 2
    return out


def left_is_left(body: Body) -> float:
    """How far the body agrees with its names of left and right, -1 to 1; near 0 it is undecided.

    Knees bend about the axis that points left, and toes point forward; if neither holds, the sides'
    names are exchanged.
    """
    lateral = unit(body.at("LeftUpLeg") - body.at("RightUpLeg"))
    trunk = unit(body.at("Spine2") - body.at("Hips"))
    knees: list[Array] = []
    toes: list[Array] = []
    for side, _ in SIDES:
        thigh = unit(body.at(side + "Leg") - body.at(side + "UpLeg"))
        shin = unit(body.at(side + "Foot") - body.at(side + "Leg"))
        knees.append(np.sum(cross(thigh, shin) * lateral, axis=-1))
        if body.present(side + "Toe"):
            toe = unit(body.at(side + "Toe") - body.at(side + "Foot"))
            toes.append(np.sum(cross(trunk, toe) * lateral, axis=-1))
    # Both must agree: either alone is fooled by a pose.
    votes = [float(np.mean(v)) for v in (knees, toes) if v]
    agree = all(v > 0 for v in votes) or all(v < 0 for v in votes)
    return float(np.clip(sum(votes) / len(votes), -1, 1)) if agree else 0.0
