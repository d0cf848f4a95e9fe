"""Writing motion files for trackers such as BeyondMimic (Liao et al. 2025).

The keys are those of ``whole_body_tracking``'s ``csv_to_npz.py``; it does not read the others
(names, contacts). Bodies are the base's link and the links that joints move; links fixed to one are
part of it, as after Isaac Lab's import with merged fixed joints.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pinocchio as pin
from scipy.interpolate import CubicSpline

from bvh.atomic_write import atomic_path
from bvh.rotations import Array, align_signs, conjugate, from_matrix, rotate
from motiontok.errors import RobotError
from motiontok.robots.files.trajectory import CONTACTS, Trajectory, xyzw_from_wxyz
from motiontok.robots.model.joint_orders import joint_order
from motiontok.robots.model.robot import Robot

__all__ = ["FPS", "save_tracking", "smoothly_at"]

FPS = 50.0
"""Frames per second at which BeyondMimic's policies run."""


def smoothly_at(trajectory: Trajectory, robot: Robot, fps: float) -> Trajectory:
    """The same movement at another rate, by cubic splines: velocities have no steps.

    Joints stay within the robot's limits.

    Raises:
        RobotError: the rate is not positive.
    """
    linear = trajectory.resample(fps)
    if len(trajectory) < 4 or fps == trajectory.fps:
        return linear
    old = np.arange(len(trajectory)) / trajectory.fps
    new = np.minimum(np.arange(len(linear)) / fps, old[-1])
    qpos = trajectory.qpos.copy()
    qpos[:, 3:7] = xyzw_from_wxyz(align_signs(trajectory.root_rotations))
    qpos = CubicSpline(old, qpos)(new)
    qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
    qpos[:, 7:] = np.clip(qpos[:, 7:], robot.lower, robot.upper)
    return replace(linear, qpos=qpos)


def save_tracking(
    trajectory: Trajectory,
    robot: Robot,
    path: str | os.PathLike[str],
    *,
    joints: str = "isaaclab",
    fps: float = FPS,
) -> int:
    """Write a trajectory as a tracker's motion file, ``.npz``, atomically.

    ========================  =====================================================
    ``fps``                   ``(1,)``
    ``joint_pos``             ``(frames, joints)`` rad
    ``joint_vel``             ``(frames, joints)`` rad/s
    ``body_pos_w``            ``(frames, bodies, 3)`` m, of link frames
    ``body_quat_w``           ``(frames, bodies, 4)`` (w, x, y, z)
    ``body_lin_vel_w``        ``(frames, bodies, 3)`` m/s, of centres of mass
    ``body_ang_vel_w``        ``(frames, bodies, 3)`` rad/s
    ``joint_names``           in the order of the columns
    ``body_names``            the base first, then the link that each joint moves
    ``contacts``              ``(frames, 4)`` true where a heel or toe stands
    ``contact_names``         left_heel, left_toe, right_heel, right_toe
    ========================  =====================================================

    All arrays are float32 but for names and contacts; the world's Z is up.

    Args:
        trajectory: of the robot, of at least 2 frames at ``fps``.
        robot: the robot.
        path: ends in ``.npz``.
        joints: order, see :func:`~motiontok.robots.model.joint_orders.joint_order`.
        fps: of the file.

    Returns:
        Frames written.

    Raises:
        RobotError: it is another robot's trajectory, too short, or the path no ``.npz``.
        InputError: no such order.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise RobotError(f"{path}: a tracker's motion is written as .npz")
    if trajectory.joint_names != robot.joint_names:
        raise RobotError(f"the trajectory is of {trajectory.robot!r}, not of {robot.name!r}")
    names = joint_order(robot, joints)
    moved = smoothly_at(trajectory, robot, fps)
    if len(moved) < 2:
        raise RobotError(f"{path}: a motion of one frame at {fps:g} frames/s has no velocity")
    columns = [robot.joint_names.index(name) for name in names]
    # Pinocchio's joint 1 is the floating base.
    bodies = [1, *(2 + column for column in columns)]
    positions, quaternions, linear, angular = _bodies(moved, robot, bodies)
    contacts = moved.contacts
    if contacts is None:
        contacts = np.zeros((len(moved), len(CONTACTS)), dtype=bool)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            fps=np.array([fps]),
            joint_pos=moved.joints[:, columns].astype(np.float32),
            joint_vel=moved.joint_velocities()[:, columns].astype(np.float32),
            body_pos_w=positions.astype(np.float32),
            body_quat_w=quaternions.astype(np.float32),
            body_lin_vel_w=linear.astype(np.float32),
            body_ang_vel_w=angular.astype(np.float32),
            joint_names=np.array(names),
            body_names=np.array([_link(robot, body) for body in bodies]),
            contacts=contacts,
            contact_names=np.array(CONTACTS),
            robot=robot.name,
            source=moved.source,
        )
    return len(moved)


def _bodies(
    trajectory: Trajectory, robot: Robot, bodies: list[int]
) -> tuple[Array, Array, Array, Array]:
    """World positions, quaternions, linear and angular velocities ``(frames, bodies, ...)``."""
    model, data = robot.model, robot.model.createData()
    linear, angular = trajectory.root_velocities()
    # The base's velocity is one along its own axes.
    back = conjugate(trajectory.root_rotations)
    v = np.concatenate(
        [rotate(back, linear), rotate(back, angular), trajectory.joint_velocities()], axis=1
    )
    shape = (len(trajectory), len(bodies))
    places, turns = np.empty((*shape, 3)), np.empty((*shape, 3, 3))
    fast, spin = np.empty((*shape, 3)), np.empty((*shape, 3))
    for frame in range(len(trajectory)):
        pin.forwardKinematics(model, data, trajectory.qpos[frame], v[frame])
        for k, body in enumerate(bodies):
            placement, moving = data.oMi[body], data.v[body]
            rotation, center = placement.rotation, model.inertias[body].lever
            places[frame, k], turns[frame, k] = placement.translation, rotation
            fast[frame, k] = rotation @ (moving.linear + np.cross(moving.angular, center))
            spin[frame, k] = rotation @ moving.angular
    return places, align_signs(from_matrix(turns)), fast, spin


def _link(robot: Robot, body: int) -> str:
    """Name of the link that a joint moves: the one whose frame is the joint's own."""
    links = [
        frame
        for frame in robot.model.frames
        if frame.parentJoint == body and frame.type == pin.FrameType.BODY
    ]
    return str(next((f for f in links if f.placement.isIdentity()), links[0]).name)
