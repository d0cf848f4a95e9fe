"""Bridges from pose to pose: the straight line, and what drawn ways add to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import procedural
from bvh import rotations as rot
from motiontok import MotionTokenizer
from motiontok.data import REFERENCE, Start, from_motion, to_motion
from motiontok.prior.bridges import Departure, bridge, mean_departure

WALK = procedural.make("walk", seconds=4.0, seed=3).on_bones(REFERENCE)
WAVE = procedural.make("wave", seconds=4.0, seed=3).on_bones(REFERENCE)


@pytest.fixture(scope="module")
def error():
    return MotionTokenizer.from_pretrained("default").method.error


def columns(error, features):
    """Frames as the decoder has them."""
    found = (torch.from_numpy(features).float() - error.mean) / error.raw
    found[:, :3] -= error.middle
    return found


def built(error, count, place, departure=None):
    """Motion of a bridge from a frame of a walk to one of a wave at a place."""
    first, last = columns(error, from_motion(WALK))[40], columns(error, from_motion(WAVE))[50]
    here = Start(0.3, -0.2, 0.4)
    ends = [torch.tensor([p.x, p.y, p.yaw]) for p in (here, place)]
    frames = bridge(error, (first, ends[0]), (last, ends[1]), count, departure)
    assert frames.shape == (count, 203)
    whole = torch.cat([first[None], frames])
    raw = (whole * error.raw + error.mean).double().numpy()
    raw[:, :3] = error.velocities(whole).numpy()
    return to_motion(raw, REFERENCE, start=here)


@given(st.integers(1, 60), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(-3.0, 3.0))
@settings(max_examples=10, deadline=None)
def test_a_line_turns_joints_and_moves_the_root_evenly_from_pose_to_pose(error, count, x, y, yaw):
    motion = built(error, count, Start(x, y, yaw))
    there = to_motion(from_motion(WAVE)[50:51], REFERENCE, start=Start(x, y, yaw))
    np.testing.assert_allclose(
        motion.global_positions()[-1], there.global_positions()[0], atol=2e-3
    )
    steps = np.diff(motion.root_positions, axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps.mean(axis=0), steps.shape), atol=1e-3)
    turns = rot.angle_between(motion.rotations[1:], motion.rotations[:-1])
    whole = rot.angle_between(motion.rotations[-1], motion.rotations[0])
    np.testing.assert_allclose(turns, np.broadcast_to(whole / count, turns.shape), atol=2e-3)


def test_the_mean_departure_of_ways_is_that_from_their_own_lines(error):
    frames = columns(error, from_motion(WALK))
    ways = torch.stack([frames[10:41], frames[25:56]])
    found = mean_departure(error, ways, torch.tensor([[0.0, 0.0, 0.0], [2.0, 1.0, 1.5]]))
    assert found.turns.shape == (31, 22, 3)
    for ends in (found.turns[[0, -1]], found.root[[0, -1]]):
        np.testing.assert_allclose(ends, 0.0, atol=1e-6)
    # A step bends the knees, which a line from pose to pose does not.
    assert np.abs(found.turns[1:-1]).max() > 0.1
    one = mean_departure(error, ways[:1], torch.zeros(1, 3))
    straight = WALK.rotations[[10, 40]]
    line = rot.slerp(straight[0], straight[1], 0.5)
    np.testing.assert_allclose(
        rot.angle_between(
            rot.multiply(rot.exp(one.turns[15, 1:]), line[1:]), WALK.rotations[25, 1:]
        ),
        0.0,
        atol=0.02,
    )


def test_a_bridge_departs_from_its_line_as_ways_do_and_meets_its_ends(error):
    place = Start(1.0, 0.2, 0.1)
    share = np.linspace(0.0, 1.0, 31)
    up = np.zeros((31, 3))
    up[:, 2] = 0.1 * np.sin(np.pi * share)
    turns = np.zeros((31, 22, 3))
    turns[:, 5, 0] = 0.5 * np.sin(np.pi * share)
    straight = built(error, 30, place)
    bent = built(error, 30, place, Departure(turns, up))
    apart = bent.root_positions - straight.root_positions
    assert 0.05 < apart[15, 2] <= 0.1
    np.testing.assert_allclose(apart[[0, -1]], 0.0, atol=1e-3)
    turned = rot.angle_between(bent.rotations, straight.rotations)
    assert 0.1 < turned[15, 5] <= 0.5
    assert turned[:, 6:].max() < 0.01
    np.testing.assert_allclose(turned[[0, -1]], 0.0, atol=2e-3)
