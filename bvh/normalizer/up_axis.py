"""The up axis, from all signs of it in a clip, weighed.

No single sign decides. A body that lies is as straight as one that stands, one that climbs
stays level along the wall, and a zero pose may stand in other axes than the motion. So each sign
adds to the log-odds of the six axes, and the lead of the best one is the confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.normalizer.geometry import quantile, unit
from bvh.remarks import remark
from bvh.rotations import Array
from bvh.skeleton import JOINTS

__all__ = ["UP_AXES", "Up", "find_up"]

UP_AXES: tuple[str, ...] = ("x", "y", "z", "-x", "-y", "-z")
"""Names of the six up axes."""

_INDEX = {name: i for i, name in enumerate(JOINTS)}
_FEET = [_INDEX["LeftFoot"], _INDEX["RightFoot"]]
_BODY = 1.45  # m; leg and trunk of an adult, in which speeds are told from a size
_AXIS = np.cos(np.deg2rad(10.0))  # a zero pose stands along an axis if it is as near as this
_FLOOR = (-0.06, 0.13)  # body lengths; where the lowest joint of a body on its floor is
_LOCKED = 0.02  # body lengths; hips that stay so near the origin show no floor
_STILL, _GOES = 0.1, 0.3  # m/s; of a planted foot, and of hips that move over it
_G, _FALLS = 9.81, 2.0  # m/s2; gravity, and how near to it a body in the air accelerates
_SPAN = 0.1  # s; to both sides of a moment whose acceleration is measured
_PRIOR = np.array([0.0, 3.0, 2.2, 0.0, 0.0, 0.0])  # files are Y up, or Z up, or rarities
_USUAL = ("y", "z")
_WEIGHTS = {
    "upright": 3.5,
    "level": 1.2,
    "floor": 2.0,
    "below": 2.0,
    "rest": 3.0,
    "across": 0.3,
    "feet": 2.5,
    "fall": 2.0,
}
"""Log-odds of each sign, by a multinomial logistic fit to captures and to bodies in every
attitude, both as they are and turned into other axes; rounded."""
_SURE = 0.95
_WALKS = 0.3  # of the signs of planted feet and of falls, enough to overrule a missing floor


@dataclass(frozen=True)
class Up:
    """The axis that points up, and its confidence.

    Attributes:
        axis: one of :data:`UP_AXES`.
        confidence: its probability, 0 to 1.
        rival: the likeliest of the others.
        floorless: the body is off the file's floor along ``axis``, or is on it along another,
            and its motion does not prove gravity along ``axis``.
        built: the axis along which the zero pose stands; None if it shows none.
    """

    axis: str
    confidence: float
    rival: str
    floorless: bool
    built: str | None

    def problems(self) -> tuple[str, ...]:
        """A remark if it is not sure, or if signs disagree that no weight can settle."""
        if self.confidence < _SURE:
            why = f"but only {100 * self.confidence:.0f} % sure; it may be {self.rival}"
        elif self.floorless:
            why = f"but the body is not on the file's floor along it; it may be {self.rival}"
        elif self.built not in (None, self.axis):
            # Of a body that is built in one axis and moves in another, or that was laid down
            # as a whole, walking and falling along itself, the numbers are the same.
            why = f"but the zero pose stands along {self.built}, which it may be"
        elif self.built is None and self.axis not in _USUAL:
            why = f"which hardly any file has, and no zero pose shows; it may be {self.rival}"
        else:
            return ()
        return (remark("up-axis", f"{self.axis} is taken for up, {why}"),)


def find_up(
    points: Array, has: Array, *, standing: Array | None, size: float, frame_time: float
) -> Up:
    """Weigh the signs of each of the six axes.

    - prior: nearly all files are Y up, most others Z up;
    - upright: trunk and legs point that way on average;
    - level: the lowest point of a body on the ground stays level; that of a climbing body does not,
      so it counts up to a body's length only;
    - floor: the lowest point is at the file's zero, as a floor usually is, and not below it;
    - rest: the zero pose stands that way;
    - across: the line between the hips is seldom vertical (symmetry);
    - feet: hips move over feet that stand still;
    - fall: in the air the body falls by 9.81 m/s2 the other way.

    Args:
        points: ``(frames, 22, 3)`` canonical joints in source axes and units.
        has: ``(22,)`` whether the source has the joint.
        standing: (3,) up of the zero pose, if it stands; see :mod:`bvh.normalizer.rest`.
        size: length of the body (legs and trunk), in the same unit.
        frame_time: seconds per frame.
    """
    seen = _signs(points, has, standing=standing, size=size, frame_time=frame_time)
    odds = _PRIOR + sum(weight * seen[sign] for sign, weight in _WEIGHTS.items())
    chances = np.exp(odds - odds.max())
    chances /= chances.sum()
    best, second = (int(i) for i in np.argsort(-chances)[:2])
    floor = seen["floor"]
    proven = seen["feet"][best] + seen["fall"][best] > _WALKS
    floorless = bool(not proven and (seen["off"][best] or (floor.any() and not floor[best])))
    if floorless and floor.any():
        second = int(np.argmax(floor * chances))
    return Up(
        axis=UP_AXES[best],
        confidence=float(chances[best]),
        rival=UP_AXES[second],
        floorless=floorless,
        built=next((name for name, on in zip(UP_AXES, seen["rest"], strict=True) if on), None),
    )


def _signs(
    points: Array, has: Array, *, standing: Array | None, size: float, frame_time: float
) -> dict[str, Array]:
    """Evidence for each of the six axes ``(6,)``, by sign; see :func:`find_up`."""
    hips, chest = points[:, _INDEX["Hips"]], points[:, _INDEX["Spine2"]]
    feet = points[:, _FEET]
    body = ((unit(chest - hips) + unit(hips - feet.mean(axis=1))) / 2).mean(axis=0)
    lateral = unit(points[:, _INDEX["LeftUpLeg"]] - points[:, _INDEX["RightUpLeg"]])
    across = np.mean(lateral * lateral, axis=0)
    by_joint = np.ascontiguousarray(points[:, has].swapaxes(0, 1))  # of few in a row numpy is slow
    lowest = np.concatenate([by_joint.min(axis=0), -by_joint.max(axis=0)], axis=-1) / size
    low, middle, high = (quantile(lowest, share) for share in (0.1, 0.5, 0.9))
    moves = float(np.abs(hips).max() > _LOCKED * size)
    return {
        "upright": np.maximum(np.concatenate([body, -body]), 0.0),
        "level": -np.minimum(high - low, 1.0),
        "floor": moves * ((low > _FLOOR[0]) & (middle < _FLOOR[1])).astype(float),
        "off": moves * ((low <= _FLOOR[0]) | (lowest.min(axis=0) >= _FLOOR[1])).astype(float),
        "below": -moves * (low <= _FLOOR[0]).astype(float),
        "rest": _rest(standing),
        "across": -np.concatenate([across, across]),
        "feet": _planted(hips, feet, size, frame_time),
        "fall": _falls(points[:, has].mean(axis=1), size, frame_time),
    }


def _rest(standing: Array | None) -> Array:
    both = np.zeros(6) if standing is None else np.concatenate([standing, -standing])
    out: Array = (both > _AXIS).astype(float)
    return out


def _planted(hips: Array, feet: Array, size: float, frame_time: float) -> Array:
    """How far planted feet, over which the hips move, are below them: mean cosine, -1 to 1.

    It counts in full if half a second of it is seen. A body that lies in place does not walk.
    """
    if len(hips) < 3:
        return np.zeros(6)
    metre = _BODY / size
    speed = [np.linalg.norm(np.gradient(x, frame_time, axis=0), axis=-1) * metre for x in
             (hips, feet[:, 0], feet[:, 1])]  # fmt: skip
    total = np.zeros(3)
    frames = 0
    for foot in range(2):
        stands = (speed[1 + foot] < _STILL) & (speed[0] > _GOES)
        total += unit(hips - feet[:, foot])[stands].sum(axis=0)
        frames += int(stands.sum())
    mean = total / max(frames, 0.5 / frame_time)
    return np.concatenate([mean, -mean])


def _falls(middle: Array, size: float, frame_time: float) -> Array:
    """How long the body's middle falls freely against each axis: 0.15 s count in full."""
    step = max(1, round(_SPAN / frame_time))
    if len(middle) < 2 * step + 1:
        return np.zeros(6)
    bent = middle[2 * step :] - 2.0 * middle[step:-step] + middle[: -2 * step]
    acceleration = bent / (step * frame_time) ** 2 * (_BODY / size)
    # Square of the distance from gravity, which points against the axis.
    down = np.concatenate([acceleration, -acceleration], axis=-1)
    away = np.sum(acceleration * acceleration, axis=-1)[:, None] + _G * _G + 2.0 * _G * down
    out: Array = np.minimum(1.0, (away < _FALLS * _FALLS).sum(axis=0) * frame_time / 0.15)
    return out
