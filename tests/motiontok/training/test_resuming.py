"""Runs that are ended and go on: exactly, and only where they may."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal

import pytest
import torch
from disks import full_disk
from job_processes import dies_in_an_update, dies_while_saving, run_alone
from safetensors.torch import load_file, save_file

from bvh import procedural
from motiontok.config import load_config
from motiontok.data.clips import Clips, ClipSet
from motiontok.data.training_data import make_training_data
from motiontok.errors import MissingDependencyError, TrainingError
from motiontok.methods import METHODS, MotionNetworks
from motiontok.runs import run_training
from motiontok.training import checkpoint as module
from motiontok.training import train
from motiontok.training.checkpoint import load_checkpoint, read_header
from motiontok.training.log import CsvLog, read_log


@pytest.fixture
def run(data, tiny_settings):
    """Train a few steps into a folder."""

    def run(out, *settings, data=data, **options):
        config = load_config("demo", (*tiny_settings, "train.steps=12", *settings))
        return train(config, data=data, networks=MotionNetworks(config), out=out, **options)

    return run


def press_ctrl_c(at_step):
    """A progress callback that sends this process SIGINT when a step is done."""

    def update(done, detail="", **_):
        if done == at_step:
            os.kill(os.getpid(), signal.SIGINT)

    return update


@pytest.mark.usefixtures("short_start")
@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(name, run, tmp_path):
    steps = ("train.steps=6", "method.decoder_first=0.3", "train.log_every=1")
    settings = (f"method.name={name}", "model.components=32", *steps)
    try:
        trained = run(tmp_path / "whole", *settings)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    if not any(p.requires_grad for p in trained.method.parameters()):
        assert trained.step == 0
        return
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", *settings, update=press_ctrl_c(4))
    assert read_header(tmp_path / "parts" / "checkpoint.safetensors")["step"] == 4
    resumed = run(tmp_path / "parts", *settings, resume=True)
    assert resumed.step == 6
    assert_same_files(tmp_path / "whole", tmp_path / "parts")
    assert rows_without_clock(tmp_path / "whole") == rows_without_clock(tmp_path / "parts")
    assert resumed.validation == trained.validation


def test_a_run_goes_on_only_with_the_clips_it_began_with(run, data, tiny_settings, tmp_path):
    run(tmp_path, "train.steps=2")
    motions = procedural.dataset(4, seconds=2.0, seed=0)
    config = load_config("demo", tiny_settings)

    def resume(training, held_out):
        ready = make_training_data(Clips((ClipSet("made", training, held_out),), ""), config.data)
        run(tmp_path, "train.steps=3", resume=True, data=ready)

    for training, held_out in (
        (motions[:2], motions[3:]),
        ([*motions[:2], motions[2][:40]], motions[3:]),
        (motions[:3], motions[2:3]),
        (motions[1:], motions[:1]),
    ):
        with pytest.raises(TrainingError, match=r"trained on other data .*use another --out$"):
            resume(training, held_out)
    resume(motions[:3], motions[3:])


def test_a_setting_that_came_after_the_checkpoint_is_its_default(run, tmp_path):
    default = "method.eta_start=100.0"
    run(tmp_path, "train.steps=2", default)
    path = tmp_path / "checkpoint.safetensors"
    checkpoint = load_checkpoint(path)
    header = checkpoint.header
    assert header["config"]["method"].pop("eta_start") == 100.0
    del header["data"]
    metadata = {"format": module.FORMAT, "header": json.dumps(header)}
    save_file(checkpoint.tensors, path, metadata=metadata)
    assert run(tmp_path, "train.steps=3", default, resume=True).step == 3
    with pytest.raises(TrainingError, match=r"method\.eta_start = 100\.0, this run asks for 5\.0"):
        run(tmp_path, "train.steps=4", "method.eta_start=5.0", resume=True)


def test_every_step_is_a_good_place_to_stop(run, tmp_path):
    run(tmp_path / "whole", "train.steps=6")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", "train.steps=6", update=press_ctrl_c(1))
    for step in range(2, 6):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", "train.steps=6", update=press_ctrl_c(step), resume=True)
    run(tmp_path / "parts", "train.steps=6", resume=True)
    assert_same_files(tmp_path / "whole", tmp_path / "parts")


def test_ctrl_c_waits_for_the_end_of_the_step(run, tmp_path, monkeypatch):
    """Pressed in the middle of an update, it still leaves a whole step behind."""
    step = torch.optim.AdamW.step
    calls = itertools.count(1)

    def interrupted_step(self, *arguments):
        if next(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", interrupted_step)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts")
    assert read_header(tmp_path / "parts" / "checkpoint.safetensors")["step"] == 4
    run(tmp_path / "parts", resume=True)
    run(tmp_path / "whole")
    assert_same_files(tmp_path / "whole", tmp_path / "parts")


def test_a_second_ctrl_c_interrupts_at_once(run, tmp_path, monkeypatch):
    def impatient_step(self, *arguments):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second Ctrl-C was held back, too")

    monkeypatch.setattr(torch.optim.AdamW, "step", impatient_step)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_ctrl_c_is_handled_as_before_when_training_is_over(run, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    run(tmp_path, "train.steps=2")
    assert signal.getsignal(signal.SIGINT) is before


def test_resuming_a_finished_run_changes_nothing(run, tmp_path):
    run(tmp_path)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    log = (tmp_path / "log.csv").read_text()
    assert run(tmp_path, resume=True).step == 12
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert (tmp_path / "log.csv").read_text() == log


def test_a_finished_run_can_go_on_for_longer(run, tmp_path):
    run(tmp_path)
    assert run(tmp_path, "train.steps=15", resume=True).step == 15
    assert [r["step"] for r in read_log(tmp_path / "log.csv")][-1] == 15


@pytest.mark.parametrize(
    "setting",
    ["model.vocab_size=32", "method.name=daps", "train.seed=1", "train.batch_size=8", "window=16"],
)
def test_resuming_with_other_settings_is_refused_by_name(setting, run, tmp_path):
    run(tmp_path, "train.steps=2")
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(TrainingError) as caught:
        run(tmp_path, "train.steps=2", setting, resume=True)
    key, _, value = setting.partition("=")
    assert key in str(caught.value)
    assert value in str(caught.value)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_a_run_does_not_go_on_to_less_than_was_done(run, tmp_path):
    """Before its end too: the end would come in the middle of its schedules."""
    run(tmp_path, "train.steps=4")
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(TrainingError, match=r"is at step 4, this run asks for 3; give --steps"):
        run(tmp_path, "train.steps=3", resume=True)
    with pytest.raises(TrainingError, match="asks for 1e-06; give a longer --time-budget"):
        run(tmp_path, "train.time_budget=1e-6", resume=True)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert run(tmp_path, "train.steps=4", resume=True).step == 4


def test_a_run_by_the_clock_is_at_its_end_once(run, tmp_path):
    budget = "train.time_budget=1e-5"
    step = run(tmp_path, budget, clock=itertools.count(step=1e-4).__next__).step
    assert step > 0
    assert run(tmp_path, budget, resume=True).step == step
    with pytest.raises(TrainingError, match="give a longer --time-budget"):
        run(tmp_path, "train.time_budget=5e-6", resume=True)


@pytest.mark.usefixtures("undrawn")
def test_a_finished_run_says_that_nothing_is_left(tiny_run, tiny_settings, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    said = []
    config = load_config("demo", tiny_settings)
    run_training(config, out=tmp_path / "run", resume=True, say=said.append)
    assert said[0].startswith("nothing left to train")


@pytest.mark.parametrize("header", ["[]", "{}", '{"step": "x"}', '{"step": -1}'])
def test_a_checkpoint_without_its_step_is_damaged(header, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"format": module.FORMAT, "header": header})
    with pytest.raises(TrainingError, match=r"damaged checkpoint \(its step is"):
        read_header(path)


def test_a_training_run_on_a_full_disk_ends_with_one_message(run, tmp_path):
    run(tmp_path, "train.steps=2")
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="cannot save"), full_disk(20_000):
        run(tmp_path, resume=True)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    with pytest.raises(TrainingError, match=r"cannot write .*config\.json"), full_disk(600):
        run(tmp_path, resume=True)
    rows = ("train.steps=40", "train.log_every=1", "train.evaluate_every=100")
    with (
        pytest.raises(TrainingError, match=r"cannot write .*(log\.csv|events)"),
        full_disk(3000),
    ):
        run(tmp_path, *rows, "train.checkpoint_every=100", resume=True)
    assert run(tmp_path, resume=True).step == 12


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("program", "number"), [(dies_in_an_update, 18), (dies_while_saving, 2)])
def test_kill_9_then_resume_equals_an_uninterrupted_run(
    program, number, tiny_run, tiny_settings, tmp_path
):
    settings = [word for setting in tiny_settings for word in ("--set", setting)]
    said = tmp_path / "said.txt"
    status = run_alone(program, number, "train", "demo", "--out", tmp_path, *settings, out=said)
    assert status == -signal.SIGKILL, said.read_text()
    assert read_header(tmp_path / "checkpoint.safetensors")["step"] == 10
    assert not (tmp_path / "tokenizer").exists()
    config = load_config("demo", tiny_settings)
    run_training(config, out=tmp_path, resume=True, say=lambda line: None)
    # What it was saving is as large as a checkpoint.
    assert not list(tmp_path.glob(".*"))
    assert_same_files(tiny_run, tmp_path)
    assert rows_without_clock(tiny_run) == rows_without_clock(tmp_path)
    for name in ("config.json", "model.safetensors"):
        whole, parts = (folder / "tokenizer" / name for folder in (tiny_run, tmp_path))
        assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_without_its_best_weights_a_run_goes_on_from_its_last(tiny_run, tiny_settings, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "best.safetensors").unlink()
    config = load_config("demo", tiny_settings)
    done = run_training(config, out=run, resume=True, say=lambda line: None).trained
    assert done.best.step == done.step
    best, last = (load_checkpoint(run / f"{name}.safetensors") for name in ("best", "checkpoint"))
    assert best.tensors
    assert all(torch.equal(best.tensors[k], last.tensors[k]) for k in best.tensors)


def test_the_best_of_a_killed_run_is_that_of_its_file(run, tmp_path):
    """It may have validated after its last checkpoint."""
    every = ("train.evaluate_every=1", "train.checkpoint_every=6")
    run(tmp_path, *every)
    shutil.copy(tmp_path / "best.safetensors", tmp_path / "later.safetensors")
    (tmp_path / "checkpoint.safetensors").unlink()
    run(tmp_path, *every, "train.steps=6")
    shutil.copy(tmp_path / "later.safetensors", tmp_path / "best.safetensors")
    later = read_header(tmp_path / "best.safetensors")
    assert later["step"] > 6
    best = run(tmp_path, *every, "train.steps=6", resume=True).best
    assert (best.step, best.validation) == (later["step"], later["validation"])


def test_weights_alone_are_no_run_to_go_on_from(run, tmp_path):
    run(tmp_path)
    shutil.copy(tmp_path / "best.safetensors", tmp_path / "checkpoint.safetensors")
    with pytest.raises(TrainingError, match=r"checkpoint\.safetensors: holds weights alone"):
        run(tmp_path, resume=True)


def test_a_log_goes_on_where_the_checkpoint_was(tmp_path):
    path = tmp_path / "log.csv"
    log = CsvLog(path, ("step", "loss"), until=None)
    for step in range(1, 6):
        log.append({"step": step, "loss": step / 3, "unknown": 1})
    text = path.read_text()
    with path.open("a") as file:
        file.write("6,0.1")  # killed while writing
    assert [r["step"] for r in read_log(path)] == [1, 2, 3, 4, 5]
    with path.open("ab") as file:
        file.write(b"\n\0\0\xff,\r\r,\n")  # and the machine with it
    assert [r["step"] for r in read_log(path)] == [1, 2, 3, 4, 5, 6]
    CsvLog(path, ("step", "loss"), until=5)
    assert path.read_text() == text
    CsvLog(path, ("step", "loss"), until=3).append({"step": 4})
    assert read_log(path)[2:] == [{"step": 3, "loss": 1.0}, {"step": 4}]
    CsvLog(path, ("step", "loss"), until=None)
    assert read_log(path) == []


def assert_same_files(a, b):
    """Two checkpoints equal bit for bit, the clock excepted."""
    first, second = (load_file(folder / "checkpoint.safetensors") for folder in (a, b))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    headers = [read_header(folder / "checkpoint.safetensors") for folder in (a, b)]
    for header in headers:
        header.pop("seconds")
    assert headers[0] == headers[1]


def rows_without_clock(folder):
    return [{k: v for k, v in r.items() if k != "seconds"} for r in read_log(folder / "log.csv")]
