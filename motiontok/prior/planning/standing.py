"""The end of a plan: the body slows down to a stand at the end pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bvh import rotations as rot
from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data import COLUMNS, Start, from_motion
from motiontok.prior.planning.targets import PathTarget
from motiontok.tokenizer import MotionTokenizer
from motiontok.tokens.path import rotated

__all__ = ["STANDS", "hold_end"]

STANDS = 1.5
"""Least seconds for which the end of a plan is held; decoding needs the first half to come to
rest."""

_SLOWING = 12  # frames in which it comes to rest; half as many of the motion
_EARLY = 0.4  # s before the path's end from which on the body may stop
_BENT = 0.2  # m and rad; most that the last steps are bent to end in their place
_STEPS = 75  # frames over which they are bent
_AIRBORNE = 0.05  # cost of stopping on one foot, m2
_SPEED = 0.02  # cost of joints' speed, m2 for (m/s)2
_UP = np.array([0.0, 0.0, 1.0])


def hold_end(
    codes: NDArray[np.int64],
    tokenizer: MotionTokenizer,
    *,
    frames: int,
    start: Start,
    given: int,
    path: PathTarget,
) -> NDArray[np.int64]:
    """Codes ``(windows, codes)`` that end in a stand.

    Of the last seconds, the frame is chosen that is nearest to the end pose, slow and on both feet.
    The motion slows down to it along its own frames, and holds it.

    Args:
        codes: of the whole plan.
        tokenizer: of the codes.
        frames: of the plan.
        start: of frame 0, in metres of the reference body, as the path.
        given: windows of a prefix, which stay.
        path: the path followed; its time 0 is after the prefix.
    """
    window = tokenizer.frames_per_window
    motion = tokenizer.decode(codes, start=start, frames=frames)
    fps, first = motion.fps, given * window
    last = frames - 1 - round(STANDS * fps)
    early = first + round((path.duration - _EARLY) * fps)
    low = min(max(early, first + _SLOWING), last)
    if last < first + _SLOWING:
        return codes
    stop = low + int(np.argmin(_unfit(motion, path, slice(low, last + 1))))
    bent = _bent(motion, path, max(first, stop - _STEPS), stop)
    held = _stopped(bent, stop)
    changed = max(first, min(stop - _STEPS, stop - _SLOWING)) // window
    context = max(0, changed - 2)
    again = tokenizer.encode(from_motion(held)[context * window :], hold_path=True)
    out = codes.copy()
    out[changed:] = np.asarray(again)[changed - context :]
    return out


def _unfit(motion: Motion, path: PathTarget, part: slice) -> Array:
    """Cost ``(frames,)`` of stopping at each frame, m2."""
    around = slice(max(part.start - 1, 0), part.stop)
    positions = motion.global_positions()[around]
    speed = np.linalg.norm(np.diff(positions, axis=0, prepend=positions[:1]), axis=-1) * motion.fps
    apart = ((motion.root_positions[part, :2] - path.points[-1]) ** 2).sum(axis=-1)
    total = apart + _SPEED * (speed**2).mean(axis=-1)[part.start - around.start :]
    feet = from_motion(motion[around])[part.start - around.start :, COLUMNS["contacts"]]
    both = np.minimum(feet[:, :2].max(axis=-1), feet[:, 2:].max(axis=-1))
    total = total + _AIRBORNE * (1.0 - both)
    if path.facing is not None:
        total = total + _turned(motion, path.facing)[part] ** 2
    return np.asarray(total)


def _turned(motion: Motion, facing: float) -> Array:
    yaw = rot.yaw_of(motion.rotations[:, 0])
    return rot.wrapped(facing - yaw)


def _bent(motion: Motion, path: PathTarget, begin: int, stop: int) -> Motion:
    """The same motion, its way from one frame to another bent to end on the path's end.

    It is bent by no more than feet may slide unseen; larger errors remain.
    """
    count = len(motion) - begin
    ramp = np.clip(np.arange(count) / max(stop - begin, 1), 0.0, 1.0)
    turn = 0.0
    if path.facing is not None:
        turn = float(np.clip(_turned(motion, path.facing)[stop], -_BENT, _BENT))
    positions, rotations = motion.root_positions.copy(), motion.rotations.copy()
    steps = np.diff(positions[begin:, :2], axis=0, prepend=positions[begin : begin + 1, :2])
    way = positions[begin, :2] + np.cumsum(rotated(steps, turn * ramp), axis=0)
    missing = path.points[-1] - way[stop - begin]
    missing *= min(1.0, _BENT / max(float(np.linalg.norm(missing)), 1e-9))
    positions[begin:, :2] = way + ramp[:, None] * missing
    rotations[begin:, 0] = rot.multiply(rot.from_axis_angle(_UP, turn * ramp), rotations[begin:, 0])
    return replace(motion, root_positions=positions, rotations=rotations)


def _stopped(motion: Motion, stop: int) -> Motion:
    """The same motion, slowed along its own frames to rest at one of them."""
    begin = stop - _SLOWING // 2
    k = np.arange(len(motion), dtype=np.float64) - begin
    slowed = np.minimum(k, _SLOWING)
    at = np.where(k > 0.0, begin + slowed - slowed**2 / (2 * _SLOWING), np.arange(len(motion)))
    before = np.minimum(at.astype(int), len(motion) - 2)
    part = at - before
    a, b = motion.root_positions[before], motion.root_positions[before + 1]
    aligned = rot.align_signs(motion.rotations)
    joints = motion.rotations.shape[1]
    turned = rot.slerp(
        aligned[before].reshape(-1, 4),
        aligned[before + 1].reshape(-1, 4),
        np.repeat(part, joints),
    )
    return replace(
        motion,
        root_positions=a + part[:, None] * (b - a),
        rotations=turned.reshape(-1, joints, 4),
    )
