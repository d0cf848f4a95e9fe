"""Features of motion: exact both ways, blind to place and heading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import bvh
from bvh import procedural
from bvh import rotations as rot
from bvh.motion import Motion
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, MIRROR
from motiontok.data import COLUMNS, FEATURES, Start, from_motion, to_motion
from motiontok.errors import DataError

ROUND_TRIP = 1e-5


def random_motion(seed: int, frames: int, *, tilt: float = 2.8, bend: float = 3.0) -> Motion:
    """A motion no body makes: any heading, joints anywhere, bones of other lengths."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(scale=0.05, size=(frames, 3)), axis=0)
    walk[:, 2] = 0.9 + 0.1 * rng.normal(size=frames)
    walk[:, :2] += rng.uniform(-50, 50, size=2)
    yaw = rng.uniform(-np.pi, np.pi) + np.cumsum(rng.normal(scale=0.4, size=frames))
    rotations = rot.exp(rng.uniform(-bend, bend, size=(frames, len(JOINTS), 3)) / np.sqrt(3))
    direction = rng.uniform(-np.pi, np.pi, size=frames)
    axis = np.stack([np.cos(direction), np.sin(direction), np.zeros(frames)], axis=-1)
    leaning = rot.from_axis_angle(axis, rng.uniform(0, tilt, size=frames))
    rotations[:, 0] = rot.multiply(rot.from_axis_angle([0.0, 0.0, 1.0], yaw), leaning)
    bones = rng.uniform(0.7, 1.4, size=(len(JOINTS), 1))
    return Motion(walk, rotations, DEFAULT_OFFSETS * bones)


def assert_same_motion(a: Motion, b: Motion, tolerance: float) -> None:
    np.testing.assert_allclose(a.global_positions(), b.global_positions(), atol=tolerance)
    assert rot.angle_between(a.rotations, b.rotations).max() < tolerance


def assert_round_trip(motion: Motion) -> None:
    features = from_motion(motion)
    again = to_motion(features, motion.offsets, start=Start.of(motion))
    assert_same_motion(motion, again, ROUND_TRIP)
    np.testing.assert_allclose(from_motion(again), features, atol=ROUND_TRIP)


motions = st.builds(random_motion, st.integers(0, 2**32 - 1), st.integers(1, 40))


@settings(max_examples=60)
@given(motions)
def test_features_of_random_motions_lead_back_exactly(motion):
    assert_round_trip(motion)


@settings(max_examples=15)
@given(st.sampled_from(procedural.KINDS), st.integers(0, 2**31))
def test_features_of_procedural_motions_lead_back_exactly(kind, seed):
    assert_round_trip(procedural.make(kind, seconds=2, seed=seed))


def test_features_of_real_motion_lead_back_exactly(shared_data):
    clip = next(iter(sorted((shared_data / "bvh").glob("lafan1-*.bvh"))), None)
    if clip is None:
        pytest.skip(f"no lafan1-*.bvh in {shared_data / 'bvh'}")
    assert_round_trip(bvh.normalize(bvh.read(clip)))


def test_single_precision_features_lead_back_to_a_tenth_of_a_millimetre():
    motion = procedural.make("dance", seconds=10, seed=3)
    rows = from_motion(motion).astype(np.float32)
    again = to_motion(rows, motion.offsets, start=Start.of(motion))
    np.testing.assert_allclose(motion.global_positions(), again.global_positions(), atol=1e-4)


@settings(max_examples=40)
@given(motions, st.floats(-np.pi, np.pi), st.floats(-100, 100), st.floats(-100, 100))
def test_place_and_heading_do_not_change_features(motion, turn, x, y):
    moved = motion.moved(rot.from_axis_angle([0.0, 0.0, 1.0], turn), np.array([x, y, 0.0]))
    np.testing.assert_allclose(from_motion(moved), from_motion(motion), atol=1e-7)


def test_height_is_kept():
    motion = procedural.make("walk", seconds=1).on_bones(DEFAULT_OFFSETS)
    raised = motion.moved(rot.identity(), np.array([0.0, 0.0, 0.25]))
    difference = from_motion(raised) - from_motion(motion)
    np.testing.assert_allclose(difference[:, COLUMNS["height"]], 0.25)
    assert np.abs(difference[:, COLUMNS["positions"]]).max() < 1e-9


