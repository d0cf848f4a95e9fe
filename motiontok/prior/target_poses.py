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
from motiontok.prior.limits import CommandLimits

__all__ = ["MOST_POSES", "TargetPose", "check_poses", "check_ways", "pose_errors", "unreached"]

MOST_POSES = 4

_UNDER = 0.05
"""Metres of the reference body that a pose's lowest joint may be under the floor."""

_MISSED = 0.15
"""Metres of the reference body, mean over joints, from which on a pose counts as missed."""


@dataclass(frozen=True, eq=False)
class TargetPose:
    """A pose to be in at a time.

    Attributes:
        time: seconds after the prefix or, without one, after frame 0.
        features: ``(203,)`` raw; what they say of velocities and contacts does not count.
        place: where on the floor, and the heading; any will do if it is None. In metres of the
            world it is used in: the reference body's for :meth:`TokenPrior.sample
            <motiontok.prior.prior.TokenPrior.sample>`.
        name: of it, in messages.
    """

    time: float
    features: Array
    place: Start | None
    name: str = "pose"

    @classmethod
    def of(
        cls, motion: Motion, frame: int, *, time: float, world: World | None = None
    ) -> TargetPose:
        """A frame of a motion, where it is there, in metres of ``world``.

        Raises:
            DataError: the motion has no such frame.
        """
        if not 0 <= frame < len(motion):
            raise DataError(
                f"{motion.source.name}: no frame {frame}: it has 0 to {len(motion) - 1}, "
                f"{motion.fps:g} a second"
            )
        # Not the frame alone: of one that is turned over a heading is hardly to be had.
        one = motion[frame : frame + 1].on_bones(REFERENCE)
        place = (world or World()).start_outside(Start.of(one))
        return cls(time, from_motion(one)[0], place, f"{motion.source.name} frame {frame}")

    def inside(self, world: World) -> TargetPose:
        """The same in metres of the reference body, of one in metres of ``world``."""
        place = None if self.place is None else world.start_inside(self.place)
        return replace(self, place=place)

    def frame(self, given: int, frames: int, fps: float) -> int:
        """Where it is among ``frames`` of a motion of which ``given`` come before."""
        return min(max(given - 1, 0) + round(self.time * fps), frames - 1)


def check_poses(poses: Sequence[TargetPose], seconds: float, *, prefix: bool) -> None:
    """Refuse poses that no motion of so many seconds can have.

    Args:
        poses: see there.
        seconds: of motion, a prefix not counted.
        prefix: whether the motion goes on from something, so that the pose at 0 s is given.

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
    """Refuse poses that nobody comes to in time.

    Args:
        poses: in metres of the reference body, as the rest.
        begin: where the body is at 0 s.
        limits: of the prior.

    Raises:
        InputError: the way to one is faster than anybody goes.
    """
    here, since, what = begin, 0.0, "the beginning"
    for n, pose in enumerate(poses, start=1):
        if pose.place is None:
            continue
        way = math.hypot(pose.place.x - here.x, pose.place.y - here.y)
        turn = abs(float(rot.wrapped(pose.place.yaw - here.yaw)))
        span = max(pose.time - since, 1e-9)
        fastest, sharpest = float(limits.upper[0]), float(limits.upper[2])
        # A frame's rounding is no way.
        if way > fastest * span + 0.05 or turn > sharpest * span + 0.1:
            raise InputError(
                f"pose {n} ({pose.name}) cannot be reached: {way:.2f} m and {turn:.1f} rad from "
                f"{what}, {pose.time - since:.2f} s later, and the prior knows up to "
                f"{fastest:.1f} m/s and {sharpest:.1f} rad/s"
            )
        here, since, what = pose.place, pose.time, f"pose {n}"


def pose_errors(motion: Motion, poses: Sequence[TargetPose], *, given: int = 0) -> Array:
    """How far a motion is from each of the poses at its time, ``(poses,)``: the mean distance of
    its joints, metres of its body.

    Args:
        motion: decoded, the prefix included.
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
    """Which pose a motion misses, in words; empty if it goes through all.

    Args:
        errors: of :func:`pose_errors`.
        poses: the same.
        world: whose metres these are.
    """
    for n, (error, pose) in enumerate(zip(errors, poses, strict=True), start=1):
        if error > _MISSED * world.scale:
            return (
                f"pose {n} ({pose.name}) is missed at {pose.time:g} s: joints are {error:.2f} m "
                "off on average"
            )
    return ""
