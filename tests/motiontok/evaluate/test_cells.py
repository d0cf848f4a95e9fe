"""Runs of a comparison: interrupted, left out, timed, kept, failed."""

from __future__ import annotations

import json
import time

import pytest
import torch
from comparisons import small

from motiontok.errors import ConfigError, TrainingError
from motiontok.evaluate import compare as compare_module
from motiontok.evaluate.compare import run_bench
from motiontok.evaluate.report import comparison_markdown


def test_an_interrupted_run_goes_on_from_its_checkpoint(write, tmp_path, monkeypatch):
    bench, out = small(write), tmp_path / "out"
    whole = run_bench(bench, out=tmp_path / "whole", say=lambda _: None)
    real = compare_module.evaluate_tokenizer

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(compare_module, "evaluate_tokenizer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_bench(bench, out=out, say=lambda _: None)
    folder = out / "low" / "gumbel-na" / "seed-3"
    assert (folder / "checkpoint.safetensors").is_file()
    assert not (folder / "result.json").exists()
    log = (folder / "log.csv").read_text()
    monkeypatch.setattr(compare_module, "evaluate_tokenizer", real)
    (resumed,) = run_bench(bench, out=out, say=lambda _: None)
    assert (folder / "log.csv").read_text() == log
    assert resumed.result["metrics"]["mse"] == whole[0].result["metrics"]["mse"]


def test_only_some_methods_now_and_the_others_another_time(write, tmp_path):
    bench = small(write, "[methods.pca-pq]\n[methods.gumbel-na]\n[methods.pca-sq]\n")
    options = {"out": tmp_path / "out", "say": lambda _: None}
    first = run_bench(bench, only=["pca-sq"], **options)
    assert [o.cell.method for o in first] == ["pca-sq"]
    assert "2 of 3 runs are still to do" in comparison_markdown(bench, first)
    second = run_bench(bench, only=["pca-pq"], **options)
    assert [o.cell.method for o in second] == ["pca-pq", "pca-sq"]
    assert second[1].result == first[0].result
    assert len(run_bench(bench, **options)) == 3
    with pytest.raises(ConfigError, match="bench has no method 'pca'; choose from pca-pq, "):
        run_bench(bench, only=["pca"], **options)


def test_time_is_the_processors_on_one_thread(write, tmp_path, monkeypatch):
    """A budget is spent by computing, not by waiting."""
    bench = small(write, steps="1_000_000\ntime_budget = 0.01")
    real, seen = compare_module.train, []

    def train(config, *, data, **options):
        seen.append(torch.get_num_threads())
        draw = type(data).batch

        def slow(self, *arguments):
            time.sleep(0.01)
            return draw(self, *arguments)

        monkeypatch.setattr(type(data), "batch", slow)
        return real(config, data=data, **options)

    monkeypatch.setattr(compare_module, "train", train)
    begin = time.monotonic()
    (outcome,) = run_bench(bench, out=tmp_path / "out", say=lambda _: None)
    assert seen == [1]
    metrics = outcome.result["metrics"]
    assert metrics["steps"] >= 3
    # 0.6 s of the processor; each step sleeps for 10 ms of the wall clock besides.
    assert 0.6 <= metrics["training_seconds"] < 2.0
    slept = time.monotonic() - begin - metrics["training_seconds"]
    assert slept > 0.01 * metrics["steps"]
    assert outcome.result["machine"]["threads"] == 1


def test_a_result_stays_valid_when_a_setting_is_added(write, tmp_path):
    bench, out = small(write), tmp_path / "out"
    (first,) = run_bench(bench, out=out, say=lambda _: None)
    path = out / first.cell.folder / "result.json"
    values = json.loads(path.read_text())
    assert values["config"]["train"].pop("evaluations") == 0
    path.write_text(json.dumps(values))
    said = []
    run_bench(bench, out=out, say=said.append)
    assert said == ["1 of 1 runs are there already"]


def test_results_of_other_settings_are_refused(write, tmp_path):
    run_bench(small(write), out=tmp_path / "out", say=lambda _: None)
    with pytest.raises(ConfigError, match=r"result\.json: .*other settings in model"):
        run_bench(small(write, vocab_size=16), out=tmp_path / "out", say=lambda _: None)
    path = tmp_path / "out" / "low" / "gumbel-na" / "seed-3" / "result.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"result\.json: damaged result; delete its folder"):
        run_bench(small(write), out=tmp_path / "out", say=lambda _: None)


def test_one_failure_does_not_stop_the_others(write, tmp_path, monkeypatch):
    bench = small(write, "[methods.pca-pq]\n[methods.gumbel-na]\n[methods.pca-sq]\n")
    real = compare_module.train

    def train(config, **arguments):
        if config.method.name == "gumbel-na":
            raise TrainingError("training diverged: for this test")
        return real(config, **arguments)

    monkeypatch.setattr(compare_module, "train", train)
    reports = []
    outcomes = run_bench(
        bench, out=tmp_path / "out", say=lambda _: None, on_outcome=lambda o: reports.append(len(o))
    )
    assert reports == [1, 2, 3]
    assert [o.error for o in outcomes] == ["", "training diverged: for this test", ""]
    text = comparison_markdown(bench, outcomes)
    assert "- low, gumbel-na, seed 3: training diverged: for this test" in text
    monkeypatch.setattr(compare_module, "train", real)
    again = run_bench(bench, out=tmp_path / "out", say=lambda _: None)
    assert [o.error for o in again] == ["", "", ""]
