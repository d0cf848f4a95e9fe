"""A URDF file as it is to be understood: what Pinocchio would misread is put right, or refused."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

from motiontok.errors import RobotError

__all__ = ["read_description"]

_MOVING = ("revolute", "continuous", "prismatic")
_FAR = "1000"  # rad; limits of a joint that turns without end
_WORLD = "world"


def read_description(urdf: Path) -> tuple[ElementTree.Element, tuple[str, ...]]:
    """The parsed description, and what was done to it, one line each.

    Continuous joints become hinges with far limits, so that each joint is one angle. A link
    ``world`` above the robot is taken away with its joint: the robot moves in the world by
    itself.

    Raises:
        RobotError: no XML, or a joint that no robot can have here; the message names it.
    """
    try:
        tree = ElementTree.fromstring(urdf.read_bytes())
    except (OSError, ElementTree.ParseError) as error:
        raise RobotError(f"{urdf}: not a robot description ({error})") from None
    remarks = _without_world(tree, urdf)
    for joint in tree.findall("joint"):
        name, kind = joint.get("name"), joint.get("type")
        if kind == "continuous":
            _limited(joint)
        elif kind not in (*_MOVING, "fixed"):
            raise RobotError(
                f"{urdf}: joint {name} is {kind}: only revolute, continuous, prismatic and fixed "
                "ones are supported"
            )
        if kind in ("revolute", "prismatic"):
            _check_limits(joint, urdf)
        for key, value in getattr(joint.find("mimic"), "attrib", {}).items():
            if key != "joint" and not _is_finite(value):
                raise RobotError(f"{urdf}: joint {name} mimics another by {key}={value!r}")
    return tree, tuple(remarks)


def _without_world(tree: ElementTree.Element, urdf: Path) -> list[str]:
    link = next((one for one in tree.findall("link") if one.get("name") == _WORLD), None)
    joints = [joint for joint in tree.findall("joint") if _end(joint, "parent") == _WORLD]
    if link is None or not joints:
        return []
    name, kind = joints[0].get("name"), joints[0].get("type")
    if len(joints) > 1 or kind not in ("fixed", "floating"):
        what = f"{len(joints)} joints" if len(joints) > 1 else f"joint {name}, which is {kind},"
        raise RobotError(
            f"{urdf}: {what} on link {_WORLD}: a robot that moves has a fixed or floating one, or "
            "none"
        )
    for element in (link, joints[0]):
        tree.remove(element)
    return [
        f"link {_WORLD} and its {kind} joint {name} are left out: the base is "
        f"{_end(joints[0], 'child')}"
    ]


def _end(joint: ElementTree.Element, which: str) -> str | None:
    end = joint.find(which)
    return None if end is None else end.get("link")


def _limited(joint: ElementTree.Element) -> None:
    joint.set("type", "revolute")
    limit = joint.find("limit")
    if limit is None:
        limit = ElementTree.SubElement(joint, "limit", effort="0", velocity="0")
    limit.set("lower", f"-{_FAR}")
    limit.set("upper", _FAR)


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _check_limits(joint: ElementTree.Element, urdf: Path) -> None:
    limit = joint.find("limit")
    if limit is None:
        return  # Pinocchio says which joint lacks it.
    try:
        lower, upper = (float(limit.get(end, "0")) for end in ("lower", "upper"))
    except ValueError:
        return  # and which is no number
    if not lower <= upper or math.isinf(lower) or math.isinf(upper):
        raise RobotError(
            f"{urdf}: joint {joint.get('name')} has limits from {lower:g} to {upper:g}: the lower "
            "one must be a number below the upper one"
        )
