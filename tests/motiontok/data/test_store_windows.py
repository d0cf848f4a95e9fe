"""Windows of a store: those that memory would give, drawn, shuffled and resumed."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import procedural
from motiontok.config import DataConfig
from motiontok.data import COLUMNS, FEATURES, Statistics
from motiontok.data.clips import load_clips
from motiontok.data.statistics import Moments
from motiontok.data.store import sampling
from motiontok.data.store.order import Permutation, Turns
from motiontok.data.store.places import Place
from motiontok.data.store.reading import Store
from motiontok.data.store.shelf import Shelf
from motiontok.data.store.windows import StoredWindows
from motiontok.data.store.writing import make_entry, pack_clips, writing_to
from motiontok.data.time_warp import warped
from motiontok.data.training_data import make_training_data, windows_to_measure

LENGTH = 8
CONFIG = DataConfig(dataset="general", window=LENGTH, holdout=3)
TOLERANCE = 0.02  # contacts are steep: they fall from 1 to 0 within 0.4 m/s


def shelved(store):
    shelf = Shelf([clips.motions for _, clips in store.datasets()])
    return shelf, [(numbers, 1.0) for numbers in shelf.numbers]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two sets of clips, one shorter than a window, of several bodies; and their store."""
    top = tmp_path_factory.mktemp("sets")
    for name, kind, count in (("walks", "walk", 7), ("dances", "dance", 4)):
        for seed in range(count):
            clip = procedural.make(kind, seconds=1 + seed % 3, seed=seed)
            clip = clip[:5] if (name, seed) == ("dances", 1) else clip
            clip = replace(clip, source=replace(clip.source, name=f"{kind}_{seed}"))
            clip.save(top / name / f"{kind}_{seed}.npz")
    pack_clips([top / "walks", top / "dances"], top / "store")
    return [top / "walks", top / "dances"], top / "store"


@pytest.fixture(scope="module")
def both(folders):
    """The same training data, of the store and in memory."""
    paths, store = folders
    return [
        make_training_data(load_clips(CONFIG, given, seed=0), CONFIG) for given in ([store], paths)
    ]


def test_a_store_has_the_windows_that_memory_has(both):
    stored, kept = both
    assert len(stored) == len(kept) > 500
    assert stored.windows.shares == kept.windows.shares
    torch.testing.assert_close(stored.validation, kept.validation, atol=TOLERANCE, rtol=0)
    for name in ("mean", "scale", "low"):
        mine, other = (getattr(of.statistics, name) for of in both)
        torch.testing.assert_close(mine, other, atol=TOLERANCE, rtol=0)
    stored.windows.statistics = kept.statistics
    for stretch in (1, 3):
        disk, memory = (of.stretched(stretch).windows for of in both)
        disk.statistics = kept.statistics
        for number, (first, count, *_) in enumerate(memory._sets):
            which = np.arange(count)
            mine = disk._found(disk._at(number, which))
            other = memory._gather(memory.starts[first + torch.from_numpy(which)])
            torch.testing.assert_close(mine, other, atol=TOLERANCE, rtol=0)


def test_a_store_and_its_folders_are_other_data_to_a_run(both):
    assert both[0].fingerprint != both[1].fingerprint


@pytest.mark.parametrize("settings", [{}, {"warp": 1.4}, {"mix": 0.5}])
def test_a_run_goes_on_in_the_middle_and_processes_draw_the_same(folders, settings):
    def batches(first, last, rows=slice(None)):
        config = replace(CONFIG, **settings)
        data = make_training_data(load_clips(config, [folders[1]], seed=0), config, seed=3)
        data.seek(first * 16)
        return [data.batch(16, seeded(), rows) for _ in range(first, last)]

    whole = batches(0, 9)
    for a, b in zip(batches(6, 9), whole[6:], strict=True):
        assert torch.equal(a, b)
    for a, b in zip(batches(0, 3, slice(5, 11)), whole, strict=False):
        torch.testing.assert_close(a, b[5:11], atol=1e-5, rtol=0)
    assert not torch.equal(whole[0], whole[1])


