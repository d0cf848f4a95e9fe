"""Motion onto a robot by inverse kinematics."""

from __future__ import annotations

import numpy as np
import pinocchio as pin
from measuring import in_turns, table

from bvh import procedural
from motiontok.robots import Follower, load_robot, retarget

TITLE = "Inverse kinematics"


def measure() -> str:
    """Beside Pinocchio's placements and Jacobians, once a frame: what one iteration needs."""
    robot = load_robot("g1")
    motion = procedural.make("dance", seconds=6, seed=0)
    q = retarget(motion, robot).qpos
    data = robot.model.createData()

    def floor() -> None:
        for row in q:
            pin.computeJointJacobians(robot.model, data, row)
            pin.updateFramePlacements(robot.model, data)

    def online() -> None:
        follower = Follower(robot, offsets=motion.offsets, fps=motion.fps)
        for position, rotations in zip(motion.root_positions, motion.rotations, strict=True):
            follower.push(position, rotations)

    name = "Pinocchio: placements and Jacobians"
    timings = in_turns(
        {
            name: floor,
            "retarget, the whole clip": lambda: retarget(motion, robot),
            "online": online,
        },
        rounds=3,
    )
    assert np.isfinite(q).all()
    return table(
        timings, what="Unitree G1, a dance of 6 s", unit="frames", work=len(motion), against=name
    )
