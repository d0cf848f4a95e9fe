"""What is assumed is told, in lines whose kind can be searched for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from poses import SIDES, lying
from rerigging import in_world, renamed, with_parent
from rigs import RIGS, put_on

import bvh
from bvh import Clip, Motion, procedural
from bvh import rotations as rot
from bvh.remarks import KINDS, faults, kind_of, remark


@pytest.fixture(scope="module")
def motion() -> Motion:
    return procedural.make("walk", seconds=4, seed=1)


@pytest.fixture(scope="module")
def clip(motion: Motion) -> Clip:
    return put_on(RIGS["mixamo"][0], motion, 100.0)


def kinds(clip: Clip) -> list[str]:
    problems = bvh.examine(clip)[1].problems
    assert all(kind_of(line) in KINDS for line in problems), problems
    return [kind_of(line) for line in problems]


def moved(clip: Clip, joint: int, path: object) -> Clip:
    positions = clip.positions.copy()
    positions[:, joint] += path
    return replace(clip, positions=positions)


def test_a_plain_clip_needs_no_remark(clip: Clip, motion: Motion) -> None:
    assert kinds(clip) == []
    assert kinds(motion.to_clip()) == []


def test_no_other_kind_is_made() -> None:
    assert kind_of(remark("unit", "odd")) == "unit"
    assert kind_of("somebody: said") == ""
    with pytest.raises(ValueError, match="no kind of remark"):
        remark("gossip", "odd")


def test_what_a_clip_shows_is_no_fault_of_it() -> None:
    lines = [remark(kind, "said") for kind in KINDS] + ["of no kind"]
    assert set(lines) - set(faults(lines)) == {"lies: said", "pose: said", "body: said"}


@pytest.mark.parametrize("names", ["own", "canonical"])
def test_odd_statures_are_told(clip: Clip, motion: Motion, names: str) -> None:
    for size, odd in ((0.35, True), (0.9, False), (1.2, False), (1.4, True)):
        if names == "own":
            report = bvh.examine(clip, scale=0.01 * size)[1]
        else:
            report = bvh.examine(motion.on_bones(size * motion.offsets).to_clip())[1]
        assert [kind_of(p) for p in report.problems] == ["stature"] * odd, (size, report)


@pytest.mark.parametrize(
    ("fps", "odd"), [(1.0, True), (4.0, True), (5.0, False), (300.0, False), (301.0, True)]
)
def test_odd_rates_are_told(clip: Clip, motion: Motion, fps: float, odd: bool) -> None:
    for source in (clip, motion.to_clip()):
        assert ("frame-rate" in kinds(replace(source, frame_time=1.0 / fps))) == odd


def test_shoulders_that_move_in_the_chest_are_told(clip: Clip) -> None:
    path = np.sin(np.arange(clip.frames) / 9)[:, None] * [0.0, 4.0, 0.0]
    report = bvh.examine(moved(clip, clip.names.index("mixamorig:LeftShoulder"), path))[1]
    assert [p[:28] for p in report.problems] == ["bones: LeftShoulder moves by"]


def test_a_floor_far_from_the_feet_is_told(clip: Clip, motion: Motion) -> None:
    dip = -300.0 * np.isin(np.arange(clip.frames), range(20, 50))[:, None] * [0.0, 1.0, 0.0]
    assert "floor" in kinds(moved(clip, 0, dip))
    for height, far in ((300.0, True), (60.0, True), (-60.0, True), (10.0, False)):
        assert kinds(moved(motion.to_clip(), 0, [0.0, height, 0.0])) == ["floor"] * far


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("family", ["mixamo", "smpl", "xsens"])
def test_who_lies_is_on_the_floor_and_not_in_it(family: str, side: str) -> None:
    """On the back the feet are the highest of a body, and as still as those that stand."""
    clip = put_on(RIGS[family][0], lying(side), 100.0)
    lowest = bvh.normalize(clip).global_positions()[..., 2].min(axis=1)
    assert abs(np.median(lowest)) < 0.08
    assert "lies" in kinds(clip)
    assert "floor" not in kinds(clip)


@pytest.mark.parametrize("family", ["xsens", "rokoko", "perception-neuron"])
def test_hips_named_below_the_hips_are_passed_over(family: str, motion: Motion) -> None:
    """A joint on the floor that has the name of the hips, above the one that carries the body."""
    clip = put_on(RIGS[family][0], motion, 100.0)
    twice = with_parent(renamed(clip, {"Hips": "Hips_2"}), "Hips")
    found, report = bvh.examine(twice)
    assert report.joints["Hips"] == "Hips_2"
    assert "bones" not in map(kind_of, report.problems)
    np.testing.assert_allclose(found.rotations, bvh.normalize(clip).rotations, atol=1e-9)


def test_an_unknown_unit_is_told(clip: Clip) -> None:
    assert "unit" in kinds(in_world(clip, rot.identity(), 37.0))
