"""Comparisons: the file, the runs, the report; and measuring one tokenizer."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bvh import procedural
from motiontok.cli.main import main
from motiontok.config import load_config
from motiontok.errors import ConfigError, TrainingError
from motiontok.evaluate import compare as compare_module
from motiontok.evaluate import inbetweening
from motiontok.evaluate.bench import load_bench
from motiontok.evaluate.compare import Outcome, run_bench
from motiontok.evaluate.report import comparison_markdown, comparison_rows
from motiontok.methods import METHODS

TOOLS = Path(__file__).parents[3] / "tools" / "bench"
TINY = """
config = "demo"
seeds = [3, 4]
target_mm = 1000

[data]
window = 8
clips = 4
seconds = 1.5
mirror = false

[model]
codes_per_window = 4
vocab_size = 8
width = 8
heads = 1
layers = 1
decoder_width = 8
decoder_layers = 1

[train]
steps = 2
batch_size = 4
evaluate_every = 1
checkpoint_every = 1
log_every = 1

[budgets.low]

[budgets.high]
model = { codes_per_window = 8 }

[methods.pca-pq]

[methods.pca-sq]

[methods.gumbel-na]
method = { temperature_end = 0.5 }

[methods.second]
method = { name = "gumbel-na" }
train = { steps = 1 }
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="bench.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The tiny comparison, run once: its file, folder and outcomes."""
    folder = tmp_path_factory.mktemp("comparison")
    (folder / "bench.toml").write_text(TINY.replace("[3, 4]", "[3]"), encoding="utf-8")
    bench = load_bench(folder / "bench.toml")
    said: list[str] = []
    outcomes = run_bench(bench, out=folder / "out", say=said.append)
    return bench, folder / "out", outcomes, said


def test_a_comparison_is_every_method_at_every_budget_with_every_seed(write):
    bench = load_bench(write(TINY))
    assert bench.name == "bench"
    assert bench.methods == ("pca-pq", "pca-sq", "gumbel-na", "second")
    assert len(bench.cells) == len({c.folder for c in bench.cells}) == 2 * 2 * 4
    cells = {(c.budget, c.method, c.seed): c for c in bench.cells}
    one = cells["high", "gumbel-na", 4]
    assert one.folder == Path("high/gumbel-na/seed-4")
    assert one.config.method.name == "gumbel-na"
    assert one.config.method.temperature_end == 0.5
    assert one.config.model.codes_per_window == 8
    assert one.config.train.seed == 4
    # What nothing in the file says comes from the configuration it starts from.
    assert one.config.train.learning_rate == load_config("demo").train.learning_rate
    variant = cells["low", "second", 3].config
    assert (variant.method.name, variant.train.steps) == ("gumbel-na", 1)
    assert variant.method.temperature_end == 1.0
    assert [c.is_codec for c in bench.cells[:4]] == [False, True, False, False]


def test_a_configuration_beside_the_file_is_found(write, tmp_path):
    write("[model]\nwidth = 48\nheads = 3\ndecoder_width = 48\n", "mine.toml")
    bench = load_bench(write('config = "mine.toml"\n[budgets.b]\n[methods.daps]\n'))
    assert bench.cells[0].config.model.width == 48
    assert bench.cells[0].seed == 0
    assert bench.target_mm is None


def test_steps_of_a_budget_end_its_runs_whatever_the_configuration_says(write):
    text = 'config = "folder"\n[budgets.b.train]\nsteps = 5\n[budgets.c]\n[methods.daps]\n'
    b, c = load_bench(write(text)).cells
    assert (b.config.train.steps, b.config.train.time_budget) == (5, 0.0)
    assert c.config.train.time_budget > 0


def test_the_benchmark_of_all_methods_loads():
    bench = load_bench(TOOLS / "methods.toml")
    assert set(bench.methods) == {*METHODS, "pca-sq"}
    assert {c.config.train.time_budget for c in bench.cells} == {3.0}
    rates = {
        c.config.model.codes_per_window * math.log2(c.config.model.vocab_size) for c in bench.cells
    }
    assert rates == {1280.0, 640.0, 160.0, 32.0}


