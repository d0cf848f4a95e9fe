"""Reading trackers' motion files, such as BeyondMimic's (Liao et al. 2025), as trajectories.

The keys are those of ``whole_body_tracking``'s ``csv_to_npz.py``; see
:func:`~motiontok.robots.files.tracker_writing.save_tracking` for their shapes. Such a file need
not name its joints; the places of its bodies show their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pinocchio as pin

from bvh.arrays import check_finite, numbers, open_npz, words
from bvh.errors import BVHError
from bvh.reading import Reading
from bvh.rotations import Array
from motiontok.errors import RobotError
from motiontok.robots.files.tables import FASTEST, reordered
from motiontok.robots.files.trajectory import Trajectory, xyzw_from_wxyz
from motiontok.robots.files.units import unit_quaternions
from motiontok.robots.model.joint_orders import joint_order
from motiontok.robots.model.robot import Robot

__all__ = ["read_tracking"]

_APART = 0.03  # m between a body and where the joints put it, on average
_LOOKED_AT = 8  # frames in which that is measured
_ORDERS = ("isaaclab", "mujoco", "robot")


def read_tracking(path: Path, robot: Robot, reading: Reading) -> tuple[Trajectory, list[str]]:
    """The trajectory of a tracker's motion file, and assumptions.

    Args:
        path: an ``.npz`` with ``joint_pos``, ``body_pos_w`` and ``body_quat_w`` (w, x, y, z);
            ``fps``, ``joint_names`` and ``body_names`` are optional. The base is the body of its
            name, or the first.
        robot: the trajectory's robot.
        reading: rate and order of the joints; override the file's.

    Raises:
        RobotError: an array is missing, of another shape or not finite; no rate; or no order of
            this robot's joints puts the bodies in their places.
    """
    try:
        with open_npz(path) as data:
            joints = numbers(data, "joint_pos")
            places, turns = numbers(data, "body_pos_w"), numbers(data, "body_quat_w")
            names, bodies = words(data, "joint_names"), words(data, "body_names")
            source = "".join(words(data, "source")[:1]) or path.stem
            rate = reading.fps
            if rate is None:
                if "fps" not in data:
                    raise BVHError("states no fps: give the rate with --source-fps")
                stated = numbers(data, "fps")
                if stated.size != 1 or not 1 / FASTEST <= float(stated.reshape(-1)[0]) <= FASTEST:
                    raise BVHError(f"fps: expected one number of frames a second, got {stated}")
                rate = float(stated.reshape(-1)[0])
        count = len(robot.joint_names)
        if joints.ndim == 2 and joints.shape[1] != count:
            raise BVHError(f"joint_pos has {joints.shape[1]} joints, {robot.name} has {count}")
        check_finite(joints, "joint_pos", (count,))
        within = places.shape[1] if places.ndim == 3 else 0
        check_finite(places, "body_pos_w", (within, 3))
        check_finite(turns, "body_quat_w", (within, 4))
        if not within:
            raise BVHError("body_pos_w: no bodies")
        if not len(joints) == len(places) == len(turns):
            raise BVHError(
                f"joint_pos has {len(joints)} frames, body_pos_w {len(places)}, body_quat_w "
                f"{len(turns)}"
            )
        base = _base(robot, bodies, within)
        turned = xyzw_from_wxyz(unit_quaternions(turns[:, base], "body_quat_w: the base's"))
        qpos = np.concatenate([places[:, base], turned, joints], axis=1)
        told = []
        if reading.joints is not None:
            found = reordered(qpos, joint_order(robot, reading.joints), robot.joint_names, "")
        elif names:
            found = reordered(qpos, names, robot.joint_names, "joint_names")
        else:
            found, order = _fitting(robot, qpos, places)
            told.append(f"names no joints; taken in the order {order}, by where its bodies are")
    except BVHError as error:
        raise RobotError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except RobotError as error:
        raise RobotError(f"{path}: {error}") from None
    if (gap := _gap(robot, found, places)) > _APART:
        raise RobotError(
            f"{path}: its bodies are {100 * gap:.0f} cm from where {robot.name}'s joints put them: "
            "another robot's, or in another order; --source-joints says which"
        )
    return Trajectory(found, robot.joint_names, rate, robot.name, source), told


def _fitting(robot: Robot, qpos: Array, places: Array) -> tuple[Array, str]:
    """Configurations in the robot's order, and the file's order by its bodies."""
    found = {
        order: reordered(qpos, joint_order(robot, order), robot.joint_names, "")
        for order in _ORDERS
    }
    # The first of those that are alike.
    best = min(found, key=lambda order: round(_gap(robot, found[order], places), 4))
    return found[best], best


def _gap(robot: Robot, qpos: Array, places: Array) -> float:
    """Mean distance in metres from the links, placed by the joints, to the nearest recorded body.

    Bodies may be in any order; missing ones do not count.
    """
    data = robot.model.createData()
    frames = np.unique(np.linspace(0, len(qpos) - 1, _LOOKED_AT).astype(int))
    found = []
    for frame in frames:
        pin.forwardKinematics(robot.model, data, qpos[frame])
        links = np.array([data.oMi[j].translation for j in range(1, robot.model.njoints)])
        between = np.linalg.norm(links[:, None] - places[frame], axis=-1)
        # What has fewer bodies than the robot is asked where these are.
        found.append(between.min(axis=0 if places.shape[1] < len(links) else 1).mean())
    return float(np.mean(found))


def _base(robot: Robot, bodies: Sequence[str], count: int) -> int:
    """Index of the base among the bodies."""
    if len(bodies) != count:
        return 0
    links = {
        frame.name
        for frame in robot.model.frames
        if frame.parentJoint == 1
        and frame.type == pin.FrameType.BODY
        and frame.placement.isIdentity()
    }
    return next((k for k, name in enumerate(bodies) if name in links), 0)
