"""Feet that no ankle could turn so, and feet that do not stand on their soles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh import JOINTS, procedural
from bvh.foot_contacts import find_contacts
from bvh.motion import Motion
from bvh.rotations import exp, multiply
from motiontok.robots import evaluate, retarget

LEFT = JOINTS.index("LeftFoot")


def _turned_foot(motion: Motion, vector: np.ndarray, frames: slice) -> Motion:
    """The motion whose left foot is turned by a rotation vector (rad) in some frames."""
    turns = motion.rotations.copy()
    turns[frames, LEFT] = multiply(turns[frames, LEFT], exp(vector))
    return replace(motion, rotations=turns)


def _lowered(motion: Motion) -> Motion:
    """The motion with its lowest toe where a standing one is, and still."""
    toes = [JOINTS.index(side + "Toe") for side in ("Left", "Right")]
    drop = motion.global_positions()[:, toes, 2].min() - 0.02
    roots = np.repeat(motion.root_positions[:1] - [0.0, 0.0, drop], len(motion), axis=0)
    return replace(motion, root_positions=roots)


@pytest.mark.parametrize("axis", [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
def test_a_foot_turned_backwards_moves_nothing_but_itself(g1, axis):
    """Captures have feet that are upside down or backwards for a while."""
    motion = procedural.make("squat", seconds=2, seed=1)
    broken = _turned_foot(motion, 2.5 * np.array(axis), slice(15, 40))
    right, wrong = (retarget(m, g1) for m in (motion, broken))
    assert np.abs(right.qpos[:, :3] - wrong.qpos[:, :3]).max() < 0.06
    report = evaluate(wrong, broken, g1)
    assert report.foot_depth < 0.01
    assert report.body_depth < 0.01
    assert report.position_error < evaluate(right, motion, g1).position_error + 0.02


def test_a_foot_on_its_side_does_not_stand(g1):
    """Someone leans far aside, legs and feet turned with the body: one foot's edge is low."""
    motion = procedural.make("wave", seconds=1, seed=0)
    turns = motion.rotations.copy()
    turns[:, 0] = exp(np.array([1.1, 0.0, 0.0]))
    motion = _lowered(replace(motion, rotations=turns))
    assert find_contacts(motion).toes.any(axis=1).all()
    assert not retarget(motion, g1).contacts.any()


def test_a_toe_that_the_ankle_cannot_bring_down_does_not_stand(g1):
    """Someone sits with shins leant back, soles on the floor: the G1's ankle points less far."""
    motion = procedural.make("wave", seconds=1, seed=0)
    turns = motion.rotations.copy()
    turns[:, 0] = [1.0, 0.0, 0.0, 0.0]
    for side in ("Left", "Right"):
        for joint, degrees in (("UpLeg", -130.0), ("Leg", 60.0), ("Foot", 70.0), ("Toe", 0.0)):
            angle = np.deg2rad(degrees) * np.array([0.0, 1.0, 0.0])
            turns[:, JOINTS.index(side + joint)] = exp(angle)
    motion = _lowered(replace(motion, rotations=turns))
    assert find_contacts(motion).toes.all()
    trajectory = retarget(motion, g1)
    assert not trajectory.contacts[:, [1, 3]].any()