def test_the_benchmark_with_temporal_networks_loads():
    bench = load_bench(TOOLS / "methods-temporal.toml")
    assert set(bench.methods) == {
        "rvq", "vqvae", "daps", "gumbel-na", "daps-na", "gumbel", "fsq", "grmck", "ppo", "reinforce"
    }  # fmt: skip
    assert {c.bits for c in bench.cells} == {320.0}
    assert {c.config.train.time_budget for c in bench.cells} == {30.0}
    assert {c.config.model.networks for c in bench.cells} == {"temporal"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('config = "demo"', 'config = "dmeo"', ["no configuration 'dmeo'", "demo"]),
        ('config = "demo"', "", ['config = "NAME"']),
        ("seeds = [3, 4]", "seeds = [3, 3]", ["a seed appears twice"]),
        ("seeds = [3, 4]", "seeds = []", ["seeds must be a list of whole numbers"]),
        ("seeds = [3, 4]", "seeds = [0.5]", ["seeds must be a list of whole numbers"]),
        ("seeds = [3, 4]", "seeds = [-1]", ["low, pca-pq", "train.seed must be 0"]),
        ("target_mm = 1000", "target_mm = -1", ["target_mm must be a positive number"]),
        ("target_mm = 1000", "target = 1", ["unknown key target", "target_mm"]),
        ("[budgets.low]", "[budgets.low]\nsteps = 1", ["budgets.low: unknown key steps"]),
        ("[budgets.low]", "[budgets.'a/b']", ["budgets.a/b", "leave out /"]),
        ("[budgets.low]", "[budgets.'..']", ["leading dots"]),
        ("[methods.second]", "[methods.second.train]\nstepz = 1\n[x]", ["unknown key"]),
        ('name = "gumbel-na"', 'name = "gumble"', ["low, second", "no method 'gumble'", "gumbel"]),
        ('name = "gumbel-na"', "samples = 2", ["no method 'second'", "method.name"]),
        ("steps = 1\n", "steps = 1", []),
        ("train = { steps = 1 }", "train = 3", ["train is a section, got 3"]),
        ("train = { steps = 1 }", "train = { steps = 0 }", ["low, second", "train.steps"]),
        ("train = { steps = 1 }", "data = { clips = 9 }", ["all runs share one [data]"]),
    ],
)
def test_a_bad_comparison_is_answered_by_name(old, new, words, write):
    assert old in TINY or not words
    path = write(TINY.replace(old, new, 1))
    if not words:
        load_bench(path)
        return
    with pytest.raises(ConfigError) as caught:
        load_bench(path)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("part", ["budgets", "methods"])
def test_there_must_be_something_to_compare(part, write):
    kept = "[budgets.b]\n" if part == "methods" else "[methods.daps]\n"
    with pytest.raises(ConfigError, match=rf"at least one \[{part}\.NAME\]"):
        load_bench(write(f'config = "demo"\n{kept}'))


def test_missing_and_broken_files_are_named(tmp_path, write):
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml: No such file"):
        load_bench(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"broken\.toml: .*line 1"):
        load_bench(write("seeds = = 1", "broken.toml"))


