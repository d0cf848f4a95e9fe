"""Other rigs that make the same motion: what a normaliser must see through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bvh import Clip
from bvh import rotations as rot
from bvh.rotations import Array

ROTATIONS = ("Zrotation", "Yrotation", "Xrotation")


def rebuilt(clip: Clip, turns: Array, points: Array) -> Clip:
    """``clip`` with other global rotations and positions of its joints."""
    local_turns, local_points = turns.copy(), points.copy()
    for joint, parent in enumerate(clip.parents):
        if parent >= 0:
            back = rot.conjugate(turns[:, parent])
            local_turns[:, joint] = rot.multiply(back, turns[:, joint])
            local_points[:, joint] = rot.rotate(back, points[:, joint] - points[:, parent])
    offsets = np.median(local_points, axis=0)
    local_points[:, 1:] = np.where(
        np.ptp(local_points, axis=0) < 1e-6 * np.abs(points).max(), offsets, local_points
    )[:, 1:]
    return replace(clip, rotations=local_turns, positions=local_points, offsets=offsets)


def with_axes(clip: Clip, axes: Array) -> Clip:
    """The same motion in other local axes: ``axes`` ``(joints, 4)`` on the right of each joint."""
    turns, points = clip.global_transforms()
    sites = {j: rot.rotate(rot.conjugate(axes[j]), s) for j, s in clip.end_sites.items()}
    return replace(rebuilt(clip, rot.multiply(turns, axes), points), end_sites=sites)


def with_random_axes(clip: Clip, rng: np.random.Generator) -> Clip:
    """Every joint's local axes turned at random."""
    return with_axes(clip, rot.normalize(rng.normal(size=(len(clip.names), 4))))


def with_flipped_side(clip: Clip, side: Sequence[int]) -> Clip:
    """The local axes of the joints ``side`` turned half around, as mirrored rigs have them."""
    axes = rot.identity(len(clip.names))
    axes[list(side)] = [0.0, 0.0, 0.0, 1.0]
    return with_axes(clip, axes)


def with_rest_of(clip: Clip, frame: int) -> Clip:
    """The pose of one frame as the zero pose."""
    turns = clip.global_transforms()[0]
    return with_axes(clip, rot.conjugate(turns[frame]))


def in_world(clip: Clip, world: Array, scale: float, shift: Sequence[float] = (0, 0, 0)) -> Clip:
    """The same motion in turned world axes, another unit and another place."""
    turns, points = clip.global_transforms()
    sites = {j: scale * s for j, s in clip.end_sites.items()}
    moved = scale * rot.rotate(world, points) + np.asarray(shift)
    return replace(rebuilt(clip, rot.multiply(world, turns), moved), end_sites=sites)


def built_in(clip: Clip, world: Array, scale: float = 1.0) -> Clip:
    """The same rig built in turned axes: its zero pose and its motion turn alike."""
    turns = rot.multiply(rot.multiply(world, clip.rotations), rot.conjugate(world))
    return replace(
        clip,
        offsets=scale * rot.rotate(world, clip.offsets),
        rotations=turns,
        positions=scale * rot.rotate(world, clip.positions),
        end_sites={j: scale * rot.rotate(world, s) for j, s in clip.end_sites.items()},
    )


def renamed(clip: Clip, names: Mapping[str, str]) -> Clip:
    """Other joint names; joints without one keep theirs."""
    return replace(clip, names=tuple(names.get(n, n) for n in clip.names))


def mirrored(clip: Clip, pairs: Mapping[str, str], axis: int) -> Clip:
    """The motion reflected along a source axis, left and right joints exchanged."""
    flip = np.ones(3)
    flip[axis] = -1.0
    turn = -np.ones(4)
    turn[[0, 1 + axis]] = 1.0
    order = [clip.names.index(pairs.get(n, n)) for n in clip.names]
    turns, points = clip.global_transforms()
    # Without its own axes a joint's rotation reflects to R' = M R M.
    return rebuilt(clip, turns[:, order] * turn, points[:, order] * flip)


