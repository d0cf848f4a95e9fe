"""The shipped map that fits a description, for any file name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from motiontok.robots.model.frames import body_of_frame
from motiontok.robots.model.maps import RobotMap

__all__ = ["OPTIONAL", "fitting_map"]

OPTIONAL = frozenset({"Spine", "Spine1", "Spine2", "Neck", "Head", "LeftHand", "RightHand"})
"""Joints that a variant of a robot may lack, or have in addition."""

_LIMBS = (
    ("LeftUpLeg", "LeftLeg", 1),
    ("RightUpLeg", "RightLeg", 1),
    # An elbow may twist in the same place.
    ("LeftArm", "LeftForeArm", 2),
    ("RightArm", "RightForeArm", 2),
)


def fitting_map(model: Any, maps: Iterable[RobotMap]) -> tuple[RobotMap, str] | None:
    """The map that follows most of a robot's joints, and a remark; None if none fits.

    A map fits if its links exist and have the same roles as in the robot it was made for: one knee
    between thigh and shin, nothing but toes below a foot. Names alone are not enough: the last link
    above the knee in one robot is the first one in another. A variant may lack hands, head or a
    moving waist; the map then omits them.

    Args:
        model: Pinocchio model with a free-flyer root.
        maps: to choose from.
    """
    best: tuple[RobotMap, str] | None = None
    for map in maps:
        follow = _present(model, map)
        without = [joint for joint in map.follow if joint not in follow]
        if not OPTIONAL.issuperset(without) or not _alike(model, follow):
            continue
        if best is not None and len(follow) <= len(best[0].follow):
            continue
        remark = f"fits the map of {map.name}"
        if without:
            remark += (
                f", without its {', '.join(without)}: no such link, or none that a joint moves"
            )
        joints = set(model.names)
        fitted = replace(
            map,
            follow=follow,
            weights={joint: map.weights[joint] for joint in follow},
            pose={name: angle for name, angle in map.pose.items() if name in joints},
        )
        best = fitted, remark
    return best


def _present(model: Any, map: RobotMap) -> dict[str, str]:
    """The followed joints whose link exists and moves by itself."""
    out: dict[str, str] = {}
    seen: set[int] = set()
    for joint, frame in map.follow.items():
        body = body_of_frame(model, frame)
        if body is None or body in seen:
            continue
        if body > 1 or (body == 1 and joint == "Hips"):
            seen.add(body)
            out[joint] = frame
    return out


def _alike(model: Any, follow: Mapping[str, str]) -> bool:
    bodies = {joint: body_of_frame(model, frame) for joint, frame in follow.items()}
    for upper, lower, most in _LIMBS:
        if upper not in bodies or lower not in bodies:
            continue
        above = model.supports[bodies[lower]].tolist()
        if bodies[upper] not in above:
            return False
        if len(above) - 1 - above.index(bodies[upper]) > most:
            return False
    toes = {bodies.get("LeftToe"), bodies.get("RightToe")}
    feet = {bodies["LeftFoot"], bodies["RightFoot"]}
    return all(
        int(model.parents[body]) not in feet or body in toes for body in range(2, model.njoints)
    )
