"""Windows: every frame covered, none across clips, each start equally likely."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bvh import procedural
from motiontok.config import DataConfig
from motiontok.data import (
    COLUMNS,
    FEATURES,
    Statistics,
    WindowSet,
    accumulate,
    differentiate,
    from_motion,
    split_windows,
)
from motiontok.data.clips import Clips, ClipSet, load_clips
from motiontok.data.training_data import make_training_data
from motiontok.errors import DataError
from motiontok.training.data import Drawing


def rows(frames: int, columns: int = 5, first: float = 0.0) -> np.ndarray:
    """Rows that tell their clip and frame."""
    return first + np.arange(frames)[:, None] + np.zeros(columns)


@given(st.integers(1, 100), st.integers(1, 40))
def test_splitting_covers_every_frame_and_holds_the_last(frames, length):
    features = rows(frames, first=1.0)
    windows = split_windows(features, length)
    assert windows.shape[1:] == (length, 5)
    assert (len(windows) - 1) * length < frames <= len(windows) * length
    flat = windows.reshape(-1, 5)
    np.testing.assert_array_equal(flat[:frames], features)
    # Held still: the pose stays, the root's velocities are zero.
    assert (flat[frames:, 3:] == features[-1, 3:]).all()
    assert not flat[frames:, :3].any()


def test_splitting_leaves_its_input_alone():
    features = rows(10)
    kept = features.copy()
    split_windows(features, 16)[:] = -1
    np.testing.assert_array_equal(features, kept)


def plain_statistics() -> Statistics:
    """Statistics that change nothing."""
    zero, one = torch.zeros(FEATURES), torch.ones(FEATURES)
    return Statistics(zero, one, zero, one)


def window_set(*lengths: int, length: int) -> WindowSet:
    clips = [rows(n, FEATURES, first=1000.0 * i) for i, n in enumerate(lengths)]
    return WindowSet(clips, length, plain_statistics())


def test_windows_stay_within_their_clip_and_all_starts_count():
    windows = window_set(10, 7, 4, length=4)
    assert len(windows) == 7 + 4 + 1
    drawn = windows.batch(2000, torch.Generator().manual_seed(0))[..., -1]
    assert (drawn.diff(dim=1) == 1).all()
    starts, counts = drawn[:, 0].unique(return_counts=True)
    expected = [*range(7), *range(1000, 1004), 2000]
    assert starts.tolist() == expected
    # 2000 draws of 12 equally likely: mean 167, standard deviation 12.
    assert counts.min() > 110
    assert counts.max() < 230


def test_stretches_are_consecutive_windows_and_short_clips_are_held():
    windows = window_set(13, 5, length=4)
    pairs = windows.stretched(2)
    assert len(pairs) == 13 - 8 + 1 + 1
    generator = torch.Generator().manual_seed(0)
    drawn = pairs.batch(500, generator)
    assert drawn.shape == (500, 2, 4, FEATURES)
    frames = drawn[..., -1].flatten(1)
    starts = frames[:, 0].unique().tolist()
    assert starts == [*range(6), 1000]
    long, short = frames[frames[:, 0] < 1000], frames[frames[:, 0] == 1000]
    assert (long.diff(dim=1) == 1).all()
    assert (short == torch.tensor([1000.0, 1001, 1002, 1003, 1004, 1004, 1004, 1004])).all()
    # Each window is summed up on its own, and what is held stands still.
    held = drawn[frames[:, 0] == 1000][0, :, :, 0] * 30
    torch.testing.assert_close(held[1], torch.full((4,), float(windows.frames[-1, 0])))
    alone = windows.enumerated()[:2]
    both = drawn[(frames[:, 0] == 0).nonzero()[0, 0]]
    assert torch.equal(both, alone)
    # The windows themselves are as they were, and each stretch comes once.
    assert windows.batch(3, generator).shape == (3, 4, FEATURES)
    assert len(pairs.once(generator)(100)) == len(pairs)
    assert torch.equal(pairs.enumerated(), windows.enumerated())


def test_one_seed_draws_one_batch():
    windows = window_set(50, length=8)
    draws = [windows.batch(16, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("part", [1, 5, 100])
def test_what_is_fitted_to_is_drawn_once_before_it_comes_again(part):
    windows = window_set(10, 7, 4, length=4)

    class Set:
        validation = windows.enumerated()

        def once(self, generator):
            return windows.once(generator)

    draw = Drawing(Set(), torch.Generator().manual_seed(0))
    expected = [*range(7), *range(1000, 1004), 2000]
    orders = []
    for _ in range(2):
        drawn = []
        while len(drawn) < len(expected):
            found = draw(part)[:, 0, -1]
            assert len(found) == min(part, len(expected) - len(drawn))
            drawn += found.tolist()
        assert sorted(drawn) == expected
        orders.append(drawn)
    assert orders[0] != orders[1]


def test_enumerated_windows_do_not_overlap():
    frames = window_set(13, 8, length=4).enumerated()[..., -1]
    assert frames[:, 0].tolist() == [0, 4, 8, 1000, 1004]
    assert len(frames.flatten().unique()) == frames.numel()


def test_no_clips_are_refused():
    with pytest.raises(DataError, match="no clips"):
        WindowSet([], 4, plain_statistics())


def test_windows_are_blind_to_what_came_before_them():
    """The path is counted from the window's own start, so equal frames give equal windows."""
    features = from_motion(procedural.make("run", seconds=3, seed=1))
    whole, cut = (
        WindowSet([part], 16, plain_statistics()).enumerated() for part in (features, features[32:])
    )
    assert torch.equal(whole[2:], cut)


