"""From canonical motion to target poses of a robot's followed bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array, to_matrix
from bvh.skeleton import JOINTS, toe_height
from motiontok.robots.model.calibration import Calibration
from motiontok.robots.model.maps import Weight

__all__ = ["TargetMaker", "Targets", "leg_length", "make_targets"]


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


def leg_length(offsets: Array) -> float:
    """Height of the hip joints above the ground in a subject's T-pose, metres.

    Args:
        offsets: ``(22, 3)`` of the canonical skeleton.
    """
    heights = [
        -sum(offsets[JOINTS.index(side + j), 2] for j in ("Leg", "Foot", "Toe"))
        for side in ("Left", "Right")
    ]
    return max(float(np.mean(heights)) + toe_height(offsets), 1e-3)


class TargetMaker:
    """Carries one subject's motion onto a robot's own bones.

    Rotations are the human's. Trunk, arms and knees hang on the robot's bones. Hips and feet are
    the human's, scaled by the ratio of the leg lengths, so that standing feet keep standing; feet
    are set apart as wide as the robot's own legs.

    Args:
        calibration: of the robot.
        weights: canonical joint -> weight, for every followed joint.
        offsets: ``(22, 3)`` the subject's bones, metres.
    """

    def __init__(
        self, calibration: Calibration, weights: Mapping[str, Weight], offsets: Array
    ) -> None:
        self.calibration = calibration
        self.scale = calibration.leg_length / leg_length(offsets)
        self._toe_height = self.scale * toe_height(offsets)
        self._order = np.array([JOINTS.index(j) for j in calibration.joints])
        thighs = ["LeftUpLeg", "RightUpLeg"]
        self._thighs = [JOINTS.index(thigh) for thigh in thighs]
        self._toes = np.array([JOINTS.index("LeftToe"), JOINTS.index("RightToe")])
        self._feet = np.array([calibration.index("LeftFoot"), calibration.index("RightFoot")])
        own = calibration.centers[[calibration.index(thigh) for thigh in thighs]]
        self._between_hips = own.mean(axis=0) - calibration.centers[0]
        human_width = offsets[self._thighs[0], 1] - offsets[self._thighs[1], 1]
        feet = calibration.centers[self._feet]
        wider = 0.5 * (feet[0, 1] - feet[1, 1] - self.scale * human_width)
        self._apart = np.array([[wider], [-wider]])
        parents = np.array(calibration.parents)
        self._bones = (calibration.centers - calibration.centers[parents])[..., None]
        # A point is the sum of the turned bones above it.
        self._parents = np.maximum(parents, 0)
        self._above = np.eye(len(parents))
        for k, parent in enumerate(calibration.parents[1:], start=1):
            self._above[k] += self._above[parent]
        self._map: tuple[Array, Array] | None = None
        soles = calibration.soles
        self._sole_toes = np.stack([soles["LeftFoot"].toe, soles["RightFoot"].toe])[..., None]
        self._rotation_weights = np.array([[weights[j].rotation for j in calibration.joints]])
        self._position_weights = np.array([[weights[j].position for j in calibration.joints]])

    def make(self, rotations: Array, positions: Array, fps: float) -> Targets:
        """Targets of some frames.

        Args:
            rotations: ``(frames, 22, 3, 3)`` world_from_joint of the human.
            positions: ``(frames, 22, 3)`` of the human's joints in the world, metres.
            fps: frames per second.
        """
        wanted = rotations.take(self._order, axis=1)
        points = self._points(wanted, positions)
        points[:, self._feet, :2] += self._apart * _left_of(wanted[:, 0])[:, None]
        return self._targets(wanted, points, fps)

    def make_one(self, placed: Array, fps: float) -> Targets:
        """Targets of one frame, as :meth:`make` makes them.

        Args:
            placed: ``(22, 12)`` of the human's joints: axes in the world, then positions, metres.
            fps: frames per second.
        """
        if self._map is None:
            self._map = self._mapped()
        matrix, constant = self._map
        wanted = placed[:, :9].take(self._order, axis=0).reshape(-1, 3, 3).swapaxes(1, 2)
        points = (matrix @ placed.ravel()).reshape(constant.shape)
        points += constant
        points[self._feet, :2] += self._apart * _left_of(wanted[:1])
        return self._targets(wanted.copy()[None], points[None], fps)

    def _points(self, wanted: Array, positions: Array) -> Array:
        """Positions ``(frames, tracked, 3)``, feet as far apart as the human's."""
        bones = (wanted.take(self._parents, axis=1) @ self._bones)[..., 0]
        left, right = self._thighs
        bones[:, 0] = (0.5 * self.scale) * (positions[:, left] + positions[:, right])
        bones[:, 0] -= wanted[:, 0] @ self._between_hips
        points: Array = self._above @ bones
        toes = self.scale * positions.take(self._toes, axis=1)
        toes[..., 2] -= self._toe_height
        toes -= (wanted.take(self._feet, axis=1) @ self._sole_toes)[..., 0]
        points[:, self._feet] = toes
        return points

    def _mapped(self) -> tuple[Array, Array]:
        """:meth:`_points` as a matrix and a constant, which they are of placements."""
        count = len(JOINTS)
        basis = np.concatenate([np.zeros((1, 12 * count)), np.eye(12 * count)])
        placed = basis.reshape(-1, count, 12)
        turned = placed[..., :9].reshape(-1, count, 3, 3).swapaxes(2, 3)
        points = self._points(turned.take(self._order, axis=1), placed[..., 9:])
        matrix = (points[1:] - points[0]).reshape(len(basis) - 1, -1).T
        return np.ascontiguousarray(matrix), points[0]

    def _targets(self, wanted: Array, points: Array, fps: float) -> Targets:
        calibration = self.calibration
        return Targets(
            bodies=calibration.bodies,
            local_rotations=calibration.rotations,
            local_positions=calibration.translations,
            rotations=wanted,
            positions=points,
            rotation_weights=self._rotation_weights,
            position_weights=self._position_weights,
            fps=fps,
        )


def make_targets(
    motion: Motion, calibration: Calibration, weights: Mapping[str, Weight]
) -> Targets:
    """Targets of a whole motion, see :class:`TargetMaker`."""
    quaternions, positions = motion.global_transforms()
    maker = TargetMaker(calibration, weights, motion.offsets)
    return maker.make(to_matrix(quaternions), positions, motion.fps)


def _left_of(rotations: Array) -> Array:
    """Horizontal unit vectors ``(frames, 2)`` to the left of a heading."""
    left = rotations[:, :2, 1].copy()
    square = (left * left).sum(1)
    # A body on its side has its left pointing up: take the heading from its front then.
    aside = square <= 0.3**2
    if aside.any():
        left[aside, 0], left[aside, 1] = -rotations[aside, 1, 0], rotations[aside, 0, 0]
        square = (left * left).sum(1)
    left /= np.sqrt(np.maximum(square, 1e-18))[:, None]
    return left
