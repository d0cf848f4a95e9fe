"""The training loop around a method: bad gradients, validation numbers, logs."""

from __future__ import annotations

import itertools
import math
import struct
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from motiontok import progress as progress_module
from motiontok.config import load_config
from motiontok.data import COLUMNS
from motiontok.errors import TrainingError
from motiontok.methods import METHODS, DiscreteAutoencoder, MotionNetworks, StepResult
from motiontok.training import LOG_COLUMNS, displayed, evaluate, train
from motiontok.training.checkpoint import load_checkpoint, read_header
from motiontok.training.log import read_log


@pytest.fixture
def run(data, tiny_settings, tmp_path):
    def run(*settings, **options):
        config = load_config("demo", (*tiny_settings, *settings))
        return train(
            config,
            data=data,
            networks=MotionNetworks(config),
            out=tmp_path,
            **options,
        )

    return run


class Stub(DiscreteAutoencoder):
    """One number to learn; returns bad gradients in the steps it is told."""

    bad: frozenset[int] = frozenset()
    value = math.nan

    def __init__(self, config, networks):
        super().__init__(config, networks)
        self.weight = nn.Parameter(torch.ones(()))
        self.steps = 0

    def training_step(self, x, progress, generator):
        self.steps += 1
        factor = self.value if self.steps in self.bad else 1.0
        codes = torch.zeros(len(x), self.config.model.codes_per_window, dtype=torch.long)
        return StepResult(factor * self.weight**2, {}, codes, torch.zeros_like(x))

    def encode(self, x, *, effort=1, temperature=0.0, generator=None):
        return torch.zeros(len(x), self.config.model.codes_per_window, dtype=torch.long)

    def decode_parameters(self, codes):
        return torch.zeros(len(codes), *self.shape)


def use(monkeypatch, **attributes):
    """Train a stub with these attributes instead of the configured method."""
    stub = type("Stubbed", (Stub,), attributes)
    made = []

    def make(config, networks):
        made.append(stub(config, networks))
        return made[-1]

    monkeypatch.setattr("motiontok.training.loop.make_method", make)
    return made


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_gradients_that_are_not_finite_are_skipped_and_counted(run, monkeypatch, tmp_path, value):
    made = use(monkeypatch, bad=frozenset({3, 4, 9}), value=value)
    trained = run("train.steps=12", "train.log_every=1")
    assert trained.step == 12
    assert torch.isfinite(made[0].weight)
    rows = read_log(tmp_path / "log.csv")
    assert [r["skipped"] for r in rows if r["step"] in (2, 3, 4, 8, 9, 12)] == [0, 1, 2, 2, 3, 3]
    assert read_header(tmp_path / "checkpoint.safetensors")["skipped"] == 3


def test_a_skipped_step_changes_nothing(run, monkeypatch):
    weights = []
    for bad in (frozenset(), frozenset({5})):
        made = use(monkeypatch, bad=bad)
        constant = ("train.learning_rate=1e-3", "train.final_learning_rate=1e-3")
        run(f"train.steps={4 + len(bad)}", *constant)
        weights.append(made[0].weight.detach())
    assert torch.equal(*weights)


def test_divergence_ends_with_the_step_and_the_last_good_checkpoint(run, monkeypatch, tmp_path):
    use(monkeypatch, bad=frozenset(range(21, 10_000)))
    with pytest.raises(TrainingError) as caught:
        run("train.steps=1000", "train.checkpoint_every=10")
    message = str(caught.value)
    assert "training diverged" in message
    assert "step 120" in message
    assert str(tmp_path / "checkpoint.safetensors") in message
    assert "\n" not in message


CUDA = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139.72 GiB"
)
CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 13194139533312 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    ("method", "error", "words"),
    [
        ("daps", CUDA, r"20.00 MiB at once\); --resume with --set train.chunk=\d+ \(now "),
        ("vqvae", CUDA, r"20.00 MiB at once\); another --out with train.batch_size below 16"),
        ("daps", CPU, r"cpu: out of memory \(asked for 12,288.00 GiB at once\); --resume"),
        ("vqvae", MemoryError(), r"out of memory; another --out with train.batch_size"),
    ],
)
def test_a_step_that_does_not_fit_into_memory_says_what_is_smaller(
    method, error, words, run, monkeypatch, tmp_path
):
    steps = METHODS[method].training_step

    def training_step(self, x, progress, generator):
        if progress > 0.5:
            raise error
        return steps(self, x, progress, generator)

    monkeypatch.setattr(METHODS[method], "training_step", training_step)
    settings = (f'method.name="{method}"', "train.steps=10", "train.checkpoint_every=2")
    with pytest.raises(TrainingError, match=words) as caught:
        run(*settings)
    assert "\n" not in str(caught.value)
    # What was learnt is kept, and less at a time goes on from there.
    assert read_header(tmp_path / "checkpoint.safetensors")["step"] == 6
    monkeypatch.undo()
    assert run(*settings, "train.chunk=1", resume=True).step == 10


