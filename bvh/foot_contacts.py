"""When feet stand: the one detector of contacts, and the thresholds that others share with it.

Feet are asked three things, each in one place:

- Does this heel or toe stand, on ground that is known? :func:`find_contacts`, yes or no with
  hysteresis: for robots and their figures. A stream has less to look at, and asks the same of fewer
  frames (:mod:`motiontok.robots.contacts.online_contacts`).
- How surely does it stand? :func:`soft_contact`, 0 to 1: for features, which networks give back
  with an error, and for all that learns from them. :func:`standing_by_both` asks a decoded foot's
  contact column, too.
- Where is the floor at all? :mod:`bvh.normalizer.floor`: before a motion is canonical.

How much feet slide (:func:`motiontok.evaluate.motion_metrics.foot_skate`) counts the steps of a
source that are as slow as here and near the lowest place of the clip, which may have no floor at
z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import FEET, JOINTS, toe_height

__all__ = [
    "BAND",
    "GAP",
    "ROLLED",
    "SHIN",
    "SIDES",
    "SLOW",
    "SPAN",
    "STILL",
    "Contacts",
    "can_stand",
    "faces_ground",
    "find_contacts",
    "normals_of",
    "runs",
    "soft_contact",
    "speeds",
    "standing",
    "standing_by_both",
    "standing_heights",
]

SIDES = ("Left", "Right")

STILL = 0.15  # m/s: a planted foot of noisy capture moves slower, a swinging one faster
SLOW = 0.3  # m/s: a standing foot keeps standing until it is faster
BAND = 0.03  # m above its standing height
# Least upward part of the shin above a heel and a toe that stand. Who kneels or lies has insteps
# or sides of feet on the ground, as low and still as soles, but shins that lie.
SHIN = (0.5, 0.1)
ROLLED = 0.57  # of the foot's side axis along the ground's normal, 35 degrees: it lies on its side
SPAN = 1.0 / 30.0  # s on each side of a frame over which its speed is taken
GAP = 2.0 / 30.0  # s; interruptions that are not longer are noise
_SHORTEST = 0.1  # s; shorter contacts are noise
# Ramps of a soft contact: where it ends, and over how much it rises.
_FAST, _SLOWER = 0.6, 0.4  # m/s
_HIGH, _LOWER = 0.10, 0.05  # m above its standing height

Numbers = TypeVar("Numbers", bound=Any)
"""Arrays of NumPy or tensors of torch."""


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


def find_contacts(
    motion: Motion, planes: Array | None = None, *, able: Array | None = None
) -> Contacts:
    """Find standing heels and toes by height and speed, with hysteresis.

    Args:
        motion: canonical motion.
        planes: ``(frames, 2, 3)`` the ground ``z = a x + b y + c`` under the left and the
            right foot; z = 0, if not given.
        able: ``(frames, 4)`` heels and toes that may stand: left, right; all, if not given.
    """
    positions = motion.global_positions()
    heights = standing_heights(motion.offsets)
    heels: list[Array] = []
    toes: list[Array] = []
    if planes is None:
        planes = np.zeros((len(motion), 2, 3))
    below = can_stand(positions)
    able = below if able is None else below & able
    for k in range(len(SIDES)):
        a, b, c = planes[:, k].T
        for end, ends in enumerate((heels, toes)):
            path = positions[:, FEET[2 * k + end]]
            above = (path[:, 2] - a * path[:, 0] - b * path[:, 1] - c) / np.sqrt(
                1.0 + a * a + b * b
            )
            low = (above < heights[2 * k + end] + BAND) & able[:, 2 * k + end]
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


def faces_ground(rotations: Array, planes: Array) -> Array:
    """Whether soles face the ground, neither on their sides nor upside down ``(...)``.

    Ends of a foot that lies on its side are as low and still as those of one that stands.

    Args:
        rotations: ``(..., 3, 3)`` of the ankles in the world.
        planes: ``(..., 3)`` the ground ``z = a x + b y + c``.
    """
    normals = normals_of(planes)
    across, up = (rotations[..., axis] * normals for axis in (1, 2))
    out: Array = (np.abs(across.sum(axis=-1)) < ROLLED) & (up.sum(axis=-1) > 0.0)
    return out


def normals_of(planes: Array) -> Array:
    """Upward unit normals ``(..., 3)`` of planes ``z = a x + b y + c`` ``(..., 3)``."""
    out = np.concatenate([-planes[..., :2], np.ones((*planes.shape[:-1], 1))], axis=-1)
    return np.asarray(out / np.linalg.norm(out, axis=-1, keepdims=True))


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
    speed = speeds(path, 1.0 / fps, span=max(round(SPAN * fps), 1))
    gap, shortest = max(round(GAP * fps), 1), max(round(_SHORTEST * fps), 1)
    still, slow = low & (speed < STILL), low & (speed < SLOW)
    out = np.zeros(len(path), dtype=bool)
    for start, end in runs(slow):
        out[start:end] = still[start:end].any()
    for start, end in runs(~out):
        if start > 0 and end < len(out) and end - start <= gap and low[start:end].all():
            out[start:end] = True
    for start, end in runs(out):
        if end - start < min(shortest, len(out)):
            out[start:end] = False
    return out


def standing_heights(offsets: Array) -> Array:
    """Heights ``(4,)`` of the joints :data:`~bvh.skeleton.FEET` of feet flat on the floor, metres.

    Args:
        offsets: ``(22, 3)`` the subject's bones.
    """
    toe = toe_height(offsets)
    return np.array([h for side in FEET[1::2] for h in (toe - float(offsets[side, 2]), toe)])


def speeds(points: Array, frame_time: float, *, span: int = 1) -> Array:
    """Speeds ``(frames, ...)`` of points ``(frames, ..., 3)`` by central differences.

    Args:
        points: metres.
        frame_time: seconds.
        span: frames on each side of a frame; fewer at the ends.
    """
    count = len(points)
    if count < 2:
        return np.zeros(points.shape[:-1])
    frames = np.arange(count)
    first, last = np.maximum(frames - span, 0), np.minimum(frames + span, count - 1)
    moved = np.linalg.norm(points[last] - points[first], axis=-1)
    out: Array = (moved.T / (frame_time * (last - first))).T
    return out


def soft_contact(height: Numbers, speed: Numbers) -> Numbers:
    """How surely feet and toes stand, 0 to 1.

    Ramps instead of thresholds: a flag that flips on rounding noise could not be recovered from a
    reconstructed motion.

    Args:
        height: above :func:`standing_heights`, metres.
        speed: metres a second.
    """
    # Of both libraries by the same names, which a type checker does not see of numbers in general.
    slow: Any = (_FAST - speed) / _SLOWER
    low: Any = (_HIGH - height) / _LOWER
    return slow.clip(0.0, 1.0) * low.clip(0.0, 1.0)


def standing_by_both(contacts: Numbers, height: Numbers, speed: Numbers) -> Numbers:
    """How surely decoded feet and toes stand, 0 to 1: the mean of two witnesses.

    Args:
        contacts: decoded contact columns, which may leave 0 to 1.
        height, speed: of the decoded pose, see :func:`soft_contact`.
    """
    said: Any = contacts
    return 0.5 * (said.clip(0.0, 1.0) + soft_contact(height, speed))
