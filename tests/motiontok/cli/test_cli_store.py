"""Training, measuring and encoding from a store, from the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from bvh import procedural
from motiontok.corpus import Corpus
from motiontok.data.store.windows import StoredWindows

SMALL = (
    "data.window=8", "data.holdout=3", "model.codes_per_window=4", "model.vocab_size=8",
    "model.width=8", "model.heads=1", "model.layers=1", "model.decoder_width=8",
    "model.decoder_layers=1", "train.batch_size=8", "train.log_every=1",
    "train.checkpoint_every=3", "train.evaluate_every=100", "train.time_budget=0.0",
    "method.samples=2",
)  # fmt: skip
SETTINGS = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folders(tmp_path):
    for name, kind, count in (("walks", "walk", 8), ("dances", "dance", 3)):
        for seed in range(count):
            clip = procedural.make(kind, seconds=2, seed=seed)
            clip = replace(clip, source=replace(clip.source, name=f"{kind}_{seed}"))
            clip.save(tmp_path / name / f"{kind}_{seed}.npz")
    return tmp_path / "walks", tmp_path / "dances"


@pytest.fixture
def store(folders, tmp_path, run):
    assert run("pack", *folders, "-o", tmp_path / "store")[0] == 0
    return tmp_path / "store"


def train(run, method, store, out, *more):
    code, said, errors = run(
        "train", "general", "--data", store, "--out", out, *SETTINGS, "--method", method, *more
    )
    assert code == 0, errors
    return said


def test_a_run_of_a_store_goes_on_in_the_middle_to_the_same_end(store, tmp_path, run, monkeypatch):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    said = train(run, "daps-pq", store, whole, "--steps", 7)
    assert "walks: 5 clips, 300 frames, 3 held out" in said
    assert "dances: 2 clips, 120 frames, 1 held out" in said
    with monkeypatch.context() as context:
        drawn, batch = [], StoredWindows.batch

        def five(*arguments):
            drawn.append(arguments)
            if len(drawn) > 2 * 5:  # A step draws twice: half of its windows are made of two.
                raise OSError("the disk is gone")
            return batch(*arguments)

        context.setattr(StoredWindows, "batch", five)
        command = ["train", "general", "--data", store, "--out", halves, *SETTINGS]
        code, _, errors = run(*command, "--method", "daps-pq", "--steps", 7)
        assert (code, "the disk is gone" in errors) == (1, True)
    train(run, "daps-pq", store, halves, "--steps", 7, "--resume")
    first, second = (load_file(out / "checkpoint.safetensors") for out in (whole, halves))
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_other_data_than_the_store_is_refused_to_a_resumed_run(store, folders, tmp_path, run):
    train(run, "daps-pq", store, tmp_path / "run", "--steps", 3)
    given = [word for folder in folders for word in ("--data", folder)]
    code, _, errors = run(
        "train", "general", *given, "--out", tmp_path / "run", *SETTINGS, "--steps", 4,
        "--method", "daps-pq", "--resume",
    )  # fmt: skip
    assert code == 1
    assert "other data" in errors


def test_what_is_fitted_measured_and_encoded_is_that_of_the_folders(store, folders, tmp_path, run):
    """All windows are few, so that fitting sees the same ones in another order."""
    out = tmp_path / "run"
    train(run, "pca-pq", store, out)
    tokenizer = out / "tokenizer"
    given = [word for folder in folders for word in ("--data", folder)]
    of_store, of_folders = (
        json.loads(run("eval", tokenizer, *data, "--json")[1])["metrics"]
        for data in (["--data", store], given)
    )
    assert of_store["sets"].keys() == of_folders["sets"].keys() == {"walks", "dances"}
    assert of_store["mpjpe_mm"] == pytest.approx(of_folders["mpjpe_mm"], rel=0.01)
    every = json.loads(run("eval", tokenizer, "--data", store, "--all", "--json")[1])
    assert every["test"]["clips"] == 11

    for name, source in (("a", store), ("b", folders[0])):
        for pack in ([], ["--pack"]):
            where = tmp_path / f"{name}{len(pack)}"
            command = ["encode", source, "-o", where, "--tokenizer", tokenizer, *pack]
            code, _, errors = run(*command)
            assert code == 0, errors
            assert not pack or "0 encoded now" in run(*command)[1]
    for pack in "01":
        mine, other = Corpus(tmp_path / f"a{pack}"), Corpus(tmp_path / f"b{pack}")
        assert len(mine) == 11
        same = [
            np.mean(mine[f"walks/{clip}"].array == codes.array) for clip, codes in other.items()
        ]
        assert len(same) == 8
        assert np.mean(same) > 0.99
        for clip, codes in other.items():
            assert mine[f"walks/{clip}"].source == codes.source
            np.testing.assert_array_equal(mine[f"walks/{clip}"].offsets, codes.offsets)


def test_a_store_that_grew_is_encoded_further(store, folders, tmp_path, run):
    arguments = ["encode", store, "-o", tmp_path / "codes", "--pack"]
    assert "11 encoded now" in run(*arguments)[1]
    shutil.copy(folders[0] / "walk_1.npz", folders[0] / "walk_99.npz")
    assert run("pack", *folders, "-o", store)[0] == 0
    assert "12 clips, 1 encoded now" in run(*arguments)[1]


def test_how_clips_of_a_store_are_read_was_said_before(store, tmp_path, run):
    for command in (
        ["train", "general", "--data", store, "--out", tmp_path / "run", "--up", "y"],
        ["encode", store, "-o", tmp_path / "codes", "--up", "y"],
        ["eval", "default", "--data", store, "--all", "--up", "y"],
    ):
        code, _, errors = run(*command)
        assert code != 0
        assert "to read them otherwise, pack them again" in errors


def test_a_damaged_store_ends_a_run_with_a_line(store, tmp_path, run):
    (shard,) = store.glob("motion-*")
    shard.write_bytes(shard.read_bytes()[:-1000])
    for command in (
        ["train", "general", "--data", store, "--out", tmp_path / "run", *SETTINGS],
        ["encode", store, "-o", tmp_path / "codes"],
    ):
        code, _, errors = run(*command)
        assert code == 2
        assert f"{shard}: missing or damaged" in errors
        assert "Traceback" not in errors