def test_every_run_is_trained_measured_and_kept(finished):
    bench, out, outcomes, _ = finished
    assert [o.cell for o in outcomes] == list(bench.cells)
    for outcome in outcomes:
        assert outcome.error == ""
        folder = out / outcome.cell.folder
        result = json.loads((folder / "result.json").read_text())
        assert result == outcome.result
        assert result["config"] == outcome.cell.config.to_dict()
        assert result["test"]["clips"] == 1
        assert result["test"]["training_clips"] == 4
        assert {"date", "processor", "torch"} <= result["machine"].keys()
        metrics = result["metrics"]
        bits = 3 * outcome.cell.config.model.codes_per_window
        if outcome.cell.is_codec:
            assert not (folder / "checkpoint.safetensors").exists()
            assert metrics["bits_per_window"] > 0
            continue
        assert metrics["bits_per_window"] == pytest.approx(bits)
        assert metrics["bits_per_second"] == pytest.approx(bits * 30 / 8)
        assert len(metrics["perplexity_per_position"]) == bits / 3
        assert (folder / "tokenizer" / "config.json").is_file()
        steps = {"pca-pq": 0, "gumbel-na": 2, "second": 1}[outcome.cell.method]
        assert metrics["steps"] == steps
        assert len(outcome.curve) == steps + 1
        assert outcome.curve[-1][2] == pytest.approx(metrics["window_mpjpe_mm"], rel=1e-4)


def test_the_linear_codec_is_better_at_the_higher_rate(finished):
    _, _, outcomes, _ = finished
    error = {
        o.cell.budget: o.result["metrics"]["mse"]
        for o in outcomes
        if o.cell.method == "pca-pq" and o.cell.seed == 3
    }
    assert error["high"] < error["low"]


def test_what_is_there_is_not_run_again(finished, monkeypatch):
    bench, out, outcomes, _ = finished

    def fail(*_, **__):
        raise AssertionError("no data is needed when all runs are there")

    monkeypatch.setattr(compare_module, "load_clips", fail)
    said = []
    again = run_bench(bench, out=out, say=said.append)
    assert [o.result for o in again] == [o.result for o in outcomes]
    assert said == ["8 of 8 runs are there already"]


def small(write, methods="[methods.gumbel-na]\n", **changes):
    head = TINY[: TINY.index("[budgets.low]")].replace("[3, 4]", "[3]")
    for old, new in changes.items():
        head = head.replace(f"{old} = ", f"{old} = {new} #")
    return load_bench(write(f"{head}\n[budgets.low]\n{methods}"))


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


def outcome(bench, index, curve=(), **metrics):
    return Outcome(bench.cells[index], {"metrics": metrics}, tuple(curve))


def test_rows_are_means_over_seeds_best_first(write):
    bench = load_bench(write(TINY))
    index = {(c.budget, c.method, c.seed): i for i, c in enumerate(bench.cells)}
    curve = [(1.0, 0.0, 90.0), (2.0, 1.0, 40.0), (5.0, 2.0, 30.0)]
    rows = comparison_rows(
        [
            outcome(bench, index["low", "gumbel-na", 3], curve, mpjpe_mm=50.0, kl=2.0),
            outcome(bench, index["low", "gumbel-na", 4], curve[:1], mpjpe_mm=70.0, kl=4.0),
            outcome(bench, index["low", "pca-sq", 3], mpjpe_mm=55.0),
            outcome(bench, index["high", "second", 3], curve, mpjpe_mm=10.0, used=[1, 2]),
            Outcome(bench.cells[index["high", "pca-pq", 3]], None, error="x"),
        ],
        40.0,
    )
    codec, gumbel = rows["low"]
    assert (codec.method, codec.seeds, codec.mean) == ("pca-sq", 1, {"mpjpe_mm": 55.0})
    assert codec.deviation == {}
    # One seed never reached the target, so there is no mean time to it.
    assert gumbel.mean == {"mpjpe_mm": 60.0, "kl": 3.0}
    assert gumbel.deviation == pytest.approx({"mpjpe_mm": 200**0.5, "kl": 2**0.5})
    (second,) = rows["high"]
    assert second.mean == {"mpjpe_mm": 10.0, "seconds_to_target": 2.0}


