"""Features of canonical motion: what the tokenizer sees, frame by frame.

A feature row is expressed in the heading frame of its own frame: the body's yaw
and its place on the floor are taken out, so a model learns neither. 203 columns:

| columns | what | unit |
|---|---|---|
| 0 | yaw rate since the previous frame | rad/s |
| 1-2 | planar root velocity since the previous frame, forward and left | m/s |
| 3 | root height | m |
| 4-9 | root tilt (orientation without yaw), 6D | - |
| 10-135 | local rotations of the 21 other joints, 6D each | - |
| 136-198 | positions of the 21 other joints relative to the hips | m |
| 199-202 | contact of left foot, left toe, right foot, right toe, 0 to 1 | - |

6D rotations are the first two columns of the rotation matrix (Zhou et al. 2019,
"On the Continuity of Rotation Representations in Neural Networks").

Rotations and positions state the pose twice. :func:`to_motion` uses both: bones
are aimed so that joints land where the positions say, and the rotations give the
twist. For features of a real motion the two agree and nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh import rotations as rot
from bvh.motion import FPS, Motion, Source
from bvh.rotations import Array
from bvh.skeleton import FEET, JOINTS, PARENTS
from motiontok.errors import DataError

__all__ = ["COLUMNS", "FEATURES", "Start", "from_motion", "to_motion"]

_BODY = len(JOINTS) - 1
_WIDTHS = {
    "yaw_rate": 1,
    "velocity": 2,
    "height": 1,
    "tilt": 6,
    "rotations": 6 * _BODY,
    "positions": 3 * _BODY,
    "contacts": len(FEET),
}
_ends = np.cumsum(list(_WIDTHS.values()))
COLUMNS: dict[str, slice] = {
    name: slice(int(end) - width, int(end))
    for (name, width), end in zip(_WIDTHS.items(), _ends, strict=True)
}
"""Column range of each group of features."""

FEATURES = int(_ends[-1])
"""Number of feature columns."""

_UP = np.array([0.0, 0.0, 1.0])
_CHILDREN = tuple(
    tuple(c for c, parent in enumerate(PARENTS) if parent == joint) for joint in range(len(JOINTS))
)


@dataclass(frozen=True)
class Start:
    """Where a motion begins: place on the floor (metres) and heading (rad) of frame 0."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    @classmethod
    def of(cls, motion: Motion) -> Start:
        """Start of a motion."""
        x, y = motion.root_positions[0, :2]
        return cls(float(x), float(y), float(rot.yaw_of(motion.rotations[0, 0])))


def _six(q: Array) -> Array:
    """First two matrix columns ``(..., 6)`` of quaternions ``(..., 4)``."""
    return np.swapaxes(rot.to_matrix(q)[..., :2], -1, -2).reshape(*q.shape[:-1], 6)


def _from_six(six: Array) -> Array:
    """Quaternions ``(..., 4)`` of 6D rotations ``(..., 6)`` by Gram-Schmidt."""
    a, b = six[..., :3], six[..., 3:]
    a = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-9)
    b = b - np.sum(a * b, axis=-1, keepdims=True) * a
    b = b / np.maximum(np.linalg.norm(b, axis=-1, keepdims=True), 1e-9)
    return rot.from_matrix(np.stack([a, b, rot.cross(a, b)], axis=-1))


def _contacts(positions: Array, fps: float) -> Array:
    """Soft contacts ``(frames, 4)`` from height and speed of feet and toes.

    Ramps instead of thresholds: a flag that flips on rounding noise could not be
    recovered from a reconstructed motion.
    """
    feet = positions[:, list(FEET)]
    speed = np.zeros(feet.shape[:2])
    if len(feet) > 1:
        speed[1:] = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * fps
        speed[0] = speed[1]
    height = feet[..., 2] - np.array([0.08, 0.02, 0.08, 0.02])
    slow = np.clip((0.6 - speed) / 0.4, 0.0, 1.0)
    low = np.clip((0.10 - height) / 0.05, 0.0, 1.0)
    return slow * low


