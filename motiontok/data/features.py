"""Features of canonical motion: what the tokenizer sees, frame by frame.

Features are free of the body: whoever moves, they are those of the same motion on one
reference skeleton (:meth:`bvh.motion.Motion.on_bones`), so that tokens spend nothing on
the length of bones. Decoding goes the same way back, onto any body.

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

from collections import Counter
from collections.abc import Sequence

import numpy as np

from bvh import rotations as rot
from bvh.motion import FPS, Motion, Source
from bvh.rotations import Array
from bvh.skeleton import (
    FEET,
    JOINTS,
    PARENTS,
    by_joint,
    generations,
    root_between_bodies,
    take,
)
from motiontok.data.place import REFERENCE, StartLike, offsets_of, start_of
from motiontok.errors import DataError

__all__ = ["COLUMNS", "FEATURES", "from_motion", "to_motion", "to_motions"]

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
_SHORT = 1e-3  # m; a shorter bone has no direction
_ORDER, _GENERATIONS = generations(PARENTS)
_ROW = [_ORDER.index(joint) for joint in range(len(JOINTS))]


def _bones() -> list[list[tuple[int, int, int]]]:
    """By generation, rows of (parent, joint, only child) of joints that aim one bone."""
    parent = {
        joint: up
        for here, above in _GENERATIONS
        for joint, up in zip(range(here.start, here.stop), above, strict=True)
    }
    children = Counter(parent.values())
    out = []
    for here, _ in _GENERATIONS:
        ends = {up: end for end, up in parent.items() if here.start <= up < here.stop}
        out.append([(parent[j], j, end) for j, end in ends.items() if children[j] == 1])
    return out


_BONES = _bones()


def _six(q: Array) -> Array:
    """First two matrix columns ``(..., 6)`` of quaternions ``(..., 4)``."""
    return np.swapaxes(rot.to_matrix(q)[..., :2], -1, -2).reshape(*q.shape[:-1], 6)


def _from_six(six: Array) -> Array:
    """Rotation matrices ``(..., 3, 3)`` of 6D rotations ``(..., 6)`` by Gram-Schmidt."""
    a, b = six[..., :3], six[..., 3:]
    a = a / np.maximum(rot.length(a), 1e-9)
    b = b - rot.dot(a, b)[..., None] * a
    b = b / np.maximum(rot.length(b), 1e-9)
    c = rot.cross(a, b)
    out = rot.planar(six.shape[:-1], 3, 3)
    out[..., 0], out[..., 1], out[..., 2] = a, b, c
    flat = rot.dot(c, c) < 0.99
    if flat.any():
        # Columns that are zero or parallel state no rotation; any that fits them will do.
        out[flat] = rot.to_matrix(rot.from_matrix(out[flat]))
    return out


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
            f"motion.resampled({FPS:g}) has it so"
        )
    motion = motion.on_bones(REFERENCE)
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
        DataError: wrong shape, no frames, a value that is not finite, or a place or bones that
            no body has.
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
        starts: where each begins.
        sources: origin of each.

    Raises:
        DataError: as :func:`to_motion`.
    """
    checked = [_checked(*clip) for clip in zip(features, offsets, strict=True)]
    lengths = [len(rows) for rows, _ in checked]
    ends = np.cumsum(lengths)
    poses = [start_of(start) for start in starts]
    clips = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    rows = np.concatenate([rows for rows, _ in checked])
    bones = [bones for _, bones in checked]
    frames = len(rows)

    yaw = rows[:, 0] / FPS
    for clip, start in zip(clips, poses, strict=True):
        yaw[clip.start] = start.yaw
        np.cumsum(yaw[clip], out=yaw[clip])
    world_from_heading = rot.from_axis_angle(_UP, yaw)
    step = np.zeros((frames, 3))
    step[:, :2] = rows[:, COLUMNS["velocity"]] / FPS
    roots = rot.rotate(world_from_heading, step)
    for clip, start, body in zip(clips, poses, bones, strict=True):
        scale, lift = root_between_bodies(REFERENCE, body)
        roots[clip, :2] *= scale
        roots[clip.start, :2] = start.x, start.y
        np.cumsum(roots[clip], axis=0, out=roots[clip])
        roots[clip, 2] = scale * rows[clip, COLUMNS["height"].start] + lift

    six = rows[:, COLUMNS["tilt"].start : COLUMNS["rotations"].stop]
    local = _from_six(by_joint(six.reshape(frames, len(JOINTS), 6), _ORDER))
    wanted = np.zeros((frames, len(JOINTS), 3))
    wanted[:, 1:] = rows[:, COLUMNS["positions"]].reshape(frames, _BODY, 3)
    reference = np.broadcast_to(REFERENCE, wanted.shape)
    _aim(local, by_joint(wanted, _ORDER), by_joint(reference, _ORDER))
    turns = rot.from_matrix(local)
    turns[0] = rot.multiply(world_from_heading, turns[0])
    rotations = take(turns, _ROW).swapaxes(0, 1)
    # Of several, each has memory of its own: one that is kept does not keep them all.
    own = np.asarray if len(clips) == 1 else np.array
    return [
        Motion(own(roots[clip]), own(rotations[clip]), offset, FPS, source)
        for clip, offset, source in zip(clips, bones, sources, strict=True)
    ]


