"""The fastest commands of a prior, from its training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bvh.rotations import Array
from motiontok.data import World
from motiontok.errors import InputError

__all__ = ["CommandLimits", "check_counts", "command_rows"]

_SHARE = 0.001
_LEAST = np.array([1.0, 1.0, 1.5])
_UNITS = ("m/s forward", "m/s to the left", "rad/s")


@dataclass(frozen=True)
class CommandLimits:
    """The least and the most of each command: forward and left (m/s), yaw rate (rad/s).

    A prior without limits of its own takes those of CMU's and SNU's captures, mirror images
    included: a thousandth of 108,848 windows' means lies beyond each.

    Attributes:
        lower, upper: in metres of the reference body.
    """

    lower: tuple[float, float, float] = (-1.2, -1.6, -6.5)
    upper: tuple[float, float, float] = (3.9, 1.6, 6.5)

    @classmethod
    def of(cls, commands: NDArray[Any]) -> CommandLimits:
        """Limits of training commands ``(windows, 3)``, without a thousandth on each side.

        They are at least 1 m/s and 1.5 rad/s.
        """
        low, high = np.quantile(
            np.asarray(commands, dtype=np.float64), [_SHARE, 1 - _SHARE], axis=0
        )
        low, high = np.minimum(low, -_LEAST).round(2), np.maximum(high, _LEAST).round(2)
        return cls((low[0], low[1], low[2]), (high[0], high[1], high[2]))

    @classmethod
    def read(cls, rows: Any) -> CommandLimits:
        """Limits from ``[lower, upper]``, as in ``prior.json``.

        Raises:
            ValueError: they are no two rows of three numbers, or cross.
        """
        low, high = np.asarray(rows, dtype=np.float64).reshape(2, 3).tolist()
        if not all(a < b for a, b in zip(low, high, strict=True)):
            raise ValueError(f"limits {rows}: the lower ones are not below")
        return cls((low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def in_world(self, world: World) -> Array:
        """Lower and upper ``(2, 3)`` in metres of a world."""
        return world.commands_outside(np.array([self.lower, self.upper]))

    def require(self, commands: NDArray[Any], what: str, *, world: World) -> None:
        """Refuse commands ``(..., 3)`` of a world beyond the limits; NaN is open.

        Args:
            commands: velocity forward and left, m/s, and yaw rate, rad/s.
            what: name of the commands, for the message.
            world: in whose metres they are.

        Raises:
            InputError: one is beyond; the message names it and its limits.
        """
        rows = np.asarray(commands, dtype=np.float64).reshape(-1, 3)
        low, high = self.in_world(world)
        # A command at the limit is still within it after scaling.
        wrong = (rows < low - 1e-6) | (rows > high + 1e-6)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InputError(
                f"{what}: {rows[row, column]:.3g} {_UNITS[column]} is beyond what the prior knows, "
                f"{low[column]:.2g} to {high[column]:.2g} (metres of a {world.name})"
            )


def command_rows(value: Any, name: str, shape: tuple[int, ...], windows: int) -> NDArray[Any]:
    """Numbers of ``shape`` for all windows, or of ``(windows, *shape)``."""
    try:
        found = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        raise InputError(f"{name}: numbers expected, got {value!r:.60}") from None
    if found.shape not in (shape, (windows, *shape)):
        raise InputError(
            f"{name} must be of shape {shape} or {(windows, *shape)}, got {found.shape}"
        )
    if not np.isfinite(found).all():
        raise InputError(f"{name} must be finite")
    return found


def check_counts(windows: int, batch: int) -> None:
    """Refuse to draw nothing.

    Raises:
        InputError: a number is below 1.
    """
    if min(windows, batch) < 1:
        raise InputError(f"windows and batch must be positive, got {windows} and {batch}")