def test_the_report_has_a_row_for_every_method(finished):
    bench, _, outcomes, _ = finished
    text = comparison_markdown(bench, outcomes)
    assert text.startswith("# Comparison: bench\n")
    assert text.index("## low") < text.index("## high")
    tables = [block for block in text.split("\n\n") if block.startswith("| ")]
    tables = [table for table in tables if "by action" not in table]
    assert len(tables) == 2 * 5
    for table in tables:
        lines = table.splitlines()
        assert len(lines) == 2 + 4
        assert len({line.count("|") - line.count("\\|") for line in lines}) == 1
    assert "to do" not in text
    assert "2 of 8 runs are still to do" in comparison_markdown(bench, outcomes[:6])


def test_the_report_tells_actions_apart(finished):
    bench, _, outcomes, _ = finished
    first = {"walk": {"clips": 3, "mpjpe_mm": 20.04}, "bow": {"clips": 5, "mpjpe_mm": 7.0}}
    second = {"walk": {"clips": 3, "mpjpe_mm": 10.0}, "bow": {"clips": 5, "mpjpe_mm": 9.0}}
    told = []
    for outcome, actions in zip(outcomes, (first, second), strict=False):
        metrics = {**outcome.result["metrics"], "actions": actions}
        told.append(replace(outcome, result={**outcome.result, "metrics": metrics}))
    text = comparison_markdown(bench, told)
    (table,) = [block for block in text.split("\n\n") if "by action" in block]
    head, _, *lines = table.splitlines()
    of = [cell.strip() for cell in head.split("|")].index(told[0].cell.method)
    assert [line.split("|")[1:3] for line in lines] == [[" bow ", " 5 "], [" walk ", " 3 "]]
    assert lines[1].split("|")[of].strip() == "20.0"
    # Results of before actions were told apart have no table, and no error either.
    for outcome in told:
        del outcome.result["metrics"]["actions"]
    assert "by action" not in comparison_markdown(bench, told)


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["motiontok", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as exit:
            code = exit.code or 0
        return code, *capfd.readouterr()

    return run


def is_picture(path):
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > 5000


needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None,
    reason="needs matplotlib: pip install 'motiontok[render]'",
)


@needs_matplotlib
def test_compare_writes_its_report_and_pictures(command, finished, tmp_path):
    bench, out, outcomes, _ = finished
    (tmp_path / "bench.toml").write_text(TINY.replace("[3, 4]", "[3]"))
    code, shown, _ = command("compare", tmp_path / "bench.toml", "--out", out, "--json")
    assert code == 0
    report = json.loads(shown)
    assert report == json.loads((out / "report.json").read_text())
    assert report["runs_in_all"] == len(report["runs"]) == 8
    assert report["runs"][0]["metrics"] == outcomes[0].result["metrics"]
    text = (out / "report.md").read_text()
    assert text.startswith(comparison_markdown(bench, outcomes).partition("## How to read")[0])
    for name in ("validation", "usage", "rate_distortion", "cost"):
        assert is_picture(out / f"{name}.png")
        assert f"]({name}.png)" in text


def test_compare_refuses_in_one_line(command, tmp_path, write):
    code, _, error = command("compare", tmp_path / "none.toml", "--out", tmp_path / "out")
    assert code == 2
    assert error.startswith("error: cannot read")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_unseen_clips_are_not_for_images(command, tmp_path):
    options = ("--data", tmp_path, "--unseen", tmp_path, "--out", tmp_path / "out")
    code, _, error = command("compare", TOOLS / "mnist.toml", *options)
    assert code == 2
    assert error == "error: --unseen takes clips of motion; this comparison is of images\n"


def test_compare_ends_badly_when_a_run_failed(command, tmp_path, write):
    text = TINY[: TINY.index("[budgets.low]")].replace("[3, 4]", "[3]")
    path = write(f"{text}\n[budgets.low]\n[methods.reinforce]\nmethod = {{ samples = 1 }}\n")
    code, shown, error = command("compare", path, "--out", tmp_path / "out", "--device", "cpu")
    assert code == 1
    assert "1 of 1 runs failed: reinforce" in error
    report = (tmp_path / "out" / "report.md").read_text()
    assert "samples must be at least 2" in report
    assert report in shown


