"""Joints that follow others by ``<mimic>`` in a URDF: solved as one, written separately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from bvh.rotations import Array
from motiontok.errors import RobotError

__all__ = ["Coupling", "read_coupling"]


@dataclass(frozen=True, eq=False)
class Coupling:
    """``joints = matrix @ free + offset``.

    Attributes:
        leaders: ``(free joints,)`` which joints are free.
        matrix: ``(joints, free joints)``.
        offset: ``(joints,)`` rad or m.
        lower, upper: ``(free joints,)`` within which all joints are within their limits.
    """

    leaders: Array
    matrix: Array
    offset: Array
    lower: Array
    upper: Array

    def expand(self, q: Array) -> Array:
        """Configurations ``(..., 7 + joints)`` of free ones ``(..., 7 + free joints)``."""
        joints = q[..., 7:] @ self.matrix.T + self.offset
        out: Array = np.concatenate([q[..., :7], joints], axis=-1)
        return out

    def reduce(self, q: Array) -> Array:
        """Free configurations of ``q (..., 7 + joints)``; values of coupled joints are dropped."""
        out: Array = np.concatenate([q[..., :7], q[..., 7:][..., self.leaders]], axis=-1)
        return out

    def speeds(self, limits: Array) -> Array:
        """Speed limits ``(free joints,)`` that keep all joints within ``(joints,)``."""
        with np.errstate(divide="ignore"):
            allowed = limits[:, None] / np.abs(self.matrix)
        out: Array = allowed.min(axis=0)
        return out

    def tangent(self) -> Array:
        """``(6 + joints, 6 + free joints)``: from velocities of free joints to those of all."""
        joints, free = self.matrix.shape
        out = np.zeros((6 + joints, 6 + free))
        out[:6, :6] = np.eye(6)
        out[6:, 6:] = self.matrix
        return out


def read_coupling(
    tree: ElementTree.Element, names: Sequence[str], lower: Array, upper: Array, where: str
) -> Coupling | None:
    """The couplings of a description; None if there are none.

    Args:
        tree: the parsed description.
        names: of the robot's joints, in order.
        lower, upper: ``(joints,)`` their limits.
        where: the description, for messages.

    Raises:
        RobotError: a joint follows a missing joint, or itself, or the limits of the two exclude
            each other.
    """
    follows: dict[str, tuple[str, float, float]] = {}
    for joint in tree.findall("joint"):
        name, mimic = str(joint.get("name")), joint.find("mimic")
        if mimic is None or name not in names:
            continue
        leader = str(mimic.get("joint"))
        factor, offset = float(mimic.get("multiplier", 1)), float(mimic.get("offset", 0))
        if leader not in names:
            raise RobotError(f"{where}: joint {name} mimics {leader}, which is no moving joint")
        follows[name] = leader, factor, offset
    if not follows:
        return None
    free = [name for name in names if name not in follows]
    matrix, offsets = np.zeros((len(names), len(free))), np.zeros(len(names))
    for row, name in enumerate(names):
        leader, factor, offset, seen = name, 1.0, 0.0, {name}
        while leader in follows:
            leader, more, beyond = follows[leader]
            offset, factor = offset + factor * beyond, factor * more
            if leader in seen:
                raise RobotError(f"{where}: joint {name} mimics itself, by way of {leader}")
            seen.add(leader)
        matrix[row, free.index(leader)], offsets[row] = factor, offset
    leaders = np.array([names.index(name) for name in free])
    return Coupling(leaders, matrix, offsets, *_limits(matrix, offsets, lower, upper, free, where))


def _limits(
    matrix: Array, offset: Array, lower: Array, upper: Array, free: Sequence[str], where: str
) -> tuple[Array, Array]:
    low, high = np.full(len(free), -np.inf), np.full(len(free), np.inf)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        ends = (np.array([lower[row], upper[row]]) - offset[row]) / matrix[row, column]
        low[column] = max(low[column], ends.min())
        high[column] = min(high[column], ends.max())
    for name, least, most in zip(free, low, high, strict=True):
        if least > most:
            raise RobotError(
                f"{where}: joint {name} and those that mimic it cannot all be within their limits"
            )
    return low, high