@pytest.mark.parametrize("where", ["in training", "in validation"])
def test_an_explosion_ends_the_run_before_it_is_kept(run, monkeypatch, tmp_path, where):
    """Finite gradients all the while: only the error tells."""

    def training_step(self, x, progress, generator):
        result = Stub.training_step(self, x, progress, generator)
        error = torch.tensor(1e6 if self.steps > 25 and where == "in training" else 1.0)
        return replace(result, metrics={"mse": error})

    def decode_parameters(self, codes):
        blown = 1e9 if self.steps > 25 and where == "in validation" else 0.0
        return torch.full((len(codes), *self.shape), blown)

    use(monkeypatch, training_step=training_step, decode_parameters=decode_parameters)
    settings = ("train.checkpoint_every=10", "train.evaluate_every=15", "train.log_every=2")
    with pytest.raises(TrainingError) as caught:
        run("train.steps=1000", *settings)
    message = str(caught.value)
    name, step = ("mse", 26) if where == "in training" else ("val_mse", 30)
    assert f"training diverged: {name} is 1e+" in message
    assert f"at step {step}; the last good checkpoint is {tmp_path}" in message
    assert "\n" not in message
    kept = read_header(tmp_path / "checkpoint.safetensors")
    assert kept["step"] == 20
    assert math.isfinite(kept["validation"]["mse"])
    assert read_header(tmp_path / "best.safetensors")["step"] < 26


def test_an_error_that_is_no_number_is_a_divergence(run, monkeypatch, tmp_path):
    def decode_parameters(self, codes):
        return torch.full((len(codes), *self.shape), math.nan)

    use(monkeypatch, decode_parameters=decode_parameters)
    with pytest.raises(TrainingError, match="val_mse is nan at step 0; none is kept"):
        run("train.steps=3")
    assert not (tmp_path / "best.safetensors").exists()


def test_the_best_validation_is_kept_beside_the_last(run, monkeypatch, tmp_path):
    """An error that falls and rises again: least at step 15."""

    def decode_parameters(self, codes):
        return torch.full((len(codes), *self.shape), 0.1 * (self.steps - 15))

    used = use(monkeypatch, decode_parameters=decode_parameters)
    trained = run("train.steps=40", "train.evaluate_every=5")
    assert trained.best.step == 15
    assert trained.validation["mse"] > trained.best.validation["mse"]
    best = load_checkpoint(tmp_path / "best.safetensors")
    assert best.header["step"] == 15
    assert best.header["validation"] == trained.best.validation
    assert set(best.tensors) == {"model.weight"}
    last = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert last.header["step"] == 40
    assert not torch.equal(best.tensors["model.weight"], last.tensors["model.weight"])
    # A resumed run remembers it.
    resumed = run("train.steps=45", "train.evaluate_every=5", resume=True)
    assert resumed.best.step in (15, 45)
    best.restore_weights(used[0])
    assert torch.equal(used[0].weight.detach(), best.tensors["model.weight"])


def read_events(folder):
    """Records of all event files, in order, framed by lengths and checksums."""
    event_pb2 = pytest.importorskip(
        "tensorboardX.proto.event_pb2", reason="needs: pip install 'motiontok[board]'"
    )
    events = []
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda p: p.stat().st_mtime_ns):
        raw = path.read_bytes()
        while raw:
            (length,) = struct.unpack("<Q", raw[:8])
            events.append(event_pb2.Event.FromString(raw[12 : 12 + length]))
            raw = raw[16 + length :]
    return events


def test_tensorboard_gets_the_rows_of_the_log(run, tmp_path):
    run("train.steps=6", "train.log_every=3", "train.evaluate_every=6")
    run("train.steps=9", "train.log_every=3", "train.evaluate_every=9", resume=True)
    events = read_events(tmp_path)
    found = {
        (event.step, value.tag): value.simple_value
        for event in events
        for value in event.summary.value
    }
    expected = {
        (r["step"], f"validation/{k[4:]}" if k.startswith("val_") else f"training/{k}"): v
        for r in read_log(tmp_path / "log.csv")
        for k, v in r.items()
        if k != "step"
    }
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=1e-5)
    # Where the run went on, TensorBoard forgets what may have come after.
    (restart,) = [e for e in events if e.HasField("session_log")]
    assert restart.step == 7


def test_without_tensorboardx_there_is_the_log_alone(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "tensorboardX.event_file_writer", None)
    run("train.steps=2")
    assert (tmp_path / "log.csv").is_file()
    assert not list(tmp_path.glob("events*"))


