"""Distance to the nearest window trained on, against all distances worked out one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bvh import procedural
from motiontok.data import COLUMNS, Statistics, WindowSet, accumulate, from_motion, split_windows
from motiontok.evaluate.nearest import nearest_training_mm, pose_windows

LENGTH = 16


def windows_of(motions):
    features = [from_motion(m) for m in motions]
    cut = np.concatenate([split_windows(f, LENGTH) for f in features])
    statistics = Statistics.fit(accumulate(torch.tensor(cut, dtype=torch.float32)))
    return WindowSet(features, LENGTH, statistics)


@pytest.fixture(scope="module")
def walks():
    return [procedural.make("walk", seconds=3, seed=seed) for seed in (1, 2)]


def test_a_window_that_was_trained_on_is_no_distance_away(walks):
    tests = pose_windows([walks[1][5 : 5 + 2 * LENGTH]], LENGTH, most=100)
    assert nearest_training_mm(windows_of(walks), tests).tolist() == pytest.approx([0, 0], abs=1e-3)


def test_it_is_the_least_mean_distance_of_joints(walks):
    training = windows_of(walks)
    tests = pose_windows([procedural.make("run", seconds=3, seed=9)], LENGTH, most=100)
    steps = torch.arange(LENGTH)
    every = training.frames[training.starts[:, None] + steps][..., COLUMNS["positions"]]
    every = every.unflatten(-1, (-1, 3))
    distances = torch.stack([(every - t).norm(dim=-1).mean(dim=(-1, -2)) for t in tests])
    found = nearest_training_mm(training, tests)
    least = 1000 * distances.amin(dim=1)
    assert (found > 20).all()
    assert (found >= least - 1e-2).all()
    # Candidates are found by a few frames, so a neighbour in time may be nearer by a little.
    assert found.numpy() == pytest.approx(least.numpy(), rel=0.02)


def test_a_body_of_another_size_is_as_near(walks):
    """Distances are on the reference body: only the motion counts."""
    training = windows_of(walks)
    small = walks[0].on_bones(0.7 * walks[0].offsets)
    tests = pose_windows([small], LENGTH, most=5)
    assert float(nearest_training_mm(training, tests).max()) < 5.0


def test_few_windows_are_spread_over_all_clips(walks):
    every = pose_windows(walks, LENGTH, most=1000)
    few = pose_windows(walks, LENGTH, most=2)
    assert len(every) == 2 * (90 // LENGTH)
    assert torch.equal(few, every[[0, -1]])
