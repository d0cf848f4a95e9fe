"""Bridges: frames from one pose to the next, near what a body most likely does in between.

The straight line between two poses turns each joint evenly and moves the root evenly. Drawn ways
depart from the lines between their own ends, each in its own manner. Of all estimates their mean
has the least mean square error, so a bridge is the line plus a part of the mean departure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bvh import rotations as rot
from bvh.motion import FPS, Motion, Source
from bvh.rotations import Array
from motiontok.data import COLUMNS, REFERENCE, Start, from_motion, to_motion, to_motions
from motiontok.models.motion_loss import MotionLoss

__all__ = ["Departure", "bridge", "mean_departure"]

_TURNED = (0.8, 0.2)
"""Parts of the mean turn that count, at the beginning and at the end."""
_MOVED = 0.9  # of the root's mean departure
_UP = np.array([0.0, 0.0, 1.0])


class Departure(NamedTuple):
    """What a way adds to the straight line between its ends.

    Attributes:
        turns: ``(frames, 22, 3)``, rotation vectors, rad, before the line's rotations; those of
            both ends are zero.
        root: ``(frames, 3)``, m.
    """

    turns: Array
    root: Array


def mean_departure(error: MotionLoss, frames: Tensor, places: Tensor) -> Departure:
    """Mean departure of drawn ways.

    Args:
        error: reads velocities from frames.
        frames: ``(ways, frames, columns)`` of the decoder, both ends included.
        places: ``(ways, 3)`` of the first ones: x, y (m) and heading (rad).
    """
    raw = (frames * error.raw + error.mean).double()
    raw[..., :3] = error.velocities(frames)
    starts = [Start(*place) for place in places.double().tolist()]
    count = len(frames)
    motions = to_motions(
        list(raw.cpu().numpy()), [REFERENCE] * count, starts=starts, sources=[Source()] * count
    )
    turns, root = [], []
    for motion in motions:
        straight = _line(motion.rotations[[0, -1]], motion.root_positions[[0, -1]], len(motion))
        turns.append(rot.log(rot.multiply(motion.rotations, rot.conjugate(straight[0]))))
        root.append(motion.root_positions - straight[1])
    return Departure(np.mean(turns, axis=0), np.mean(root, axis=0))


def bridge(
    error: MotionLoss,
    first: tuple[Tensor, Tensor],
    last: tuple[Tensor, Tensor],
    count: int,
    departure: Departure | None,
) -> Tensor:
    """Frames ``(count, columns)`` after a first one, up to and including the last one.

    Args:
        error: reads velocities from frames.
        first, last: frame ``(columns,)`` and place ``(3,)``: x, y (m) and heading (rad).
        count: frames from the first to the last one.
        departure: of ``count + 1`` frames; without it, the line alone.
    """
    ends = [
        to_motion(
            (frame * error.raw + error.mean).double().cpu().numpy()[None],
            REFERENCE,
            start=Start(*place.double().tolist()),
        )
        for frame, place in (first, last)
    ]
    turns, root = _line(
        np.concatenate([end.rotations for end in ends]),
        np.concatenate([end.root_positions for end in ends]),
        count + 1,
    )
    share = np.linspace(0.0, 1.0, count + 1)
    if departure is not None:
        part = _TURNED[0] + (_TURNED[1] - _TURNED[0]) * share
        turns = rot.multiply(rot.exp(part[:, None, None] * departure.turns), turns)
        root = root + _MOVED * departure.root
    rows = from_motion(Motion(root, turns, REFERENCE, FPS, Source()))
    # A decoded tilt may itself turn a little, and then the ends' headings are not the body's.
    own = rot.yaw_of(turns[:, 0])
    lacks = [float(rot.wrapped(p[2].item() - own[k])) for (_, p), k in ((first, 0), (last, -1))]
    _turn_heading(rows, lacks[0] + (lacks[1] - lacks[0]) * share)
    found = (torch.from_numpy(rows[1:]).to(error.raw) - error.mean) / error.raw
    found[:, :3] -= error.middle
    return found


def _line(turns: Array, root: Array, count: int) -> tuple[Array, Array]:
    """Rotations ``(count, 22, 4)`` and root ``(count, 3)`` of the straight line of two frames."""
    share = np.linspace(0.0, 1.0, count)
    turned = rot.slerp(turns[:1], turns[1:], share[:, None])
    return turned, root[0] + share[:, None] * (root[1] - root[0])


def _turn_heading(rows: Array, by: Array) -> None:
    """Turn the heading ``by (frames,)`` rad in which feature rows are expressed; in place."""
    rows[1:, COLUMNS["yaw_rate"]] += FPS * np.diff(by)[:, None]
    step = np.column_stack([rows[:, COLUMNS["velocity"]], np.zeros(len(rows))])
    back = rot.from_axis_angle(_UP, -by)
    rows[:, COLUMNS["velocity"]] = rot.rotate(back, step)[:, :2]
    for name in ("tilt", "positions"):
        vectors = rows[:, COLUMNS[name]].reshape(len(rows), -1, 3)
        rows[:, COLUMNS[name]] = rot.rotate(back[:, None], vectors).reshape(len(rows), -1)
