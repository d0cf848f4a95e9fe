"""Frames in which the feet of a motion stand on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import JOINTS, toe_height

__all__ = [
    "BAND",
    "SHIN",
    "SIDES",
    "SLOW",
    "STILL",
    "Contacts",
    "can_stand",
    "find_contacts",
    "runs",
    "standing",
]

SIDES = ("Left", "Right")

STILL = 0.15  # m/s: slower than this stands
SLOW = 0.3  # m/s: a standing foot keeps standing until it is faster
BAND = 0.03  # m above its standing height
# Upward part of the shin above a heel and a toe that stand: who kneels or lies has the insteps
# or the sides of the feet on the ground, as low and still as soles.
SHIN = (0.5, 0.1)
_SHORTEST = 3  # frames; shorter contacts are noise
_GAP = 2  # frames; shorter interruptions are noise


@dataclass(frozen=True, eq=False)
class Contacts:
    """Standing parts of the feet, per frame: left, right.

    Attributes:
        heels: ``(frames, 2)`` the ankle is low and still: the heel stands.
        toes: ``(frames, 2)`` the ball of the foot stands.
    """

    heels: Array
    toes: Array

    @property
    def ends(self) -> Array:
        """``(frames, 4)``: left heel and toe, right heel and toe."""
        return np.stack([self.heels, self.toes], axis=-1).reshape(len(self.heels), -1)


def find_contacts(motion: Motion, planes: Array | None = None) -> Contacts:
    """Find standing heels and toes by height and speed, with hysteresis.

    Args:
        motion: canonical motion.
        planes: ``(frames, 2, 3)`` the ground ``z = a x + b y + c`` under the left and the
            right foot; z = 0, if not given.
    """
    positions = motion.global_positions()
    toe_joint = toe_height(motion.offsets)
    heels: list[Array] = []
    toes: list[Array] = []
    if planes is None:
        planes = np.zeros((len(motion), 2, 3))
    below = can_stand(positions)
    for k, side in enumerate(SIDES):
        a, b, c = planes[:, k].T
        ankle, toe = JOINTS.index(side + "Foot"), JOINTS.index(side + "Toe")
        ankle_height = toe_joint - motion.offsets[toe, 2]
        for end, (ends, joint, height) in enumerate(
            ((heels, ankle, ankle_height), (toes, toe, toe_joint))
        ):
            path = positions[:, joint]
            above = (path[:, 2] - a * path[:, 0] - b * path[:, 1] - c) / np.sqrt(
                1.0 + a * a + b * b
            )
            low = (above < height + BAND) & below[:, 2 * k + end]
            ends.append(standing(path, low, motion.fps))
    return Contacts(heels=np.stack(heels, axis=1), toes=np.stack(toes, axis=1))


def can_stand(positions: Array) -> Array:
    """Whether heels and toes are under upright shins ``(..., 4)``: left, right.

    Args:
        positions: ``(..., 22, 3)`` of the motion's joints, metres.
    """
    knees, ankles = ([JOINTS.index(side + part) for side in SIDES] for part in ("Leg", "Foot"))
    shins = positions[..., knees, :] - positions[..., ankles, :]
    lengths = np.sqrt((shins * shins).sum(axis=-1))
    out: Array = shins[..., 2, None] > np.array(SHIN) * lengths[..., None]
    return out.reshape(*out.shape[:-2], 4)


def runs(mask: Array) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each run of true values in ``mask (frames,)``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def standing(path: Array, low: Array, fps: float) -> Array:
    """Frames ``(frames,)`` in which a point stands: low and still, with hysteresis.

    Args:
        path: ``(frames, 3)`` of the point, metres.
        low: ``(frames,)`` where it is near the ground.
        fps: frames per second.
    """
    if len(path) > 1:
        speed = np.linalg.norm(np.gradient(path, 1.0 / fps, axis=0), axis=-1)
    else:
        speed = np.zeros(len(path))
    still, slow = low & (speed < STILL), low & (speed < SLOW)
    out = np.zeros(len(path), dtype=bool)
    for start, end in runs(slow):
        out[start:end] = still[start:end].any()
    for start, end in runs(~out):
        if start > 0 and end < len(out) and end - start <= _GAP and low[start:end].all():
            out[start:end] = True
    for start, end in runs(out):
        if end - start < min(_SHORTEST, len(out)):
            out[start:end] = False
    return out
