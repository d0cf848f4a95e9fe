"""Plant the feet: targets on which standing soles lie flat on the ground and stay put.

A foot's raw target follows the human's, and slides a little where the human slid, where
the capture is noisy, and where a robot with wider hips turns about a planted foot. Here
each standing heel or toe gets an anchor on the ground (Kovar et al. 2002, "Footskate
cleanup for motion capture editing") that moves as little as possible; between contacts the
correction fades from one anchor's to the next one's, so that no swing starts or ends with
a jump.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bvh import rotations as quaternions
from bvh.foot_contacts import (
    SIDES,
    Contacts,
    faces_ground,
    find_contacts,
    normals_of,
    runs,
)
from bvh.motion import Motion
from bvh.rotations import Array, to_matrix
from motiontok.robots.contacts.anchors import fade, steady, still
from motiontok.robots.contacts.held_contacts import Hold
from motiontok.robots.contacts.reach import reached_feet
from motiontok.robots.kinematics import so3
from motiontok.robots.model.calibration import Calibration, Sole
from motiontok.robots.targets import Targets

__all__ = ["foot_holds", "lock_target_feet", "standing_feet", "standing_points"]

_RAISED = 0.14  # of the foot's length, 8 degrees: a toe left so high does not stand
_FLATTER = 3.0  # factor of a standing foot's weight of rotation


def standing_feet(
    motion: Motion, targets: Targets, model: Any, calibration: Calibration, planes: Array
) -> Contacts:
    """The person's contacts that the robot's ankles allow.

    A foot whose ankle cannot turn its sole to the ground from the shin's target, or cannot bring
    its toe down, would pull shin, thigh and hips along, or stand in the air.

    Args:
        motion: the person's.
        targets: of the motion, feet as the person's.
        model: Pinocchio model.
        calibration: of the robot.
        planes: ``(frames, 2, 3)`` the ground under the left and the right foot, in the person's
            size.
    """
    feet = [calibration.index(side + "Foot") for side in SIDES]
    reached = reached_feet(targets, model, calibration)
    able = np.repeat(faces_ground(reached, planes), 2, axis=1)
    raised = reached[..., 0] - targets.rotations[:, feet][..., 0]
    able[:, 1::2] &= (raised * normals_of(planes)).sum(axis=-1) < _RAISED
    return find_contacts(motion, planes, able=able)


def lock_target_feet(
    targets: Targets,
    calibration: Calibration,
    contacts: Contacts,
    planes: Array | None = None,
) -> Targets:
    """Targets whose standing feet are flat on the ground and still.

    Args:
        targets: of a motion, from :func:`~motiontok.robots.targets.make_targets`.
        calibration: of the robot.
        contacts: of the same motion.
        planes: ``(frames, 2, 3)`` the ground ``z = a x + b y + c`` under the left and the
            right foot, in the robot's size; z = 0, if not given.
    """
    if planes is None:
        planes = np.zeros((len(targets), 2, 3))
    frames = len(targets)
    rotations, positions = targets.rotations.copy(), targets.positions.copy()
    rotation_weights = np.repeat(targets.rotation_weights, frames, axis=0)
    for side, name in enumerate(SIDES):
        k = calibration.index(name + "Foot")
        heel, toe = contacts.heels[:, side], contacts.toes[:, side]
        standing = heel | toe
        if not standing.any():
            continue
        rotations[:, k], positions[:, k] = _plant(
            rotations[:, k],
            positions[:, k],
            calibration.soles[name + "Foot"],
            heel,
            toe,
            planes[:, side],
            targets.fps,
        )
        rotation_weights[standing, k] *= _FLATTER
    return replace(
        targets,
        rotations=rotations,
        positions=positions,
        rotation_weights=rotation_weights,
    )


def standing_points(calibration: Calibration) -> list[tuple[int, Array]]:
    """Bodies (Pinocchio joint indices), and in their frames heel and toe of each side ``(3,)``."""
    points = []
    for name in SIDES:
        k = calibration.index(name + "Foot")
        sole = calibration.soles[name + "Foot"]
        for point in (sole.heel, sole.toe):
            local = calibration.rotations[k] @ point + calibration.translations[k]
            points.append((calibration.bodies[k], local))
    return points


def foot_holds(calibration: Calibration, contacts: Contacts) -> list[Hold]:
    """Heels and toes that stay where they stand."""
    return [
        Hold(body, point, standing)
        for (body, point), standing in zip(
            standing_points(calibration), contacts.ends.T, strict=True
        )
    ]


def _plant(
    rotations: Array,
    positions: Array,
    sole: Sole,
    heel: Array,
    toe: Array,
    planes: Array,
    fps: float,
) -> tuple[Array, Array]:
    both, standing = heel & toe, heel | toe
    heels, toes = positions + rotations @ sole.heel, positions + rotations @ sole.toe

    # Headings of flat feet are held too. What they are turned by goes over into other frames: a
    # foot that turns on its toe stands, but no longer on its heading, which must not jump.
    yaw = np.zeros_like(positions)
    heading = np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0])
    yaw[:, 2] = steady(heading, both, fps) - heading
    headed = to_matrix(quaternions.exp(yaw)) @ rotations
    heading += yaw[:, 2]
    direction = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    normals = normals_of(planes)
    wanted = np.where(both[:, None, None], _flat(direction, normals), _level(headed, normals))
    turn = so3.log(wanted @ headed.swapaxes(-1, -2))[0]
    turned = to_matrix(quaternions.exp(fade(turn, standing, fps))) @ headed

    correction = np.zeros_like(positions)
    toe_anchor, heel_anchor = toes.copy(), heels.copy()
    for start, end in runs(toe):
        toe_anchor[start:end, :2] = still(toes[start:end, :2], fps)
    for start, end in runs(heel):
        heel_anchor[start:end, :2] = still(heels[start:end, :2], fps)
        joint = start + np.flatnonzero(both[start:end])
        if len(joint):
            # Where heel and toe both stand the toe decides; the heel's other frames join on.
            nearest = joint[np.abs(np.arange(start, end)[:, None] - joint).argmin(axis=1)]
            flat = toe_anchor[nearest] + turned[nearest] @ (sole.heel - sole.toe)
            heel_anchor[start:end, :2] = flat[:, :2]
    for mask, anchor, point in ((heel & ~toe, heel_anchor, sole.heel), (toe, toe_anchor, sole.toe)):
        anchor[:, 2] = (planes[:, :2] * anchor[:, :2]).sum(1) + planes[:, 2]
        offset = anchor - (turned @ point + positions)
        correction[mask] = offset[mask]
    return turned, positions + fade(correction, standing, fps)


def _flat(direction: Array, normals: Array) -> Array:
    """Rotations ``(frames, 3, 3)`` with Z axes ``normals``, X axes over unit ``(frames, 2)``."""
    rise = -(direction * normals[:, :2]).sum(axis=1, keepdims=True) / normals[:, 2:]
    x = np.concatenate([direction, rise], axis=1) / np.sqrt(1.0 + rise * rise)
    return np.stack([x, so3.cross_rows(normals, x), normals], axis=-1)


def _level(rotations: Array, normals: Array) -> Array:
    """The nearest rotations with the same X axis and a Y axis in the ground's plane."""
    x = rotations[:, :, 0]
    y = so3.cross_rows(normals, x)
    size = np.linalg.norm(y, axis=-1, keepdims=True)
    y = y / np.maximum(size, 1e-6)
    level = np.stack([x, y, so3.cross_rows(x, y)], axis=-1)
    # A foot that points straight down has no heading, one upside down no sole to stand on.
    usable = (size[..., 0] > 0.2) & (rotations[:, 2, 2] > 0)
    out: Array = np.where(usable[:, None, None], level, rotations)
    return out
