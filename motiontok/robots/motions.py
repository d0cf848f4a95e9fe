"""A robot's own motion as canonical motion: the inverse of retargeting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pinocchio as pin

from bvh.motion import FPS, Motion, Source
from bvh.rotations import Array, align_signs, conjugate, from_matrix, identity, multiply, slerp
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, PARENTS, toe_height
from bvh.skeleton import leg_length as bones_of_leg
from motiontok.errors import RobotError
from motiontok.robots.files.trajectory import Trajectory
from motiontok.robots.model.calibration import Calibration
from motiontok.robots.model.robot import Robot

__all__ = ["motion_of"]


def motion_of(trajectory: Trajectory, robot: Robot, *, fps: float = FPS) -> Motion:
    """The canonical motion that a robot's trajectory shows.

    Links that follow a canonical joint give its rotation, and the joints between them share the
    turn. The body has the robot's proportions where the map has them, else a person's. It is scaled
    to an adult's leg length, so that the path is a person's too.

    Args:
        trajectory: of the robot, its joints in any order.
        robot: see :func:`motiontok.robots.load_robot`.
        fps: of the result.

    Raises:
        RobotError: no frames, or its joints are not the robot's.
    """
    trajectory = trajectory.in_order(robot.joint_names)
    if not len(trajectory):
        raise RobotError(f"trajectory of {trajectory.source or robot.name} has no frames")
    calibration = robot.calibration
    offsets = body_of(calibration)
    turns, hips = _placed(robot.model, calibration, trajectory.qpos)
    world = _shared(calibration, turns)
    local = world.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            local[:, joint] = multiply(conjugate(world[:, parent]), world[:, joint])
    scale = bones_of_leg(DEFAULT_OFFSETS) / bones_of_leg(offsets)
    motion = Motion(
        root_positions=scale * hips,
        rotations=align_signs(local),
        offsets=scale * offsets,
        fps=trajectory.fps,
        source=Source(
            name=trajectory.source or robot.name,
            fps=trajectory.fps,
            scale=scale,
            family=f"robot {robot.name}",
            joints=dict(robot.map.follow),
        ),
    )
    return motion.resampled(fps)


def body_of(calibration: Calibration) -> Array:
    """Rest offsets ``(22, 3)`` of the robot as a canonical skeleton, metres.

    Hips and legs, the arms' bones, and the height and width of the arms are the robot's. Trunk and
    neck are a person's, stretched to that height.
    """
    offsets = DEFAULT_OFFSETS.copy()
    center = dict(zip(calibration.joints, calibration.centers, strict=True))
    legs = sum(np.linalg.norm(center[s + "Foot"] - center[s + "Leg"])
               + np.linalg.norm(center[s + "Leg"] - center[s + "UpLeg"])
               for s in ("Left", "Right")) / 2.0  # fmt: skip
    offsets *= legs / bones_of_leg(DEFAULT_OFFSETS)
    trunk = [JOINTS.index(j) for j in ("Spine", "Spine1", "Spine2")]
    arms = [j for j in ("LeftArm", "RightArm") if j in center]
    if len(arms) == 2:
        shoulder, arm = JOINTS.index("LeftShoulder"), JOINTS.index("LeftArm")
        high = float(np.mean([center[j][2] - center["Hips"][2] for j in arms]))
        usual = float(offsets[[*trunk, shoulder, arm], 2].sum())
        if high > 0.0:
            above = [JOINTS.index(j) for j in ("Neck", "LeftShoulder", "RightShoulder")]
            offsets[[*trunk, *above], 2] *= high / usual
        for name in arms:
            joint = JOINTS.index(name)
            out = center[name][1] - offsets[PARENTS[joint], 1]
            # Narrow robots have no room for a person's clavicles.
            if out * offsets[joint, 1] <= 0.0:
                offsets[PARENTS[joint], 1] = out = center[name][1] / 2.0
            offsets[joint] = [0.0, out, 0.0]
    for followed in calibration.joints:
        kind = followed.removeprefix("Left").removeprefix("Right")
        joint = JOINTS.index(followed)
        parent = JOINTS[PARENTS[joint]]
        if kind in ("UpLeg", "Leg", "Foot", "ForeArm", "Hand") and parent in center:
            offsets[joint] = center[followed] - center[parent]
    for side in ("Left", "Right"):
        # The joint of the toes is over the sole's front edge, as high as a person's.
        toe = calibration.soles[side + "Foot"].toe
        offsets[JOINTS.index(side + "Toe")] = toe + [0.0, 0.0, toe_height(offsets)]
    offsets[0] = 0.0
    return offsets


def _placed(model: Any, calibration: Calibration, qpos: Array) -> tuple[Array, Array]:
    """Where links and hips are in the world.

    Returns:
        Rotations ``(frames, followed, 4)`` of the links' canonical axes, and the place
        ``(frames, 3)`` of the hips' joint, metres.
    """
    data = model.createData()
    bodies = list(calibration.bodies)
    matrices = np.empty((len(qpos), len(bodies), 3, 3))
    hips = np.empty((len(qpos), 3))
    for frame, q in enumerate(qpos):
        pin.forwardKinematics(model, data, q)
        for k, body in enumerate(bodies):
            matrices[frame, k] = data.oMi[body].rotation
        hips[frame] = data.oMi[bodies[0]].act(calibration.translations[0])
    return from_matrix(matrices @ calibration.rotations), hips


def _shared(calibration: Calibration, turns: Array) -> Array:
    """World rotations ``(frames, 22, 4)`` of all joints.

    Those of a chain without links go in equal steps from the one before it to the one behind.
    """
    world = identity(len(turns), len(JOINTS))
    known = {JOINTS.index(name): k for k, name in enumerate(calibration.joints)}
    for joint, parent in enumerate(PARENTS):
        if joint in known:
            world[:, joint] = turns[:, known[joint]]
        elif JOINTS[joint] in ("Spine", "Spine1", "Neck"):
            steps, last = 1, joint + 1
            while last not in known and JOINTS[last] in ("Spine1", "Spine2", "Head"):
                steps, last = steps + 1, last + 1
            if last in known and JOINTS[last] in ("Spine1", "Spine2", "Head"):
                end = turns[:, known[last]]
                above = world[:, parent]
                world[:, joint] = slerp(above, end, 1.0 / (steps + 1))
            else:
                world[:, joint] = world[:, parent]
        else:
            world[:, joint] = world[:, parent]
    return world