def from_motion(motion: Motion) -> Array:
    """Features ``(frames, 203)``, float64, of a motion.

    The first frame has no predecessor and takes the second one's velocities.

    Raises:
        DataError: the motion has no frames or is not at 30 frames per second.
    """
    if len(motion) == 0:
        raise DataError(f"{motion.source.name}: motion has no frames")
    if abs(motion.fps - FPS) > 1e-3:
        raise DataError(
            f"{motion.source.name}: motion is at {motion.fps:g} frames/s, features need {FPS:g}; "
            "bvh.normalize resamples"
        )
    root = motion.rotations[:, 0]
    yaw = rot.yaw_of(root)
    world_from_heading = rot.from_axis_angle(_UP, yaw)
    heading_from_world = rot.conjugate(world_from_heading)
    positions = motion.global_positions()

    out = np.zeros((len(motion), FEATURES))
    if len(motion) > 1:
        turn = (np.diff(yaw) + np.pi) % (2 * np.pi) - np.pi
        step = rot.rotate(heading_from_world[1:], np.diff(motion.root_positions, axis=0))
        out[1:, COLUMNS["yaw_rate"]] = turn[:, None] * motion.fps
        out[1:, COLUMNS["velocity"]] = step[:, :2] * motion.fps
        out[0, :3] = out[1, :3]
    out[:, COLUMNS["height"]] = motion.root_positions[:, 2:]
    out[:, COLUMNS["tilt"]] = _six(rot.multiply(heading_from_world, root))
    out[:, COLUMNS["rotations"]] = _six(motion.rotations[:, 1:]).reshape(len(motion), -1)
    relative = positions[:, 1:] - positions[:, :1]
    out[:, COLUMNS["positions"]] = rot.rotate(heading_from_world[:, None], relative).reshape(
        len(motion), -1
    )
    out[:, COLUMNS["contacts"]] = _contacts(positions, motion.fps)
    return out


def to_motion(
    features: Array,
    offsets: Array,
    *,
    start: Start | None = None,
    source: Source | None = None,
) -> Motion:
    """Motion of features ``(frames, 203)``.

    Args:
        features: rows as :func:`from_motion` makes them, or a model's estimate.
        offsets: ``(22, 3)`` rest offsets of the subject, metres.
        start: place and heading of frame 0; the origin facing +X by default.
        source: origin to record.

    Raises:
        DataError: wrong shape, no frames, or a value that is not finite.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or features.shape[1] != FEATURES or len(features) == 0:
        raise DataError(f"features: expected (frames, {FEATURES}), got {features.shape}")
    if not np.isfinite(features).all():
        frame, column = np.argwhere(~np.isfinite(features))[0]
        raise DataError(f"features: value at frame {frame}, column {column} is not finite")
    offsets = np.asarray(offsets, dtype=np.float64)
    if offsets.shape != (len(JOINTS), 3):
        raise DataError(f"offsets: expected ({len(JOINTS)}, 3), got {offsets.shape}")
    start = start or Start()
    frames = len(features)

    yaw_step = features[:, 0] / FPS
    yaw_step[0] = start.yaw
    yaw = np.cumsum(yaw_step)
    world_from_heading = rot.from_axis_angle(_UP, yaw)
    step = np.zeros((frames, 3))
    step[1:, :2] = features[1:, COLUMNS["velocity"]] / FPS
    step = rot.rotate(world_from_heading, step)
    root_positions = np.cumsum(step, axis=0)
    root_positions[:, :2] += [start.x, start.y]
    root_positions[:, 2] = features[:, 3]

    local = np.empty((frames, len(JOINTS), 4))
    local[:, 0] = _from_six(features[:, COLUMNS["tilt"]])
    local[:, 1:] = _from_six(features[:, COLUMNS["rotations"]].reshape(frames, _BODY, 6))
    wanted = np.zeros((frames, len(JOINTS), 3))
    wanted[:, 1:] = features[:, COLUMNS["positions"]].reshape(frames, _BODY, 3)
    _aim(local, wanted, offsets)
    local[:, 0] = rot.multiply(world_from_heading, local[:, 0])
    return Motion(root_positions, local, offsets, FPS, source or Source())


def _aim(local: Array, wanted: Array, offsets: Array) -> None:
    """Turn each bone, in place, so that its end lands as near as it can to ``wanted``.

    Going out from the hips, a joint with one child is swung so that the child lies
    in the direction of its wanted position as seen from where the joint now is:
    errors do not add up along the limb. Twist is untouched.

    Args:
        local: local rotations ``(frames, 22, 4)``, changed.
        wanted: hips-relative positions ``(frames, 22, 3)``.
        offsets: ``(22, 3)``.
    """
    world = np.empty_like(local)
    placed = np.zeros_like(wanted)
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            world[:, joint] = local[:, joint]
        else:
            placed[:, joint] = placed[:, parent] + rot.rotate(world[:, parent], offsets[joint])
            world[:, joint] = rot.multiply(world[:, parent], local[:, joint])
        if len(_CHILDREN[joint]) != 1:
            continue
        child = _CHILDREN[joint][0]
        if np.linalg.norm(offsets[child]) < 1e-3:
            continue
        now = rot.rotate(world[:, joint], offsets[child])
        swing = rot.between(now, wanted[:, child] - placed[:, joint])
        world[:, joint] = rot.multiply(swing, world[:, joint])
        if parent < 0:
            local[:, joint] = world[:, joint]
        else:
            local[:, joint] = rot.multiply(rot.conjugate(world[:, parent]), world[:, joint])
