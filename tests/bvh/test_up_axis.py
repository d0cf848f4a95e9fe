"""Which way is up, of bodies in every attitude: never wrong without a word."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from poses import SIDES, attitudes, climbing, crawling, handstand, lying, standing
from rerigging import built_in, in_world, with_random_axes
from rigs import RIGS, put_on

import bvh
from bvh import Clip, Motion, procedural
from bvh import rotations as rot
from bvh.remarks import kind_of

METRE = {"cm": 100.0, "m": 1.0, "cmu": 0.45 / 0.0254}
FAMILIES = sorted(RIGS)
TO_Z = rot.from_axis_angle([1.0, 0.0, 0.0], np.pi / 2)
"""Y up to Z up."""


def rigged(family: str, motion: Motion) -> Clip:
    rig, unit = RIGS[family]
    return put_on(rig, motion, METRE[unit])


def told(clip: Clip) -> tuple[str, bool]:
    """The up axis found, and whether anything is said about it."""
    report = bvh.examine(clip)[1]
    return report.up, any(kind_of(p) in ("up-axis", "lies") for p in report.problems)


@pytest.mark.parametrize(("side", "up"), list(product(SIDES, "yz")))
@pytest.mark.parametrize("family", ["mixamo", "xsens", "rokoko"])
def test_who_lies_in_place_on_a_rig_built_standing_lies(family: str, side: str, up: str) -> None:
    clip = rigged(family, lying(side))
    assert told(clip if up == "y" else built_in(clip, TO_Z)) == (up, True)


@pytest.mark.parametrize(("family", "up"), list(product(FAMILIES, "yz")))
def test_who_stands_on_the_hands_is_upside_down(family: str, up: str) -> None:
    clip = rigged(family, handstand())
    clip = clip if up == "y" else built_in(clip, TO_Z)
    found, report = bvh.examine(clip)
    assert report.up == up
    assert any(p.startswith("lies: the body is upside down") for p in report.problems)
    feet = found.global_positions()[:, [3, 7], 2]
    assert feet.min() > found.root_positions[:, 2].max()


CLIMBS = [
    (height, way, FAMILIES[i % len(FAMILIES)], "yz"[i % 2])
    for i, (height, way) in enumerate(
        product(np.linspace(1.65, 4.0, 13).tolist(), ("ladder", "stairs", "wall"))
    )
]


@pytest.mark.parametrize(("height", "way", "family", "up"), CLIMBS)
def test_who_climbs_upright_climbs_up(height: float, way: str, family: str, up: str) -> None:
    for seed in range(5):
        clip = rigged(family, climbing(height, way=way, seed=seed))
        found, report = bvh.examine(clip if up == "y" else built_in(clip, TO_Z))
        assert report.up == up, seed
        assert not any(kind_of(p) in ("up-axis", "lies") for p in report.problems), report.problems
        assert np.ptp(found.root_positions[:, 2]) > 0.85 * height


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("make", [standing, crawling, climbing, handstand, *SIDES])
def test_an_axis_that_cannot_be_known_is_told(family: str, make: object) -> None:
    """Without a zero pose, and with one that stands in other axes than the motion."""
    motion = lying(make) if isinstance(make, str) else make()  # type: ignore[operator]
    clip = rigged(family, motion)
    rng = np.random.default_rng(0)
    for truth, odd in (
        ("y", with_random_axes(clip, rng)),
        ("z", with_random_axes(in_world(clip, TO_Z, 1.0), rng)),
        ("z", in_world(clip, TO_Z, 1.0)),
    ):
        found, said = told(odd)
        assert found == truth or said


@pytest.mark.parametrize("kind", procedural.KINDS)
def test_who_stands_and_goes_raises_no_doubt(kind: str) -> None:
    for up, seed in product("yz", range(3)):
        clip = rigged(FAMILIES[seed], procedural.make(kind, seconds=4, seed=seed))
        assert told(clip if up == "y" else built_in(clip, TO_Z)) == (up, False)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_attitudes_are_read_right_on_rigs_built_standing(family: str) -> None:
    for (name, motion), up in product(attitudes().items(), "yz"):
        clip = rigged(family, motion)
        assert told(clip if up == "y" else built_in(clip, TO_Z))[0] == up, name
        # And in a world that is turned by the root alone, never wrong without a word.
        found, said = told(in_world(clip, TO_Z, 1.0))
        assert found == "z" or said, name


@pytest.mark.parametrize("make", [standing, crawling, climbing, handstand, *SIDES])
def test_files_of_ours_keep_their_axis_in_every_attitude(make: object) -> None:
    motion = lying(make) if isinstance(make, str) else make()  # type: ignore[operator]
    found, report = bvh.examine(motion.to_clip())
    assert (report.family, report.up) == ("canonical", "y")
    np.testing.assert_allclose(found.root_positions, motion.root_positions, atol=1e-9)
    assert any(p.startswith("lies") for p in report.problems) == (make not in (standing, climbing))


def test_how_sure_the_axis_is_is_said_and_saved(tmp_path: Path) -> None:
    sure = bvh.examine(rigged("xsens", procedural.make("walk", seconds=3)))[1]
    clip = with_random_axes(in_world(rigged("xsens", lying()), TO_Z, 1.0), np.random.default_rng(0))
    unsure = bvh.examine(clip)[1]
    assert unsure.up_confidence < 0.95 < sure.up_confidence < 1.0
    assert bvh.examine(clip, up="y")[1].up_confidence == 1.0
    bvh.calibrate(clip).save(tmp_path / "rig.json")
    again = bvh.Calibration.load(tmp_path / "rig.json")
    assert again.up_confidence == unsure.up_confidence


def test_a_leap_shows_which_way_things_fall() -> None:
    """A body that curls up in the air, on a rig without a zero pose that says anything."""
    motion = procedural.make("hop", seconds=4, seed=0)
    clip = with_random_axes(rigged("xsens", motion), np.random.default_rng(1))
    assert told(in_world(clip, TO_Z, 1.0)) == ("z", False)
