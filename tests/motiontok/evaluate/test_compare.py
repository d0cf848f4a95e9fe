"""Comparisons: every run trained, the report, the commands; and measuring one tokenizer."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace

import pytest
from comparisons import TINY, TOOLS, outcome_of

from bvh import procedural
from motiontok.evaluate import compare as compare_module
from motiontok.evaluate.bench import load_bench
from motiontok.evaluate.compare import Outcome, run_bench
from motiontok.evaluate.report import comparison_markdown, comparison_rows


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The tiny comparison, run once: its file, folder and outcomes."""
    folder = tmp_path_factory.mktemp("comparison")
    (folder / "bench.toml").write_text(TINY.replace("[3, 4]", "[3]"), encoding="utf-8")
    bench = load_bench(folder / "bench.toml")
    said: list[str] = []
    outcomes = run_bench(bench, out=folder / "out", say=said.append)
    return bench, folder / "out", outcomes, said


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


def test_rows_are_means_over_seeds_best_first(write):
    bench = load_bench(write(TINY))
    index = {(c.budget, c.method, c.seed): i for i, c in enumerate(bench.cells)}
    curve = [(1.0, 0.0, 90.0), (2.0, 1.0, 40.0), (5.0, 2.0, 30.0)]
    rows = comparison_rows(
        [
            outcome_of(bench, index["low", "gumbel-na", 3], curve, mpjpe_mm=50.0, kl=2.0),
            outcome_of(bench, index["low", "gumbel-na", 4], curve[:1], mpjpe_mm=70.0, kl=4.0),
            outcome_of(bench, index["low", "pca-sq", 3], mpjpe_mm=55.0),
            outcome_of(bench, index["high", "second", 3], curve, mpjpe_mm=10.0, used=[1, 2]),
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
