"""Reading a URDF file: parts that Pinocchio would misread are corrected, or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pinocchio as pin

from motiontok.errors import RobotError
from motiontok.robots.model.frames import body_of_frame
from motiontok.robots.model.geometry import load_geometry
from motiontok.robots.model.meshes import settle_meshes
from motiontok.robots.model.mimic_joints import Coupling, read_coupling
from motiontok.robots.model.parser_output import parser_output

__all__ = ["Description", "foot_shapes", "open_description", "read_description"]

_MOVING = ("revolute", "continuous", "prismatic")
_FAR = "1000"  # rad; limits of a joint that turns without end
_WORLD = "world"


@dataclass(frozen=True, eq=False)
class Description:
    """A robot without a map.

    Attributes:
        urdf: path of the description.
        tree: the corrected description.
        model: Pinocchio model: free-flyer root, then one angle per joint.
        remarks: changes to it, one line each.
        coupling: of joints that follow others; None if none does.
        lost: links without a shape of their own, and their missing meshes.
    """

    urdf: Path
    tree: ElementTree.Element
    model: Any
    remarks: tuple[str, ...]
    coupling: Coupling | None
    lost: Mapping[str, str]


def open_description(urdf: Path) -> Description:
    """Read a description, find its meshes and build its model.

    Raises:
        RobotError: it cannot be used; the message names file and joint.
    """
    tree, remarks = read_description(urdf)
    lost, missing = settle_meshes(tree, urdf)
    text = ElementTree.tostring(tree, encoding="unicode")
    with parser_output() as said:
        try:
            model, fault = pin.buildModelFromXML(text, pin.JointModelFreeFlyer()), ""
        except (ValueError, RuntimeError) as error:
            model, fault = None, " ".join(str(error).split())
    if model is None:
        # The parser says what is wrong; Pinocchio only that something is.
        raise RobotError(f"{urdf}: {said[0] if said else fault}")
    limits = model.lowerPositionLimit[7:], model.upperPositionLimit[7:]
    coupling = read_coupling(tree, tuple(model.names)[2:], *limits, str(urdf))
    ignored = [f"{what}; it is left out" for what in said]
    return Description(urdf, tree, model, (*remarks, *ignored, *missing), coupling, lost)


def foot_shapes(description: Description, follow: Mapping[str, str]) -> Any | None:
    """Pinocchio geometry model of both feet, collision shapes or else visual ones.

    None if a foot is no link of the robot; calibration then raises.

    Raises:
        RobotError: a foot's mesh is missing, and also a mass that would give its size.
    """
    model = description.model
    bodies = {body_of_frame(model, follow[side + "Foot"]) for side in ("Left", "Right")}
    if None in bodies:
        return None
    links = [
        f.name for f in model.frames if f.parentJoint in bodies and f.type == pin.FrameType.BODY
    ]
    for kind in ("collision", "visual"):
        shapes = load_geometry(model, description.urdf, description.tree, kind=kind, links=links)
        if {int(shape.parentJoint) for shape in shapes.geometryObjects} >= bodies:
            return shapes
    for link in links:
        if link in description.lost:
            raise RobotError(
                f"{description.urdf}: {description.lost[link]}, the shape of {link}, is missing, "
                "and the link has no mass to find the sole from; put it there (paths start at the "
                "description's folder, package://NAME/... at a folder NAME beside or above it), or "
                "state [sole] in the map"
            )
    return shapes


def read_description(urdf: Path) -> tuple[ElementTree.Element, tuple[str, ...]]:
    """The parsed description, and changes to it, one line each.

    Continuous joints become hinges with far limits, so that each joint is one angle. A link
    ``world`` above the robot is removed with its joint: the robot moves in the world by itself.

    Raises:
        RobotError: no XML, or an unsupported joint; the message names it.
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
            f"{urdf}: {what} on link {_WORLD}; expected one fixed or floating joint there, or no "
            f"link {_WORLD}"
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
