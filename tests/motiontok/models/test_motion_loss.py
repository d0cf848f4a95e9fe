"""The error that temporal autoencoders are trained on, against motion put on its feet."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bvh import procedural
from bvh.skeleton import FEET
from motiontok.data import COLUMNS, REFERENCE, Statistics, accumulate, from_motion
from motiontok.models.motion_loss import POWER, MotionLoss

WINDOW = 32


@pytest.fixture(scope="module")
def ready():
    motion = procedural.make("dance", seconds=9.0, seed=3).on_bones(REFERENCE)[: 8 * WINDOW]
    raw = torch.tensor(from_motion(motion), dtype=torch.float32).unflatten(0, (-1, WINDOW))
    statistics = Statistics.fit(accumulate(raw))
    error = MotionLoss(statistics)
    windows = statistics.standardize(accumulate(raw))[None]
    error.centre(windows)
    return motion, error, windows


def test_frames_are_free_of_where_windows_begin_and_lead_back(ready):
    _, error, windows = ready
    frames = error.frames(windows)
    assert frames.shape == (1, 8 * WINDOW, 203)
    assert frames.mean(dim=(0, 1))[:3].abs().max() < 1e-4
    again = error.windows(frames, windows.shape)
    torch.testing.assert_close(again, windows, atol=2e-4, rtol=1e-4)
    # Windows cut elsewhere are the same frames.
    halves = error.frames(error.windows(frames, (1, 16, WINDOW // 2, 203)))
    torch.testing.assert_close(halves, frames, atol=2e-4, rtol=1e-4)


def test_the_error_is_zero_of_the_same_and_that_of_positions_is_in_metres(ready):
    _, error, windows = ready
    frames = error.frames(windows)
    assert float(error.by_frame(frames, frames).max()) == 0.0
    off = frames.clone()
    # A centimetre everywhere: nothing moves differently.
    off[..., COLUMNS["positions"]] += 0.01 / error.raw[COLUMNS["positions"].start]
    metre = error.raw[COLUMNS["positions"].start]
    expected = torch.full((1, 8 * WINDOW), float((0.01 / metre) ** 2))
    # Farther out, a turn moves feet by a little more.
    torch.testing.assert_close(error.by_frame(off, frames), expected, atol=1e-5, rtol=2e-2)
    by_window = error(off, frames, length=WINDOW)
    assert by_window.shape == (1, 8)
    torch.testing.assert_close(
        by_window, (expected[:, ::WINDOW] + 1e-4) ** POWER, atol=1e-5, rtol=2e-2
    )


def test_an_error_of_the_path_counts_until_the_end_and_one_of_a_pose_once(ready):
    _, error, windows = ready
    frames = error.frames(windows)
    for column, ends in (("velocity", False), ("rotations", True)):
        off = frames.clone()
        off[0, 10, COLUMNS[column].start] += 1.0
        counts = error.by_frame(off, frames)[0]
        assert not counts[:10].any()
        assert bool(counts[20:].any()) is not ends


def test_steps_of_feet_are_those_on_the_floor(ready):
    motion, error, windows = ready
    steps = error._steps(error.frames(windows))[0] * float(error.raw[COLUMNS["positions"].start])
    moved = np.diff(motion.global_positions()[:, list(FEET)], axis=0)
    found = steps.norm(dim=-1).numpy()
    # Turns within a frame are taken for small.
    np.testing.assert_allclose(found, np.linalg.norm(moved, axis=-1), atol=2e-3)


def test_responses_are_what_the_error_squares_but_for_feet(ready):
    _, error, windows = ready
    frames = error.frames(windows)
    generator = torch.Generator().manual_seed(0)
    off = torch.zeros_like(frames)
    off[..., COLUMNS["rotations"]] = torch.randn(
        off[..., COLUMNS["rotations"]].shape, generator=generator
    )
    whole = error.responses(off).square().sum()
    torch.testing.assert_close(
        whole, error.by_frame(frames + off, frames).sum(), rtol=1e-3, atol=1e-3
    )
