"""Training by command: what ends a run, and who may go on with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from motiontok.training.checkpoint import read_header
from motiontok.training.log import read_log


def test_resuming_nothing_is_refused(refuses):
    refuses("train", "demo", "--resume", code=1, words="no checkpoint to resume from")


def test_a_run_is_never_overwritten(refuses, tiny_run):
    words = [str(tiny_run), "already holds a run", "--resume"]
    refuses("train", "demo", "--out", tiny_run, code=1, words=words)


def test_resuming_with_other_settings_changes_nothing(refuses, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    arguments = ["train", "demo", "--out", run, "--resume", "--set", "name=tiny"]
    refuses(*arguments, "--set", "model.width=32", code=1, words=["model.width = 16", "32"])
    refuses(*arguments, "--method", "daps", code=1, words=["method.name = 'daps-pq'", "'daps'"])
    words = ["holds a run named tiny, not demo", "--set name=tiny"]
    refuses("train", "demo", "--out", run, "--resume", code=1, words=words)


@pytest.mark.parametrize("damage", ["truncated", "pickle"])
def test_a_damaged_checkpoint_is_refused_by_name(refuses, tiny_run, tmp_path, damage):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    path = run / "checkpoint.safetensors"
    if damage == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.write_bytes(b"\x80\x04}q\x00.")
    words = [str(path), "damaged checkpoint"]
    refuses("train", "demo", "--out", run, "--resume", code=1, words=words)


@pytest.mark.usefixtures("undrawn")
def test_ctrl_c_leaves_a_checkpoint_and_exit_code_130(motiontok, tiny_settings, tmp_path):
    run = tmp_path / "run"
    settings = [word for setting in tiny_settings[1:] for word in ("--set", setting)]

    def press() -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (run / "checkpoint.safetensors").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    done = motiontok("train", "demo", "--out", run, *settings, "--steps", 1000000)
    finger.join()
    assert done.code == 130
    assert f"stopped; continue: motiontok train demo --out {run} --resume" in done.err
    assert done.err.endswith("interrupted\n")
    assert "Traceback" not in done.err
    step = read_header(run / "checkpoint.safetensors")["step"]
    assert step >= 10
    assert read_log(run / "log.csv")[-1]["step"] <= step

    done = motiontok("train", "demo", "--out", run, "--resume", "--steps", step + 3, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["step"] == step + 3


@pytest.mark.usefixtures("undrawn")
def test_a_time_budget_ends_a_run_by_the_clock(motiontok, tiny_settings, tmp_path):
    settings = [word for setting in tiny_settings for word in ("--set", setting)]
    run = tmp_path / "run"
    done = motiontok("train", "demo", "--out", run, *settings, "--time-budget", 0.01, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["training_seconds"] >= 0.6
    rows = read_log(run / "log.csv")
    assert rows[-1]["step"] == report["step"]
    assert "val_mse" in rows[-1]
    assert read_header(run / "checkpoint.safetensors")["step"] == report["step"]


def test_training_says_what_its_start_errs_on_the_same_clips(
    motiontok, tiny_run, tiny_settings, tmp_path
):
    settings = [word for value in tiny_settings for word in ("--set", value)]
    train = ["train", "demo", "--out", tmp_path / "run", *settings, "--steps", 3]
    done = motiontok(*train, "--from", tiny_run)
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    # The clips are those of the start's own run.
    start = json.loads((tiny_run / "metrics.json").read_text())["mpjpe_mm"]
    assert metrics["start_mpjpe_mm"] == pytest.approx(start, rel=1e-4)
    assert metrics["mpjpe_mm"] != metrics["start_mpjpe_mm"]
    said = f": MPJPE {metrics['mpjpe_mm']:.1f} mm, {start:.1f} before, rotation "
    assert said in done.out.splitlines()[-2]

    # A run that goes on has the same start; one from nothing has none.
    done = motiontok(*train[:-1], 4, "--resume")
    assert f" mm, {start:.1f} before, " in done.out
    done = motiontok(*train, "--out", tmp_path / "new", "--from", "scratch")
    assert done.code == 0, done.err
    assert "before" not in done.out
    assert "start_mpjpe_mm" not in json.loads((tmp_path / "new" / "metrics.json").read_text())


def test_download_goes_with_lafan_alone(motiontok, monkeypatch, tmp_path):
    """Fetching is for LAFAN1 without --data; the message says so."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["demo", "--download"], ["lafan", "--download", "--data", str(tmp_path)]):
        done = motiontok("train", *arguments)
        assert done.code == 2
        assert "--download fetches LAFAN1" in done.err
        assert len(done.err.strip().splitlines()) == 1


def test_a_run_folder_is_trained_in_by_one_process(motiontok, tiny_run, tiny_settings, tmp_path):
    """The one that was first is left alone; when it dies, by whatever, the folder is free."""
    run = tmp_path / "run"
    script = """
import sys, time
from pathlib import Path
from motiontok.locks import locked
Path(sys.argv[1]).mkdir()
with locked(Path(sys.argv[1]), "here"):
    print("in", flush=True)
    time.sleep(600)
"""
    settings = [word for setting in tiny_settings for word in ("--set", setting)]
    train = ("train", "demo", "--out", run, "--steps", 2, *settings)
    command = [sys.executable, "-c", script, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        refused = [motiontok(*train), motiontok(*train, "--from", tiny_run)]
        left = list(run.iterdir())
        other.kill()
    for done in refused:
        assert done.code == 2
        assert f"error: {run}: another process is training here; wait" in done.err
    assert not left
    assert motiontok(*train).code == 0
    assert json.loads((run / "config.json").read_text())["train"]["steps"] == 2
