"""Start and bones of a body, as a user gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bvh import rotations as rot
from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, root_between_bodies
from motiontok.errors import DataError

__all__ = ["REFERENCE", "Start", "StartLike", "World", "offsets_of", "start_of"]

REFERENCE = DEFAULT_OFFSETS
"""Rest offsets ``(22, 3)`` of the reference body of features, metres."""

_MOST = 1e6
"""Largest start, metres and rad; single precision, in which states are sent, has steps of 6 cm
there."""


@dataclass(frozen=True)
class Start:
    """Where a motion begins: place on the floor (metres) and heading (rad) of frame 0."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    @classmethod
    def of(cls, motion: Motion) -> Start:
        """Start of a motion."""
        x, y = motion.root_positions[0, :2]
        return cls(float(x), float(y), float(rot.yaw_of(motion.rotations[0, 0])))


@dataclass(frozen=True, eq=False)
class World:
    """The body in whose metres places, lengths and velocities are.

    Features, and so priors and searches, are in metres of the reference body; a body with shorter
    legs comes less far with the same steps. Users' numbers are in metres of the moving body: a
    person's (the reference body), or a robot's. A robot's offsets are those of a person with its
    legs (:func:`motiontok.robots.body_like`).

    Attributes:
        offsets: ``(22, 3)`` of the moving body, metres.
        name: of the moving body.
    """

    offsets: Array = field(default_factory=lambda: REFERENCE)
    name: str = "person"

    @property
    def scale(self) -> float:
        """Metres of this world for one of the reference body."""
        return root_between_bodies(REFERENCE, self.offsets)[0]

    def start_inside(self, start: Start) -> Start:
        """A start of this world in metres of the reference body."""
        return Start(start.x / self.scale, start.y / self.scale, start.yaw)

    def start_outside(self, start: Start) -> Start:
        """A start in metres of the reference body as one of this world."""
        return Start(self.scale * start.x, self.scale * start.y, start.yaw)

    def inside(self, lengths: NDArray[Any]) -> Array:
        """Lengths, places or speeds of this world in metres of the reference body."""
        return np.asarray(lengths, dtype=np.float64) / self.scale

    def commands_inside(self, commands: NDArray[Any]) -> Array:
        """Commands ``(..., 3)`` likewise: velocity forward and left; the yaw rate stays."""
        return np.asarray(commands, dtype=np.float64) / [self.scale, self.scale, 1.0]

    def commands_outside(self, commands: NDArray[Any]) -> Array:
        """Commands ``(..., 3)`` of the reference body in metres of this world."""
        return np.asarray(commands, dtype=np.float64) * [self.scale, self.scale, 1.0]


StartLike: TypeAlias = Start | Sequence[float] | NDArray[Any]
"""A start, or its x, y and yaw."""


def start_of(start: StartLike | None) -> Start:
    """The given start; the origin facing +X for None.

    Raises:
        DataError: not three numbers, or an impossible place.
    """
    if start is None:
        return Start()
    try:
        given = (start.x, start.y, start.yaw) if isinstance(start, Start) else start
        values = np.asarray(given, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        values = np.empty(0)
    if values.shape != (3,) or not (np.abs(values) <= _MOST).all():
        raise DataError(
            f"start: expected x and y in m and yaw in rad, finite and at most {_MOST:.0e}, "
            f"got {_short(start)}"
        )
    return Start(*map(float, values))


def offsets_of(offsets: Array) -> Array:
    """Rest offsets ``(22, 3)`` of a subject as float64, metres.

    Raises:
        DataError: wrong shape, or impossible lengths.
    """
    shape = (len(JOINTS), 3)
    try:
        values = np.asarray(offsets, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"offsets: expected numbers {shape}, got {_short(offsets)}") from None
    if values.shape != shape:
        raise DataError(f"offsets: expected {shape}, got {values.shape}")
    wrong = ~(np.abs(values) <= _MOST)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            f"offsets: value {values[where]} at {where} is no length of a bone in m; lengths are "
            f"finite and at most {_MOST:.0e}"
        )
    try:
        root_between_bodies(values, REFERENCE)
    except BVHError as error:
        raise DataError(f"offsets: {error}") from None
    return values


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
