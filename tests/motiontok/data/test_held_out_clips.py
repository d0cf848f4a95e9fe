"""Which clips are held out of training."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bvh import procedural
from motiontok.config import load_config
from motiontok.data.clips import load_clips
from motiontok.errors import DataError


@pytest.fixture
def clip_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "clips"
    folder.mkdir()

    def write(*names):
        for seed, name in enumerate(names):
            procedural.make("walk", seconds=1, seed=seed).save(folder / f"{name}.npz")
        return folder

    return write


def data_config(dataset, **options):
    return replace(load_config("demo").data, dataset=dataset, **options)


def test_every_so_manieth_clip_is_held_out(clip_folder):
    folder = clip_folder(*(f"clip{i}" for i in range(6)))
    (folder / "broken.bvh").write_text("hello")
    found = load_clips(data_config("folder", holdout=3), [folder], seed=0)
    assert [m.source.name for m in found.held_out] == ["walk_00000", "walk_00003"]
    assert len(found.training) == 4
    ((name, reason),) = found.skipped
    assert name == "broken.bvh"
    assert reason


def test_lafan_holds_out_the_clips_of_the_paper_where_they_are(clip_folder):
    held = ["dance2_subject2", "fight1_subject2", "run2_subject1", "walk2_subject4"]
    folder = clip_folder(*held, "walk1_subject1", "walk1_subject5")
    found = load_clips(data_config("lafan"), [folder], seed=0)
    assert len(found.held_out) == 4
    assert len(found.training) == 2
    assert "CC BY-NC-ND" in found.licence


def test_a_single_clip_cannot_be_trained_and_tested_on(clip_folder):
    with pytest.raises(DataError, match="leaves 0 to train on"):
        load_clips(data_config("folder"), [clip_folder("alone")], seed=0)


def test_whole_actions_are_held_out(clip_folder):
    folder = clip_folder(
        "dataset-1_run_normal_001", "dataset-1_bow_normal_001", "dataset-1_run_old_002"
    )
    found = load_clips(data_config("folder", holdout_actions="run, "), [folder], seed=0)
    assert (len(found.training), len(found.held_out)) == (1, 2)
    with pytest.raises(DataError, match="kick"):
        load_clips(data_config("folder", holdout_actions="run,kick"), [folder], seed=0)
