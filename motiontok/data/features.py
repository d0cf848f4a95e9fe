"""Features of canonical motion, the tokenizer's input, frame by frame.

Features do not depend on the body: they describe the motion on one reference skeleton
(:meth:`bvh.motion.Motion.on_bones`), so that tokens spend nothing on the length of bones. Decoding
puts the motion back on any body.

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

Rotations and positions state the pose twice; :mod:`motiontok.data.pose` says how :func:`to_motion`
uses both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bvh import rotations as rot
from bvh.foot_contacts import soft_contact, standing_heights
from bvh.motion import FPS, Motion, Source
from bvh.rotations import Array
from bvh.skeleton import FEET, root_between_bodies
from motiontok.data.feature_columns import COLUMNS, FEATURES
from motiontok.data.placement import REFERENCE, StartLike, offsets_of, start_of
from motiontok.data.pose import joint_rotations, root_path
from motiontok.errors import DataError

__all__ = [
    "COLUMNS",
    "FEATURES",
    "STANDING",
    "from_motion",
    "to_motion",
    "to_motions",
]

STANDING = tuple(standing_heights(REFERENCE).tolist())
"""Heights of left foot, left toe, right foot and right toe joints that stand, metres."""

_UP = np.array([0.0, 0.0, 1.0])


def _six(q: Array) -> Array:
    """First two matrix columns ``(..., 6)`` of quaternions ``(..., 4)``."""
    return np.swapaxes(rot.to_matrix(q)[..., :2], -1, -2).reshape(*q.shape[:-1], 6)


def _contacts(positions: Array, fps: float) -> Array:
    """Soft contacts ``(frames, 4)`` from height and speed of feet and toes."""
    feet = positions[:, list(FEET)]
    speed = np.zeros(feet.shape[:2])
    if len(feet) > 1:
        speed[1:] = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * fps
        speed[0] = speed[1]
    return soft_contact(feet[..., 2] - np.array(STANDING), speed)


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
            f"take motion.resampled({FPS:g})"
        )
    motion = motion.on_bones(REFERENCE)
    root = motion.rotations[:, 0]
    yaw = rot.yaw_of(root)
    world_from_heading = rot.from_axis_angle(_UP, yaw)
    heading_from_world = rot.conjugate(world_from_heading)
    positions = motion.global_positions()

    out = np.zeros((len(motion), FEATURES))
    if len(motion) > 1:
        turn = rot.wrapped(np.diff(yaw))
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
    start: StartLike | None = None,
    source: Source | None = None,
) -> Motion:
    """Motion of features ``(frames, 203)``.

    Args:
        features: rows as :func:`from_motion` makes them, or a model's estimate.
        offsets: ``(22, 3)`` rest offsets of the subject, metres.
        start: place and heading of frame 0; the origin facing +X by default.
        source: origin to record.

    Raises:
        DataError: wrong shape, no frames, a value that is not finite, or impossible place or bones.
    """
    return to_motions(
        [features], [offsets], starts=[start_of(start)], sources=[source or Source()]
    )[0]


def to_motions(
    features: Sequence[Array],
    offsets: Sequence[Array],
    *,
    starts: Sequence[StartLike],
    sources: Sequence[Source],
) -> list[Motion]:
    """:func:`to_motion` of several clips in one go: short ones take a third of the time.

    Args:
        features: ``(frames, 203)`` of each clip.
        offsets: ``(22, 3)`` rest offsets of each, metres.
        starts: start of each.
        sources: origin of each.

    Raises:
        DataError: as :func:`to_motion`.
    """
    checked = [_checked(*clip) for clip in zip(features, offsets, strict=True)]
    roots, headings = [], []
    for (rows, bones), start in zip(checked, starts, strict=True):
        at = start_of(start)
        pose = torch.tensor([at.x, at.y, at.yaw], dtype=torch.float64)
        scale, lift = root_between_bodies(REFERENCE, bones)
        root, yaw = root_path(torch.from_numpy(rows), pose, scale=scale, lift=lift)
        roots.append(root.numpy())
        headings.append(yaw)
    together = torch.from_numpy(np.concatenate([rows for rows, _ in checked]))
    turns = joint_rotations(together, torch.cat(headings)).numpy()
    rotations = np.split(turns, np.cumsum([len(rows) for rows, _ in checked])[:-1])
    # Of several, each has memory of its own: one that is kept does not keep them all.
    own = np.asarray if len(checked) == 1 else np.array
    return [
        Motion(root, own(turned), bones, FPS, source)
        for root, turned, (_, bones), source in zip(roots, rotations, checked, sources, strict=True)
    ]


def _checked(features: Array, offsets: Array) -> tuple[Array, Array]:
    """Features and offsets as float64.

    Raises:
        DataError: wrong shape, no frames, a value that is not finite, or impossible bones.
    """
    features = np.array(features, dtype=np.float64, order="C")
    if features.ndim != 2 or features.shape[1] != FEATURES or len(features) == 0:
        raise DataError(f"features: expected (frames, {FEATURES}), got {features.shape}")
    if not np.isfinite(features).all():
        frame, column = np.argwhere(~np.isfinite(features))[0]
        raise DataError(f"features: value at frame {frame}, column {column} is not finite")
    return features, offsets_of(offsets)
