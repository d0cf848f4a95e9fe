"""Many motions on one robot, over all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from bvh.motion import Motion
from bvh.workers import cores, end_with_parent, one_thread, warn_of_death, without_main
from motiontok.robots.contacts.ground import Planes
from motiontok.robots.files.trajectory import Trajectory
from motiontok.robots.model.maps import RobotMap
from motiontok.robots.model.robot import Robot, build_robot
from motiontok.robots.reports.report import Report, evaluate
from motiontok.robots.retargeting import retarget

__all__ = ["retarget_all", "retarget_and_evaluate_all"]

_T = TypeVar("_T")
_Solve = Callable[[Motion, Robot, "_How"], _T]
_robot: Robot | None = None


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
    yield from _over_processes(
        _trajectory, motions, robot, _How(fps, self_collision, ground), workers
    )


def retarget_and_evaluate_all(
    motions: Iterable[Motion],
    robot: Robot,
    *,
    fps: float | None = None,
    self_collision: bool = True,
    ground: Planes | None = None,
    workers: int | None = None,
) -> Iterator[tuple[Trajectory, Report]]:
    """:func:`retarget_all`, with the figures of each trajectory, taken at its motion's rate."""
    yield from _over_processes(
        _with_report, motions, robot, _How(fps, self_collision, ground), workers
    )


@dataclass(frozen=True)
class _How:
    fps: float | None
    self_collision: bool
    ground: Planes | None


def _trajectory(motion: Motion, robot: Robot, how: _How) -> Trajectory:
    return retarget(
        motion, robot, fps=how.fps, self_collision=how.self_collision, ground=how.ground
    )


def _with_report(motion: Motion, robot: Robot, how: _How) -> tuple[Trajectory, Report]:
    trajectory = _trajectory(motion, robot, replace(how, fps=None))
    report = evaluate(trajectory, motion, robot, ground=how.ground)
    return (trajectory if how.fps is None else trajectory.resample(how.fps)), report


def _over_processes(
    solve: _Solve[_T],
    motions: Iterable[Motion],
    robot: Robot,
    how: _How,
    workers: int | None,
) -> Iterator[_T]:
    count, source = workers or cores(), iter(motions)
    first = list(islice(source, 2 if count > 1 else 0))
    source = chain(first, source)
    if len(first) < 2:
        for motion in source:
            yield solve(motion, robot, how)
        return
    held, waiting = deque[Motion](), deque[Future[_T]]()  # the same motions, in one order
    pool = ProcessPoolExecutor(
        count,
        mp_context=get_context("spawn"),
        initializer=_open,
        initargs=(robot.name, robot.urdf, robot.map),
    )
    try:
        more = 2 * count
        while True:
            for motion in islice(source, more):
                held.append(motion)
                # A process a core: threads within each would only get in each other's way.
                with without_main(), one_thread():
                    waiting.append(pool.submit(_on_own_robot, solve, motion, how))
            if not waiting:
                return
            result, more = waiting.popleft().result(), 1
            held.popleft()
            yield result
    except BrokenProcessPool:
        warn_of_death()
    finally:  # who stops early does not wait for what is not begun
        pool.shutdown(cancel_futures=True)
    for motion in chain(held, source):
        yield solve(motion, robot, how)


def _open(name: str, urdf: Path, map: RobotMap) -> None:
    global _robot
    end_with_parent()
    _robot = build_robot(name, urdf, map)


def _on_own_robot(solve: _Solve[_T], motion: Motion, how: _How) -> _T:
    assert _robot is not None
    return solve(motion, _robot, how)
