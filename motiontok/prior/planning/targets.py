"""Where to be and how fast to go over time, and the CSV files that say so."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data import Start
from motiontok.errors import InputError

__all__ = ["PathTarget", "VelocityProfile"]

_FASTEST_TURN = 1.5


@dataclass(frozen=True, eq=False)
class PathTarget:
    """A path over time, straight between its points; before and after them it stands.

    Attributes:
        times: ``(points,)`` seconds, ascending.
        points: ``(points, 2)`` metres.
    """

    times: Array
    points: Array

    @classmethod
    def through(cls, points: Array, *, speed: float, start: Start | None = None) -> PathTarget:
        """Through points ``(points, 2)`` at one speed (m/s), from where the body stands."""
        begin = start or Start()
        places = np.concatenate([[[begin.x, begin.y]], np.asarray(points, dtype=np.float64)])
        legs = np.linalg.norm(np.diff(places, axis=0), axis=-1)
        return cls(np.concatenate([[0.0], np.cumsum(legs)]) / speed, places)

    @classmethod
    def read(cls, path: Path, *, speed: float, start: Start | None = None) -> PathTarget:
        """Read a CSV with the columns ``x,y`` (m) or ``t,x,y`` (s, m).

        Raises:
            InputError: missing, other columns, not numbers, or times that do not ascend.
        """
        columns, rows = _read_csv(path, (("x", "y"), ("t", "x", "y")))
        if columns[0] == "x":
            return cls.through(rows, speed=speed, start=start)
        _require_ascending(path, rows[:, 0])
        return cls(rows[:, 0], rows[:, 1:])

    @property
    def duration(self) -> float:
        """When the last point is reached, seconds."""
        return float(self.times[-1])

    def at(self, times: Array) -> Array:
        """Places ``(times, 2)``."""
        return np.stack([np.interp(times, self.times, p) for p in self.points.T], axis=-1)

    def steer(self, pose: Start, time: float, span: float) -> Array:
        """Command ``(3,)`` that takes the body in ``span`` seconds to where the path then is.

        It faces where it goes: forward velocity (m/s), none to the left, yaw rate (rad/s).
        """
        target = self.at(np.array([time + span]))[0]
        away = target - [pose.x, pose.y]
        distance = float(np.linalg.norm(away))
        if distance < 0.1:
            return np.zeros(3)
        error = (np.arctan2(away[1], away[0]) - pose.yaw + np.pi) % (2 * np.pi) - np.pi
        turn = float(np.clip(error / span, -_FASTEST_TURN, _FASTEST_TURN))
        return np.array([distance / span * max(0.0, float(np.cos(error))), 0.0, turn])


@dataclass(frozen=True, eq=False)
class VelocityProfile:
    """Commands over time, linear between rows, held before and after them.

    Attributes:
        times: ``(rows,)`` seconds, ascending.
        commands: ``(rows, 3)`` velocity forward and left (m/s), yaw rate (rad/s).
    """

    times: Array
    commands: Array

    @classmethod
    def read(cls, path: Path) -> VelocityProfile:
        """Read a CSV with the columns ``t,forward,left,yaw_rate`` (s, m/s, m/s, rad/s).

        Raises:
            InputError: missing, other columns, not numbers, or times that do not ascend.
        """
        _, rows = _read_csv(path, (("t", "forward", "left", "yaw_rate"),))
        _require_ascending(path, rows[:, 0])
        return cls(rows[:, 0], rows[:, 1:])

    @property
    def duration(self) -> float:
        """Time of the last row, seconds."""
        return float(self.times[-1])

    def at(self, times: Array) -> Array:
        """Commands ``(times, 3)``."""
        return np.stack([np.interp(times, self.times, c) for c in self.commands.T], axis=-1)

    def steer(self, pose: Start, time: float, span: float) -> Array:
        """Mean command ``(3,)`` over the next ``span`` seconds."""
        steps = max(1, round(span * FPS))
        return np.asarray(self.at(time + span * (np.arange(steps) + 0.5) / steps).mean(axis=0))


def _read_csv(path: Path, layouts: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], Array]:
    """Columns and rows of a CSV whose first line names one of the layouts."""
    wanted = " or ".join(",".join(layout) for layout in layouts)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from None
    columns = tuple(cell.strip().lower() for cell in rows[0]) if rows else ()
    if columns not in layouts:
        raise InputError(f"{path}: the first line must name the columns {wanted}")
    values = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            values.append([float(cell) for cell in row])
        except ValueError:
            raise InputError(f"{path}, row {number}: not all numbers: {','.join(row)}") from None
        if len(row) != len(columns) or not np.isfinite(values[-1]).all():
            raise InputError(f"{path}, row {number}: expected {len(columns)} finite numbers")
    if not values:
        raise InputError(f"{path}: no rows below the first line")
    return columns, np.array(values)


def _require_ascending(path: Path, times: Array) -> None:
    if (np.diff(times) <= 0).any():
        row = int(np.argmax(np.diff(times) <= 0)) + 3
        raise InputError(f"{path}, row {row}: times must ascend")