@given(st.integers(0, 2**31), st.integers(1, 40))
def test_differentiating_undoes_accumulating(seed, frames):
    generator = torch.Generator().manual_seed(seed)
    windows = torch.randn(3, frames, FEATURES, generator=generator)
    torch.testing.assert_close(differentiate(accumulate(windows)), windows, atol=1e-4, rtol=1e-4)


def test_accumulated_velocities_are_metres_and_radians():
    """One second of turning at 1 rad/s and walking at 2 m/s forward, 0.5 m/s left."""
    windows = torch.zeros(1, 30, FEATURES)
    windows[..., COLUMNS["yaw_rate"]] = 1.0
    windows[..., COLUMNS["velocity"]] = torch.tensor([2.0, 0.5])
    last = accumulate(windows)[0, -1]
    torch.testing.assert_close(last[:3], torch.tensor([1.0, 2.0, 0.5]))
    assert not accumulate(windows)[..., 3:].any()


def test_a_clip_shorter_than_a_window_is_trained_on_standing_still():
    """As the tokenizer will see it: held on its last frame, without velocity."""
    walk = procedural.make("walk", seconds=2)
    given_clips = Clips((ClipSet("walk", [walk[:20]], [walk[20:]]),), "")
    ready = make_training_data(given_clips, DataConfig(mirror=False))
    assert len(ready.windows) == 1
    raw = differentiate(ready.statistics.restore(ready.windows.enumerated()[0]))
    expected = split_windows(from_motion(walk[:20]), 32)[0]
    np.testing.assert_allclose(raw.numpy(), expected, atol=1e-4)


def test_mirror_images_double_the_windows_but_not_the_held_out():
    made = load_clips(DataConfig(clips=2, seconds=2.0), [], seed=0)
    plain = make_training_data(made, DataConfig(mirror=False))
    both = make_training_data(made, DataConfig(mirror=True))
    assert len(both.windows) == 2 * len(plain.windows)
    assert len(both.validation) == len(plain.validation) == 1


def test_statistics_standardise_and_restore():
    features = [from_motion(procedural.make(kind, seconds=2)) for kind in ("walk", "wave")]
    raw = accumulate(torch.tensor(np.stack(features), dtype=torch.float32))
    statistics = Statistics.fit(raw)
    standard = statistics.standardize(raw)
    assert standard.mean(dim=(0, 1)).abs().max() < 1e-3
    torch.testing.assert_close(statistics.restore(standard), raw, atol=1e-5, rtol=1e-5)
    unit = statistics.to_unit(standard)
    assert unit.min() >= 0
    assert unit.max() <= 1
    assert torch.isfinite(unit).all()


def test_an_error_of_a_millimetre_weighs_the_same_at_every_joint():
    features = torch.tensor(from_motion(procedural.make("dance", seconds=4)), dtype=torch.float32)
    scale = Statistics.fit(features[None]).scale[COLUMNS["positions"]]
    assert (scale == scale[0]).all()


def test_statistics_survive_columns_that_never_change():
    rest = np.repeat(from_motion(procedural.make("walk", seconds=1))[:1], 40, axis=0)
    raw = torch.tensor(rest, dtype=torch.float32)
    statistics = Statistics.fit(raw[None])
    standard = statistics.standardize(raw)
    assert torch.isfinite(standard).all()
    assert not statistics.to_unit(standard).isnan().any()


def test_procedural_clips_take_no_path(tmp_path):
    with pytest.raises(DataError, match="made, not read"):
        load_clips(DataConfig(), [tmp_path], seed=0)


def test_held_out_procedural_clips_are_not_trained_on():
    made = load_clips(DataConfig(clips=3, seconds=1.0), [], seed=0)
    assert len(made.training) == 3
    assert len(made.held_out) > 0
    for held in made.held_out:
        assert all(
            not np.allclose(held.rotations, motion.rotations, atol=1e-3) for motion in made.training
        )


def test_an_unknown_data_set_lists_the_known_ones():
    with pytest.raises(DataError, match=r"no data set 'cmu'; choose from lafan, bandai"):
        load_clips(DataConfig(dataset="cmu"), [], seed=0)
