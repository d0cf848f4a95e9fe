"""From features to a body's pose, in torch, for decoding and for exported programs.

Rotations and positions of features state the pose twice. Bones are aimed at the given positions,
and the rotations give the twist. In features of a real motion the two agree, and nothing changes.

No branch depends on values, so that a traced program is valid for all inputs.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor

from bvh.forward_kinematics import generations
from bvh.motion import FPS
from bvh.skeleton import JOINTS, PARENTS
from motiontok.data.feature_columns import COLUMNS
from motiontok.data.kinematics import length, orthonormal, perpendicular, quaternions
from motiontok.data.placement import REFERENCE

__all__ = ["joint_rotations", "root_path"]

_NOTHING = 1e-30  # m; single precision, in which programs keep constants, has it
_SHORT = 1e-3  # m; a shorter bone has no direction
_OPPOSITE = 4e-5  # two unit vectors whose sum is shorter count as opposite
_ORDER, _GENERATIONS = generations(PARENTS)


def _only_children() -> list[int]:
    """For each joint, in the order of generations, the joint that it aims at; itself if none."""
    parent = {
        joint: up
        for here, above in _GENERATIONS
        for joint, up in zip(range(here.start, here.stop), above, strict=True)
    }
    children = Counter(parent.values())
    aimed = list(range(len(JOINTS)))
    for end, up in parent.items():
        if children[up] == 1:
            aimed[up] = end
    return aimed


class _Generation(NamedTuple):
    """Joints at one distance from the hips; vectors are as of :func:`_aimed`.

    Attributes:
        rows: in the order of generations.
        parents: ``(joints,)`` row of each one's parent among the generation before.
        offsets: ``(3, joints, 1)``, metres.
        ends: ``(joints,)`` row of what each aims at, or of itself; None if all are of themselves.
        bones: ``(3, joints, 1)``, unit, where ends lie from here.
        aims: ``(joints, 1)``, 1 or 0: whether each has one child, and a bone to it.
    """

    rows: slice
    parents: Tensor
    offsets: Tensor
    ends: Tensor | None
    bones: Tensor
    aims: Tensor


def _by_generation() -> list[_Generation]:
    ends = _only_children()
    offsets = torch.tensor(REFERENCE[_ORDER].T, dtype=torch.float64)
    lengths = length(offsets)
    upward = torch.tensor([[0.0], [0.0], [1.0]]).to(offsets)
    bones = torch.where(lengths >= _SHORT, offsets / lengths.clamp_min(_SHORT), upward)[:, ends]
    aims = torch.tensor([end != joint for joint, end in enumerate(ends)])
    aims &= lengths[ends] >= _SHORT
    out, first = [], 0
    for rows, above in _GENERATIONS:
        parents = torch.tensor([row - first for row in above])
        first = rows.start
        out.append(
            _Generation(
                rows,
                parents,
                offsets[:, rows, None],
                torch.tensor(ends[rows]) if aims[rows].any() else None,
                bones[:, rows, None],
                aims[rows, None].to(offsets),
            )
        )
    return out


_ROW = torch.tensor([_ORDER.index(joint) for joint in range(1, len(JOINTS))])
_JOINTS = _by_generation()
_PLACES = torch.tensor(_ORDER)


def root_path(
    features: Tensor, start: Tensor, *, scale: float | Tensor, lift: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Positions ``(frames, 3)`` of the root, metres, and its headings ``(frames,)``, rad.

    Args:
        features: ``(frames, 203)``; frame 0 is at ``start``; its velocities do not count.
        start: ``(3,)``, x, y and yaw.
        scale, lift: of the path and height of the body that moves
            (:func:`bvh.skeleton.root_between_bodies`), and what is added to the height.
    """
    yaw = start[2] + _summed(features[:, COLUMNS["yaw_rate"]] / FPS)[:, 0]
    forward, left = (features[:, COLUMNS["velocity"]] / FPS).unbind(dim=1)
    cos, sin = yaw.cos(), yaw.sin()
    step = torch.stack([cos * forward - sin * left, sin * forward + cos * left], dim=1)
    height = scale * features[:, COLUMNS["height"]] + lift
    return torch.cat([start[:2] + _summed(scale * step), height], dim=1), yaw


