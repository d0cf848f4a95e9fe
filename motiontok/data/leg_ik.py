"""Move ankles by bending knees and swinging thighs."""

from __future__ import annotations

import numpy as np

from bvh import rotations as rot
from bvh.rotations import Array
from bvh.skeleton import JOINTS

__all__ = ["LEGS", "move_ankles"]

LEGS = tuple(
    tuple(JOINTS.index(side + part) for part in ("UpLeg", "Leg", "Foot"))
    for side in ("Left", "Right")
)
"""Joints at hip, knee and ankle: left, right."""

_STRETCHED = 0.995  # of a leg's length; nearer to it a knee turns ever faster
_STRAIGHT = 1e-3  # sine of a knee's bend that shows the axis no longer
_SIDE = np.array([0.0, 1.0, 0.0])  # axis about which knees bend in the T-pose


def move_ankles(turns: Array, places: Array, shift: Array) -> Array:
    """Local rotations ``(frames, 2, 3, 4)`` of hips, knees and ankles once ankles are moved.

    A knee bends about its own axis until the ankle is as far from the hip as wanted, then the leg
    swings there by the shortest turn (the analytic solution of two bones, Kovar et al. 2002,
    "Footskate Cleanup for Motion Capture Editing", section 4.2). Feet keep their orientation. An
    ankle out of reach comes as near as it can.

    Args:
        turns: ``(frames, joints, 4)`` world rotations of the joints, the hips first.
        places: ``(frames, joints, 3)`` of them, metres.
        shift: ``(frames, 2, 3)`` of left and right ankle, metres.
    """
    hips, knees, ankles = (list(joints) for joints in zip(*LEGS, strict=True))
    thigh, shin = places[:, knees] - places[:, hips], places[:, ankles] - places[:, knees]
    straight = places[:, ankles] - places[:, hips]
    goal = straight + shift
    a, b, before = (rot.length(bone)[..., 0] for bone in (thigh, shin, straight))
    most = np.clip(before, _STRETCHED * (a + b), a + b)
    after = np.clip(rot.length(goal)[..., 0], np.abs(a - b), most)
    opened = _knee(a, b, after) - _knee(a, b, before)

    axis = rot.cross(thigh, shin)
    sine = rot.length(axis)
    bent = sine > _STRAIGHT * (a * b)[..., None]
    usual = rot.rotate(turns[:, knees], _SIDE)
    axis = np.where(bent, axis / np.maximum(sine, 1e-12), usual)
    bend = rot.from_axis_angle(axis, -opened)
    swing = rot.between(thigh + rot.rotate(bend, shin), goal)

    at_hip = rot.multiply(swing, turns[:, hips])
    at_knee = rot.multiply(rot.multiply(swing, bend), turns[:, knees])
    above = [np.broadcast_to(turns[:, :1], at_hip.shape), at_hip, at_knee]
    own = [at_hip, at_knee, turns[:, ankles]]
    local = [rot.multiply(rot.conjugate(p), q) for p, q in zip(above, own, strict=True)]
    return np.stack(local, axis=2)


def _knee(thigh: Array, shin: Array, distance: Array) -> Array:
    """Inner angles (rad) of knees, by lengths and the distance of ankles from hips."""
    # A bone without a length has no angle: any will do.
    product = np.maximum(2.0 * thigh * shin, 1e-12)
    cosine = (thigh**2 + shin**2 - distance**2) / product
    return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))
