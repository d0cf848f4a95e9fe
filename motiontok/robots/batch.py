"""Many motions on one robot, over all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from multiprocessing import get_context

from bvh.motion import Motion
from motiontok.robots.model import Robot, load_robot
from motiontok.robots.retargeting import retarget
from motiontok.robots.trajectory import Trajectory

__all__ = ["retarget_all"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_robot: Robot | None = None


def retarget_all(
    motions: Iterable[Motion],
    robot: Robot,
    *,
    fps: float | None = None,
    self_collision: bool = True,
    workers: int | None = None,
) -> Iterator[Trajectory]:
    """Solve inverse kinematics of many motions, one a core.

    Args:
        motions: canonical motions; read ahead only a little, so they may be made on the fly.
        robot: see :func:`motiontok.robots.load_robot`.
        fps: as for :func:`motiontok.robots.retarget`.
        self_collision: as for :func:`motiontok.robots.retarget`.
        workers: processes; as many as there are cores, if not given. With 1, none is
            started.

    Yields:
        Trajectories in the order of the motions.

    Raises:
        RobotError: a motion has no frames, or the rate is not positive.
    """
    count = workers or len(_cores())
    if count == 1:
        for motion in motions:
            yield retarget(motion, robot, fps=fps, self_collision=self_collision)
        return
    before = {name: os.environ.get(name) for name in _THREADS}
    # A process a core: threads within each would only get in each other's way.
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    source, waiting = iter(motions), deque[Future[Trajectory]]()
    map_path = None if robot.map.path is None else str(robot.map.path)
    try:
        with ProcessPoolExecutor(
            count,
            mp_context=get_context("spawn"),
            initializer=_open,
            initargs=(robot.name, str(robot.urdf), map_path),
        ) as pool:
            for motion in islice(source, 2 * count):
                waiting.append(pool.submit(_solve, motion, fps, self_collision))
            while waiting:
                yield waiting.popleft().result()
                for motion in islice(source, 1):
                    waiting.append(pool.submit(_solve, motion, fps, self_collision))
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _open(name: str, urdf: str, map_path: str | None) -> None:
    global _robot
    _robot = replace(load_robot(urdf, map=map_path), name=name)


def _solve(motion: Motion, fps: float | None, self_collision: bool) -> Trajectory:
    assert _robot is not None
    return retarget(motion, _robot, fps=fps, self_collision=self_collision)
