"""A robot's limbs, found from its tree and its zero pose: mirror images of each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pinocchio as pin

from bvh.rotations import Array

__all__ = ["Pair", "Tree", "left_first", "words_of"]

_ENDS = {
    "thumb", "index", "middle", "ring", "pinky", "pinkie", "little", "finger", "fingers",
    "gripper", "jaw", "claw", "knuckle", "eye", "eyes", "eyelid", "eyelids", "camera", "lidar",
}  # fmt: skip
_SMALL = 0.22  # of the robot's height: what branches within this is a hand or a face
_MIRRORED = 0.03  # of the robot's height


def words_of(name: str) -> set[str]:
    """``"LeftHip_yaw2"`` has the words left, hip, yaw."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return {word.lower() for word in re.findall(r"[A-Za-z]+", spaced)}


def left_first(first: Sequence[str], second: Sequence[str]) -> int:
    """Which of two limbs the names call the left one.

    Returns:
        1 if the names of ``first`` say left and those of ``second`` right, -1 if the other way
        round, 0 if they do not say.
    """
    votes = 0
    for one, other in zip(first, second, strict=True):
        pairs = zip(one.lower(), other.lower(), strict=False)
        differ = next(((a, b) for a, b in pairs if a != b), None)
        votes += {("l", "r"): 1, ("r", "l"): -1}.get(differ or ("", ""), 0)
    return (votes > 0) - (votes < 0)


@dataclass(frozen=True)
class Pair:
    """Two limbs that are mirror images.

    Attributes:
        first, second: Pinocchio joint indices from the trunk outwards, as many of each.
        root: body that both hang on.
        across: unit vector ``(3,)`` from the second to the first.
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    root: int
    across: Array


class Tree:
    """The moving bodies of a robot in its zero pose, without fingers, faces and grippers.

    Args:
        model: Pinocchio model with a free-flyer root.
        tree: the description.

    Attributes:
        model: as given.
        data: with the zero pose.
        points: ``(joints, 3)`` where each joint is.
        axes: ``(joints, 3)`` unit axes of hinges; zero for sliding joints, and for the base.
        links: name of the link that each joint moves.
        height: from the lowest joint to the highest, metres.
        leaves: bodies at the ends.
    """

    def __init__(self, model: Any, tree: ElementTree.Element) -> None:
        self.model = model
        self.data = model.createData()
        pin.forwardKinematics(model, self.data, pin.neutral(model))
        self.points: Array = np.array([m.translation for m in self.data.oMi])
        self.axes: Array = np.array([self._axis(j) for j in range(model.njoints)])
        self.links = self._links(tree)
        self.height = max(float(np.ptp(self.points[1:, 2])), 1e-3)
        self._kept = self._without_ends()
        parents = {int(model.parents[j]) for j in self._kept}
        self.leaves = [j for j in self._kept if j not in parents]

    def up_to(self, body: int, root: int) -> tuple[int, ...]:
        """Joints from ``root``, without it, out to ``body``."""
        above = self.model.supports[body].tolist()
        return tuple(above[above.index(root) + 1 :])

    def parting(self, first: int, second: int) -> int:
        """The last body that carries both."""
        one, two = (self.model.supports[b].tolist() for b in (first, second))
        return int([b for b in one if b in two][-1])

    def pairs(self, leaves: Sequence[int]) -> Iterable[Pair]:
        """The limbs among those that end in ``leaves`` that mirror each other."""
        for i, first in enumerate(leaves):
            for second in leaves[i + 1 :]:
                root = self.parting(first, second)
                one, two = self.up_to(first, root), self.up_to(second, root)
                across = self._mirror(one, two)
                if across is not None:
                    yield Pair(one, two, root, across)

    def pitches(self, joints: Sequence[int], across: Array) -> list[int]:
        """The joints that turn about the axis from side to side, or nearly."""
        return [j for j in joints if abs(float(self.axes[j] @ across)) > 0.7]

    def crossing(self, joints: Sequence[int], near: Array) -> Array:
        """The point nearest to the axes of joints, and, where these do not decide, to ``near``."""
        little = 1e-3
        matrix, vector = little * np.eye(3), little * near
        for j in joints:
            if self.axes[j].any():
                flat = np.eye(3) - np.outer(self.axes[j], self.axes[j])
                matrix, vector = matrix + flat, vector + flat @ self.points[j]
        out: Array = np.linalg.solve(matrix, vector)
        return out

    def tip(self, body: int) -> Array:
        """Centre of a body's mass ``(3,)``."""
        out: Array = self.data.oMi[body].act(self.model.inertias[body].lever)
        return out

    def names(self, joints: Sequence[int]) -> list[str]:
        """Of joints and of the links they move, for comparing."""
        return [f"{self.model.names[j]} {self.links[j]}" for j in joints]

    def words(self, joint: int) -> set[str]:
        """In the names of a joint and its link."""
        return words_of(self.model.names[joint]) | words_of(self.links[joint])

    def _mirror(self, one: Sequence[int], two: Sequence[int]) -> Array | None:
        if len(one) != len(two) or not one:
            return None
        apart = self.points[list(one)] - self.points[list(two)]
        middle = 0.5 * (self.points[list(one)] + self.points[list(two)])
        mean = apart.mean(axis=0) * [1.0, 1.0, 0.0]
        size = float(np.linalg.norm(mean))
        if size < _MIRRORED * self.height:
            return None
        across: Array = mean / size
        off = np.linalg.norm(apart - np.outer(apart @ across, across), axis=1)
        slant = np.ptp(middle @ across)
        limit = _MIRRORED * self.height
        return across if off.max() < limit and slant < limit else None

    def _axis(self, joint: int) -> Array:
        out = np.zeros(3)
        if joint > 1:
            made = self.model.joints[joint].createData()
            self.model.joints[joint].calc(made, pin.neutral(self.model))
            out = self.data.oMi[joint].rotation @ np.asarray(made.S).reshape(6, -1)[3:, 0]
        return out

    def _links(self, tree: ElementTree.Element) -> list[str]:
        children = {
            str(joint.get("name")): child.get("link", "")
            for joint in tree.findall("joint")
            if (child := joint.find("child")) is not None
        }
        below = set(children.values())
        links = [str(link.get("name")) for link in tree.findall("link")]
        base = next((link for link in links if link not in below), "")
        return ["", base, *(children.get(name, "") for name in list(self.model.names)[2:])]

    def _without_ends(self) -> list[int]:
        """Joints that are no fingers, eyes or grippers."""
        count = self.model.njoints
        below: dict[int, list[int]] = {j: [] for j in range(count)}
        for j in range(2, count):
            for above in self.model.supports[j].tolist()[1:-1]:
                below[above].append(j)
        dropped: set[int] = set()
        for j in range(2, count):
            spread = [float(np.linalg.norm(self.points[b] - self.points[j])) for b in below[j]]
            if max(spread, default=0.0) > _SMALL * self.height:
                continue
            if self.words(j) & _ENDS:
                dropped |= {j, *below[j]}
            branches = {b for b in below[j] if int(self.model.parents[b]) == j} - dropped
            if len(branches) > 1:
                dropped |= set(below[j])
        return [j for j in range(2, count) if j not in dropped]