BODIES = st.one_of(
    # Children and giants, and legs, trunk and arms each of a length of its own.
    st.floats(0.6, 1.5).map(lambda s: np.full(22, s)),
    st.tuples(*[st.floats(0.6, 1.5)] * 3).map(
        lambda s: np.repeat([1.0, s[0], s[1], s[2]], [1, 8, 5, 8])
    ),
)


@settings(max_examples=40)
@given(motions, BODIES)
def test_features_are_free_of_the_body(motion, scales):
    other = motion.on_bones(motion.offsets * scales[:, None])
    np.testing.assert_allclose(from_motion(other), from_motion(motion), atol=1e-9)


def test_a_body_scaled_as_a_whole_has_the_same_features():
    """Without :meth:`Motion.on_bones`: all lengths of the motion times one number."""
    motion = procedural.make("dance", seconds=3, seed=2)
    small = replace(
        motion, root_positions=0.6 * motion.root_positions, offsets=0.6 * motion.offsets
    )
    np.testing.assert_allclose(from_motion(small), from_motion(motion), atol=1e-9)


@settings(max_examples=20)
@given(motions, BODIES)
def test_features_lead_back_onto_any_body(motion, scales):
    other = motion.on_bones(motion.offsets * scales[:, None])
    found = to_motion(from_motion(motion), other.offsets, start=Start.of(other))
    assert_same_motion(found, other, 1e-5)


def test_features_of_a_body_without_legs_are_refused():
    motion = procedural.make("walk", seconds=1)
    offsets = motion.offsets.copy()
    offsets[[2, 3, 6, 7]] = 0.0
    with pytest.raises(bvh.BVHError, match=r"walk.*thigh and shin are 0 mm long together"):
        from_motion(replace(motion, offsets=offsets))
    with pytest.raises(DataError, match="offsets: left thigh and shin are 0 mm long together"):
        to_motion(from_motion(motion), offsets)


def mirrored_features(features):
    """Reflection left to right, written in feature columns."""
    out = features.copy()
    out[:, COLUMNS["yaw_rate"]] *= -1
    out[:, COLUMNS["velocity"]] *= [1, -1]
    # F M F with F = diag(1, -1, 1), first two columns.
    signs = np.array([1, -1, 1, -1, 1, -1])
    out[:, COLUMNS["tilt"]] *= signs
    partner = np.array(MIRROR[1:]) - 1
    six = features[:, COLUMNS["rotations"]].reshape(len(features), -1, 6)
    out[:, COLUMNS["rotations"]] = (six[:, partner] * signs).reshape(len(features), -1)
    three = features[:, COLUMNS["positions"]].reshape(len(features), -1, 3)
    out[:, COLUMNS["positions"]] = (three[:, partner] * [1, -1, 1]).reshape(len(features), -1)
    out[:, COLUMNS["contacts"]] = features[:, COLUMNS["contacts"]][:, [2, 3, 0, 1]]
    return out


@settings(max_examples=30)
@given(motions)
def test_mirrored_motion_has_mirrored_features(motion):
    expected = mirrored_features(from_motion(motion))
    np.testing.assert_allclose(from_motion(motion.mirrored()), expected, atol=1e-9)


def test_mirroring_twice_changes_nothing():
    motion = procedural.make("wave", seconds=1)
    assert_same_motion(motion.mirrored().mirrored(), motion, 1e-12)


def test_units_of_columns():
    """A body that stands, glides at 1 m/s along its left side and turns at 1 rad/s."""
    frames, fps = 31, 30.0
    yaw = 0.7 + np.arange(frames) / fps
    rotations = rot.identity(frames, len(JOINTS))
    rotations[:, 0] = rot.from_axis_angle([0.0, 0.0, 1.0], yaw)
    left = np.stack([-np.sin(yaw), np.cos(yaw), np.zeros(frames)], axis=-1)
    root = np.cumsum(left / fps, axis=0) + [3.0, -2.0, 0.93]
    features = from_motion(Motion(root, rotations, DEFAULT_OFFSETS))
    np.testing.assert_allclose(features[:, COLUMNS["yaw_rate"]], 1.0, atol=1e-9)
    np.testing.assert_allclose(features[:, COLUMNS["velocity"]], [[0.0, 1.0]] * frames, atol=1e-9)
    np.testing.assert_allclose(features[:, COLUMNS["height"]], 0.93)
    upright = [[1, 0, 0, 0, 1, 0]] * frames
    np.testing.assert_allclose(features[:, COLUMNS["tilt"]], upright, atol=1e-12)
    rest = Motion(np.zeros((1, 3)), rot.identity(1, len(JOINTS)), DEFAULT_OFFSETS)
    expected = rest.global_positions()[0, 1:].ravel()
    np.testing.assert_allclose(
        features[:, COLUMNS["positions"]], np.tile(expected, (frames, 1)), atol=1e-9
    )


