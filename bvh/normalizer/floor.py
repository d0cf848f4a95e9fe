"""Where the floor is, and the frames in which feet are flat on it: before a motion is canonical.

Of canonical motion, whose floor is at z = 0, :mod:`bvh.foot_contacts` tells what stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.foot_contacts import STILL, speeds
from bvh.normalizer.body import INDEX, SIDES, Body, leg_length_of
from bvh.normalizer.geometry import median, quantile, unit
from bvh.remarks import remark
from bvh.rotations import Array
from bvh.skeleton import DEFAULT_OFFSETS, leg_length, toe_height

__all__ = ["Floor", "far_from_floor", "find_floor"]

_ASSUMED = "floor assumed under the lowest"
# Of an adult, as STILL is:
_LEVEL = 0.04  # m; heights of one floor, of feet that roll a little and of noise
_ABOVE, _BELOW = 0.4, 0.2  # m; more than this over or under the floor is worth a remark
_SUNK = 0.08  # m; no joint of a body is so far below the floor it stands on, most of the time
_FLAT = 0.015  # m; ankle height over its lowest standing height that still counts as flat
_UPRIGHT = 0.5  # upward part of a shin above a foot that stands; who lies has feet on their sides


@dataclass(frozen=True, eq=False)
class Floor:
    """The floor, and the feet's standing moments.

    Attributes:
        height: of the floor in the body's world, metres.
        flat: ``(frames, 2)`` left and right foot flat on the floor and still.
        problems: assumptions, one line each.
    """

    height: float
    flat: Array
    problems: tuple[str, ...] = ()


def find_floor(body: Body) -> Floor:
    """Find the floor from feet that stand still, not from the lowest single frame."""
    # Lengths of an adult, so that a child and a giant are judged alike.
    size = leg_length_of(body.positions) / leg_length(DEFAULT_OFFSETS)
    ankles = np.stack([body.at(side + "Foot") for side, _ in SIDES], axis=1) / size
    # Without a toe, the ankle shows where it would be on a flat foot.
    toes = np.stack(
        [
            body.at(side + "Toe") / size
            if body.present(side + "Toe")
            else ankles[:, foot] + DEFAULT_OFFSETS[INDEX[side + "Toe"]] * [0, 0, 1]
            for foot, (side, _) in enumerate(SIDES)
        ],
        axis=1,
    )
    toes_still = speeds(toes, body.frame_time) < STILL
    still = (speeds(ankles, body.frame_time) < STILL) & toes_still
    low = _lowest_level(toes[..., 2], toes_still)
    flat = still & (np.abs(toes[..., 2] - low) < _LEVEL)
    for foot, (side, _) in enumerate(SIDES):
        shin = unit(body.at(side + "Leg") - body.at(side + "Foot"))
        flat[:, foot] &= shin[:, 2] > _UPRIGHT
    for foot in range(2):
        if flat[:, foot].any():
            heights = ankles[:, foot, 2]
            flat[:, foot] &= heights < quantile(heights[flat[:, foot]], 0.1) + _FLAT
    standing = toes[..., 2][flat]
    level = float(median(standing)) if standing.size else low
    floor = size * (level - toe_height(DEFAULT_OFFSETS))
    problems = [] if standing.size else [remark("pose", f"{_ASSUMED} toe: no foot stands still")]
    lowest = body.positions[:, body.has, 2].min(axis=1) - floor
    if (under := float(median(lowest))) < -_SUNK * size:
        # Who lies on the back holds the feet as still as who stands, and higher than the rest.
        floor, lowest = floor + under, lowest - under
        problems = [remark("pose", f"{_ASSUMED} joint: the feet are above it")]
    problems += far_from_floor(lowest / size)
    return Floor(height=floor, flat=flat, problems=tuple(problems))


def far_from_floor(lowest: Array) -> list[str]:
    """A line for a body most of whose frames are in the air or below the floor; or none.

    Args:
        lowest: ``(frames,)`` height over the floor of the lowest joint, metres of an adult.
    """
    middle = float(median(lowest))
    if -_BELOW < middle < _ABOVE:
        return []
    where = "above" if middle > 0 else "below"
    return [remark("floor", f"the body is {abs(middle):.2f} m {where} its floor in half the clip")]


def _lowest_level(heights: Array, still: Array) -> float:
    """Height at which toes come to rest: the middle of the lowest band of still heights."""
    values = heights[still] if still.any() else heights.ravel()
    base = float(quantile(values, 0.05))
    near = np.abs(values - base) < _LEVEL
    # Who climbs leaves gaps, and the quantile may lie in one: then what is below it.
    return float(median(values[near if near.any() else values <= base]))
