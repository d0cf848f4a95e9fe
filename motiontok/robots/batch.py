"""Many motions on one robot, over all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from bvh.motion import Motion
from bvh.workers import Workers
from motiontok.robots.contacts.ground import Planes
from motiontok.robots.files.trajectory import Trajectory
from motiontok.robots.model.maps import RobotMap
from motiontok.robots.model.robot import Robot, build_robot
from motiontok.robots.reports.report import Report, evaluate
from motiontok.robots.retargeting import retarget

__all__ = ["retarget_all", "retarget_and_evaluate_all"]

_T = TypeVar("_T")
_Solve = Callable[[Motion, Robot, "_How"], _T]
_robot: Robot | None = None  # of a worker process


def retarget_all(
    motions: Iterable[Motion],
    robot: Robot,
    *,
    fps: float | None = None,
    self_collision: bool = True,
    ground: Planes | None = None,
    workers: int | None = None,
) -> Iterator[Trajectory]:
    """Solve inverse kinematics of many motions, one per core.

    Args:
        motions: canonical motions; only a few are read ahead, so they may be made on the fly.
        robot: see :func:`motiontok.robots.load_robot`.
        fps: as for :func:`motiontok.robots.retarget`.
        self_collision: as for :func:`motiontok.robots.retarget`.
        ground: as for :func:`motiontok.robots.retarget`.
        workers: processes; one per core, if not given. With 1, or for one motion, none is started.

    Yields:
        Trajectories in the order of the motions. If the processes die, this one does the rest,
        with a warning.

    Raises:
        RobotError: a motion has no frames, the rate is not positive, or ``ground`` is not planes.
    """
    yield from _on_all_cores(
        _trajectory, motions, robot, _How(fps, self_collision, ground), workers
    )


def retarget_and_evaluate_all(
    motions: Iterable[Motion],
    robot: Robot,
    *,
    at_rate: Callable[[Trajectory, Robot], Trajectory] | None = None,
    self_collision: bool = True,
    ground: Planes | None = None,
    workers: int | None = None,
) -> Iterator[tuple[Trajectory, Report]]:
    """:func:`retarget_all`, with the figures of each trajectory, taken at its motion's rate.

    Joint speeds are taken of what ``at_rate`` makes of it, a function that can be pickled and that
    brings the results to the rate at which they are written.
    """
    yield from _on_all_cores(
        _with_report, motions, robot, _How(None, self_collision, ground, at_rate), workers
    )


@dataclass(frozen=True)
class _How:
    fps: float | None
    self_collision: bool
    ground: Planes | None
    at_rate: Callable[[Trajectory, Robot], Trajectory] | None = None


def _trajectory(motion: Motion, robot: Robot, how: _How) -> Trajectory:
    return retarget(
        motion, robot, fps=how.fps, self_collision=how.self_collision, ground=how.ground
    )


def _with_report(motion: Motion, robot: Robot, how: _How) -> tuple[Trajectory, Report]:
    trajectory = _trajectory(motion, robot, how)
    written = trajectory if how.at_rate is None else how.at_rate(trajectory, robot)
    return written, evaluate(trajectory, motion, robot, ground=how.ground, written=written)


def _on_all_cores(
    solve: _Solve[_T],
    motions: Iterable[Motion],
    robot: Robot,
    how: _How,
    workers: int | None,
) -> Iterator[_T]:
    """Results of motions in their order, each computed on a process's own robot."""
    opened = partial(_open, robot.name, robot.urdf, robot.map)
    with Workers(workers or None, initializer=opened) as pool:
        for _, result in pool.map(
            partial(_on_own_robot, solve, how),
            motions,
            in_order=True,
            here=lambda motion: solve(motion, robot, how),
        ):
            yield result


def _open(name: str, urdf: Path, map: RobotMap) -> None:
    global _robot
    _robot = build_robot(name, urdf, map)


def _on_own_robot(solve: _Solve[_T], how: _How, motion: Motion) -> _T:
    assert _robot is not None
    return solve(motion, _robot, how)
