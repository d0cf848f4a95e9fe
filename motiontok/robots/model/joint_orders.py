"""Joint orders of simulators and trainers, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from motiontok.errors import InputError
from motiontok.robots.model.robot import Robot

__all__ = ["ORDERS", "joint_order"]

ORDERS = ("isaaclab", "mujoco", "robot")


def joint_order(robot: Robot, order: str) -> tuple[str, ...]:
    """Joint names in a named order.

    Args:
        robot: the robot.
        order: ``"isaaclab"``, breadth first from the base; ``"mujoco"``, depth first, a link's
            joints in the order of the description's file; ``"robot"``, this package's order (depth
            first, a link's joints by name); or a text file with one name a line.

    Raises:
        InputError: no such order, or the file does not name each joint once.
    """
    if order == "robot":
        return robot.joint_names
    if order == "isaaclab":
        return _breadth_first(robot)
    if order == "mujoco":
        return _depth_first(robot)
    try:
        names = tuple(Path(order).read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"no joint order {order!r}: choose {', '.join(ORDERS)}, or a file with one name a line"
        ) from None
    if sorted(names) != sorted(robot.joint_names):
        wrong = sorted(set(names) ^ set(robot.joint_names))
        what = ", ".join(wrong[:4]) if wrong else "a name stands there twice"
        raise InputError(f"{order}: must name each joint of {robot.name} once; differs in {what}")
    return names


def _breadth_first(robot: Robot) -> tuple[str, ...]:
    """Level by level from the base, siblings and cousins in the description's order."""
    model = robot.model
    # Joints 0 and 1 are the world and the floating base.
    level: Sequence[int] = [1]
    names: list[str] = []
    while level:
        level = [
            j for parent in level for j in range(2, model.njoints) if model.parents[j] == parent
        ]
        names += [model.names[j] for j in level]
    return tuple(names)


def _depth_first(robot: Robot) -> tuple[str, ...]:
    """Limb by limb, in the order of the file."""
    below: dict[str, list[tuple[str, str]]] = {}
    links = [str(link.get("name")) for link in robot.tree.findall("link")]
    for joint in robot.tree.findall("joint"):
        parent, child = joint.find("parent"), joint.find("child")
        if parent is not None and child is not None:
            entry = str(joint.get("name")), str(child.get("link"))
            below.setdefault(str(parent.get("link")), []).append(entry)
    children = {child for entries in below.values() for _, child in entries}
    moving, names = set(robot.joint_names), []
    left = [("", link) for link in reversed(links) if link not in children]
    while left:
        name, link = left.pop()
        if name in moving:
            names.append(name)
        left += reversed(below.get(link, []))
    return tuple(names)
