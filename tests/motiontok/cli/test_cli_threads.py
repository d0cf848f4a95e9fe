"""Threads that commands compute with."""

from __future__ import annotations

import os

import pytest
import torch

from bvh import procedural


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("said", "threads"), [(None, 1), ("2", 2)])
def test_a_clip_is_coded_by_one_thread_unless_told_otherwise(
    said, threads, motiontok, tiny_run, monkeypatch, tmp_path
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    procedural.make("walk", seconds=2.0, seed=1).save(tmp_path / "walk.npz")
    codes = tmp_path / "codes.npy"
    for command in (
        ("encode", tmp_path / "walk.npz", "-o", codes, "--tokenizer", tiny_run),
        ("decode", codes, "-o", tmp_path / "again.npz"),
        ("convert", codes, tmp_path / "again.bvh"),
    ):
        torch.set_num_threads(2)
        done = motiontok(*command)
        assert done.code == 0, done.err
        assert torch.get_num_threads() == threads, command


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, "10000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_threads_do_not_hold_a_busy_core_for_long(known, expected, motiontok, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is as it was afterwards
        monkeypatch.delenv(name)
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    assert motiontok("robots").code == 0
    assert os.environ.get("GOMP_SPINCOUNT") == expected