def _checked(features: Array, offsets: Array) -> tuple[Array, Array]:
    """Features and offsets as float64.

    Raises:
        DataError: wrong shape, no frames, a value that is not finite, or bones that no body has.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or features.shape[1] != FEATURES or len(features) == 0:
        raise DataError(f"features: expected (frames, {FEATURES}), got {features.shape}")
    if not np.isfinite(features).all():
        frame, column = np.argwhere(~np.isfinite(features))[0]
        raise DataError(f"features: value at frame {frame}, column {column} is not finite")
    return features, offsets_of(offsets)


def _aim(local: Array, wanted: Array, offsets: Array) -> None:
    """Turn each bone, in place, so that its end lands as near as it can to ``wanted``.

    Going out from the hips, a joint with one child is swung so that the child lies
    in the direction of its wanted position as seen from where the joint now is:
    errors do not add up along the limb. Twist is untouched.

    All joints are in the order of :func:`bvh.skeleton.generations`.

    Args:
        local: local rotation matrices ``(22, frames, 3, 3)``, changed.
        wanted: hips-relative positions ``(22, frames, 3)``.
        offsets: ``(22, frames, 3)``.
    """
    world, placed = np.empty_like(local), np.zeros_like(wanted)
    world[0] = local[0]
    lengths = rot.length(offsets)
    # A short bone has no direction, and a way of no length turns nothing.
    long = lengths >= _SHORT
    directions = np.where(long, offsets / np.maximum(lengths, _SHORT), _UP)
    for (here, above), bones in zip(_GENERATIONS, _BONES, strict=True):
        turn = take(world, above)
        placed[here] = take(placed, above) + np.einsum("jfab,jfb->jfa", turn, offsets[here])
        if bones:
            parents, joints, ends = map(list, zip(*bones, strict=True))
            way = (take(wanted, ends) - take(placed, joints)) * take(long, ends)
            from_parent = np.einsum("jfab,jfa->jfb", take(world, parents), way)
            local[joints] = _swung(take(local, joints), take(directions, ends), from_parent)
        world[here] = np.einsum("jfab,jfbc->jfac", turn, local[here])


def _swung(rotations: Array, bones: Array, ways: Array) -> Array:
    """Rotations after the least turn that points their bones another way.

    That turn is two half turns: about where the bone points, and about the direction
    halfway from there to where it should. A way of no length turns nothing.

    Args:
        rotations: matrices ``(joints, frames, 3, 3)``.
        bones: ``(joints, frames, 3)`` unit, in the axes that are rotated.
        ways: ``(joints, frames, 3)`` of any length.
    """
    now = np.einsum("jfab,jfb->jfa", rotations, bones)
    halfway = now + ways / np.maximum(rot.length(ways), 1e-300)
    lost = rot.dot(halfway, halfway) <= 2e-9
    if lost.any():
        # Opposite directions: any axis perpendicular to the bone will do.
        helper = np.where(np.abs(now[..., :1]) < 0.6, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
        halfway[lost] = rot.cross(now, helper)[lost]
    halfway /= rot.length(halfway)
    turned = 2.0 * now[..., None] * bones[..., None, :] - rotations
    along = np.einsum("jfa,jfab->jfb", halfway, turned)
    out: Array = 2.0 * halfway[..., None] * along[..., None, :] - turned
    return out
