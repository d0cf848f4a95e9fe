"""Joints that leap from one frame to the next are told, and fast people are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rigs import RIGS, put_on

import bvh
from bvh import Clip, Motion, procedural
from bvh import rotations as rot
from bvh.motion_io import load_motion
from bvh.normalizer.glitches import find_glitches
from bvh.remarks import kind_of
from bvh.skeleton import JOINTS

ARM, HAND = JOINTS.index("RightArm"), JOINTS.index("LeftHand")


@pytest.fixture(scope="module")
def motion() -> Motion:
    return procedural.make("walk", seconds=4, seed=1)


def turned(motion: Motion, frames: slice, joints: list[int], degrees: float) -> Motion:
    """A motion in which joints are turned about their own x axis in some frames."""
    rotations = motion.rotations.copy()
    by = rot.from_axis_angle(np.array([1.0, 0.0, 0.0]), np.radians(degrees))
    rotations[frames, joints] = rot.multiply(rotations[frames, joints], by)
    return replace(motion, rotations=rotations)


def told(motion: Motion) -> list[str]:
    return list(find_glitches(motion.rotations, motion.fps))


@pytest.mark.parametrize("kind", procedural.KINDS)
@pytest.mark.parametrize("speed", [1.0, 3.0])
def test_people_do_not_leap_nor_three_times_as_fast(kind: str, speed: float) -> None:
    motion = procedural.make(kind, seconds=6, seed=3)
    assert told(replace(motion, fps=speed * motion.fps).resampled(30.0)) == []


def test_a_joint_that_leaps_is_told_with_frame_and_angle(motion: Motion) -> None:
    assert told(motion) == []
    (stays,) = told(turned(motion, slice(60, None), [ARM], 90))
    assert stays.startswith("glitch: RightArm turns by ")
    assert stays.endswith(" degrees from frame 59 to 60")
    assert abs(float(stays.split()[4]) - 90) < 15
    (first,) = told(turned(motion, slice(0, 1), [ARM], 90))
    assert first.endswith(" from frame 0 to 1")
    for count in (1, 2):
        (back,) = told(turned(motion, slice(60, 60 + count), [ARM], 120))
        assert back.endswith(f" from frame 59 to 60 and back by frame {60 + count}")
    (both,) = told(turned(turned(motion, slice(60, None), [ARM], 90), slice(60, None), [HAND], 120))
    assert both.startswith("glitch: LeftHand turns by ")
    assert both.endswith(" from frame 59 to 60, with RightArm")


def test_small_slow_and_lasting_turns_are_none(motion: Motion) -> None:
    assert told(turned(motion, slice(60, None), [ARM], 45)) == []
    # At ten frames a second a turn of 90 degrees is one that people make.
    assert told(replace(turned(motion, slice(60, None), [ARM], 90), fps=10.0)) == []
    # A fast swing speeds up and slows down over some frames.
    swing = motion
    for frame, degrees in enumerate((10, 30, 70, 90, 70, 30, 10), start=57):
        swing = turned(swing, slice(frame, None), [ARM], degrees)
    assert told(swing) == []
    assert told(turned(motion[:4], slice(2, None), [ARM], 120)) == []


def test_of_many_leaps_some_are_told_and_the_rest_counted() -> None:
    motion = procedural.make("walk", seconds=20, seed=1)
    for frame in range(10, 590, 10):
        motion = turned(motion, slice(frame, None), [ARM], 120)
    lines = told(motion)
    assert len(lines) == 21
    assert lines[-1] == "glitch: joints leap in 38 more frames"


@pytest.mark.parametrize("names", ["known", "canonical"])
def test_clips_and_motions_are_told_and_unchanged(
    motion: Motion, tmp_path: Path, names: str
) -> None:
    def clip(of: Motion) -> Clip:
        return put_on(RIGS["mixamo"][0], of, 100.0) if names == "known" else of.to_clip()

    leaping = turned(motion, slice(60, 62), [HAND], 150)
    problems = bvh.examine(clip(leaping))[1].problems
    (line,) = [p for p in problems if kind_of(p) == "glitch"]
    assert "LeftHand turns by 1" in line
    assert line.endswith("from frame 59 to 60 and back by frame 62")
    got, plain = bvh.normalize(clip(leaping)), bvh.normalize(clip(motion))
    off = rot.angle_between(got.rotations[:, HAND], plain.rotations[:, HAND])
    assert np.flatnonzero(off > 1.0).tolist() == [60, 61]
    leaping.save(tmp_path / "leaps.npz")
    assert load_motion(tmp_path / "leaps.npz").remarks == (line,)