def test_windows_of_one_clip_come_together_by_chance_alone(both):
    windows = both[0].windows
    places = windows.places(40_000, 0)
    expected = 0.0
    for share, count, clips in zip(windows.shares, windows._counts, windows._clips, strict=True):
        frames = windows._reader.shelf.frames[clips]
        of_clip = 2 * (np.maximum(frames - LENGTH, 0) + 1) / count
        expected += share**2 * float((of_clip**2).sum())
    together = float((places.clips[1:] == places.clips[:-1]).mean())
    assert abs(together - expected) < 5 * math.sqrt(expected / 40_000)
    # All of the windows come, mirror images as often as the others.
    assert len(set(zip(places.clips, places.starts, places.mirrored, strict=True))) == len(windows)
    assert abs(places.mirrored.mean() - 0.5) < 0.02


def test_weights_draw_a_set_more_often(folders):
    config = replace(CONFIG, weights={"dances": 3.0})
    data = make_training_data(load_clips(config, [folders[1]], seed=0), config)
    names = np.array([e.set for e in Store(folders[1]).entries])
    drawn = names[data.windows.places(20_000, 0).clips] == "dances"
    assert abs(drawn.mean() - data.windows.shares[1]) < 0.02
    plain = make_training_data(load_clips(CONFIG, [folders[1]], seed=0), CONFIG)
    assert data.windows.shares[1] > 1.5 * plain.windows.shares[1]


def test_what_is_fitted_sees_each_window_once_and_sets_by_their_shares(both):
    windows = both[0].windows
    total = len(windows)
    give = windows.once(seeded(5))
    parts = [give(100) for _ in range(total // 100 + 2)]
    assert len(parts[-1]) == 0
    drawn = torch.cat(parts)
    assert len(drawn) == total
    memory = both[1].windows
    expected = memory._gather(memory.starts)
    # Sums tell windows apart well enough to see that none is missing and none twice.
    torch.testing.assert_close(
        drawn.flatten(1).sum(1).sort().values,
        expected.flatten(1).sum(1).sort().values,
        atol=0.5,
        rtol=0,
    )
    again = windows.once(seeded(5))(100)
    assert torch.equal(again, parts[0])
    assert not torch.equal(windows.once(seeded(6))(100), parts[0])


@given(st.integers(1, 3_000), st.integers(0, 2**32 - 1))
def test_an_order_has_every_number_once(count, seed):
    order = Permutation(count, seed)
    assert sorted(order[np.arange(count)].tolist()) == list(range(count))


def test_an_order_is_no_plain_one():
    order = Permutation(10_000, 1)[np.arange(10_000)]
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.05
    assert (np.abs(np.diff(order)) < 10).mean() < 0.01


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=4).filter(sum),
    st.integers(1, 25),
    st.randoms(use_true_random=False),
)
def test_turns_are_those_of_sorting_them_all(counts, size, random):
    weights = [random.uniform(0.1, 1.0) * (count > 0) for count in counts]
    shares = [weight / sum(weights) for weight in weights]
    turns, order = Turns(counts, shares), []
    while len(order) < sum(counts):
        here = {}
        for of, which, at in turns.take(size):
            here |= {int(p): (of, int(n)) for n, p in zip(which, at, strict=True)}
        assert sorted(here) == list(range(min(size, sum(counts) - len(order))))
        order += [here[place] for place in sorted(here)]
    assert not sum(len(at) for _, _, at in turns.take(size))
    due = [
        ((n + 0.5) / share, of, n)
        for of, (count, share) in enumerate(zip(counts, shares, strict=True))
        for n in range(count)
    ]
    assert order == [(of, n) for _, of, n in sorted(due)]


def test_warped_windows_are_those_of_whole_clips(folders):
    store = Store(folders[1])
    shelf, sets = shelved(store)
    zero, one = torch.zeros(FEATURES), torch.ones(FEATURES)
    windows = StoredWindows(
        shelf, sets, LENGTH, Statistics(zero, one, zero, one), mirror=True, warp=1.5, seed=1
    )
    read = windows._read(0, 64, 0, 64)
    place = read.place.take(read.second)
    found = windows._warped(place, read.segments)
    reader = windows._reader
    for row, (clip, start, mirrored) in enumerate(
        zip(place.clips, place.starts, place.mirrored, strict=True)
    ):
        frames = int(store.frames[clip])
        at = Place(np.array([clip]), np.array([0]), np.array([mirrored]))
        whole = reader.features(at, reader.read(at, frames))[0]
        ends = (torch.tensor([value]) for value in (int(start), 0, frames - 1))
        expected = warped(whole, *ends, read.segments.speeds[row : row + 1], LENGTH)
        torch.testing.assert_close(found[row : row + 1], expected, atol=1e-4, rtol=0)


