"""The script for GPUs, in its quick size on a CPU."""

from __future__ import annotations

import io
import json
import runpy
import struct
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch

from bvh import procedural, write

ROOT = Path(__file__).parents[2]
OTHERS = (
    "tests", "lafan-paper, bfloat16", "lafan-paper, float32", "imagenet256, bfloat16",
    "imagenet256, float32", "training",
)  # fmt: skip


def gpu_run(*arguments):
    """What it says, run in this process, which has torch already."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        patch.setattr(sys, "argv", ["gpu_run.py", *map(str, arguments)])
        patch.setenv("PYTHONPATH", str(ROOT))
        code = 0
        try:
            runpy.run_path(str(ROOT / "tools" / "gpu_run.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
    assert code == 0, said.getvalue()
    return said.getvalue()


def test_clips_are_packed_measured_and_trained_on_and_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    folder, clips, out = tmp_path / "bvh", tmp_path / "clips.npz", tmp_path / "out"
    folder.mkdir()
    for seed in range(3):
        write(procedural.make("walk", seconds=2, seed=seed).to_clip(), folder / f"{seed}.bvh")
    assert gpu_run("pack", folder, clips).startswith("3 clips")
    with np.load(clips, allow_pickle=False) as file:
        assert file["frames"].sum() == len(file["rotations"]) == len(file["root_positions"])

    # Too little time for most of it: the record says what is missing.
    gpu_run("run", out, "--clips", clips, "--quick", "--device", "cpu", "--minutes", 0.0)
    text = (out / "record.md").read_text()
    assert "Not run: tests (0.0 minutes were left; run it again)" in text
    begun = set(json.loads((out / "record.json").read_text())["stages"])

    gpu_run("run", out, "--clips", clips, "--quick", "--device", "cpu")
    record = json.loads((out / "record.json").read_text())
    assert begun < set(record["stages"])
    assert "Not run: nothing" in (out / "record.md").read_text()
    for name in ("lafan-paper, float32", "imagenet256, bfloat16"):
        stage = record["stages"][name]
        assert stage["steps_per_second"] > 0
        assert all(p["flop"] > 0 for p in stage["parts"] if p["name"] != "clipping and AdamW")
    tests = record["stages"]["tests"]
    if not torch.cuda.is_available():
        assert set(tests["counts"]) == {"skipped"}
        assert not tests["passed"]
        assert (
            f"Not passed, none was run: {tests['counts']['skipped']} skipped."
            in (out / "record.md").read_text()
        )
    training = record["stages"]["training"]
    assert training["steps"] > 0
    assert len(training["curve"]) >= 2
    assert "1 of them held out" in training["about"]

    gpu_run("run", out, "--clips", clips, "--quick", "--device", "cpu")
    again = json.loads((out / "record.json").read_text())
    assert again["stages"] == record["stages"]


def test_the_published_run_on_mnist_goes_on_where_it_was(tmp_path):
    data, out = tmp_path / "mnist", tmp_path / "out"
    data.mkdir()
    rng = np.random.default_rng(0)
    for stem, count in (("train", 64), ("t10k", 64)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        head = b"\x00\x00\x08\x03" + struct.pack(">3I", *images.shape)
        (data / f"{stem}-images-idx3-ubyte").write_bytes(head + images.tobytes())
    done = {"stages": {n: {"passed": True, "output": ""} for n in OTHERS}}
    out.mkdir()
    (out / "record.json").write_text(json.dumps(done))
    steps = []
    for _ in range(2):
        gpu_run("run", out, "--mnist", data, "--quick", "--device", "cpu")
        stage = json.loads((out / "record.json").read_text())["stages"]["mnist"]
        assert stage["unfinished"]
        steps.append(stage["steps"])
    assert steps == [4, 8]
    assert "8 of 250000 steps" in (out / "record.md").read_text()
