"""Which way is up, of bodies in every attitude: never wrong without a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from poses import (
    SIDES,
    attitudes,
    climbing,
    crawling,
    handstand,
    laid_down,
    lying,
    standing,
)
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
TO_X = rot.from_axis_angle([0.0, 0.0, 1.0], -np.pi / 2)
"""Y up to X up."""


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


NAMES: dict[str, Callable[[int, str], str]] = {
    "as they are": lambda _, n: n,
    "a namespace": lambda _, n: f"mixamorig:{n}",
    "a suffix": lambda _, n: f"{n}_jnt",
    "none": lambda i, _: f"b{i}",
}
VARIANTS: dict[str, Callable[[], Motion]] = {
    **{kind: lambda kind=kind: procedural.make(kind, seconds=4, seed=1)  # type: ignore[misc]
       for kind in ("walk", "run", "hop", "squat", "wave", "dance")},
    **{f"lies {side}": lambda side=side: lying(side) for side in SIDES},  # type: ignore[misc]
    **{f"hops laid {side}": lambda side=side: laid_down("hop", side)  # type: ignore[misc]
       for side in SIDES},
    "walks laid supine": lambda: laid_down("walk", "supine"),
    "walks laid left": lambda: laid_down("walk", "left"),
    "crawls": crawling,
    "crawls fast": lambda: crawling(seed=1, speed=0.9),
    "handstand": handstand,
    "ladder": lambda: climbing(2.5),
    "wall": lambda: climbing(3.0, way="wall"),
    "stairs": lambda: climbing(2.0, way="stairs"),
    **{name: lambda name=name: attitudes()[name]  # type: ignore[misc]
       for name in ("sits on the floor", "sits on a chair")},
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_axis_is_wrong_without_a_word_on_any_name(variant: str) -> None:
    """Who is laid down as a whole falls along the body: no sign settles that, so it is told."""
    clip = VARIANTS[variant]().to_clip()
    for style, name in NAMES.items():
        odd = replace(clip, names=tuple(name(i, n) for i, n in enumerate(clip.names)))
        for truth, world in (("y", rot.identity()), ("z", TO_Z), ("x", TO_X)):
            report = bvh.examine(built_in(odd, world))[1]
            doubts = [p for p in report.problems if kind_of(p) == "up-axis"]
            assert report.up == truth or doubts, (style, truth, report.up)
            if "laid" not in variant:
                assert report.up == truth, style
            if variant in ("walk", "run", "hop", "squat", "wave", "dance"):
                assert not doubts, (style, truth)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_zero_pose_that_stands_along_another_axis_is_told(family: str) -> None:
    """As of files that have SMPL's offsets, Y up, and a capture's world, Z up."""
    clip = rigged(family, procedural.make("walk", seconds=4, seed=1))
    report = bvh.examine(in_world(clip, TO_Z, 1.0))[1]
    assert report.up == "z"
    (line,) = (p for p in report.problems if kind_of(p) == "up-axis")
    assert "the zero pose stands along y" in line
    assert told(built_in(clip, TO_Z)) == ("z", False)


@pytest.mark.parametrize(("up", "world"), [("x", TO_X), ("-y", rot.multiply(TO_Z, TO_Z))])
def test_an_axis_that_hardly_any_file_has_is_told_unless_the_zero_pose_shows_it(
    up: str, world: rot.Array
) -> None:
    clip = rigged("xsens", procedural.make("run", seconds=4, seed=1))
    assert told(built_in(clip, world)) == (up, False)
    alone = with_random_axes(in_world(clip, world, 1.0), np.random.default_rng(0))
    assert told(alone) == (up, True)


@pytest.mark.parametrize(("side", "world"), [("supine", TO_Z), ("right", TO_X)])
def test_a_file_of_ours_that_floats_upright_beside_another_floor_is_told(
    side: str, world: rot.Array
) -> None:
    """Turned by its root, who lies stands along the file's own axis, in the ground to the chest."""
    clip = lying(side).to_clip()
    report = bvh.examine(in_world(clip, world, 1.0))[1]
    assert report.family == "canonical"
    assert any(kind_of(p) == "up-axis" for p in report.problems)