@needs_matplotlib
def test_eval_measures_a_tokenizer_on_its_held_out_clips(command, finished, tmp_path):
    _, out, outcomes, _ = finished
    (of_run,) = [
        o for o in outcomes if (o.cell.method, o.cell.budget, o.cell.seed) == ("second", "low", 3)
    ]
    folder = out / of_run.cell.folder
    code, shown, _ = command(
        "eval", folder, "-o", tmp_path / "eval", "--device", "cpu", "--seed", 3
    )
    assert code == 0
    result = json.loads((tmp_path / "eval" / "eval.json").read_text())
    assert (tmp_path / "eval" / "eval.md").read_text() in shown
    assert is_picture(tmp_path / "eval" / "usage.png")
    assert result["test"]["split"].startswith("procedural, 1 in 20 clips")
    for key in ("mpjpe_mm", "mse", "psnr", "log_p", "kl", "perplexity"):
        assert math.isfinite(result["metrics"][key])
    code, shown, _ = command("eval", folder, "--json", "--device", "cpu")
    assert code == 0
    assert json.loads(shown)["fingerprint"] == result["fingerprint"]
    code, shown, _ = command("eval", folder, "--json", "--device", "cpu", "--effort", 8)
    assert code == 0
    harder = json.loads(shown)
    assert harder["effort"] == 8
    assert harder["metrics"]["mse"] < result["metrics"]["mse"]


def test_eval_takes_all_clips_of_a_folder(command, finished, tmp_path):
    _, out, outcomes, _ = finished
    clips = tmp_path / "clips"
    clips.mkdir()
    from bvh import write

    for kind in ("walk", "squat"):
        write(procedural.make(kind, seconds=2.0).to_clip(), clips / f"{kind}.bvh")
    folder = out / outcomes[0].cell.folder
    # A tokenizer of made-up clips has no split of these: all are taken.
    for extra in ([], ["--all"]):
        code, shown, _ = command("eval", folder, "--data", clips, "--json", *extra)
        assert code == 0
        test = json.loads(shown)["test"]
        assert (test["split"], test["clips"], test["windows"]) == ("all clips of clips", 2, 2 * 7)
    # Both clips are of one length: their errors weigh alike in the mean.
    metrics = json.loads(shown)["metrics"]
    actions = metrics["actions"]
    assert {name: found["clips"] for name, found in actions.items()} == {"walk": 1, "squat": 1}
    assert metrics["mpjpe_mm"] == pytest.approx(
        sum(found["mpjpe_mm"] for found in actions.values()) / 2
    )
    code, shown, _ = command("eval", folder, "--data", clips)
    assert f"| squat | 1 | {actions['squat']['mpjpe_mm']:.1f} |" in shown
    code, _, error = command("eval", folder, "--all")
    assert code == 2
    assert error == "error: --all needs --data: a folder or archive of BVH clips\n"
    code, _, error = command("eval", tmp_path / "none")
    assert code == 2
    assert "no such folder" in error


def test_eval_of_the_lafan_baselines_needs_the_data(command, tmp_path):
    code, _, error = command("eval", "lafan-baselines", "--data", tmp_path)
    assert code == 2
    assert len(error.splitlines()) == 1


def test_eval_shows_lafan_baselines_beside_what_was_published(command, monkeypatch):
    measured = [replace(score, l2q=score.l2q + 0.01) for score in inbetweening.PUBLISHED]
    monkeypatch.setattr(inbetweening, "evaluate_baselines", lambda *_, **__: measured)
    code, shown, _ = command("eval", "lafan-baselines")
    assert code == 0
    assert len(shown.splitlines()) == 2 + 8
    assert "0.57 (0.56)" in shown
    code, shown, _ = command("eval", "lafan-baselines", "--json")
    rows = json.loads(shown)
    assert rows[0]["measured"]["l2q"] == pytest.approx(0.57)
    assert rows[0]["published"]["l2q"] == 0.56