def test_standing_feet_touch_the_floor_and_jumping_ones_do_not():
    walk = from_motion(procedural.make("walk", seconds=4, seed=1, speed=1.2))
    contacts = walk[:, COLUMNS["contacts"]]
    assert contacts.min() >= 0
    assert contacts.max() <= 1
    share = (contacts > 0.5).mean(axis=0)
    assert (share > 0.2).all()
    assert (share < 0.95).all()
    floating = procedural.make("walk", seconds=1).moved(rot.identity(), np.array([0, 0, 1.0]))
    assert not from_motion(floating)[:, COLUMNS["contacts"]].any()


@settings(max_examples=60)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.just(FEATURES)),
        elements=st.one_of(st.just(0.0), st.floats(-10, 10)),
        fill=st.floats(-2, 2),
    )
)
def test_whatever_a_model_estimates_becomes_a_proper_motion(features):
    motion = to_motion(features, DEFAULT_OFFSETS)
    assert np.isfinite(motion.root_positions).all()
    np.testing.assert_allclose(np.linalg.norm(motion.rotations, axis=-1), 1.0, atol=1e-6)


def test_joints_land_where_positions_say_when_rotations_are_off():
    motion = procedural.make("dance", seconds=2, seed=5)
    features = from_motion(motion)
    rng = np.random.default_rng(0)
    features[:, COLUMNS["rotations"]] += rng.normal(scale=0.05, size=(len(motion), 126))
    again = to_motion(features, motion.offsets, start=Start.of(motion))
    hand = JOINTS.index("LeftHand")
    off = np.linalg.norm((again.global_positions() - motion.global_positions())[:, hand], axis=-1)
    assert off.mean() < 0.03


def test_start_puts_a_motion_where_it_was_told():
    motion = procedural.make("run", seconds=1)
    start = Start(x=4.0, y=-3.0, yaw=2.5)
    placed = to_motion(from_motion(motion), motion.offsets, start=start)
    assert Start.of(placed).x == pytest.approx(4.0)
    assert Start.of(placed).y == pytest.approx(-3.0)
    assert Start.of(placed).yaw == pytest.approx(2.5)


@pytest.mark.parametrize("shape", [(3, FEATURES - 1), (0, FEATURES), (FEATURES,), (2, 3, FEATURES)])
def test_features_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(DataError, match=r"expected \(frames, 203\)"):
        to_motion(np.zeros(shape), DEFAULT_OFFSETS)


def test_features_that_are_not_finite_are_refused_by_place():
    features = from_motion(procedural.make("walk", seconds=1))
    features[7, 11] = np.nan
    with pytest.raises(DataError, match="frame 7, column 11 is not finite"):
        to_motion(features, DEFAULT_OFFSETS)


def test_a_skeleton_of_a_wrong_shape_is_refused():
    features = from_motion(procedural.make("walk", seconds=1))
    with pytest.raises(DataError, match=r"offsets: expected \(22, 3\), got \(21, 3\)"):
        to_motion(features, DEFAULT_OFFSETS[1:])


def test_motions_without_frames_or_of_another_rate_are_refused():
    walk = procedural.make("walk", seconds=1)
    with pytest.raises(DataError, match="no frames"):
        from_motion(walk[:0])
    with pytest.raises(DataError, match="60 frames/s, features need 30"):
        from_motion(replace(walk, fps=60.0))


def test_columns_tile_the_row():
    stops = [0]
    for columns in COLUMNS.values():
        assert columns.start == stops[-1]
        stops.append(columns.stop)
    assert stops[-1] == FEATURES == 203
