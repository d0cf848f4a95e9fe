"""Ankles moved by the legs: property tests on random poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import procedural
from bvh.forward_kinematics import forward_kinematics
from bvh.rotations import angle_between
from bvh.skeleton import PARENTS
from motiontok.data.leg_ik import LEGS, move_ankles

_ANKLES = [leg[2] for leg in LEGS]


@given(seed=st.integers(0, 200), size=st.floats(0.0, 0.08), kind=st.sampled_from(["walk", "dance"]))
@settings(max_examples=25, deadline=None)
def test_ankles_come_where_legs_reach(seed: int, size: float, kind: str) -> None:
    """Ankles are at their goals or, out of reach, on the line to them; feet keep their turn."""
    motion = procedural.make(kind, seconds=1, seed=seed)
    turns, places = forward_kinematics(
        motion.rotations, np.broadcast_to(motion.offsets, (len(motion), 22, 3)), PARENTS
    )
    shift = np.random.default_rng(seed).normal(size=(len(motion), 2, 3))
    shift *= size / np.linalg.norm(shift, axis=-1, keepdims=True)
    rotations = motion.rotations.copy()
    rotations[:, np.array(LEGS)] = move_ankles(turns, places, shift)
    np.testing.assert_allclose(np.linalg.norm(rotations, axis=-1), 1.0, atol=1e-9)
    after_turns, after = forward_kinematics(
        rotations, np.broadcast_to(motion.offsets, (len(motion), 22, 3)), PARENTS
    )
    assert angle_between(after_turns[:, _ANKLES], turns[:, _ANKLES]).max() < 1e-6

    hips = [leg[0] for leg in LEGS]
    goal = places[:, _ANKLES] + shift - places[:, hips]
    found = after[:, _ANKLES] - places[:, hips]
    length, reached = (np.linalg.norm(v, axis=-1) for v in (goal, found))
    cosine = (goal * found).sum(axis=-1) / (length * reached)
    np.testing.assert_allclose(cosine, 1.0, atol=1e-9)
    bones = np.linalg.norm(motion.offsets[[leg[1:] for leg in LEGS]], axis=-1)
    leg = bones.sum(axis=-1)
    near = length < 0.99 * leg
    assert near.any()
    np.testing.assert_allclose(reached[near], length[near], atol=1e-9)
    assert (reached <= np.maximum(leg, length) + 1e-9).all()


def test_nothing_moves_without_a_shift() -> None:
    """The same rotations, to rounding."""
    motion = procedural.make("dance", seconds=2, seed=0)
    turns, places = forward_kinematics(
        motion.rotations, np.broadcast_to(motion.offsets, (len(motion), 22, 3)), PARENTS
    )
    local = move_ankles(turns, places, np.zeros((len(motion), 2, 3)))
    again = replace(motion, rotations=motion.rotations.copy())
    again.rotations[:, np.array(LEGS)] = local
    assert angle_between(again.rotations, motion.rotations).max() < 1e-6
