"""Put a canonical motion on a robot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pinocchio as pin

from bvh.motion import Motion
from bvh.rotations import Array, align_signs, identity
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS
from motiontok.errors import RobotError
from motiontok.progress import Progress
from motiontok.robots.contacts.ground import Planes, find_ground
from motiontok.robots.contacts.offline_foot_lock import (
    foot_holds,
    lock_target_feet,
    standing_feet,
)
from motiontok.robots.contacts.reach import within_reach
from motiontok.robots.contacts.resting_bodies import rest_bodies
from motiontok.robots.files.trajectory import Trajectory, wxyz_from_xyzw, xyzw_from_wxyz
from motiontok.robots.model.robot import Robot
from motiontok.robots.solver.offline import solve_trajectory
from motiontok.robots.targets import leg_length, make_targets

__all__ = ["body_like", "joint_places", "retarget", "sized_like", "t_pose"]


def retarget(
    motion: Motion,
    robot: Robot,
    *,
    fps: float | None = None,
    self_collision: bool = True,
    ground: Planes | None = None,
    progress: Progress | None = None,
) -> Trajectory:
    """Solve inverse kinematics of a whole motion.

    Args:
        motion: canonical motion.
        robot: see :func:`motiontok.robots.load_robot`.
        fps: of the result; the motion's own, if not given.
        self_collision: keep the robot's bodies from running into each other.
        ground: planes ``z = a x + b y + c`` to stand on, in metres of the motion; feet stand on the
            nearest; ``[(0, 0, 0)]`` is the flat floor. Found in the motion, if not given:
            :func:`~motiontok.robots.contacts.ground.find_ground`.
        progress: called with the number of frames done.

    Returns:
        The robot's trajectory. Joint and speed limits hold in every frame, standing
        feet stay put, and no foot is below ground by more than a few millimetres.

    Raises:
        RobotError: the motion has no frames, the rate is not positive, a mesh cannot be
            read, or ``ground`` is not planes.
    """
    if len(motion) == 0:
        raise RobotError(f"motion {motion.source.name!r} has no frames")
    targets = make_targets(motion, robot.calibration, robot.map.weights)
    under = find_ground(motion, ground)
    contacts = standing_feet(motion, targets, robot.model, robot.calibration, under.feet)
    targets = within_reach(targets, robot.model, robot.calibration)
    under = under.scaled(robot.calibration.leg_length / leg_length(motion.offsets))
    targets = lock_target_feet(targets, robot.calibration, contacts, under.feet)
    outline = robot.outline
    targets, resting = rest_bodies(targets, robot.calibration, outline, under.rest)
    bodies = np.unique(outline.bodies).tolist()
    q = solve_trajectory(
        robot.model,
        targets,
        speed_limits=robot.speed_limits,
        holds=[*foot_holds(robot.calibration, contacts), *resting],
        outline=outline,
        planes=None if under.is_level else under.under(robot, bodies),
        collision=robot.self_collision if self_collision else None,
        coupling=robot.coupling,
        progress=progress,
    )
    q[:, 3:7] = xyzw_from_wxyz(align_signs(wxyz_from_xyzw(q[:, 3:7])))
    trajectory = Trajectory(
        qpos=q,
        joint_names=robot.joint_names,
        fps=motion.fps,
        robot=robot.name,
        source=motion.source.name,
        contacts=contacts.ends,
    )
    return trajectory if fps is None else trajectory.resample(fps)


def body_like(robot: Robot) -> Array:
    """Rest offsets ``(22, 3)``, metres, of a person with the robot's legs.

    Retargeting keeps the places of such a body: nothing is scaled.
    """
    return robot.calibration.leg_length / leg_length(DEFAULT_OFFSETS) * DEFAULT_OFFSETS


def joint_places(robot: Robot, qpos: Array) -> Array:
    """World positions ``(frames, joints, 3)`` of base and joints in configurations, metres."""
    data = robot.model.createData()
    out = np.empty((len(qpos), robot.model.njoints - 1, 3))
    for places, q in zip(out, qpos, strict=True):
        pin.forwardKinematics(robot.model, data, q)
        places[:] = [data.oMi[joint].translation for joint in range(1, robot.model.njoints)]
    return out


def sized_like(robot: Robot, motion: Motion) -> Motion:
    """The motion of a person with the robot's leg length, to be drawn beside the robot.

    A robot's steps are shorter than a taller person's by the ratio of their legs, so it
    falls behind; of equal size, both are in the same place all the time.
    """
    scale = robot.calibration.leg_length / leg_length(motion.offsets)
    return replace(
        motion, root_positions=scale * motion.root_positions, offsets=scale * motion.offsets
    )


def t_pose() -> Motion:
    """One frame of an adult in the T-pose, feet on the ground."""
    offsets = DEFAULT_OFFSETS
    hips = leg_length(offsets) - offsets[JOINTS.index("LeftUpLeg"), 2]
    return Motion(np.array([[0.0, 0.0, hips]]), identity(1, len(JOINTS)), offsets)
