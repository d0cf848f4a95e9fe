"""Keep standing feet where they stand, by moving the root a little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import solveh_banded

from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import FEET, PARENTS, forward_kinematics

__all__ = ["plant_feet"]

_FREE = 0.1
"""Weight of the decoded root step beside that of one standing foot."""

_MEMORY = 10.0
"""Frames after which the decoded path wins over feet that would carry the root away."""


def plant_feet(motion: Motion, contacts: Array, *, first: Array | None = None) -> Motion:
    """Shift the root on the floor so that standing feet slide less.

    A decoder states the root's path and the pose of the legs separately, and their small
    errors show as feet that slide. Contact says which feet stand. The shift u_t minimises

        sum_t w_t |u_t - u_(t-1) + s_t|^2 + (|u_t| / memory)^2

    with s_t the slide of the standing feet and w_t how many they are: fast errors give way
    to the feet, slow ones stay with the decoded path, so that nothing drifts. Poses,
    heading and height are untouched.

    Args:
        motion: decoded motion.
        contacts: ``(frames, 4)`` of left foot, left toe, right foot, right toe, 0 to 1.
        first: ``(2,)`` shift that frame 0 has already been given, where motion comes in
            pieces; the minimum over all shifts if not given.
    """
    if len(motion) < 2:
        return motion
    feet = _feet(motion)
    # A foot stands during a step only if it does at both ends; squared, doubt counts little.
    held = np.clip(np.minimum(contacts[1:], contacts[:-1]), 0.0, 1.0)[..., None] ** 2
    weight = _FREE + held.sum(axis=1)
    slide = (held * np.diff(feet, axis=0)).sum(axis=1) / weight

    bands = np.zeros((2, len(motion)))
    bands[1] = _MEMORY**-2
    bands[1, :-1] += weight[:, 0]
    bands[1, 1:] += weight[:, 0]
    bands[0, 1:] = -weight[:, 0]
    pull = np.zeros((len(motion), 2))
    pull[1:] -= weight * slide
    pull[:-1] += weight * slide
    shift = np.empty((len(motion), 2))
    if first is None:
        shift[:] = solveh_banded(bands, pull)
    else:
        shift[0] = first
        pull[1] += weight[0] * shift[0]
        bands[0, 1] = 0.0
        shift[1:] = solveh_banded(bands[:, 1:], pull[1:])
    positions = motion.root_positions.copy()
    positions[:, :2] += shift
    return replace(motion, root_positions=positions)


def _feet(motion: Motion) -> Array:
    """Places on the floor ``(frames, 4, 2)`` of feet and toes, metres."""
    joints = max(FEET) + 1  # the legs come first, with all that they hang on
    _, below_hips = forward_kinematics(
        motion.rotations[:, :joints], motion.offsets[:joints], PARENTS[:joints]
    )
    feet: Array = below_hips[:, list(FEET), :2] - motion.offsets[0, :2]
    return feet + motion.root_positions[:, None, :2]
