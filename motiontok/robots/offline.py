"""Inverse kinematics of a whole trajectory, looking ahead as far as it likes.

Anchors are solved on their own and connected into one continuous path
(:mod:`~motiontok.robots.branches`), the path is refined as one problem with speeds and
accelerations (:mod:`~motiontok.robots.smoothing`), bodies that run into each other are
parted (:mod:`~motiontok.robots.separation`), and what still breaks a speed limit is cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bvh.rotations import Array, from_matrix
from motiontok.progress import Progress
from motiontok.robots.branches import connected
from motiontok.robots.calibration import Calibration
from motiontok.robots.collision import SelfCollision
from motiontok.robots.coupling import Coupling
from motiontok.robots.kinematics import Kinematics
from motiontok.robots.separation import separate
from motiontok.robots.settling import retry, settle
from motiontok.robots.smoothing import limit_speed, smooth
from motiontok.robots.targets import Targets
from motiontok.robots.tasks import FloorTask, PoseTask, Task
from motiontok.robots.trajectory import xyzw_from_wxyz

__all__ = ["SHALLOW", "floor_task", "neutral_start", "solve_trajectory"]

_FLOOR_WEIGHT = 800.0  # per metre below ground
_WINDOW = 960  # frames refined together
SHALLOW = 0.003  # m that a sole may be below ground before the whole robot is raised
_RAMP = 4  # frames over which it is raised and lowered
_LOOKAHEAD = 16  # frames beyond, refined again with the next window


def solve_trajectory(
    model: object,
    targets: Targets,
    *,
    speed_limits: Array,
    floor: Calibration | None = None,
    collision: SelfCollision | None = None,
    coupling: Coupling | None = None,
    progress: Progress | None = None,
) -> Array:
    """Configurations ``(frames, nq)`` that follow targets within joint and speed limits.

    Args:
        model: Pinocchio model.
        targets: of every frame.
        speed_limits: ``(joints,)`` rad/s.
        floor: the calibration whose soles must stay above ground; none, if not given.
        collision: tells which bodies to part; none, if not given.
        coupling: of joints that follow others.
        progress: called with the number of frames done.
    """

    def tasks_on(kinematics: Kinematics) -> list[Task]:
        tasks: list[Task] = [PoseTask(kinematics, targets)]
        if floor is not None:
            tasks.append(floor_task(kinematics, floor))
        return tasks

    kinematics = Kinematics(model, targets.bodies, coupling)
    if coupling is not None:
        speed_limits = coupling.speeds(speed_limits)
    tasks = tasks_on(kinematics)
    q = connected(kinematics, tasks, neutral_start(kinematics, targets), targets.fps)
    q, cost, restless = _refined(kinematics, tasks, q, targets.fps, speed_limits, progress)
    q, cost = settle(kinematics, tasks, q, cost, restless, targets.fps, speed_limits)
    q = retry(kinematics, tasks, q, cost, targets.fps, speed_limits)
    if collision is not None:
        q = separate(collision, targets.bodies, tasks_on, q, targets.fps, speed_limits)
    q[:, 7:] = limit_speed(q[:, 7:], speed_limits / targets.fps)
    if floor is not None:
        q[:, 2] += _lift(floor_task(kinematics, floor).points(kinematics.evaluate(q))[..., 2])
    if progress is not None:
        progress(len(q))
    return kinematics.expand(q)


def neutral_start(kinematics: Kinematics, targets: Targets) -> Array:
    """Neutral joints, base at its target: ``(frames, nq)``."""
    rotation = targets.rotations[:, 0] @ targets.local_rotations[0].T
    q = np.zeros((len(targets), kinematics.nq))
    q[:, :3] = targets.positions[:, 0] - rotation @ targets.local_positions[0]
    q[:, 3:7] = xyzw_from_wxyz(from_matrix(rotation))
    q[:, 7:] = np.clip(0.0, kinematics.lower, kinematics.upper)
    return q


def _refined(
    kinematics: Kinematics,
    tasks: Sequence[Task],
    q: Array,
    fps: float,
    speed_limits: Array,
    progress: Progress | None,
) -> tuple[Array, Array, Array]:
    """Smooth window after window; each starts on the last two frames of the one before."""
    q, cost, restless = q.copy(), np.empty(len(q)), np.zeros(len(q), dtype=bool)
    for start in range(0, len(q), _WINDOW):
        first = max(start - 2, 0)
        frames = np.arange(first, min(start + _WINDOW + _LOOKAHEAD, len(q)))
        q[frames], cost[frames], restless[frames] = smooth(
            kinematics,
            [task[frames] for task in tasks],
            q[frames],
            fps,
            speed_limits,
            frozen=frames < start,
        )
        if progress is not None:
            progress(min(start + _WINDOW, len(q)))
    return q, cost, restless


def _lift(heights: Array) -> Array:
    """How far to raise the base ``(frames,)``: no height ``(frames, points)`` stays negative."""
    excess = np.maximum(-SHALLOW - heights.min(axis=1), 0.0)
    if not excess.any():
        return excess
    reach = _RAMP + 1
    padded = np.pad(excess, 2 * _RAMP, mode="edge")
    widest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach - 1).max(axis=1)
    # A mean of maxima, each of which sees the frame itself, is never below its excess.
    return np.lib.stride_tricks.sliding_window_view(widest, 2 * reach - 1).mean(axis=1)


def floor_task(kinematics: Kinematics, calibration: Calibration) -> FloorTask:
    """Keep the corners of both soles above the ground."""
    bodies: list[int] = []
    points: list[Array] = []
    for foot, sole in calibration.soles.items():
        k = calibration.index(foot)
        bodies += [calibration.bodies[k]] * len(sole.corners)
        points.append(sole.corners @ calibration.rotations[k].T + calibration.translations[k])
    return FloorTask(kinematics, bodies, np.concatenate(points), weight=_FLOOR_WEIGHT)
