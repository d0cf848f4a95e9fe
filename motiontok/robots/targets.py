"""From canonical motion to where each followed body of a robot should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array, to_matrix
from bvh.skeleton import JOINTS
from motiontok.robots.calibration import Calibration
from motiontok.robots.maps import Weight

__all__ = ["TOE_HEIGHT", "Targets", "leg_length", "make_targets"]

TOE_HEIGHT = 0.02
"""Height of a standing human's toe joint above the ground, metres (canonical motion)."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Poses for some frames that are fixed to bodies of a robot.

    Attributes:
        bodies: Pinocchio joint index of each tracked frame's body.
        local_rotations: ``(tracked, 3, 3)`` body_from_frame.
        local_positions: ``(tracked, 3)`` of the frames in their bodies, metres.
        rotations: ``(frames, tracked, 3, 3)`` wanted world_from_frame.
        positions: ``(frames, tracked, 3)`` wanted world positions, metres.
        rotation_weights: ``(frames or 1, tracked)`` factor of the rotation residual (rad).
        position_weights: ``(frames or 1, tracked)`` factor of the position residual (m).
        fps: frames per second.
    """

    bodies: tuple[int, ...]
    local_rotations: Array
    local_positions: Array
    rotations: Array
    positions: Array
    rotation_weights: Array
    position_weights: Array
    fps: float

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, frames: slice | Array) -> Targets:
        def part(values: Array) -> Array:
            out: Array = values if len(values) == 1 else values[frames]
            return out

        return replace(
            self,
            rotations=self.rotations[frames],
            positions=self.positions[frames],
            rotation_weights=part(self.rotation_weights),
            position_weights=part(self.position_weights),
        )


def leg_length(motion: Motion) -> float:
    """Height of the hip joints above the ground in the subject's T-pose, metres."""
    heights = [
        -sum(motion.offsets[JOINTS.index(side + j), 2] for j in ("Leg", "Foot", "Toe"))
        for side in ("Left", "Right")
    ]
    return float(np.mean(heights)) + TOE_HEIGHT


def make_targets(
    motion: Motion, calibration: Calibration, weights: Mapping[str, Weight]
) -> Targets:
    """Carry a motion onto a robot's own bones.

    Rotations are the human's. Trunk, arms and knees hang on the robot's bones; hips
    and feet are the human's scaled by the ratio of the leg lengths, so that feet that
    stand keep standing, and are set apart by the robot's own hip width.

    Args:
        motion: canonical motion.
        calibration: of the robot.
        weights: canonical joint -> weight, for every followed joint.
    """
    quaternions, human = motion.global_transforms()
    order = [JOINTS.index(j) for j in calibration.joints]
    rotations = to_matrix(quaternions[:, order])
    positions = np.empty((len(motion), len(order), 3))
    scale = calibration.leg_length / max(leg_length(motion), 1e-3)

    thighs = [JOINTS.index("LeftUpLeg"), JOINTS.index("RightUpLeg")]
    own_thighs = [calibration.index("LeftUpLeg"), calibration.index("RightUpLeg")]
    between_hips = calibration.centers[own_thighs].mean(axis=0) - calibration.centers[0]
    positions[:, 0] = scale * human[:, thighs].mean(axis=1) - rotations[:, 0] @ between_hips
    for k, parent in enumerate(calibration.parents[1:], start=1):
        bone = calibration.centers[k] - calibration.centers[parent]
        positions[:, k] = positions[:, parent] + rotations[:, parent] @ bone

    left = _left_of(rotations[:, 0])
    own_width = calibration.centers[own_thighs[0], 1] - calibration.centers[own_thighs[1], 1]
    width = motion.offsets[thighs[0], 1] - motion.offsets[thighs[1], 1]
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        k = calibration.index(side + "Foot")
        toe = scale * human[:, JOINTS.index(side + "Toe")]
        toe[:, 2] -= scale * TOE_HEIGHT
        toe += sign * 0.5 * (own_width - scale * width) * left
        positions[:, k] = toe - rotations[:, k] @ calibration.soles[side + "Foot"].toe

    return Targets(
        bodies=calibration.bodies,
        local_rotations=calibration.rotations,
        local_positions=calibration.translations,
        rotations=rotations,
        positions=positions,
        rotation_weights=np.array([[weights[j].rotation for j in calibration.joints]]),
        position_weights=np.array([[weights[j].position for j in calibration.joints]]),
        fps=motion.fps,
    )


def _left_of(rotations: Array) -> Array:
    """Horizontal unit vectors ``(frames, 3)`` to the left of a heading."""
    left = rotations[:, :, 1].copy()
    # A body on its side has its left pointing up: take the heading from its front then.
    front = rotations[:, :, 0]
    fallback = np.stack([-front[:, 1], front[:, 0], np.zeros(len(front))], axis=-1)
    left[:, 2] = 0.0
    size = np.linalg.norm(left, axis=-1, keepdims=True)
    left = np.where(size > 0.3, left, fallback)
    out: Array = left / np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-9)
    return out
