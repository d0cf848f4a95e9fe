"""Distinguish animals from people by build and stance.

Captures of dogs and horses have a person's joints, often by a person's names. But their arms
are legs, as long as the others; the trunk is longer than a leg; the foot is half a leg, and
they stand on it with the spine level; and many have a tail. A person on hands and feet has none of
these, except a costume's tail, and no person has three.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.forward_kinematics import forward_kinematics
from bvh.normalizer.body import Body, leg_length_of
from bvh.normalizer.geometry import median, unit
from bvh.normalizer.mapping import SIDES, JointMap
from bvh.normalizer.tree import path
from bvh.rotations import Array, dot, length

__all__ = ["refuse_animals"]

# Of people, in 70 captures of CMU, SNU, LAFAN1 and Bandai-Namco: arms 0.56 to 0.70 of a leg
# (thigh and shin), hips to shoulders 0.34 to 0.71 of it, foot 0.49 of a shin at most.
_ARMS, _TRUNK, _FOOT = 0.82, 0.95, 0.58
_TAIL = 0.3  # of a leg
_MIDDLE = 0.35  # sine; a tail leaves the plane between left and right by less
_SQUARE, _ALONG, _STRAIGHT = 0.6, 0.5, 0.55  # spine across legs, arms along them, both extended
_LOOKS = 100  # frames that tell how a body is built and stands
_MOSTLY = 0.5  # of the frames


def refuse_animals(clip: Clip, joints: JointMap, body: Body) -> None:
    """Raise a :class:`BVHError` if the body is that of an animal on four legs."""
    picked = np.unique(np.linspace(0, clip.frames - 1, _LOOKS).astype(int))
    body = replace(body, positions=body.positions[picked])
    leg = leg_length_of(body.positions)
    signs = {}
    arms = np.mean([_span(body, s + "Arm", s + "ForeArm", _hand(body, s)) for s, _ in SIDES]) / leg
    if all(body.present(s + "Hand") for s, _ in SIDES) and arms > _ARMS:
        signs["arms"] = f"arms {arms:.2f} of a leg"
    trunk = float(median(length(_shoulders(body) - body.at("Hips"))[..., 0])) / leg
    if trunk > _TRUNK:
        signs["trunk"] = f"a trunk {trunk:.2f} of a leg"
    if all(body.present(s + "Toe") for s, _ in SIDES):
        foot = np.mean(
            [_span(body, s + "Foot", s + "Toe") / _span(body, s + "Leg", s + "Foot")
             for s, _ in SIDES]
        )  # fmt: skip
        if foot > _FOOT:
            signs["foot"] = f"feet {foot:.2f} of a shin"
    if _has_tail(clip, joints):
        signs["tail"] = "a tail"
    on_four = float(np.mean(_on_four(body))) > _MOSTLY
    built = "trunk" in signs and len(signs) > 2
    if built or (on_four and signs.keys() - {"tail"}):
        found = ", ".join([*signs.values(), *(["it stands on four legs"] if on_four else [])])
        raise BVHError(
            f"{clip.name}: an animal, not a person ({found}); to take it for one all the same, "
            "name its joints in a mapping (canonical joint = source joint)"
        )


def _hand(body: Body, side: str) -> str:
    return side + ("Hand" if body.present(side + "Hand") else "ForeArm")


def _span(body: Body, *joints: str) -> float:
    """Median length along joints, metres."""
    return sum(float(median(length(body.at(b) - body.at(a))[..., 0])) for a, b in pairwise(joints))


def _shoulders(body: Body) -> Array:
    out: Array = (body.at("LeftArm") + body.at("RightArm")) / 2
    return out


def _on_four(body: Body) -> Array:
    """Frames ``(frames,)`` in which all limbs are extended side by side, across the spine."""
    spine = unit(_shoulders(body) - body.at("Hips"))
    ways: list[Array] = []
    extended = np.ones(len(spine), dtype=bool)
    for side, _ in SIDES:
        for joints in (
            ("UpLeg", "Leg", "Foot"),
            ("Arm", "ForeArm", _hand(body, side)[len(side) :]),
        ):
            names = [side + joint for joint in joints]
            way = body.at(names[-1]) - body.at(names[0])
            extended &= length(way)[..., 0] > _STRAIGHT * _span(body, *names)
            ways.append(unit(way))
    along = unit(np.sum(ways, axis=0))
    parallel = np.min([dot(way, along) for way in ways], axis=0) > _ALONG
    out: Array = extended & parallel & (np.abs(dot(spine, along)) < _SQUARE)
    return out


def _has_tail(clip: Clip, joints: JointMap) -> bool:
    """Whether joints hang on the hips in the middle that are neither legs nor trunk."""
    hips = joints.joints["Hips"]
    taken = {j for end in ("LeftUpLeg", "RightUpLeg", "Spine2")
             for j in path(clip.parents, hips, joints.joints[end])}  # fmt: skip
    if not any(p == hips and j not in taken for j, p in enumerate(clip.parents)):
        return False
    half = clip.frames // 2
    points = forward_kinematics(clip.rotations[half], clip.positions[half], clip.parents)[1]
    lateral = unit(points[joints.joints["LeftUpLeg"]] - points[joints.joints["RightUpLeg"]])
    leg = sum(
        float(np.linalg.norm(points[joints.joints[f"Left{b}"]] - points[joints.joints[f"Left{a}"]]))
        for a, b in (("UpLeg", "Leg"), ("Leg", "Foot"))
    )
    reach: dict[int, float] = {}
    for joint, parent in enumerate(clip.parents):
        if parent == hips and joint not in taken:
            reach[joint] = 0.0
        elif parent in reach:
            reach[joint] = reach[parent] + float(np.linalg.norm(points[joint] - points[parent]))
    for joint, long in reach.items():
        way = points[joint] - points[hips]
        site = clip.end_sites.get(joint)
        total = long + (0.0 if site is None else float(np.linalg.norm(site)))
        if total > _TAIL * leg and long > 0.0 and abs(float(unit(way) @ lateral)) < _MIDDLE:
            return True
    return False
