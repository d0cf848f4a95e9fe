"""Properties of the normaliser that need no captures."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rerigging import in_world, with_random_axes
from rigs import RIGS, put_on

import bvh
from bvh import JOINTS, procedural
from bvh import rotations as rot
from bvh.normalizer.geometry import frame, mean_rotation

METRE = {"cm": 100.0, "m": 1.0, "cmu": 0.45 / 0.0254}
SEEDS = st.integers(0, 2**32 - 1)
ACTIONS = {kind: procedural.make(kind, seconds=2, seed=4) for kind in ("walk", "squat", "dance")}
OPEN = [j.endswith(("Foot", "Toe", "Head", "Hand")) for j in JOINTS]


@settings(max_examples=40, deadline=None)
@given(
    family=st.sampled_from(sorted(RIGS)),
    action=st.sampled_from(sorted(ACTIONS)),
    seeds=st.tuples(SEEDS, SEEDS),
    yaw=st.floats(-np.pi, np.pi),
    unit=st.sampled_from([1.0, 10.0, 100.0]),
    place=st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-5, 5)),
)
def test_two_rigs_of_one_motion_agree(
    family: str,
    action: str,
    seeds: tuple[int, int],
    yaw: float,
    unit: float,
    place: tuple[float, float, float],
) -> None:
    rig, name = RIGS[family]
    clip = put_on(rig, ACTIONS[action], METRE[name])
    first = with_random_axes(clip, np.random.default_rng(seeds[0]))
    # Millimetres, centimetres or metres, somewhere else, facing elsewhere.
    world = rot.from_axis_angle([0, 1, 0], yaw)
    second = in_world(
        with_random_axes(clip, np.random.default_rng(seeds[1])),
        world,
        unit * {"cm": 0.1, "m": 10.0, "cmu": 10.0 / METRE["cmu"]}[name],
        shift=np.array(place),
    )
    a = bvh.normalize(first, up="y", scale=1.0 / METRE[name])
    b = bvh.normalize(second, up="y", scale=0.1 / unit)
    turned = rot.from_axis_angle([0, 0, 1], yaw)
    a = a.moved(turned, np.zeros(3))
    moved = b.global_positions() - b.root_positions[:1, None]
    np.testing.assert_allclose(moved, a.global_positions() - a.root_positions[:1, None], atol=1e-3)
    angles = rot.angle_between(a.global_transforms()[0], b.global_transforms()[0])
    assert np.rad2deg(angles[:, np.logical_not(OPEN)].max()) < 0.5
    np.testing.assert_allclose(a.root_positions[:, 2], b.root_positions[:, 2], atol=1e-3)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, axes=st.sampled_from(["xy", "yx", "yz", "zy", "zx", "xz"]))
def test_a_frame_takes_two_directions_onto_two_axes(seed: int, axes: str) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, 3))
    turned = rot.rotate(frame(first, second, axes=axes), np.stack([first, second]))
    i, j = ("xyz".index(a) for a in axes)
    np.testing.assert_allclose(turned[0], np.linalg.norm(first) * np.eye(3)[i], atol=1e-9)
    assert turned[1, j] > 0
    assert abs(turned[1, 3 - i - j]) < 1e-9


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS)
def test_the_mean_of_rotations_is_between_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle = rot.normalize(rng.normal(size=4))
    away = rot.exp(0.5 * rng.normal(size=(7, 3)))
    pairs = np.concatenate([rot.multiply(middle, away), rot.multiply(middle, rot.conjugate(away))])
    signs = rng.choice([-1.0, 1.0], size=(14, 1))
    assert rot.angle_between(mean_rotation(signs * pairs), middle) < 1e-6
