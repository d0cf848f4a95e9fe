"""Poses that a motion goes through at given times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bvh import rotations as rot
from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data import COLUMNS, REFERENCE, Start, World, from_motion, start_of, to_motion
from motiontok.errors import DataError, InputError
from motiontok.prior.command_limits import CommandLimits

__all__ = ["MOST_POSES", "TargetPose", "check_poses", "check_ways", "pose_errors", "unreached"]

MOST_POSES = 4

_UNDER = 0.05
"""Allowed depth of a pose's lowest joint under the floor, metres of the reference body."""

_MISSED = 0.15
"""Largest error of a pose that is not missed, mean over joints, metres of the reference body."""


@dataclass(frozen=True, eq=False)
class TargetPose:
    """A pose at a time.

    Attributes:
        time: seconds after the prefix or, without one, after frame 0.
        features: ``(203,)`` raw; velocities and contacts in them are ignored.
        place: place on the floor and heading, or None for any. In metres of the world in which the
            pose is used: the reference body's for :meth:`TokenPrior.sample
            <motiontok.prior.prior.TokenPrior.sample>`.
        name: of the pose, in messages.
    """

    time: float
    features: Array
    place: Start | None
    name: str = "pose"

    @classmethod
    def of(
        cls, motion: Motion, frame: int, *, time: float, world: World | None = None
    ) -> TargetPose:
        """A frame of a motion, at its place there, in metres of ``world``.

        Raises:
            DataError: the motion has no such frame.
        """
        if not 0 <= frame < len(motion):
            raise DataError(
                f"{motion.source.name}: no frame {frame}: it has 0 to {len(motion) - 1}, "
                f"{motion.fps:g} a second"
            )
        # The heading of a pose that is upside down is undefined.
        one = motion[frame : frame + 1].on_bones(REFERENCE)
        place = (world or World()).start_outside(Start.of(one))
        return cls(time, from_motion(one)[0], place, f"{motion.source.name} frame {frame}")

    def inside(self, world: World) -> TargetPose:
        """The pose in metres of the reference body, from metres of ``world``."""
        place = None if self.place is None else world.start_inside(self.place)
        return replace(self, place=place)

    def frame(self, given: int, frames: int, fps: float) -> int:
        """Index of the pose among ``frames`` of a motion, ``given`` of them before time 0."""
        return min(max(given - 1, 0) + round(self.time * fps), frames - 1)


def check_poses(poses: Sequence[TargetPose], seconds: float, *, prefix: bool) -> None:
    """Refuse poses that no motion of this length can have.

    Args:
        poses: in the order of their times.
        seconds: of motion, without the prefix.
        prefix: whether the motion continues a prefix, which already has the pose at 0 s.

    Raises:
        InputError: too many, times outside or not rising, a pose under the floor.
    """
    if len(poses) > MOST_POSES:
        raise InputError(f"at most {MOST_POSES} target poses, got {len(poses)}")
    before = -math.inf
    for n, pose in enumerate(poses, start=1):
        name = f"pose {n} ({pose.name})"
        if not (0.0 if prefix else -1e-9) < pose.time <= seconds + 1e-9:
            least = "above 0" if prefix else "0 or more"
            raise InputError(
                f"{name}: its time is {pose.time:g} s, it must be {least} and at most the motion's "
                f"{seconds:g} s"
            )
        if pose.time <= before + 1e-9:
            raise InputError(
                f"{name}: its time is {pose.time:g} s, after one at {before:g} s: give poses "
                "in the order of their times"
            )
        before = pose.time
        if pose.place is not None:
            start_of(pose.place)
        below = pose.features[COLUMNS["positions"]][2::3].min()
        lowest = float(pose.features[COLUMNS["height"].start] + min(below, 0.0))
        if lowest < -_UNDER:
            raise InputError(f"{name}: its lowest joint is {-lowest:.2f} m under the floor")


def check_ways(poses: Sequence[TargetPose], begin: Start, limits: CommandLimits) -> None:
    """Refuse poses that the body cannot reach in time.

    Args:
        poses: in metres of the reference body, like the other arguments.
        begin: place and heading of the body at 0 s.
        limits: of the prior.

    Raises:
        InputError: the way to a pose is faster than the limits.
    """
    here, since, what = begin, 0.0, "the beginning"
    for n, pose in enumerate(poses, start=1):
        if pose.place is None:
            continue
        way = math.hypot(pose.place.x - here.x, pose.place.y - here.y)
        turn = abs(float(rot.wrapped(pose.place.yaw - here.yaw)))
        span = max(pose.time - since, 1e-9)
        fastest, sharpest = float(limits.upper[0]), float(limits.upper[2])
        # Times are rounded to frames, so a little more is allowed.
        if way > fastest * span + 0.05 or turn > sharpest * span + 0.1:
            raise InputError(
                f"pose {n} ({pose.name}) cannot be reached: {way:.2f} m and {turn:.1f} rad from "
                f"{what}, {pose.time - since:.2f} s later, and the prior knows up to "
                f"{fastest:.1f} m/s and {sharpest:.1f} rad/s"
            )
        here, since, what = pose.place, pose.time, f"pose {n}"


def pose_errors(motion: Motion, poses: Sequence[TargetPose], *, given: int = 0) -> Array:
    """Mean distances of joints from each pose at its time, ``(poses,)``, metres of the body.

    Args:
        motion: decoded, including the prefix.
        poses: their places in metres of the motion's body.
        given: frames of the prefix.
    """
    out = []
    for pose in poses:
        at = pose.frame(given, len(motion), motion.fps)
        there = motion[at : at + 1]
        wanted = to_motion(pose.features[None], motion.offsets, start=pose.place or Start.of(there))
        apart = there.global_positions() - wanted.global_positions()
        out.append(float(np.linalg.norm(apart, axis=-1).mean()))
    return np.array(out)


def unreached(errors: Array, poses: Sequence[TargetPose], world: World) -> str:
    """The first pose that a motion misses, in words; empty if there is none.

    Args:
        errors: from :func:`pose_errors`.
        poses: the poses of these errors.
        world: in whose metres the errors are.
    """
    for n, (error, pose) in enumerate(zip(errors, poses, strict=True), start=1):
        if error > _MISSED * world.scale:
            return (
                f"pose {n} ({pose.name}) is missed at {pose.time:g} s: joints are {error:.2f} m "
                "off on average"
            )
    return ""