def with_parent(clip: Clip, name: str) -> Clip:
    """A dummy joint above the root, at the world's origin."""
    frames = clip.frames
    return replace(
        clip,
        names=(name, *clip.names),
        parents=(-1, *(p + 1 for p in clip.parents)),
        offsets=np.concatenate([np.zeros((1, 3)), clip.offsets]),
        channels=(ROTATIONS, *clip.channels),
        rotations=np.concatenate([rot.identity(frames, 1), clip.rotations], axis=1),
        positions=np.concatenate([np.zeros((frames, 1, 3)), clip.positions], axis=1),
        end_sites={j + 1: s for j, s in clip.end_sites.items()},
    )


def with_joint_above(clip: Clip, child: str, name: str, share: float) -> Clip:
    """A joint that never turns, on the bone to ``child`` at ``share`` of its length."""
    at = clip.names.index(child)
    shifted = [p + (p >= at) for p in clip.parents]
    parents = [*shifted[:at], shifted[at], at, *shifted[at + 1 :]]
    offsets, positions = (np.insert(x, at, share * x.take(at, -2), -2)
                          for x in (clip.offsets, clip.positions))  # fmt: skip
    offsets[at + 1] *= 1.0 - share
    positions[:, at + 1] *= 1.0 - share
    return replace(
        clip,
        names=(*clip.names[:at], name, *clip.names[at:]),
        parents=tuple(parents),
        offsets=offsets,
        channels=(*clip.channels[:at], clip.channels[at], *clip.channels[at:]),
        rotations=np.insert(clip.rotations, at, [1.0, 0.0, 0.0, 0.0], axis=1),
        positions=positions,
        end_sites={j + (j >= at): s for j, s in clip.end_sites.items()},
    )


def with_children(clip: Clip, parent: str, offsets: Mapping[str, Sequence[float]]) -> Clip:
    """More joints below ``parent``, such as fingers."""
    at = clip.names.index(parent)
    added = np.array(list(offsets.values()), dtype=float)
    frames, count = clip.frames, len(offsets)
    return replace(
        clip,
        names=(*clip.names, *offsets),
        parents=(*clip.parents, *[at] * count),
        offsets=np.concatenate([clip.offsets, added]),
        channels=(*clip.channels, *[ROTATIONS] * count),
        rotations=np.concatenate([clip.rotations, rot.identity(frames, count)], axis=1),
        positions=np.concatenate(
            [clip.positions, np.broadcast_to(added, (frames, count, 3))], axis=1
        ),
        end_sites={j: s for j, s in clip.end_sites.items() if j != at},
    )


def without_leaf(clip: Clip, name: str) -> Clip:
    """A leaf joint taken away; an ``End Site`` stays at its place."""
    at = clip.names.index(name)
    if at in clip.parents:
        raise ValueError(f"{name} has children")
    keep = [j for j in range(len(clip.names)) if j != at]
    sites = {j - (j > at): s for j, s in clip.end_sites.items() if j != at}
    parent = clip.parents[at]
    return replace(
        clip,
        names=tuple(clip.names[j] for j in keep),
        parents=tuple(clip.parents[j] - (clip.parents[j] > at) for j in keep),
        offsets=clip.offsets[keep],
        channels=tuple(clip.channels[j] for j in keep),
        rotations=clip.rotations[:, keep],
        positions=clip.positions[:, keep],
        end_sites=sites | {parent - (parent > at): clip.offsets[at]},
    )


def with_chain(clip: Clip, parent: str, count: int, offset: Sequence[float]) -> Clip:
    """A chain of ``count`` stiff joints below ``parent``, such as a plait or a tail."""
    first, frames = len(clip.names), clip.frames
    offsets = np.tile(np.asarray(offset, dtype=float), (count, 1))
    above = (clip.names.index(parent), *range(first, first + count - 1))
    return replace(
        clip,
        names=(*clip.names, *(f"{parent}_chain{i}" for i in range(count))),
        parents=(*clip.parents, *above),
        offsets=np.concatenate([clip.offsets, offsets]),
        channels=(*clip.channels, *[ROTATIONS] * count),
        rotations=np.concatenate([clip.rotations, rot.identity(frames, count)], axis=1),
        positions=np.concatenate(
            [clip.positions, np.broadcast_to(offsets, (frames, count, 3))], axis=1
        ),
        end_sites={j: s for j, s in clip.end_sites.items() if j != above[0]},
    )
