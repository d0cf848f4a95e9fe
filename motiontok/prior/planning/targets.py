"""Targets over time, paths and velocity profiles, and their CSV files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bvh import rotations as rot
from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data import Start
from motiontok.errors import InputError
from motiontok.prior.planning.route import route
from motiontok.prior.target_poses import TargetPose
from motiontok.tokens.path import rotated

__all__ = ["PathTarget", "VelocityProfile"]

_FASTEST_TURN = 1.5
# Of a command: as it is, faster, turning farther, and both.
_WAYS = np.array([[1.0, 1.0, 1.0], [1.3, 1.3, 1.0], [1.0, 1.0, 2.0], [1.3, 1.3, 2.0]])
_ARRIVING = 0.5  # m from the end, within which the body turns to the heading asked there
_SIDESTEP = 0.4  # m/s; to step to its place more slowly, the body does not turn


@dataclass(frozen=True, eq=False)
class PathTarget:
    """A path over time, straight between its points; before and after them it stands.

    Attributes:
        times: ``(points,)`` seconds, ascending.
        points: ``(points, 2)`` metres.
        facing: heading (rad) at the end; any if not given.
        timed: whether the times are part of the task, and not only the result of a speed.
        of_poses: whether it only leads through target poses; nobody asked for the way between them.
    """

    times: Array
    points: Array
    facing: float | None = None
    timed: bool = True
    of_poses: bool = False

    @classmethod
    def through(cls, points: Array, *, speed: float, start: Start | None = None) -> PathTarget:
        """Through points ``(points, 2)`` at one speed (m/s), from where the body stands."""
        begin = start or Start()
        places = np.concatenate([[[begin.x, begin.y]], np.asarray(points, dtype=np.float64)])
        legs = np.linalg.norm(np.diff(places, axis=0), axis=-1)
        return cls(np.concatenate([[0.0], np.cumsum(legs)]) / speed, places, timed=False)

    @classmethod
    def through_poses(
        cls, poses: Sequence[TargetPose], *, start: Start | None = None
    ) -> PathTarget:
        """A path from the start through the places of target poses, at their times.

        Raises:
            InputError: no pose after 0 s has a place.
        """
        begin = start or Start()
        known = [pose for pose in poses if pose.place is not None and pose.time > 0.0]
        if not known:
            if any(pose.place is not None for pose in poses):
                raise InputError(
                    "no pose after 0 s has a place to walk to; give one, or a path or a velocity "
                    "profile"
                )
            raise InputError(
                "poses that may be anywhere need a path, a velocity profile or a place"
            )
        places = [begin, *(pose.place or begin for pose in known)]
        times = np.array([0.0, *(pose.time for pose in known)])
        points = np.array([[place.x, place.y] for place in places])
        return cls(times, points, of_poses=True)

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
        """Time of the last point, seconds."""
        return float(self.times[-1])

    def at(self, times: Array) -> Array:
        """Places ``(times, 2)``."""
        return np.stack([np.interp(times, self.times, p) for p in self.points.T], axis=-1)

    def headings(self, times: Array) -> Array:
        """Direction of the path at times ``(times,)``, rad; NaN where it stands.

        At the end it is :attr:`facing`.
        """
        span = 0.05
        step = self.at(times + span) - self.at(times - span)
        out = np.arctan2(step[:, 1], step[:, 0])
        out[np.linalg.norm(step, axis=-1) < 1e-6] = np.nan
        if self.facing is not None:
            out[times > self.duration + span] = self.facing
        return out

    def arriving(self, end: Start) -> PathTarget:
        """The same path with an end pose, reached at the speed of the last leg."""
        times, points = self.times, self.points
        last = np.array([end.x, end.y])
        apart = float(np.linalg.norm(points[-1] - last))
        if apart > 1e-6:
            legs = np.linalg.norm(np.diff(points, axis=0), axis=-1)
            speed = legs[-1] / (times[-1] - times[-2]) if len(legs) and legs[-1] > 0.0 else 1.0
            times = np.append(times, times[-1] + apart / speed)
            points = np.concatenate([points, last[None]])
        return replace(self, times=times, points=points, facing=end.yaw)

    def around(self, discs: Array) -> PathTarget:
        """The same path around discs ``(discs, 3)`` that contain none of its points.

        It keeps its speed, or, if it is timed, its times.

        Raises:
            PlanError: no way leads around them.
        """
        times, points = [self.times[:1]], [self.points[:1]]
        for n, straight in enumerate(np.linalg.norm(np.diff(self.points, axis=0), axis=-1)):
            way = route(self.points[n], self.points[n + 1], discs)
            gone = np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=-1))
            span = self.times[n + 1] - self.times[n]
            longer = 1.0 if self.timed else gone[-1] / max(float(straight), 1e-9)
            share = gone / gone[-1] if gone[-1] > 0.0 else np.ones(1)
            times.append(times[-1][-1] + span * longer * share)
            points.append(way[1:])
        return replace(self, times=np.concatenate(times), points=np.concatenate(points))

    def speeds(self) -> Array:
        """Of the legs ``(points - 1,)``, m/s."""
        legs = np.linalg.norm(np.diff(self.points, axis=0), axis=-1)
        return np.asarray(legs / np.maximum(np.diff(self.times), 1e-9))

    def steer(self, pose: Start, time: float, span: float) -> Array:
        """Command ``(3,)`` that leads in ``span`` seconds to the path's place at that time.

        The body faces its direction: forward velocity (m/s), none to the left, yaw rate (rad/s). At
        the end it turns to :attr:`facing`, and steps if it must.
        """
        target = self.at(np.array([time + span]))[0]
        away = target - [pose.x, pose.y]
        distance = float(np.linalg.norm(away))
        if self.facing is not None and time + span >= self.duration and distance < _ARRIVING:
            error = rot.wrapped(self.facing - pose.yaw)
            turn = float(np.clip(error / span, -_FASTEST_TURN, _FASTEST_TURN))
            step = rotated(away, np.asarray(-(pose.yaw + turn * span / 2))) / span
            return np.array([*np.clip(step, -_SIDESTEP, _SIDESTEP), turn])
        if distance < 0.1:
            return np.zeros(3)
        error = rot.wrapped(np.arctan2(away[1], away[0]) - pose.yaw)
        turn = float(np.clip(error / span, -_FASTEST_TURN, _FASTEST_TURN))
        return np.array([distance / span * max(0.0, float(np.cos(error))), 0.0, turn])

    def ways(self, pose: Start, time: float, span: float) -> Array:
        """Commands ``(4, 3)`` to choose from: :meth:`steer`'s, faster, turning farther, and both.

        Who turns by as much as the place is aside, on the way there, passes it; and a prior that
        does what it is told leaves a search nothing else to choose from.
        """
        return self.steer(pose, time, span) * _WAYS


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
