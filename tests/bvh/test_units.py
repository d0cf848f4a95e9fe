"""Units of bones and of the root, and rates of films: read rightly, or told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from poses import crawling, laid_down, standing
from rerigging import built_in
from rigs import RIGS, put_on

import bvh
from bvh import Clip, Motion, procedural
from bvh import rotations as rot
from bvh.remarks import kind_of

METRE = {"cm": 100.0, "m": 1.0, "cmu": 0.45 / 0.0254}
FAMILIES = sorted(RIGS)


def rigged(family: str, motion: Motion) -> Clip:
    rig, unit = RIGS[family]
    return put_on(rig, motion, METRE[unit])


def with_root(clip: Clip, times: float) -> Clip:
    """The root's positions in a unit of their own."""
    positions = clip.positions.copy()
    positions[:, 0] *= times
    return replace(clip, positions=positions)


def units(clip: Clip) -> list[str]:
    return [p for p in bvh.examine(clip)[1].problems if kind_of(p) == "unit"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("unit", "metres"), [("foot", 0.3048), ("dm", 0.1)])
def test_feet_and_decimetres_are_told_by_the_size_of_the_body(
    family: str, unit: str, metres: float
) -> None:
    clip = rigged(family, procedural.make("walk", seconds=3, seed=1))
    source, before = bvh.examine(clip)
    motion, report = bvh.examine(built_in(clip, rot.identity(), before.scale / metres))
    assert (report.unit, report.scale) == (unit, metres)
    (line,) = (p for p in report.problems if kind_of(p) == "unit")
    assert "by the size of the body alone" in line
    np.testing.assert_allclose(motion.root_positions, source.root_positions, atol=1e-6)


@pytest.mark.parametrize("times", [0.001, 0.01, 0.0254, 0.1, 1 / 2.54, 2.54, 10.0, 39.37, 100.0])
@pytest.mark.parametrize("kind", ["walk", "squat", "wave", "dance"])
def test_a_root_in_another_unit_than_the_bones_is_told(kind: str, times: float) -> None:
    """On the bones the motion was made for: on others feet that stand slide."""
    for seed in range(4):
        clip = procedural.make(kind, seconds=4, seed=seed).to_clip()
        clip = replace(clip, names=tuple(f"mixamorig:{n}" for n in clip.names))
        assert units(clip) == []
        (line,) = units(with_root(clip, times))
        assert "in another unit than the bones" in line


@pytest.mark.parametrize("times", [0.001, 0.01, 100.0, 1000.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_root_in_metres_over_bones_in_centimetres_is_told_on_any_rig(
    family: str, times: float
) -> None:
    for kind, seed in (("walk", 1), ("run", 1), ("squat", 2), ("wave", 3)):
        (line,) = units(with_root(rigged(family, procedural.make(kind, seed=seed)), times))
        assert "in another unit than the bones" in line


@pytest.mark.parametrize("kind", procedural.KINDS)
def test_a_body_that_stands_goes_or_leaps_has_its_root_in_the_unit_of_its_bones(kind: str) -> None:
    for seed in range(6):
        clip = rigged("xsens", procedural.make(kind, seconds=4, seed=seed))
        assert units(clip) == []


def test_a_root_that_does_not_move_says_nothing_of_its_unit() -> None:
    clip = rigged("xsens", procedural.make("walk", seconds=4, seed=1))
    assert units(with_root(clip, 0.0)) == []
    for motion in (crawling(), laid_down("walk"), standing()[:1], standing()[:2]):
        assert units(rigged("xsens", motion)) == []


@pytest.mark.parametrize("fps", [59.94, 60 / 1.001, 23.976, 24 / 1.001, 29.97])
@pytest.mark.parametrize("kind", ["walk", "run"])
def test_rates_of_film_and_television_keep_time(kind: str, fps: float) -> None:
    """In metres: the same moments are the same poses, whatever the rate they were taken at."""
    source = procedural.make(kind, seconds=5, seed=1)
    times = np.arange(int(4.8 * fps)) * 30.0 / fps
    low = times.astype(int)
    share = (times - low)[:, None]
    root = source.root_positions
    motion = replace(
        source,
        root_positions=root[low] + share * (root[low + 1] - root[low]),
        rotations=rot.slerp(source.rotations[low], source.rotations[low + 1], share),
        fps=fps,
    )
    clip = rigged("smpl", motion)
    found, report = bvh.examine(clip)
    assert (report.unit, report.up) == ("m", "y")
    assert not {kind_of(p) for p in report.problems} & {"unit", "up-axis", "frame-rate"}
    at_30 = bvh.normalize(rigged("smpl", source))[: len(found)]
    assert len(found) == len(at_30) > 140
    away = np.linalg.norm(found.global_positions() - at_30.global_positions(), axis=-1)
    assert away.mean() < 0.03
