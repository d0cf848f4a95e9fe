"""Windows joined after decoding: seams and standing feet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bvh import procedural
from bvh.rotations import Array, angle_between, from_axis_angle, multiply
from bvh.skeleton import FEET
from motiontok.data import COLUMNS, blend_seams, from_motion, lock_feet, lock_feet_onward
from motiontok.evaluate.motion_metrics import foot_skate


def test_smooth_features_are_left_alone() -> None:
    """A straight line has no jumps at borders."""
    line = np.linspace(0.0, 1.0, 96)[:, None] * np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(blend_seams(line, 32), line, atol=1e-12)


def test_a_step_at_a_border_becomes_a_slope() -> None:
    """The jump shrinks to the size of the steps beside it and its middle stays."""
    step = np.where(np.arange(64) < 32, 0.0, 1.0)[:, None]
    joined = blend_seams(step, 32)[:, 0]
    assert np.diff(joined).max() < 0.35
    assert joined[31] + joined[32] == pytest.approx(1.0)
    np.testing.assert_allclose(joined[[0, 20, 44, 63]], [0, 0, 1, 1])


def test_seams_take_batches() -> None:
    """Leading dimensions are independent."""
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(3, 96, 5))
    np.testing.assert_array_equal(
        blend_seams(batch, 32), np.stack([blend_seams(b, 32) for b in batch])
    )


def test_one_window_has_no_seam() -> None:
    """Nothing to join."""
    window = np.random.default_rng(0).normal(size=(32, 5))
    np.testing.assert_array_equal(blend_seams(window, 32), window)


def _shaken(up: float = 0.0) -> tuple[Array, Array, Array, Array]:
    """A walk whose root trembles, as decoded roots do: truth, contacts, before, after."""
    motion = procedural.make("walk", seconds=6, seed=3)
    contacts = from_motion(motion)[:, COLUMNS["contacts"]]
    rng = np.random.default_rng(1)
    tremble = np.full((len(motion), 3), up)
    tremble[:, :2] = rng.normal(scale=0.005, size=(len(motion), 2))
    shaken = motion.moved(np.array([1.0, 0, 0, 0]), tremble)
    planted = lock_feet(shaken, contacts)
    return (
        motion.global_positions(),
        contacts,
        shaken.global_positions(),
        planted.global_positions(),
    )


def test_planting_takes_out_sliding_and_does_not_drift() -> None:
    """Standing feet slide far less; the path stays where it was decoded."""
    truth, _, before, after = _shaken()
    assert foot_skate(after, truth=truth, fps=30) < 0.4 * foot_skate(before, truth=truth, fps=30)
    assert np.linalg.norm(after[:, 0] - truth[:, 0], axis=-1).max() < 0.03


def test_planting_leaves_the_body_above_the_hips_and_feet_level() -> None:
    """Only the root's place on the floor and the legs change; bones keep their lengths."""
    _, _, before, after = _shaken()
    shift = (after - before)[:, [0, *range(9, 22)]]
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-12)
    np.testing.assert_allclose(shift[..., 2], 0.0, atol=1e-12)
    np.testing.assert_allclose(after[:, FEET, 2], before[:, FEET, 2], atol=2e-3)
    for foot, toe in ((3, 4), (7, 8)):
        np.testing.assert_allclose(
            after[:, toe] - after[:, foot], before[:, toe] - before[:, foot], atol=1e-12
        )


def test_feet_that_slide_apart_are_both_held() -> None:
    """No place of the root holds both; each leg does the rest, and the knee hardly turns."""
    motion = procedural.make("wave", seconds=4, seed=2)
    apart = motion.rotations.copy()
    angle = 0.04 * np.sin(np.linspace(0.0, 30.0, len(motion)))
    for thigh, sign in ((1, 1.0), (5, -1.0)):
        apart[:, thigh] = multiply(
            from_axis_angle(np.array([1.0, 0.0, 0.0]), sign * angle), apart[:, thigh]
        )
    slid = replace(motion, rotations=apart)
    held = lock_feet(slid, np.ones((len(motion), len(FEET))))
    truth = motion.global_positions()
    before = foot_skate(slid.global_positions(), truth=truth, fps=30)
    assert foot_skate(held.global_positions(), truth=truth, fps=30) < 0.4 * before
    assert angle_between(held.rotations, slid.rotations).max() < 0.1


def test_pieces_are_locked_onward_from_where_the_last_one_ended() -> None:
    """Shifts of a piece begin with those that were applied to its first frame."""
    motion = procedural.make("walk", seconds=3, seed=3)
    contacts = from_motion(motion)[:, COLUMNS["contacts"]]
    _, shifts = lock_feet_onward(motion, contacts, None)
    again, same = lock_feet_onward(motion[40:], contacts[40:], shifts[40])
    np.testing.assert_allclose(same, shifts[40:], atol=1e-3)
    np.testing.assert_array_equal(same[0], shifts[40])
    alone, kept = lock_feet_onward(motion[:1], contacts[:1], shifts[40])
    np.testing.assert_array_equal(kept, shifts[40:41])
    assert len(alone) == 1
    assert len(again) == len(motion) - 40


def test_a_contact_counts_for_less_where_the_pose_has_the_foot_in_the_air() -> None:
    """Columns and poses are two witnesses, either of which may err."""
    truth, contacts, before, after = _shaken()
    _, _, above, held = _shaken(up=0.5)
    slides = [foot_skate(p, truth=truth, fps=30) for p in (before, above, held, after)]
    assert slides[0] == pytest.approx(slides[1])
    assert slides[1] > 1.05 * slides[2] > 1.3 * slides[3]
    assert contacts.max() == 1.0


def test_without_contact_nothing_moves() -> None:
    """No standing foot, no reason to move."""
    hop = procedural.make("hop", seconds=3, seed=0)
    motion = hop.moved(np.array([1.0, 0, 0, 0]), np.array([0.0, 0.0, 1.0]))
    planted = lock_feet(motion, np.zeros((len(motion), len(FEET))))
    np.testing.assert_allclose(planted.root_positions, motion.root_positions, atol=1e-12)
    assert len(lock_feet(motion[:1], np.ones((1, 4)))) == 1
    assert len(lock_feet(motion[:0], np.ones((0, 4)))) == 0
