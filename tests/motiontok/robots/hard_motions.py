"""Motions that robots find hard."""

from __future__ import annotations

from bvh import Motion, procedural
from bvh.rotations import from_axis_angle, multiply
from bvh.skeleton import JOINTS


def hands_in_the_belly(*, seconds: float) -> Motion:
    """Someone who stands with both forearms bent through the trunk."""
    motion = procedural.make("wave", seconds=seconds, seed=1)
    rotations = motion.rotations.copy()
    inward = from_axis_angle([0.0, 1.0, 0.0], 1.3)
    for name, sign in (("Left", -1.0), ("Right", 1.0)):
        down = from_axis_angle([1.0, 0.0, 0.0], 1.4 * sign)
        rotations[:, JOINTS.index(name + "Arm")] = multiply(down, inward)
        bent = from_axis_angle([0.0, 0.0, 1.0], 1.7 * sign)
        rotations[:, JOINTS.index(name + "ForeArm")] = bent
    return Motion(motion.root_positions, rotations, motion.offsets)
