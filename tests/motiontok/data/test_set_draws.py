"""Windows of several sets: drawn by shares, the same for all processes, each once when fitting."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bvh import procedural
from motiontok.config import DataConfig, load_config
from motiontok.data import FEATURES, Statistics, WindowSet, from_motion
from motiontok.data.clips import Clips, ClipSet
from motiontok.data.training_data import make_training_data
from motiontok.errors import ConfigError
from motiontok.methods.process_group import ProcessGroup

LENGTH = 4


def plain():
    zero, one = torch.zeros(FEATURES), torch.ones(FEATURES)
    return Statistics(zero, one, zero, one)


def window_set(counts, weights=None, **options):
    """Sets of one clip with so many windows each; the last column tells the set and the start."""
    clips = []
    for number, count in enumerate(counts):
        clip = np.zeros((count + LENGTH - 1, FEATURES))
        clip[:, -1] = 10_000 * number + np.arange(len(clip))
        clips.append(clip)
    weights = weights or [1.0] * len(counts)
    return WindowSet(clips, LENGTH, plain(), sets=[(1, w) for w in weights], **options)


def sets_of(windows):
    return (windows[:, 0, -1] // 10_000).long()


def test_shares_go_with_the_square_root_of_the_windows():
    assert window_set([900, 100]).shares == pytest.approx((0.75, 0.25))
    assert window_set([900, 100], [1.0, 3.0]).shares == pytest.approx((0.5, 0.5))
    assert window_set([50]).shares == (1.0,)


def test_a_batch_has_of_each_set_what_its_share_says():
    windows = window_set([900, 100, 1], [1.0, 2.0, 1.0])
    count = 40_000
    drawn = windows.batch(count, torch.Generator().manual_seed(0))
    found = torch.bincount(sets_of(drawn), minlength=3)
    for number, share in zip(found.tolist(), windows.shares, strict=True):
        assert abs(number - share * count) < 4 * math.sqrt(share * (1 - share) * count)
    # Within a set each start is as likely as any other.
    starts = drawn[sets_of(drawn) == 1][:, 0, -1] - 10_000
    of_start = torch.bincount(starts.long(), minlength=100)
    expected = float(of_start.sum()) / 100
    assert len(of_start) == 100
    assert (of_start - expected).abs().max() < 5 * math.sqrt(expected)


@pytest.mark.parametrize("warp", [1.0, 1.33])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_any_number_of_processes_draws_what_one_does(warp, size):
    windows = window_set([200, 30], [1.0, 2.0], warp=warp)
    whole, ahead = torch.Generator().manual_seed(5), None
    expected = [windows.batch(12, whole) for _ in range(3)]
    for rank in range(size):
        generator = torch.Generator().manual_seed(5)
        rows = ProcessGroup(rank, size).rows(12)
        for batch in expected:
            torch.testing.assert_close(windows.batch(12, generator, rows), batch[rows])
        ahead = generator.get_state()
    assert torch.equal(ahead, whole.get_state())


def test_draws_go_on_from_where_a_generator_was():
    windows = window_set([200, 30], warp=1.33)
    generator = torch.Generator().manual_seed(1)
    windows.batch(8, generator)
    state = generator.get_state()
    expected = windows.batch(8, generator)
    again = torch.Generator()
    again.set_state(state)
    assert torch.equal(windows.batch(8, again), expected)
    other = windows.batch(8, torch.Generator().manual_seed(2))
    assert not torch.equal(other, expected)


@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0.2, 5.0)), min_size=1, max_size=4),
    st.integers(0, 2**31),
)
def test_fitting_sees_each_window_once_and_sets_by_their_shares_while_they_last(sets, seed):
    counts, weights = zip(*sets, strict=True)
    windows = window_set(counts, list(weights))
    give = windows.once(torch.Generator().manual_seed(seed))
    drawn = torch.cat([give(7) for _ in range(0, sum(counts), 7)])
    assert len(give(1)) == 0
    expected = [10_000 * n + i for n, count in enumerate(counts) for i in range(count)]
    assert sorted(drawn[:, 0, -1].long().tolist()) == expected
    given_of = torch.nn.functional.one_hot(sets_of(drawn), len(counts)).cumsum(dim=0)
    shares = torch.tensor(windows.shares)
    lasting = (given_of < torch.tensor(counts)).all(dim=1)
    due = torch.arange(1, len(drawn) + 1)[:, None] * shares
    assert ((given_of - due).abs() <= len(counts)).all(dim=1)[lasting].all()


def test_fitting_sees_windows_as_they_are():
    one, warped = window_set([40]), window_set([40], warp=1.33)
    for windows in (one, warped):
        seen = windows.once(torch.Generator().manual_seed(0))(40)[..., -1]
        assert (seen.diff(dim=1) == 1).all()


def test_half_of_a_batch_is_warped_and_the_rest_is_as_it_is():
    drawn = window_set([400], warp=1.33).batch(64, torch.Generator().manual_seed(0))[..., -1]
    real = (drawn.diff(dim=1) - 1).abs().max(dim=1).values < 1e-4
    assert real.sum() == 32
    speeds = drawn[~real].diff(dim=1).mean(dim=1)
    assert 0.74 < speeds.min() < 0.9 < 1.1 < speeds.max() < 1.34


def test_statistics_count_sets_by_their_shares():
    """As if windows were repeated until each set has its share."""
    walk, dance = (procedural.make(kind, seconds=4, seed=1) for kind in ("walk", "dance"))
    raw = torch.tensor(np.stack([from_motion(m)[:96] for m in (walk, dance)]), dtype=torch.float32)
    found = Statistics.fit(raw, torch.tensor([1.0, 3.0]))
    expected = Statistics.fit(raw[[0, 1, 1, 1]])
    for key, value in expected.state().items():
        torch.testing.assert_close(found.state()[key], value, msg=key)
    assert not torch.allclose(found.mean, Statistics.fit(raw).mean, atol=1e-3)


def test_the_statistics_of_a_run_are_of_its_draws():
    """Standardised draws have mean 0 by the shares, not by the sizes of the sets."""
    walks = [procedural.make("walk", seconds=8, seed=s) for s in range(6)]
    dance = [procedural.make("dance", seconds=8, seed=9)]
    sets = ClipSet("walks", walks, walks[:1]), ClipSet("dance", dance, (), weight=4.0)
    ready = make_training_data(Clips(sets, ""), DataConfig(mirror=False))
    assert ready.windows.shares[1] > 0.6
    mean = ready.batch(4000, torch.Generator().manual_seed(0)).mean(dim=(0, 1))
    # Positions and rotations; the root's path depends on where windows begin.
    assert mean[4:199].abs().mean() < 0.05


def test_a_set_without_training_clips_is_measured_on_and_never_drawn():
    walks = [procedural.make("walk", seconds=2, seed=s) for s in range(3)]
    sets = ClipSet("a", walks[:1], ()), ClipSet("b", (), walks[1:])
    ready = make_training_data(Clips(sets, ""), DataConfig())
    assert ready.windows.shares == (1.0, 0.0)
    assert len(ready.batch(50, torch.Generator().manual_seed(0))) == 50
    assert len(ready.validation) == 2


@pytest.mark.parametrize("factor", ["0.9", "2.5", "nan", "-1"])
def test_a_warp_that_is_none_is_refused(factor):
    with pytest.raises(ConfigError, match=r"data\.warp must be 1 \(no warps\) to 2"):
        load_config("demo", [f"data.warp={factor}"])
