"""Keep standing feet in place by moving the root a little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import FEET, PARENTS, forward_kinematics

__all__ = ["lock_feet", "lock_feet_together"]

_FREE = 0.1
"""Weight of the decoded root step relative to one standing foot."""

_MEMORY = 10.0
"""Frames after which the decoded path wins over feet that would carry the root away."""


def lock_feet(motion: Motion, contacts: Array, *, first: Array | None = None) -> Motion:
    """Shift the root on the floor so that standing feet slide less.

    A decoder gives the root's path and the pose of the legs separately, and their small errors make
    feet slide. Contact columns show which feet stand. The shift u_t minimises

        sum_t w_t |u_t - u_(t-1) + s_t|^2 + (|u_t| / memory)^2

    with s_t the slide of the standing feet and w_t their number. Fast errors follow the feet, slow
    ones the decoded path, so that nothing drifts. Poses, heading and height are untouched.

    Args:
        motion: decoded motion.
        contacts: ``(frames, 4)`` of left foot, left toe, right foot, right toe, 0 to 1.
        first: ``(2,)`` shift already applied to frame 0, if motion comes in pieces; the minimum
            over all shifts if not given.
    """
    if len(motion) < 2:
        return motion
    bands, pull = _equations(_feet([motion]), contacts, [])
    shift = np.empty((len(motion), 2))
    if first is None:
        shift[:] = _solved(bands, pull)
    else:
        shift[0] = first
        pull[1] -= bands[0, 1] * shift[0]
        bands[0, 1] = 0.0
        shift[1:] = _solved(bands[:, 1:], pull[1:])
    return _shifted(motion, shift)


def lock_feet_together(motions: Sequence[Motion], contacts: Array) -> list[Motion]:
    """:func:`lock_feet` of several motions in one go, each as by itself.

    Args:
        motions: decoded motions.
        contacts: ``(frames, 4)`` of all of them, one after the other.
    """
    ends = [int(end) for end in np.cumsum([len(motion) for motion in motions])[:-1]]
    shifts = _solved(*_equations(_feet(motions), contacts, ends))
    return [_shifted(m, s) for m, s in zip(motions, np.split(shifts, ends), strict=True)]


def _equations(feet: Array, contacts: Array, ends: list[int]) -> tuple[Array, Array]:
    """Normal equations of the shifts: upper bands ``(2, frames)``, right sides ``(frames, 2)``.

    Args:
        feet: ``(frames, 4, 2)``, metres.
        contacts: ``(frames, 4)``.
        ends: frames at which another motion begins, without a step to them.
    """
    # A foot stands during a step only if it does at both ends; squared, doubt counts little.
    held = np.clip(np.minimum(contacts[1:], contacts[:-1]), 0.0, 1.0)[..., None] ** 2
    weight = _FREE + held.sum(axis=1)[:, 0]
    slid = (held * np.diff(feet, axis=0)).sum(axis=1)
    before = np.array(ends, dtype=int) - 1
    weight[before], slid[before] = 0.0, 0.0

    bands = np.zeros((2, len(feet)))
    bands[1] = _MEMORY**-2
    bands[1, :-1] += weight
    bands[1, 1:] += weight
    bands[0, 1:] = -weight
    pull = np.zeros((len(feet), 2))
    pull[1:] -= slid
    pull[:-1] += slid
    return bands, pull


def _shifted(motion: Motion, shift: Array) -> Motion:
    positions = motion.root_positions.copy()
    positions[:, :2] += shift
    return replace(motion, root_positions=positions)


def _feet(motions: Sequence[Motion]) -> Array:
    """Places on the floor ``(frames, 4, 2)`` of feet and toes, metres."""
    joints = max(FEET) + 1  # the legs come first, with all that they hang on
    rotations = [motion.rotations[:, :joints] for motion in motions]
    offsets = [np.broadcast_to(m.offsets[:joints], (len(m), joints, 3)) for m in motions]
    _, below_hips = forward_kinematics(_joined(rotations), _joined(offsets), PARENTS[:joints])
    roots = _joined([motion.root_positions - motion.offsets[0] for motion in motions])
    feet: Array = below_hips[:, list(FEET), :2] + roots[:, None, :2]
    return feet


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _solved(bands: Array, pull: Array) -> Array:
    # Encoding plants nothing: it need not wait for this to be imported.
    from scipy.linalg import solveh_banded

    return np.asarray(solveh_banded(bands, pull))
