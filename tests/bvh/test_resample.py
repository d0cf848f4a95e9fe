"""Any rate becomes thirty frames a second."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rigs import RIGS, put_on

import bvh
from bvh import Clip, procedural
from bvh import rotations as rot


@pytest.mark.parametrize("frame_time", [0.0333333, 0.033333, 0.0333, 1 / 30, 0.03333])
def test_thirty_frames_a_second_stay_as_they_are(clip: Clip, frame_time: float) -> None:
    found = bvh.normalize(replace(clip, frame_time=frame_time))
    assert (found.frames, found.fps) == (clip.frames, 30.0)
    np.testing.assert_array_equal(found.rotations, bvh.normalize(clip).rotations)


@pytest.mark.parametrize(("source", "step"), [(60.0, 2), (120.0, 4), (1 / 0.008333, 4)])
def test_multiples_of_thirty_are_thinned(clip: Clip, source: float, step: int) -> None:
    fast = replace(clip, frame_time=1 / source)
    found = bvh.normalize(fast)
    every = bvh.normalize(fast, fps=source)
    np.testing.assert_allclose(found.rotations, every.rotations[::step])
    np.testing.assert_allclose(found.root_positions, every.root_positions[::step])
    assert found.duration == pytest.approx(fast.duration, abs=1 / 30)


@settings(max_examples=25, deadline=None)
@given(source=st.floats(5, 240))
def test_any_rate_becomes_thirty_without_overshoot(source: float) -> None:
    clip = put_on(RIGS["xsens"][0], procedural.make("walk", seconds=2, seed=5), 100.0)
    slow = replace(clip, frame_time=1 / source)
    found, every = bvh.normalize(slow), bvh.normalize(slow, fps=source)
    assert (found.frames - 1) / 30 <= (clip.frames - 1) / source + 1e-2
    assert (found.frames - 1) / 30 > (clip.frames - 1) / source - 1 / 30 - 1e-2
    # No value leaves the range of the frames it comes from, no step is faster than theirs.
    low, high = every.root_positions.min(axis=0), every.root_positions.max(axis=0)
    assert (found.root_positions >= low - 1e-9).all()
    assert (found.root_positions <= high + 1e-9).all()
    speeds = [
        rot.angle_between(m.rotations[1:], m.rotations[:-1]).max() * m.fps for m in (every, found)
    ]
    assert speeds[1] <= speeds[0] * (1 + 1e-6)


def test_samples_between_frames_lie_on_the_shortest_way(clip: Clip) -> None:
    slow = replace(clip, frame_time=1 / 15)
    found, every = bvh.normalize(slow), bvh.normalize(slow, fps=15)
    np.testing.assert_allclose(
        rot.angle_between(found.rotations[::2], every.rotations), 0, atol=1e-7
    )
    before = rot.angle_between(found.rotations[1:-1:2], every.rotations[:-1])
    after = rot.angle_between(found.rotations[1:-1:2], every.rotations[1:])
    np.testing.assert_allclose(before, after, atol=1e-7)
