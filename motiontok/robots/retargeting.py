"""Put a canonical motion on a robot."""

from __future__ import annotations

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array, align_signs, from_matrix, identity
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS
from motiontok.errors import RobotError
from motiontok.progress import Progress
from motiontok.robots.branches import connected
from motiontok.robots.calibration import Calibration
from motiontok.robots.contacts import find_contacts
from motiontok.robots.footing import plant_feet
from motiontok.robots.kinematics import Kinematics
from motiontok.robots.model import Robot
from motiontok.robots.smoothing import smooth
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
    targets = plant_feet(targets, robot.calibration, find_contacts(motion))
    kinematics = Kinematics(robot.model, targets.bodies)
    q = follow(
        kinematics,
        targets,
        floor=floor_task(kinematics, robot.calibration),
        speed_limits=robot.speed_limits,
    )
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


def follow(
    kinematics: Kinematics,
    targets: Targets,
    *,
    floor: FloorTask | None = None,
    speed_limits: Array | None = None,
) -> Array:
    """Configurations ``(frames, nq)`` that follow the targets.

    Frames start from the neutral pose at the target of the base, each on its own, so
    that none takes another into a bad basin. A frame that ends far above its
    neighbours' cost is solved again from theirs.
    """
    tasks: list[Task] = [PoseTask(kinematics, targets)]
    if floor is not None:
        tasks.append(floor)
    q, _ = connected(kinematics, tasks, neutral_start(kinematics, targets), targets.fps)
    if speed_limits is not None:
        q, _ = smooth(kinematics, tasks, q, targets.fps, speed_limits)
    return q


def neutral_start(kinematics: Kinematics, targets: Targets) -> Array:
    """Neutral joints, base at its target: ``(frames, nq)``."""
    rotation = targets.rotations[:, 0] @ targets.local_rotations[0].T
    q = np.zeros((len(targets), kinematics.model.nq))
    q[:, :3] = targets.positions[:, 0] - rotation @ targets.local_positions[0]
    q[:, 3:7] = xyzw_from_wxyz(from_matrix(rotation))
    q[:, 7:] = np.clip(0.0, kinematics.lower, kinematics.upper)
    return q