def test_the_log_has_a_row_every_few_steps_and_validation_where_asked(run, tmp_path):
    trained = run("train.steps=12", "train.log_every=3", "train.evaluate_every=5")
    rows = read_log(tmp_path / "log.csv")
    assert [r["step"] for r in rows] == [0, 3, 5, 6, 9, 10, 12]
    assert [r["step"] for r in rows if "val_mse" in r] == [0, 5, 10, 12]
    assert trained.validation == {
        k.removeprefix("val_"): v for k, v in rows[-1].items() if k.startswith("val_")
    }
    header = (tmp_path / "log.csv").read_text().splitlines()[0]
    validation = ("val_mse", "val_psnr", "val_mpjpe_mm", "val_code_usage")
    assert header == ",".join((*LOG_COLUMNS, *validation))
    seconds = [r["seconds"] for r in rows]
    assert seconds == sorted(seconds)


def test_evaluations_at_equal_times_whatever_a_step_takes(run, tmp_path):
    """By a clock that goes on 50 ms at each look."""
    ticks = itertools.count(0, 0.05)
    run(
        "train.time_budget=0.05",
        "train.evaluations=4",
        "train.evaluate_every=1000000",
        "train.log_every=1000000",
        clock=lambda: next(ticks),
    )
    seconds = [r["seconds"] for r in read_log(tmp_path / "log.csv") if "val_mse" in r]
    assert seconds[1:] == pytest.approx([0.75, 1.5, 2.25, 3.0], abs=0.2)


def test_validation_is_seen_by_the_caller(run):
    seen = []
    run("train.steps=10", "train.evaluate_every=5", on_evaluation=lambda m, s: seen.append(s))
    assert seen == [0, 5, 10]


def test_progress_is_reported_every_step(run):
    seen = []
    run("train.steps=6", "train.log_every=3", update=lambda done, detail="": seen.append(done))
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_run_by_the_clock_is_shown_in_per_cent(run, capsys):
    ticks = itertools.count(0, 0.05)
    budget = "train.time_budget=0.05"
    with progress_module.progress(*displayed(load_config("demo", [budget]))) as up:
        run(budget, clock=lambda: next(ticks), update=up)
    assert "training 100 %" in capsys.readouterr().err
    assert displayed(load_config("demo", ["train.steps=7"])) == ("training", 7)
    fitted = load_config("demo", ["train.steps=7", "method.name=lopq"])
    assert displayed(fitted) == ("fitting", None)


def test_every_line_of_progress_has_the_last_validation(run, tmp_path):
    """By the clock also the step, which per cent do not tell."""
    seen = []
    ticks = itertools.count(0, 0.05)
    run(
        "train.time_budget=0.05",
        "train.evaluations=2",
        "train.evaluate_every=1000000",
        "train.log_every=1000000",
        clock=lambda: next(ticks),
        update=lambda done, detail="", **_: seen.append(detail),
    )
    rows = [r for r in read_log(tmp_path / "log.csv") if "val_mse" in r]
    assert [r["step"] for r in rows] == [0, rows[1]["step"], len(seen)]
    for step, detail in enumerate(seen, 1):
        last = [r for r in rows if r["step"] <= step][-1]
        assert detail.startswith(f"step {step}  ")
        assert f"val {last['val_mpjpe_mm']:.1f} mm" in detail


def test_validation_numbers_are_what_they_say(data, tiny_settings):
    """A decoder that is off by a known amount in standardised units."""
    config = load_config("demo", tiny_settings)
    windows = data.validation

    class Off(Stub):
        def encode(self, x, **options):
            # Windows are told apart by their place in the batch.
            self.x = x
            return torch.arange(8).repeat(len(x), 1)

        def decode_parameters(self, codes):
            return self.x + 0.5

    found = evaluate(Off(config, MotionNetworks(config)), data, limit=1000)
    assert found["mse"] == pytest.approx(0.25, rel=1e-4)
    scale = data.statistics.scale[COLUMNS["positions"]][0]
    expected = 1000 * 0.5 * float(scale) * math.sqrt(3)
    assert found["mpjpe_mm"] == pytest.approx(expected, rel=1e-3)
    # One of 16 values at each position.
    assert found["code_usage"] == pytest.approx(1 / 16)
    unit = data.statistics.to_unit(torch.stack([windows, windows + 0.5]))
    mse = float(((unit[0] - unit[1]) ** 2).mean())
    assert found["psnr"] == pytest.approx(-10 * math.log10(mse), abs=1e-3)


def test_validation_does_not_depend_on_the_batch(data, tiny_settings):
    config = load_config("demo", tiny_settings)
    data = replace(data, validation=data.batch(50, torch.Generator().manual_seed(0)))
    method = Stub(config, MotionNetworks(config))
    whole = evaluate(method, data, limit=1000)
    parts = evaluate(method, data, limit=1000, batch=7)
    assert parts == pytest.approx(whole, rel=1e-5)
    few = evaluate(method, data, limit=10)
    assert few["mse"] != whole["mse"]