def test_statistics_of_parts_are_those_of_the_whole():
    random = np.random.default_rng(0)
    windows = torch.from_numpy(random.normal(5.0, 2.0, (50, 4, FEATURES)))
    weights = torch.from_numpy(random.uniform(0.1, 1.0, 50))
    moments = Moments()
    for part in (slice(0, 7), slice(7, 8), slice(8, 50)):
        moments.add(windows[part], weights[part])
    found = moments.statistics()
    share = (weights / weights.sum() / 4)[:, None, None]
    mean = (share * windows).sum((0, 1))
    deviation = (share * (windows - mean) ** 2).sum((0, 1)).sqrt()
    torch.testing.assert_close(found.mean.double(), mean, atol=1e-6, rtol=0)
    spread = deviation[COLUMNS["positions"]].square().mean().sqrt()
    assert float(found.scale[COLUMNS["positions"].start]) == pytest.approx(float(spread), rel=1e-6)
    torch.testing.assert_close(found.low.double(), windows.amin((0, 1)), atol=1e-6, rtol=0)


def test_of_a_large_store_statistics_and_held_out_windows_are_a_sample(folders, monkeypatch):
    whole = make_training_data(load_clips(CONFIG, [folders[1]], seed=0), CONFIG)
    monkeypatch.setattr(sampling, "_SAMPLE", 60)
    some = make_training_data(load_clips(CONFIG, [folders[1]], seed=0), CONFIG, most_held_out=5)
    assert len(some.validation) == 5 < len(whole.validation)
    ratio = some.statistics.scale / whole.statistics.scale
    assert float((ratio - 1.0).abs().max()) < 0.2
    assert not torch.equal(some.statistics.mean, whole.statistics.mean)


def test_memory_does_not_grow_with_the_store(tmp_path):
    """Ten times the frames: what is held is the same but for what is known of clips."""
    motion = procedural.make("walk", seconds=20, seed=0)
    used = []
    for copies in (4, 40):
        out = tmp_path / str(copies)
        with writing_to(out, ["walks"]) as add:
            for number in range(copies):
                add(make_entry("walks", f"{number}.npz", motion, str(number)))
        store = Store(out)
        zero, one = torch.zeros(FEATURES), torch.ones(FEATURES)
        tracemalloc.start()
        windows = StoredWindows(
            *shelved(store),
            LENGTH,
            Statistics(zero, one, zero, one),
        )
        for _ in range(3):
            windows.batch(8, seeded())
        windows.once(seeded())(8)
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert used[1] < 1.5 * used[0] + 100_000


@pytest.mark.parametrize("stored", [(0, 1), (0,), (1,)])
def test_several_stores_and_folders_have_the_windows_of_their_folders(
    folders, both, tmp_path, stored
):
    """Each set in a store of its own, or one of them in a folder beside the other's."""
    paths = list(folders[0])
    for number in stored:
        pack_clips([paths[number]], tmp_path / str(number))
        paths[number] = tmp_path / str(number)
    config = replace(CONFIG, weights={"dances": 3.0})
    clips = load_clips(config, paths, seed=0)
    mixed = make_training_data(clips, config)
    memory = make_training_data(load_clips(config, folders[0], seed=0), config)
    assert [of.name for of in clips.sets] == ["walks", "dances"]
    assert mixed.windows.shares == memory.windows.shares != both[1].windows.shares
    torch.testing.assert_close(mixed.validation, memory.validation, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(
        mixed.statistics.scale, memory.statistics.scale, atol=TOLERANCE, rtol=0
    )
    disk, kept = mixed.windows, memory.windows
    disk.statistics = memory.statistics
    for number, (first, count, *_) in enumerate(kept._sets):
        found = disk._found(disk._at(number, np.arange(count)))
        expected = kept._gather(kept.starts[first : first + count])
        torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
    measured = windows_to_measure(clips, LENGTH, memory.statistics)
    torch.testing.assert_close(measured, memory.validation, atol=TOLERANCE, rtol=0)


def test_sets_of_one_name_are_told_apart_by_their_stores(folders, tmp_path):
    hops = tmp_path / "dances"
    for seed in range(4):
        procedural.make("hop", seconds=1, seed=seed).save(hops / f"{seed}.npz")
    pack_clips([hops], tmp_path / "other")
    clips = load_clips(CONFIG, [folders[1], tmp_path / "other"], seed=0)
    assert [of.name for of in clips.sets] == ["walks", "store/dances", "other/dances"]
