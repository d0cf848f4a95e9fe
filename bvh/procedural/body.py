"""From movements of pelvis, trunk, arms and feet to a motion, by analytic leg IK."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.motion import FPS, Motion, Source
from bvh.procedural.signals import low_pass
from bvh.rotations import (
    Array,
    align_signs,
    between,
    conjugate,
    from_euler,
    from_matrix,
    identity,
    multiply,
    rotate,
)
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, toe_height

__all__ = ["Arm", "Body", "Foot", "Performance", "solve"]

_HEEL = 0.35
"""Distance of the heel behind the ankle, as a share of the ankle-to-ball length."""


@dataclass(frozen=True)
class Body:
    """A subject: bone offsets ``(22, 3)`` in metres, and the lengths that matter."""

    offsets: Array

    @classmethod
    def scaled(
        cls, stature: float, *, legs: float = 1.0, arms: float = 1.0, width: float = 1.0
    ) -> Body:
        """The default adult scaled as a whole, then legs, arms and breadth on their own."""
        offsets = DEFAULT_OFFSETS * stature
        # Normalised capture has straight necks at rest.
        offsets[13] = [0.0, 0.0, float(np.linalg.norm(offsets[13]))]
        for joint, name in enumerate(JOINTS):
            if name.endswith(("Leg", "Foot")) and not name.endswith("UpLeg"):
                offsets[joint] *= legs
            elif name.endswith(("ForeArm", "Hand")):
                offsets[joint] *= arms
            elif name.endswith(("UpLeg", "Shoulder", "Arm")):
                offsets[joint, 1] *= width
        return cls(offsets)

    @property
    def thigh(self) -> float:
        """Length of the thigh, metres."""
        return float(-self.offsets[2, 2])

    @property
    def shank(self) -> float:
        """Length of the shank, metres."""
        return float(-self.offsets[3, 2])

    @property
    def leg(self) -> float:
        """Length of the straight leg from hip to ankle, metres."""
        return self.thigh + self.shank

    @property
    def ball(self) -> Array:
        """Ball of the foot seen from the ankle of a flat foot, metres (3,)."""
        out: Array = self.offsets[4]
        return out

    @property
    def toe_height(self) -> float:
        """Height of the ball of the foot over the sole, metres."""
        return toe_height(self.offsets)

    @property
    def heel(self) -> Array:
        """Heel on the ground seen from the ankle of a flat foot, metres (3,)."""
        return np.array([-_HEEL * self.ball[0], 0.0, self.ball[2] - self.toe_height])

    @property
    def hip_height(self) -> float:
        """Height of the pelvis over the floor with straight legs, metres."""
        return float(self.toe_height - self.offsets[1:5, 2].sum())

    @property
    def hip_width(self) -> float:
        """Distance of a hip joint from the midline, metres."""
        return float(self.offsets[1, 1])


@dataclass
class Foot:
    """Movement of one foot. All ``(frames,)`` but ``position``.

    Attributes:
        position: ``(frames, 2)`` where the ball of the foot stands, or would stand
            if it were lowered flat, metres.
        yaw: heading, rad.
        lift: height over standing, metres.
        pitch: rad; positive raises the heel about the ball, negative raises the
            ball about the heel.
        bend: rad, how far the toes stay level when the heel rises.
    """

    position: Array
    yaw: Array
    lift: Array
    pitch: Array
    bend: Array


@dataclass
class Arm:
    """Movement of one arm: angles in rad, ``(frames,)``, mirrored for the right arm.

    Attributes:
        flex: forward raise of a hanging arm.
        abduct: sideward raise of a hanging arm.
        twist: turn about the upper arm; negative lifts a bent forearm outward and up.
        elbow: flexion, 0 is straight.
        shrug: raise of the shoulder.
    """

    flex: Array
    abduct: Array
    twist: Array
    elbow: Array
    shrug: Array

    @classmethod
    def hanging(cls, frames: int, *, elbow: float = 0.25) -> Arm:
        """A relaxed arm at the side."""
        zero = np.zeros(frames)
        return cls(zero + 0.03, zero + 0.12, zero + 0.15, zero + elbow, zero.copy())


@dataclass
class Performance:
    """A whole body over time.

    Attributes:
        pelvis: ``(frames, 3)`` desired position, metres; lowered where a leg would
            not reach.
        hips: ``(frames, 3)`` yaw, pitch, roll of the pelvis in the world, rad.
        trunk: ``(frames, 3)`` yaw, pitch, roll of the chest from the pelvis, rad.
        head: ``(frames, 3)`` yaw, pitch, roll of the head from the chest, rad.
        feet: left and right.
        arms: left and right.
        reach: ``(frames,)`` longest a leg gets, as a share of its length.
    """

    pelvis: Array
    hips: Array
    trunk: Array
    head: Array
    feet: tuple[Foot, Foot]
    arms: tuple[Arm, Arm]
    reach: Array


def _yaw_pitch_roll(angles: Array) -> Array:
    return from_euler(angles, "zyx")


def _ankle(foot: Foot, body: Body) -> tuple[Array, Array]:
    """World ankle positions ``(frames, 3)`` and foot orientations ``(frames, 4)``."""
    yaw = from_euler(foot.yaw[:, None], "z")
    world_from_foot = from_euler(np.stack([foot.yaw, foot.pitch], -1), "zy")
    ball = np.concatenate([foot.position, body.toe_height + foot.lift[:, None]], axis=-1)
    heel = ball + rotate(yaw, body.heel - body.ball)
    on_ball = ball - rotate(world_from_foot, np.broadcast_to(body.ball, ball.shape))
    on_heel = heel - rotate(world_from_foot, np.broadcast_to(body.heel, ball.shape))
    return np.where(foot.pitch[:, None] > 0, on_ball, on_heel), world_from_foot


def _lowered(pelvis: Array, hips: Array, ankles: list[Array], reach: Array, body: Body) -> Array:
    """The pelvis lowered, smoothly, to where legs of length ``reach`` meet their ankles."""
    ceiling = np.full(len(pelvis), np.inf)
    for joint, ankle in zip((1, 5), ankles, strict=True):
        hip = rotate(hips, np.broadcast_to(body.offsets[joint], pelvis.shape))
        flat = np.linalg.norm((pelvis + hip - ankle)[:, :2], axis=-1)
        rise = np.sqrt(np.maximum(reach**2 - flat**2, (0.3 * reach) ** 2))
        ceiling = np.minimum(ceiling, ankle[:, 2] + rise - hip[:, 2])
    excess = np.maximum(pelvis[:, 2] - ceiling, 0.0)
    # The running maximum keeps the smoothed lowering at least as large as needed.
    window = np.lib.stride_tricks.sliding_window_view(np.pad(excess, 5, mode="edge"), 11)
    lowered = pelvis.copy()
    lowered[:, 2] -= np.maximum(low_pass(window.max(axis=-1), 2.5), excess)
    return lowered


def _leg(hip: Array, ankle: Array, lateral: Array, body: Body) -> tuple[Array, Array]:
    """World orientations of thigh and shank ``(frames, 4)`` by the law of cosines.

    ``lateral`` ``(frames, 3)`` points to the body's left; the knee bends forward.
    """
    a, b = body.thigh, body.shank
    line = ankle - hip
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    line = line / np.maximum(distance, 1e-9)
    reach = np.clip(distance[:, 0], 1.02 * abs(a - b) + 0.05, 0.9999 * (a + b))
    at_hip = np.arccos(np.clip((a * a + reach**2 - b * b) / (2 * a * reach), -1, 1))
    at_knee = np.pi - np.arccos(np.clip((a * a + b * b - reach**2) / (2 * a * b), -1, 1))
    y = lateral - np.sum(lateral * line, axis=-1, keepdims=True) * line
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    frame = from_matrix(np.stack([np.cross(y, -line), y, -line], axis=-1))
    thigh = multiply(frame, from_euler(-at_hip[:, None], "y"))
    return thigh, multiply(thigh, from_euler(at_knee[:, None], "y"))


def _arm(arm: Arm, side: float) -> tuple[Array, Array, Array]:
    """Local rotations of Shoulder, Arm and ForeArm ``(frames, 4)``; side is 1 for left."""
    hang = -side * (0.5 * np.pi - arm.abduct)
    upper = from_euler(np.stack([-arm.flex, hang, arm.twist], -1), "yxy")
    shoulder = from_euler(side * arm.shrug[:, None], "x")
    return shoulder, upper, from_euler(-side * arm.elbow[:, None], "z")


def solve(performance: Performance, body: Body, *, name: str) -> Motion:
    """Turn a performance into a motion at 30 fps: legs by IK, the rest by angles."""
    hips = _yaw_pitch_roll(performance.hips)
    placed = [_ankle(foot, body) for foot in performance.feet]
    reach = performance.reach * body.leg
    pelvis = _lowered(performance.pelvis, hips, [ankle for ankle, _ in placed], reach, body)
    rotations = identity(len(pelvis), len(JOINTS))
    rotations[:, 0] = hips
    for joint, foot, (ankle, world_from_foot) in zip((1, 5), performance.feet, placed, strict=True):
        hip = pelvis + rotate(hips, np.broadcast_to(body.offsets[joint], pelvis.shape))
        # The knee points between the pelvis and the foot.
        turn = np.arctan2(
            np.sin(foot.yaw - performance.hips[:, 0]), np.cos(foot.yaw - performance.hips[:, 0])
        )
        heading = performance.hips[:, 0] + 0.6 * turn
        lateral = np.stack([-np.sin(heading), np.cos(heading), np.zeros_like(heading)], -1)
        thigh, shank = _leg(hip, ankle, lateral, body)
        rotations[:, joint] = multiply(conjugate(hips), thigh)
        rotations[:, joint + 1] = multiply(conjugate(thigh), shank)
        rotations[:, joint + 2] = multiply(conjugate(shank), world_from_foot)
        rotations[:, joint + 3] = from_euler(-foot.bend[:, None], "y")
    for joint in (9, 10, 11):
        rotations[:, joint] = _yaw_pitch_roll(performance.trunk / 3)
    half = _yaw_pitch_roll(performance.head / 2)
    up = np.array([0.0, 0.0, 1.0])
    # Necks swing and heads twist: what joint positions show of a neck, and no more.
    rotations[:, 12] = between(up, rotate(half, up))
    rotations[:, 13] = multiply(conjugate(rotations[:, 12]), multiply(half, half))
    for joint, arm, side in zip((14, 18), performance.arms, (1.0, -1.0), strict=True):
        for step, local in enumerate(_arm(arm, side)):
            rotations[:, joint + step] = local
    return Motion(
        root_positions=pelvis,
        rotations=align_signs(rotations),
        offsets=body.offsets,
        fps=FPS,
        source=Source(name=name, fps=FPS, family="procedural"),
    )