def _summed(steps: Tensor) -> Tensor:
    """Running sums of ``(frames, n)`` from the first frame on."""
    sums = steps.cumsum(dim=0)
    return sums - sums[:1]


def joint_rotations(features: Tensor, yaw: Tensor) -> Tensor:
    """Local rotations ``(frames, 22, 4)`` as quaternions, the root's with its heading.

    Args:
        features: ``(frames, 203)``.
        yaw: ``(frames,)``, rad.
    """
    q = quaternions(_aimed(features.mT.contiguous()).permute(3, 2, 0, 1))
    w, x, y, z = q[:, 0].unbind(dim=1)
    cos, sin = (0.5 * yaw).cos(), (0.5 * yaw).sin()
    turned = [cos * w - sin * z, cos * x - sin * y, cos * y + sin * x, cos * z + sin * w]
    return torch.cat([torch.stack(turned, dim=1)[:, None], q.index_select(1, _ROW)], dim=1)


# Below, vectors are (3, joints, frames) and matrices (3, 3, joints, frames), joints in the order of
# generations: what runs along memory is fast.


def _aimed(features: Tensor) -> Tensor:
    """Local rotation matrices, each bone turned so that its end lands as near as it can.

    From the hips outward, a joint with one child is swung so that the child lies in the direction
    of its wanted position, seen from the joint's present position. So errors do not add up along
    the limb. Twist is untouched.

    Args:
        features: ``(203, frames)``, double precision on the CPU.
    """
    joints = len(JOINTS)
    six = features[COLUMNS["tilt"].start : COLUMNS["rotations"].stop].unflatten(0, (joints, 6))
    six = six.transpose(0, 1).index_select(1, _PLACES)
    stated = orthonormal(six.movedim(0, -1)).movedim((-2, -1), (0, 1))
    below = features[COLUMNS["positions"]].unflatten(0, (joints - 1, 3)).transpose(0, 1)
    wanted = torch.cat([torch.zeros_like(below[:, :1]), below], dim=1).index_select(1, _PLACES)
    # Of the generation before.
    world, placed = stated[:, :, :1], wanted[:, :1]
    local = [world]
    for rows, parents, offsets, ends, bones, aims in _JOINTS:
        turn, own = world.index_select(2, parents), stated[:, :, rows]
        placed = placed.index_select(1, parents) + _rotated(turn, offsets)
        if ends is not None:
            # A way of no length turns nothing.
            way = (wanted.index_select(1, ends) - placed) * aims
            own = _swung(own, bones, _rotated_back(turn, way))
        local.append(own)
        world = (turn[:, :, None] * own).sum(dim=1)
    return torch.cat(local, dim=2)


def _swung(rotations: Tensor, bones: Tensor, ways: Tensor) -> Tensor:
    """Rotations after the least turn that points their bones another way.

    That turn is two half turns: about the bone's direction, and about the direction halfway to the
    wanted one. A way of no length turns nothing.

    Args:
        rotations: matrices.
        bones: ``(3, joints, 1)`` unit, in the axes that are rotated.
        ways: vectors of any length.
    """
    now = _rotated(rotations, bones)
    halfway = now + ways / length(ways).clamp_min(_NOTHING)
    # Opposite directions: any axis perpendicular to the bone will do.
    halfway = torch.where(length(halfway) > _OPPOSITE, halfway, perpendicular(now))
    halfway = halfway / length(halfway)
    turned = 2.0 * now[:, None] * bones - rotations
    along = _rotated_back(turned, halfway)
    return 2.0 * halfway[:, None] * along - turned


def _rotated(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices * vectors).sum(dim=1)


def _rotated_back(matrices: Tensor, vectors: Tensor) -> Tensor:
    """By the transposed matrices."""
    return (matrices * vectors[:, None]).sum(dim=0)
