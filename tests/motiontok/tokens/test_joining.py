"""Windows joined after decoding: seams and standing feet."""

from __future__ import annotations

import numpy as np
import pytest

from bvh import procedural
from bvh.rotations import Array
from bvh.skeleton import FEET
from motiontok.data import COLUMNS, blend_seams, from_motion, lock_feet
from motiontok.evaluate.motion import foot_skate


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


def _shaken() -> tuple[Array, Array, Array, Array]:
    """A walk whose root trembles, as decoded roots do: truth, contacts, before, after."""
    motion = procedural.make("walk", seconds=6, seed=3)
    contacts = from_motion(motion)[:, COLUMNS["contacts"]]
    rng = np.random.default_rng(1)
    tremble = np.zeros((len(motion), 3))
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


def test_planting_moves_the_root_on_the_floor_only() -> None:
    """The pose and the height are untouched."""
    _, _, before, after = _shaken()
    shift = after - before
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-12)
    np.testing.assert_allclose(shift[..., 2], 0.0, atol=1e-12)


def test_without_contact_nothing_moves() -> None:
    """No standing foot, no reason to move."""
    motion = procedural.make("hop", seconds=3, seed=0)
    planted = lock_feet(motion, np.zeros((len(motion), len(FEET))))
    np.testing.assert_allclose(planted.root_positions, motion.root_positions, atol=1e-12)
    assert len(lock_feet(motion[:1], np.ones((1, 4)))) == 1
