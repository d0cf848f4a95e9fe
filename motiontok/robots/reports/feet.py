"""How a robot's feet stand: corners of its soles, their slide and tilt."""

from __future__ import annotations

import numpy as np

from bvh.foot_contacts import SIDES, Contacts
from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import JOINTS
from motiontok.robots.kinematics.kinematics import Kinematics, State
from motiontok.robots.model.robot import Robot
from motiontok.robots.targets import leg_length

__all__ = ["slides", "sole_corners", "tilts"]


def sole_corners(robot: Robot, kinematics: Kinematics, state: State) -> Array:
    """World positions ``(frames, 2, 4, 3)`` of the corners of the left and right sole."""
    calibration = robot.calibration
    out = []
    for side in SIDES:
        k = calibration.index(side + "Foot")
        body = kinematics.body_index(calibration.bodies[k])
        local = calibration.soles[side + "Foot"].corners @ calibration.rotations[k].T
        local = local + calibration.translations[k]
        turned = np.einsum("tij,cj->tci", state.rotations[:, body], local)
        out.append(state.positions[:, None, body] + turned)
    return np.stack(out, axis=1)


def slides(motion: Motion, robot: Robot, corners: Array, contacts: Contacts) -> tuple[Array, Array]:
    """Horizontal speeds (m/s) of standing points: the robot's, the motion's scaled."""
    human = motion.global_positions() * robot.calibration.leg_length / leg_length(motion.offsets)
    own, source = [], []
    for side, name in enumerate(SIDES):
        for mask, joint, pair in (
            (contacts.heels[:, side], "Foot", slice(0, 2)),
            (contacts.toes[:, side], "Toe", slice(2, 4)),
        ):
            # Between two frames that both stand.
            both = mask[1:] & mask[:-1]
            point = corners[:, side, pair].mean(axis=1)
            own.append(_planar_speed(point, motion.fps)[both])
            source.append(_planar_speed(human[:, JOINTS.index(name + joint)], motion.fps)[both])
    return np.concatenate(own), np.concatenate(source)


def tilts(corners: Array, contacts: Contacts, planes: Array) -> Array:
    """Angles of flat standing soles to the ground, rad."""
    along, across = corners[:, :, 2] - corners[:, :, 0], corners[:, :, 1] - corners[:, :, 0]
    normal = np.cross(along, across)
    upright = normal[..., 2] - (planes[..., :2] * normal[..., :2]).sum(-1)
    sizes = np.linalg.norm(normal, axis=-1) * np.sqrt(1.0 + (planes[..., :2] ** 2).sum(-1))
    flat = np.arccos(np.clip(upright / sizes, -1.0, 1.0))
    out: Array = flat[contacts.heels & contacts.toes]
    return out


def _planar_speed(points: Array, fps: float) -> Array:
    return np.asarray(np.linalg.norm(np.diff(points[:, :2], axis=0), axis=-1) * fps)
