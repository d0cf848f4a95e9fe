"""A body that stands still stands still after decoding, and one that moves is let alone."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import procedural
from bvh import rotations as rot
from bvh.motion import Motion
from motiontok import MotionTokenizer
from motiontok.data import COLUMNS, Noise, Start, StillnessFilter, from_motion, to_motion

NOISE = Noise(legs=0.014, upper=0.013, root=0.015)
STANDING = [("wave", 5), ("squat", 7), ("turn", 6)]


@pytest.fixture(scope="module")
def tokenizer():
    return MotionTokenizer.from_pretrained("default")


def held(kind: str, seed: int, *, noise: float, frames: int = 300) -> Motion:
    """A pose that is held, with so much noise, metres, at every joint."""
    pose = procedural.make(kind, seconds=0.1, seed=seed)[:1]
    rng = np.random.default_rng(seed)
    positions = pose.root_positions + rng.normal(scale=noise, size=(frames, 3))
    axes = rng.normal(size=(frames, 22, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    turns = rot.from_axis_angle(axes, rng.normal(scale=noise / 0.4, size=(frames, 22)))
    return Motion(positions, rot.multiply(pose.rotations, turns), pose.offsets)


@pytest.fixture(scope="module")
def coded(tokenizer):
    """A held pose and its codes; whichever are found, what they say is to stand still."""

    @cache
    def of(kind: str, seed: int, noise: float) -> tuple[Motion, np.ndarray]:
        motion = held(kind, seed, noise=noise)
        return motion, tokenizer.encode(motion, effort=1)

    return of


def wander(motion: Motion) -> float:
    way = motion.root_positions[:, :2] - motion.root_positions[0, :2]
    return float(np.linalg.norm(way, axis=1).max())


def speed(motion: Motion) -> float:
    steps = np.linalg.norm(np.diff(motion.global_positions(), axis=0), axis=-1)
    return float(steps.mean() * motion.fps)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize(("kind", "seed"), STANDING)
def test_a_held_pose_is_still_after_decoding(tokenizer, coded, kind, seed, noise):
    motion, codes = coded(kind, seed, noise)
    still, free = (tokenizer.decode(codes, offsets=motion.offsets, plant=p) for p in (True, False))
    assert wander(still) < 0.04
    assert speed(still) < 0.03
    assert speed(still) < 0.4 * speed(free)


@pytest.mark.parametrize(("kind", "seed"), STANDING)
def test_a_stream_holds_it_as_well(tokenizer, coded, kind, seed):
    motion, codes = coded(kind, seed, 1e-3)
    stream = tokenizer.stream_decoder(offsets=motion.offsets)
    parts = [*(stream.push(window) for window in codes), stream.flush()]
    whole = tokenizer.decode(codes, offsets=motion.offsets)
    path = np.concatenate([part.root_positions for part in parts])
    turned = np.concatenate([part.rotations for part in parts])
    assert np.linalg.norm(path[:, :2] - path[0, :2], axis=1).max() < 0.04
    # Poses are those of the whole; of root and legs only planting differs.
    np.testing.assert_allclose(turned[:, 9:], whole.rotations[:, 9:], atol=1e-4)
    np.testing.assert_allclose(turned, whole.rotations, atol=2e-3)
    assert np.abs(path - whole.root_positions).max() < 0.01


def test_the_path_is_held_where_the_body_is(tokenizer):
    """Steering each window back asks for ways that a still body does not go."""
    motion = held("wave", 5, noise=1e-3)
    again = tokenizer.reconstruct(motion, hold_path=True, effort=1)
    assert wander(again) < 0.05


@settings(max_examples=25, deadline=None)
@given(borders=st.lists(st.integers(0, 150), max_size=8), kind=st.sampled_from(procedural.KINDS))
def test_pieces_give_what_they_give_at_once(borders, kind):
    rng = np.random.default_rng(len(borders))
    moving = from_motion(procedural.make(kind, seconds=2.0, seed=4))
    still = moving[:1].repeat(90, axis=0)
    still[:, :3] = 0.0
    still += rng.normal(scale=5e-3, size=still.shape)
    features = np.concatenate([still, moving])
    whole = StillnessFilter(NOISE).push(features)
    assert np.abs(whole - features).max() > 1e-3
    pieces = StillnessFilter(NOISE)
    edges = [0, *sorted(set(borders) - {0}), len(features)]
    parts = []
    for a, b in pairwise(edges):
        # One that goes on by itself leaves the other as it was.
        pieces.copy().push(features[a:])
        parts.append(pieces.push(features[a:b]))
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-9)


@pytest.mark.parametrize("kind", ["walk", "run", "hop", "dance"])
def test_motion_is_let_alone(kind):
    features = from_motion(procedural.make(kind, seconds=6.0, seed=2))
    shown = StillnessFilter(NOISE).push(features)
    off = np.abs(shown - features)[:, COLUMNS["positions"]]
    assert off[30:].mean() < 0.002


@pytest.mark.parametrize(("amount", "rate"), [(0.06, 0.1), (0.08, 0.2)])
def test_a_slow_sway_goes_on(amount, rate):
    """The whole body tilts about its feet, by so many metres at a metre's height."""
    pose = held("wave", 5, noise=0.0, frames=900)
    time = np.arange(900) / 30
    tilt = rot.from_axis_angle([1.0, 0.0, 0.0], amount * np.sin(2 * np.pi * rate * time))
    turns = pose.rotations.copy()
    turns[:, 0] = rot.multiply(tilt, turns[:, 0])
    motion = Motion(rot.rotate(tilt, pose.root_positions), turns, pose.offsets)
    features = from_motion(motion)
    shown = to_motion(StillnessFilter(NOISE).push(features), pose.offsets, start=Start.of(motion))
    went, goes = (np.ptp(m.global_positions()[300:, 15, 1]) for m in (motion, shown))
    assert goes > 0.5 * went


def test_a_body_that_moves_off_gets_where_it_went():
    walk = from_motion(procedural.make("walk", seconds=4.0, seed=2))
    still = walk[:1].repeat(90, axis=0)
    still[:, :3] = 0.0
    features = np.concatenate([still, walk])
    body = procedural.make("walk", seconds=0.1, seed=2).offsets
    held_first = StillnessFilter(NOISE).push(features)
    ends = [to_motion(f, body).root_positions[-1, :2] for f in (features, held_first)]
    assert np.linalg.norm(ends[0]) > 2.0
    assert np.linalg.norm(ends[0] - ends[1]) < 0.1


def test_noise_is_kept_with_a_tokenizer(tiny_run):
    known, again = (MotionTokenizer.from_pretrained(tiny_run) for _ in range(2))
    again._noise.clear()
    assert known._noise == {8: again.noise()}


def test_noise_is_measured_once_and_more_codes_make_less(tokenizer):
    noise = tokenizer.noise()
    assert tokenizer.noise() is noise
    assert 0.001 < noise.legs < tokenizer.noise(8).legs
