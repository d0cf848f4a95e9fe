"""Put a canonical motion on a robot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array, align_signs, from_matrix, identity
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS
from motiontok.errors import RobotError
from motiontok.progress import Progress
from motiontok.robots.calibration import Calibration
from motiontok.robots.kinematics import Kinematics
from motiontok.robots.model import Robot
from motiontok.robots.solver import Options, minimize
from motiontok.robots.targets import Targets, leg_length, make_targets
from motiontok.robots.tasks import FloorTask, PoseTask, Task
from motiontok.robots.trajectory import Trajectory, wxyz_from_xyzw, xyzw_from_wxyz

__all__ = ["retarget", "t_pose"]

_FLOOR_WEIGHT = 400.0


def retarget(
    motion: Motion, robot: Robot, *, fps: float | None = None, progress: Progress | None = None
) -> Trajectory:
    """Solve inverse kinematics of a whole motion.

    Args:
        motion: canonical motion.
        robot: see :func:`motiontok.robots.load_robot`.
        fps: of the result; the motion's own, if not given.
        progress: called with the number of frames done.

    Returns:
        The robot's trajectory; joint limits always hold.

    Raises:
        RobotError: the motion has no frames, or the rate is not positive.
    """
    if len(motion) == 0:
        raise RobotError(f"motion {motion.source.name!r} has no frames")
    targets = make_targets(motion, robot.calibration, robot.map.weights)
    kinematics = Kinematics(robot.model, targets.bodies)
    q = follow(kinematics, targets, floor=floor_task(kinematics, robot.calibration))
    q[:, 3:7] = xyzw_from_wxyz(align_signs(wxyz_from_xyzw(q[:, 3:7])))
    trajectory = Trajectory(
        qpos=q,
        joint_names=robot.joint_names,
        fps=motion.fps,
        robot=robot.name,
        source=motion.source.name,
    )
    if progress is not None:
        progress(len(motion))
    return trajectory if fps is None else trajectory.resample(fps)


def t_pose() -> Motion:
    """One frame of an adult in the T-pose, feet on the ground."""
    offsets = DEFAULT_OFFSETS
    standing = Motion(np.zeros((1, 3)), identity(1, len(JOINTS)), offsets)
    hips = leg_length(standing) - offsets[JOINTS.index("LeftUpLeg"), 2]
    return Motion(np.array([[0.0, 0.0, hips]]), standing.rotations, offsets)


def floor_task(kinematics: Kinematics, calibration: Calibration) -> FloorTask:
    """Keep the corners of both soles above the ground."""
    bodies: list[int] = []
    points: list[Array] = []
    for foot, sole in calibration.soles.items():
        k = calibration.index(foot)
        bodies += [calibration.bodies[k]] * len(sole.corners)
        points.append(sole.corners @ calibration.rotations[k].T + calibration.translations[k])
    return FloorTask(kinematics, bodies, np.concatenate(points), weight=_FLOOR_WEIGHT)


def follow(kinematics: Kinematics, targets: Targets, *, floor: FloorTask | None = None) -> Array:
    """Configurations ``(frames, nq)`` that follow the targets.

    Frames start from the neutral pose at the target of the base, each on its own, so
    that none takes another into a bad basin. A frame that ends far above its
    neighbours' cost is solved again from theirs.
    """
    tasks: list[Task] = [PoseTask(kinematics, targets)]
    if floor is not None:
        tasks.append(floor)
    q, cost = minimize(kinematics, neutral_start(kinematics, targets), tasks, Options())
    return _mend(kinematics, targets, tasks, q, cost)


def neutral_start(kinematics: Kinematics, targets: Targets) -> Array:
    """Neutral joints, base at its target: ``(frames, nq)``."""
    rotation = targets.rotations[:, 0] @ targets.local_rotations[0].T
    q = np.zeros((len(targets), kinematics.model.nq))
    q[:, :3] = targets.positions[:, 0] - rotation @ targets.local_positions[0]
    q[:, 3:7] = xyzw_from_wxyz(from_matrix(rotation))
    q[:, 7:] = np.clip(0.0, kinematics.lower, kinematics.upper)
    return q


def _mend(
    kinematics: Kinematics, targets: Targets, tasks: Sequence[Task], q: Array, cost: Array
) -> Array:
    """Solve frames in bad basins again, from the nearest good frame on either side."""
    frames = len(q)
    base = neutral_start(kinematics, targets)[:, :7]
    for _ in range(8):
        good = np.flatnonzero(cost <= 1.5 * np.median(cost))
        improved = 0
        for side in (-1, 1):
            neighbour = np.clip(np.arange(frames) + side, 0, frames - 1)
            bad = np.flatnonzero(cost > 1.15 * cost[neighbour] + 0.02 * np.median(cost))
            if not len(bad):
                continue
            place = np.searchsorted(good, bad) - (side < 0)
            start = q[good[np.clip(place, 0, len(good) - 1)]].copy()
            start[:, :7] = base[bad]
            trial, trial_cost = minimize(kinematics, start, [t[bad] for t in tasks], Options())
            better = trial_cost < 0.99 * cost[bad]
            q[bad[better]], cost[bad[better]] = trial[better], trial_cost[better]
            improved += int(better.sum())
        if not improved:
            break
    return q
