"""The ground under a motion: a plane under each standing foot, for slopes and steps.

Nearly always the ground is at z = 0, and nothing here applies. Clips of ramps, stairs or boxes do
not state their ground: a foot that is high, still and bears the body stands on ground at its
height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bvh.foot_contacts import BAND, SIDES, SLOW, runs, speeds, standing, standing_heights
from bvh.motion import Motion
from bvh.rotations import Array, to_matrix
from bvh.skeleton import FEET, JOINTS
from motiontok.errors import RobotError
from motiontok.robots.model.robot import Robot
from motiontok.robots.targets import leg_length

__all__ = [
    "BEARS",
    "NEAR",
    "POINTED",
    "RAISED",
    "RIDGE",
    "STEEP",
    "UPRIGHT",
    "Ground",
    "Planes",
    "find_ground",
    "heights_above",
]

Planes = Sequence[Sequence[float]]
"""Planes ``z = a x + b y + c``, each a, b, c."""

RAISED = 0.1  # m from z = 0: a standing foot is on other ground
BEARS = 0.2  # s in which a foot is the lower one, and under the hips
UPRIGHT = 0.6  # of the leg's length between the hips and the foot that bears them
POINTED = 0.8  # upward part of the sole's normal: who is on the tips of the toes is no higher
_LEVEL = 0.04  # m: steps closer in height are one
_FEW = 3  # standing feet that tell a slope
STEEP = 0.035, 0.6  # slope of a ramp, 2 to 31 degrees
_TILTED = 0.5  # of the slope that feet on a ramp are tilted by at least; on stairs they are not
_STRAIGHT = 0.03  # m that standing points may be off one plane
NEAR = 2.0  # m and s within which standing feet tell a ramp's slope
RIDGE = 0.05  # m^2: what the feet's tilts weigh beside where they stand


@dataclass(frozen=True, eq=False)
class Ground:
    """Planes ``z = a x + b y + c`` under a motion, frame by frame.

    Attributes:
        feet: ``(frames, 2, 3)`` a, b, c under the left and the right foot. In the air it is the
            lower of the planes before and after.
        rest: ``(frames, 3)`` under everything else: the lower of both feet's planes.
    """

    feet: Array
    rest: Array

    def scaled(self, scale: float) -> Ground:
        """The ground under the motion in another size."""
        factor = np.array([1.0, 1.0, scale])
        return replace(self, feet=self.feet * factor, rest=self.rest * factor)

    @classmethod
    def level(cls, frames: int) -> Ground:
        """The floor at z = 0."""
        return cls(np.zeros((frames, 2, 3)), np.zeros((frames, 3)))

    @property
    def is_level(self) -> bool:
        """Whether it is the floor at z = 0."""
        return not (self.feet.any() or self.rest.any())

    def under(self, robot: Robot, bodies: Sequence[int]) -> Array:
        """The planes ``(frames, bodies, 3)`` under bodies of a robot (Pinocchio joint indices)."""
        out = np.repeat(self.rest[:, None], len(bodies), axis=1)
        feet = [robot.calibration.bodies[robot.calibration.index(s + "Foot")] for s in SIDES]
        for k, body in enumerate(bodies):
            for side, foot in enumerate(feet):
                if foot in robot.model.supports[body].tolist():
                    out[:, k] = self.feet[:, side]
        return out


def heights_above(planes: Array, points: Array) -> Array:
    """Vertical heights ``(...)`` of points ``(..., 3)`` above planes ``(..., 3)``, metres."""
    out: Array = points[..., 2] - (planes[..., :2] * points[..., :2]).sum(-1) - planes[..., 2]
    return out


def find_ground(motion: Motion, planes: Planes | None = None) -> Ground:
    """The ground under a motion.

    With given planes, a foot stands on the nearest. Otherwise the standing feet show the ground,
    which is mostly level. A foot stands on other ground if it is still and at least 10 cm off z = 0
    and, for a fifth of a second, is the lower foot and well below the hips. A foot on a chair or in
    the air does not count, nor one of a lying body. Standing feet within two metres and seconds
    that lie on one plane, tilted as the feet are, are on a ramp; otherwise each stands on level
    ground. Under a foot that never stands is the other's ground, or z = 0 if that is not given and
    lower.

    Args:
        motion: canonical motion.
        planes: in metres of the motion.

    Raises:
        RobotError: the planes have another shape, or a number is not finite.
    """
    if planes is not None:
        return _known_ground(motion, planes)
    if not _may_be_raised(motion):
        return Ground.level(len(motion))
    steps = _steps(motion)
    if not any(abs(s.height) > RAISED for s in steps):
        return Ground.level(len(motion))
    middles = np.array([s.middle for s in steps])
    starts, ends = np.array([s.start for s in steps]), np.array([s.end for s in steps])
    found = []
    for step, middle in zip(steps, middles, strict=True):
        close = np.linalg.norm(middles[:, :2] - middle[:2], axis=1) < NEAR
        apart = np.maximum(starts - step.end, step.start - ends)
        near = np.flatnonzero(close & (apart < NEAR * motion.fps))
        found.append(_plane(step, [steps[k] for k in near.tolist()]))
    _merge_levels(found)
    return _laid(motion, steps, np.array(found), np.zeros((len(motion), 3)))


def _known_ground(motion: Motion, planes: Planes) -> Ground:
    known = np.asarray(planes, dtype=np.float64)
    if known.ndim != 2 or known.shape[1] != 3 or not len(known) or not np.isfinite(known).all():
        raise RobotError(
            "ground: expected planes z = a x + b y + c as finite numbers (n, 3), got"
            f" {known.tolist()!r:.60}"
        )
    steps = _steps(motion, bearing=False)
    chosen = [
        known[np.abs(heights_above(known[:, None], s.points).mean(axis=1)).argmin()] for s in steps
    ]
    if not steps:
        return Ground(*(np.tile(known[0], (len(motion), *n, 1)) for n in ((2,), ())))
    return _laid(motion, steps, np.array(chosen))


@dataclass(eq=False)
class _Step:
    """A foot that stands from ``start`` to ``end`` (exclusive).

    Attributes:
        height: of its sole off z = 0, metres.
        points: ``(n, 3)`` of the sole on the ground: heel and toe, if both stand.
        tilt: ``(2,)`` slope of a flat sole along x and y; None if heel and toe never both stand.
    """

    side: int
    start: int
    end: int
    height: float
    points: Array
    tilt: Array | None

    @property
    def middle(self) -> Array:
        """``(3,)`` of its points."""
        return np.asarray(self.points.mean(axis=0))


def _may_be_raised(motion: Motion) -> bool:
    """Whether a heel or toe is so slow somewhere off z = 0 that it may stand there."""
    ends = motion.global_positions()[:, FEET]
    off = np.abs(ends[..., 2] - standing_heights(motion.offsets)) > RAISED
    return bool((off & (speeds(ends, 1.0 / motion.fps) < SLOW)).any())


def _steps(motion: Motion, *, bearing: bool = True) -> list[_Step]:
    """All standing feet, in the order of their first standing frames."""
    quaternions, positions = motion.global_transforms()
    leg = leg_length(motion.offsets)
    heights = standing_heights(motion.offsets)
    every = np.ones(len(motion), dtype=bool)
    feet: list[tuple[Array, Array, Array, list[Array]]] = []
    for side in range(len(SIDES)):
        ankle, toe = FEET[2 * side : 2 * side + 2]
        ankle_height, low = heights[2 * side : 2 * side + 2]
        turn = to_matrix(quaternions[:, ankle])
        up = turn[..., 2]
        ends = np.stack(
            [
                positions[:, ankle] - ankle_height * up,
                positions[:, ankle] + turn @ motion.offsets[toe] - low * up,
            ],
            axis=1,
        )
        clear = np.minimum(positions[:, ankle, 2] - ankle_height, positions[:, toe, 2] - low)
        still = [standing(positions[:, j], every, motion.fps) for j in (ankle, toe)]
        feet.append((ends, up, clear, still))
    steps = []
    for side, (ends, up, clear, (on_heel, on_toe)) in enumerate(feet):
        lower = clear < feet[1 - side][2] + BAND
        bears = lower & (positions[:, 0, 2] - clear > UPRIGHT * leg) & (up[:, 2] > POINTED)
        for start, end in runs(on_heel | on_toe):
            part = slice(start, end)
            if bearing and bears[part].sum() < BEARS * motion.fps:
                continue
            both = (on_heel & on_toe)[part]
            if both.any():
                points = np.median(ends[part][both], axis=0)
                normal = np.median(up[part][both], axis=0)
                tilt = None if normal[2] < 0.5 else -normal[:2] / normal[2]
            else:
                points = np.median(ends[part, int(on_toe[part].any())], axis=0)[None]
                tilt = None
            height = float(np.median(clear[part]))
            steps.append(_Step(side, start, end, height, points, tilt))
    return sorted(steps, key=lambda s: s.start)


def _plane(step: _Step, near: Sequence[_Step]) -> Array:
    """The plane ``(3,)`` of a standing foot, from it and standing feet near it."""
    middle = step.middle
    tilts = [s.tilt for s in near if s.tilt is not None]
    if len(near) >= _FEW and tilts:
        # What standing points do not tell, across the way walked, the feet's tilts do.
        points, tilt = np.array([s.middle for s in near]) - middle, np.mean(tilts, axis=0)
        across, up = points[:, :2], points[:, 2]
        matrix = across.T @ across + RIDGE * np.eye(2)
        slope = np.linalg.solve(matrix, across.T @ up + RIDGE * tilt)
        steep = float(np.linalg.norm(slope))
        off = float(np.sqrt(np.mean((up - across @ slope) ** 2)))
        if STEEP[0] < steep < STEEP[1] and off < _STRAIGHT:
            raised = abs(step.height) > RAISED
            own = step.tilt is None or step.tilt @ slope / steep**2 > 0.5 * _TILTED
            if tilt @ slope / steep**2 > _TILTED and (raised or own):
                return np.array([*slope, middle[2] - slope @ middle[:2]])
    return np.array([0.0, 0.0, step.height if abs(step.height) > RAISED else 0.0])


def _merge_levels(planes: list[Array]) -> None:
    """Merge level planes of nearly one height, in place."""
    level = [p for p in planes if not p[:2].any() and p[2]]
    level.sort(key=lambda p: float(p[2]))
    while level:
        same = [p for p in level if p[2] - level[0][2] < _LEVEL]
        height = float(np.mean([p[2] for p in same]))
        level = level[len(same) :]
        for plane in same:
            plane[2] = height


def _laid(
    motion: Motion, steps: Sequence[_Step], planes: Array, floor: Array | None = None
) -> Ground:
    """Planes of standing feet, and of the frames between.

    Under a foot that never stands it is the other's plane, or the floor ``(frames, 3)`` if lower.
    """
    positions = motion.global_positions()
    toes = [positions[:, JOINTS.index(name + "Toe")] for name in SIDES]
    feet = np.zeros((len(motion), 2, 3))
    frames = np.arange(len(motion))
    stand = sorted({s.side for s in steps})
    for side in stand:
        own = [k for k, s in enumerate(steps) if s.side == side]
        starts = np.array([steps[k].start for k in own])
        ends = np.array([steps[k].end for k in own])
        before = np.maximum(np.searchsorted(starts, frames, side="right") - 1, 0)
        after = np.where(frames < starts[0], 0, before + (frames >= ends[before]))
        after = np.minimum(after, len(own) - 1)
        chosen = planes[own]
        feet[:, side] = _lower(chosen[before], chosen[after], toes[side])
    if len(stand) == 1:
        beside = feet[:, stand[0]]
        other = 1 - stand[0]
        feet[:, other] = beside if floor is None else _lower(beside, floor, toes[other])
    return Ground(feet, _lower(feet[:, 0], feet[:, 1], positions[:, 0]))


def _lower(first: Array, second: Array, at: Array) -> Array:
    """The lower of two planes ``(frames, 3)`` at points ``(frames, 3)``, per frame."""
    lower = heights_above(first, at) < heights_above(second, at)
    out: Array = np.where(lower[:, None], second, first)
    return out
