"""Animals are refused, whatever their joints are called; people on all fours are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from animals import ACTIONS, BUILDS, animal
from poses import crawling
from rerigging import built_in, in_world, with_chain, with_random_axes
from rigs import RIGS, put_on

import bvh
from bvh import BVHError, Clip, Motion, procedural
from bvh import rotations as rot

TO_Z = rot.from_axis_angle([1.0, 0.0, 0.0], np.pi / 2)
GUISES: dict[str, Callable[[Clip], Clip]] = {
    "a person's names": lambda c: c,
    "no names": lambda c: replace(c, names=tuple(f"b{i}" for i in range(len(c.names)))),
    "turned axes": lambda c: with_random_axes(c, np.random.default_rng(0)),
    "Z up": lambda c: built_in(c, TO_Z),
    "metres": lambda c: in_world(c, rot.identity(), 0.01),
}


@pytest.mark.parametrize("guise", sorted(GUISES))
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("build", sorted(BUILDS))
def test_animals_are_refused(build: str, action: str, guise: str) -> None:
    # Limbs that hardly bend are not even told apart without names.
    why = "(an animal, not a person|no )" if guise == "no names" else "an animal, not a person"
    with pytest.raises(BVHError, match=rf"{build}: {why}"):
        bvh.normalize(GUISES[guise](animal(build, action)))


def test_a_mapping_takes_an_animal_for_what_it_says() -> None:
    clip = animal("dog", "walks")
    found = bvh.normalize(clip, mapping={"LeftArm": "LeftArm"})
    assert found.source.family == "custom"
    with pytest.raises(BVHError, match=r"arms 0\.\d+ of a leg, a trunk 1\.\d+ of a leg.*a tail"):
        bvh.normalize(clip)


def bear(motion: Motion) -> Motion:
    """On hands and feet, legs straight, as children play bears."""
    turns = rot.exp(0.2 * rot.log(motion.rotations))
    turns[:, 0] = rot.from_axis_angle([0.0, 1.0, 0.0], 1.5)
    for joint, angle in ((1, -1.5), (5, -1.5)):
        turns[:, joint] = rot.from_axis_angle([0.0, 1.0, 0.0], angle)
    for joint, angle in ((15, -1.5), (19, 1.5)):
        turns[:, joint] = rot.from_axis_angle([0.0, 0.0, 1.0], angle)
    place = motion.root_positions * [1.0, 1.0, 0.0] + [0.0, 0.0, 0.9]
    return replace(motion, rotations=turns, root_positions=place)


@pytest.mark.parametrize("family", sorted(RIGS))
def test_people_on_all_fours_in_costumes_and_of_all_sizes_are_people(family: str) -> None:
    rig, unit = RIGS[family]
    metre = {"cm": 100.0, "m": 1.0, "cmu": 0.45 / 0.0254}[unit]
    walk = procedural.make("walk", seconds=3, seed=0)
    for motion in (crawling(), bear(walk), walk):
        bvh.normalize(put_on(rig, motion, metre))
        tail = (0.0, 0.0, -0.2 * metre)
        bvh.normalize(with_chain(put_on(rig, motion, metre), rig[0][0], 4, tail))
