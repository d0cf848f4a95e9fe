"""Keep standing feet in place: the root moves a little, then each leg by what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bvh.foot_contacts import standing_by_both, standing_heights
from bvh.forward_kinematics import forward_kinematics
from bvh.motion import FPS, Motion
from bvh.rotations import Array
from bvh.skeleton import FEET, PARENTS, leg_length
from motiontok.data.leg_ik import LEGS, move_ankles
from motiontok.data.placement import REFERENCE

__all__ = ["FREE", "MEMORY", "SURE", "lock_feet", "lock_feet_onward", "lock_feet_together"]

FREE = 0.1
"""Weight of a decoded step of the root, or of a foot, relative to one standing foot."""

MEMORY = 10.0
"""Frames after which the decoded place wins over feet that would be carried away."""

SURE = 3
"""Power of a contact that is its weight: doubt counts little."""

_MOST = 0.05  # m that a leg of the reference body moves its foot


def lock_feet(motion: Motion, contacts: Array) -> Motion:
    """Shift the root and the feet on the floor so that standing feet slide less.

    A decoder gives the root's path and the pose of the legs separately, and their small errors make
    feet slide. A foot stands as surely as the mean of two witnesses says: its contact column, and
    its own height and speed. The shift u_t of the root minimises

        sum_t w_t |u_t - u_(t-1) + s_t|^2 + (|u_t| / memory)^2

    with s_t the slide of the standing feet and w_t their number. Two feet that slide apart are then
    moved likewise, each by its leg (:func:`~motiontok.data.leg_ik.move_ankles`). Fast errors follow
    the feet, slow ones the decoded path, so that nothing drifts. Heading, height, feet's
    orientation and all above the hips are untouched.

    Args:
        motion: decoded motion.
        contacts: ``(frames, 4)`` of left foot, left toe, right foot, right toe, 0 to 1.
    """
    return lock_feet_together([motion], contacts)[0] if len(motion) else motion


def lock_feet_together(motions: Sequence[Motion], contacts: Array) -> list[Motion]:
    """:func:`lock_feet` of several motions in one go, each as by itself.

    Args:
        motions: decoded motions, of one frame at least.
        contacts: ``(frames, 4)`` of all of them, one after the other.
    """
    return _locked(motions, contacts, None)[0]


def lock_feet_onward(motion: Motion, contacts: Array, first: Array | None) -> tuple[Motion, Array]:
    """:func:`lock_feet` of a motion that comes in pieces.

    Args:
        motion: decoded motion.
        contacts: see :func:`lock_feet`.
        first: ``(3, 2)`` shift already applied to frame 0, metres; None in the first piece.

    Returns:
        The motion, and the shifts ``(frames, 3, 2)`` of root, left and right foot.
    """
    (locked,), shifts = _locked([motion], contacts, first)
    return locked, shifts


@dataclass(frozen=True)
class _Legs:
    """World rotations ``(frames, joints, 4)`` and places ``(frames, joints, 3)`` to the toes."""

    turns: Array
    places: Array

    @classmethod
    def of(cls, motions: Sequence[Motion]) -> _Legs:
        joints = max(FEET) + 1  # the legs come first, with all that they hang on
        rotations = [motion.rotations[:, :joints] for motion in motions]
        offsets = [np.broadcast_to(m.offsets[:joints], (len(m), joints, 3)) for m in motions]
        turns, places = forward_kinematics(_joined(rotations), _joined(offsets), PARENTS[:joints])
        roots = _joined([motion.root_positions - motion.offsets[0] for motion in motions])
        return cls(turns, places + roots[:, None])

    def stand(self, motions: Sequence[Motion], contacts: Array, starts: list[int]) -> Array:
        """How surely feet and toes stand, ``(frames, 4)``, 0 to 1."""
        feet = self.places[:, list(FEET)]
        steps = np.diff(feet, axis=0, prepend=feet[:1])
        for start, motion in zip(starts, motions, strict=True):
            steps[start] = steps[start + 1] if len(motion) > 1 else 0.0
        # Thresholds are the reference body's: who has half its legs makes half its steps.
        heights, sizes = (
            _joined([np.broadcast_to(of(m.offsets), (len(m), 4)) for m in motions])
            for of in (standing_heights, _size)
        )
        speed = np.sqrt((steps * steps).sum(axis=-1)) * FPS
        return standing_by_both(contacts, (feet[..., 2] - heights) / sizes, speed / sizes)


def _locked(
    motions: Sequence[Motion], contacts: Array, first: Array | None
) -> tuple[list[Motion], Array]:
    """Motions with their feet locked, and all shifts ``(frames, 3, 2)``."""
    starts = [0, *(int(end) for end in np.cumsum([len(motion) for motion in motions]))]
    ends = starts[1:-1]
    legs = _Legs.of(motions)
    stand = legs.stand(motions, contacts, starts[:-1])
    # A foot stands during a step only if it does at both ends.
    held = np.minimum(stand[1:], stand[:-1]) ** SURE
    steps = np.diff(legs.places[:, list(FEET), :2], axis=0)
    shifts = np.empty((len(stand), 3, 2))
    shifts[:, 0] = _shifts(steps, held, ends, None if first is None else first[0])
    steps += np.diff(shifts[:, :1], axis=0)
    for k, own in enumerate((slice(0, 2), slice(2, 4)), start=1):
        before = None if first is None else first[k]
        shifts[:, k] = _shifts(steps[:, own], held[:, own], ends, before)
    ankles = np.zeros((len(stand), 2, 3))
    size = np.linalg.norm(shifts[:, 1:], axis=-1, keepdims=True)
    most = _MOST * _joined([np.full((len(m), 1, 1), _size(m.offsets)) for m in motions])
    ankles[..., :2] = shifts[:, 1:] * np.minimum(1.0, most / np.maximum(size, most))
    local = move_ankles(legs.turns, legs.places, ankles)
    out = []
    for motion, a, b in zip(motions, starts, starts[1:], strict=False):
        positions, rotations = motion.root_positions.copy(), motion.rotations.copy()
        positions[:, :2] += shifts[a:b, 0]
        rotations[:, np.array(LEGS)] = local[a:b]
        out.append(replace(motion, root_positions=positions, rotations=rotations))
    return out, shifts


def _shifts(steps: Array, held: Array, ends: list[int], first: Array | None) -> Array:
    """Shifts ``(frames, 2)`` of what carries points that make ``steps``.

    Args:
        steps: ``(frames - 1, points, 2)``, metres.
        held: weights of points ``(frames - 1, points)``.
        ends: frames at which another motion begins, without a step to them.
        first: ``(2,)`` shift of frame 0, if it is given.
    """
    weight = FREE + held.sum(axis=1)
    slid = (held[..., None] * steps).sum(axis=1)
    before = np.array(ends, dtype=int) - 1
    weight[before], slid[before] = 0.0, 0.0

    frames = len(steps) + 1
    bands = np.zeros((2, frames))
    bands[1] = MEMORY**-2
    bands[1, :-1] += weight
    bands[1, 1:] += weight
    bands[0, 1:] = -weight
    pull = np.zeros((frames, 2))
    pull[1:] -= slid
    pull[:-1] += slid
    if first is None:
        return _solved(bands, pull)
    if frames > 1:
        pull[1] -= bands[0, 1] * first
        bands[0, 1] = 0.0
    return np.concatenate([first[None], _solved(bands[:, 1:], pull[1:])])


def _size(offsets: Array) -> float:
    """Length of legs relative to the reference body's."""
    return leg_length(offsets) / leg_length(REFERENCE)


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _solved(bands: Array, pull: Array) -> Array:
    # Imported here, since encoding locks nothing and need not wait for it.
    from scipy.linalg import solveh_banded

    if len(pull) < 2:  # which LAPACK refuses
        return np.asarray(pull / bands[1][:, None])
    return np.asarray(solveh_banded(bands, pull))
