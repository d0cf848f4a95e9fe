"""Training and measuring on many folders, from the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from bvh import lafan, procedural
from motiontok.config import load_config
from motiontok.errors import DataError, TrainingError
from motiontok.evaluate.bench import load_bench
from motiontok.evaluate.compare import run_bench
from motiontok.evaluate.report import comparison_markdown
from motiontok.evaluate.sets import metrics_of_sets, sets_markdown
from motiontok.runs import run_training

SMALL = (
    "data.window=8", "data.holdout=3", "model.codes_per_window=4", "model.vocab_size=8",
    "model.components=16", "model.bases=4", "model.width=8", "model.heads=1", "model.layers=1",
    "model.decoder_width=8", "model.decoder_layers=1", "train.batch_size=8", "train.log_every=1",
    "method.name=lopq", "train.time_budget=0.0",
)  # fmt: skip
SETTINGS = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two sets that have a clip in common, and a file."""
    top = tmp_path_factory.mktemp("sets")
    for name, kind, count in (("walks", "walk", 8), ("dances", "dance", 3)):
        (top / name).mkdir()
        for seed in range(count):
            clip = procedural.make(kind, seconds=2, seed=seed)
            clip = replace(clip, source=replace(clip.source, name=f"{kind}_{seed}"))
            clip.save(top / name / f"{kind}_{seed}.npz")
    shutil.copy(top / "walks" / "walk_1.npz", top / "dances" / "walk_1.npz")
    procedural.make("hop", seconds=2, seed=1).save(top / "lone.npz")
    (top / "dances" / "bad.bvh").write_text("hello")
    return top


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))


def data_of(folders, *names):
    return [word for name in names for word in ("--data", folders / name)]


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory):
    """A run of two sets, with what it said."""
    out, said = tmp_path_factory.mktemp("run") / "run", []
    run = run_training(
        load_config("general", [*SMALL, "data.weights.dances=2"]),
        out=out,
        data=[folders / "walks", folders / "dances"],
        say=said.append,
    )
    return out, run, said


def test_training_says_what_is_drawn_of_each_set(trained):
    _, _, said = trained
    # Five clips and two, mirrored: the root of 530 windows beside twice that of 212.
    assert "walks: 5 clips, 300 frames, 3 held out, 44.2 % of the draws" in said
    assert "dances: 2 clips, 120 frames, 1 held out, 55.8 % of the draws" in said
    assert "dances: walk_1.npz is in walks too, and counts once, there" in said
    assert any(line.startswith("skipped dances/bad.bvh: ") for line in said)
    assert any(line.startswith("7 clips to train on (742 windows") for line in said)


def test_metrics_are_of_each_set_over_frames_and_over_sets(trained):
    out, run, _ = trained
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics == run.metrics
    walks, dances = metrics["sets"]["walks"], metrics["sets"]["dances"]
    assert (walks["clips"], walks["frames"], dances["clips"]) == (3, 180, 1)
    of_each = walks["mpjpe_mm"], dances["mpjpe_mm"]
    assert of_each[0] != of_each[1]
    assert metrics["mean_over_sets"]["mpjpe_mm"] == pytest.approx(sum(of_each) / 2)
    assert metrics["mpjpe_mm"] == pytest.approx((3 * of_each[0] + of_each[1]) / 4)


def test_the_command_line_takes_many_folders_and_ends_with_each(run, folders, tmp_path):
    data = data_of(folders, "walks", "dances", "lone.npz")
    out = tmp_path / "run"
    code, said, err = run(
        "train", "general", *data, "--weight", "lone.npz=2", "--out", out, *SETTINGS
    )
    assert (code, "data.weights: no set lone.npz; of this run are walks, dances, lone" in err) == (
        2, True,
    )  # fmt: skip
    assert not out.exists()
    code, said, err = run("train", "general", *data, "--weight", "lone=2", "--out", out, *SETTINGS)
    assert code == 0, err
    assert "lone: 1 clip, 60 frames, 0 held out" in said
    assert "lone: a single clip, which is trained on; nothing is held out" in said
    last = said.splitlines()[-5:]
    assert "on 4 held-out clips, mean over frames: MPJPE" in last[0]
    starts = ("  walks: MPJPE ", "  dances: MPJPE ", "  mean over sets: MPJPE ", "tokenizer -> ")
    assert all(line.startswith(start) for line, start in zip(last[1:], starts, strict=True))
    config = json.loads((out / "config.json").read_text())
    assert config["data"]["weights"] == {"lone": 2.0}


def test_a_set_may_have_any_name(run, folders, tmp_path):
    for name in ("a=b", "two words", 'a "quoted" one', "dots.in.it"):
        (tmp_path / "sets").mkdir(exist_ok=True)
        there = shutil.copytree(folders / "walks", tmp_path / "sets" / name)
        out = tmp_path / "runs" / name
        code, _, err = run(
            "train", "general", "--data", there, *data_of(folders, "dances"),
            "--weight", f"{name}=2", "--out", out, *SETTINGS,
        )  # fmt: skip
        assert code == 0, err
        config = json.loads((out / "config.json").read_text())
        assert config["data"]["weights"] == {name: 2.0}


def test_eval_measures_each_set_and_all_of_them(run, trained, folders, tmp_path):
    out, of_run, _ = trained
    # Weights of sets that are not given now do not matter; the split is that of training.
    code, said, err = run("eval", out, *data_of(folders, "walks", "dances"), "--json")
    assert code == 0, err
    result = json.loads(said)
    assert result["test"]["split"].endswith("held out of walks, dances")
    metrics = result["metrics"]
    for name in ("walks", "dances"):
        expected = of_run.metrics["sets"][name]["mpjpe_mm"]
        assert metrics["sets"][name]["mpjpe_mm"] == pytest.approx(expected)
    over = metrics["mean_over_sets"]["mpjpe_mm"]
    assert over == pytest.approx(of_run.metrics["mean_over_sets"]["mpjpe_mm"])
    assert "walk_1.npz is in walks too" in err

    code, said, err = run("eval", out, *data_of(folders, "walks", "lone.npz"), "--json")
    assert json.loads(said)["test"]["split"].endswith("held out of walks")
    assert "lone: a single clip, which is trained on; nothing is held out" in err

    report = tmp_path / "report"
    code, said, err = run("eval", out, *data_of(folders, "walks", "dances"), "--all", "-o", report)
    assert code == 0, err
    rows = [line.split(" | ") for line in said.splitlines() if line.startswith("| ")]
    table = {row[0].removeprefix("| "): row[1:4] for row in rows}
    assert table["walks"][:2] == ["8", "480"]
    assert table["dances"][:2] == ["3", "180"]
    assert table["mean over frames"][:2] == table["mean over sets"][:2] == ["11", "660"]
    assert said.startswith((report / "eval.md").read_text())

    code, said, _ = run("eval", out, *data_of(folders, "walks"))
    assert code == 0
    assert "mean over sets" not in said


def test_eval_of_a_run_finds_the_clips_of_its_training(run, folders, tmp_path, monkeypatch):
    """From anywhere, of the run's folder or the tokenizer's in it, as long as they are there."""
    mine = shutil.copytree(folders / "walks", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    code, _, err = run("train", "folder", "--data", "mine", "--out", "run", *SETTINGS)
    assert code == 0, err
    trained = json.loads((tmp_path / "run" / "metrics.json").read_text())
    monkeypatch.chdir("/")
    for folder in (tmp_path / "run", tmp_path / "run" / "tokenizer"):
        code, said, err = run("eval", folder, "--json")
        assert code == 0, err
        assert f"note: clips of its training: {mine}\n" in err
        assert "--all measures all" not in err
        metrics = json.loads(said)["metrics"]
        assert metrics["mpjpe_mm"] == pytest.approx(trained["mpjpe_mm"])
    # A tokenizer may be passed on, and says nothing of this machine.
    for path in (tmp_path / "run" / "tokenizer").iterdir():
        assert str(mine).encode() not in path.read_bytes()
    mine.rename(tmp_path / "elsewhere")
    code, _, err = run("eval", tmp_path / "run")
    assert (code, err.splitlines()[-1]) == (
        2, f"error: {tmp_path / 'run'} was trained on {mine}, which is there no more: give --data"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("others", "split"),
    [
        (["a"], "lafan, dance2_subject2, fight1_subject2, run2_subject1, walk2_subject4 held out"),
        (["a", "b", "c", "d"], "lafan, 1 in 3 clips (a, d) held out"),
        (map("{:02d}".format, range(13)), "lafan, 1 in 3 clips held out"),
    ],
    ids=["paper", "few", "many"],
)
def test_eval_says_which_split_it_used_and_what_it_left(run, tmp_path, others, split):
    names = [*others, *(lafan.DAPS_VALIDATION if "dance2" in split else ())]
    (tmp_path / "clips").mkdir()
    for seed, name in enumerate(names):
        clip = procedural.make("walk", seconds=1, seed=seed)
        clip = replace(clip, source=replace(clip.source, name=name))
        clip.save(tmp_path / "clips" / f"{name}.npz")
    data = ["--data", tmp_path / "clips"]
    code, _, err = run("train", "lafan", *data, "--out", tmp_path / "run", *SETTINGS)
    assert code == 0, err
    code, said, err = run("eval", tmp_path / "run", *data, "--json")
    assert code == 0, err
    test = json.loads(said)["test"]
    assert test["split"] == split
    told = f"note: {test['clips']} of {len(names)} clips are measured, those that the split of"
    assert f"{told} training holds out; --all measures all\n" in err
    code, said, err = run("eval", tmp_path / "run", *data, "--all", "--json")
    assert json.loads(said)["test"]["clips"] == len(names)
    assert "--all" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "general"], "needs --data"),
        (["train", "general", "--data", "{walks}", "--data", "nowhere"], "nowhere: no such file"),
        (
            ["train", "general", "--data", "{walks}", "--data", "{walks}"],
            "given twice; a set is drawn",
        ),
        (["train", "general", "--weight", "walks"], "--weight walks: expected SET=W"),
        (["train", "general", "--weight", "=2"], "--weight =2: expected SET=W"),
        (["train", "general", "--weight", "walks=x"], "--weight walks=x: expected SET=W"),
        (["train", "general", "--weight", "walks=-1"], "--weight walks=-1: W must be a number of"),
        (["train", "general", "--weight", "a=1e300"], "--weight a=1e300: W must be a number of"),
        (["train", "general", "--weight", "a=nan"], "--weight a=nan: W must be a number of"),
        (["train", "general", "--set", "data.weights.a=1e9"], "data.weights.a must be a number of"),
        (["train", "mnist", "--weight", "a=1"], "--weight is for sets of clips"),
        (["train", "mnist", "--data", "a", "--data", "b"], "--data is given 2 times: images"),
        (["train", "demo", "--set", "data.warp=3"], "data.warp must be 1 (no warps) to 2"),
        (["train", "lafan", "--download", "--data", "{walks}"], "without --data"),
        (["eval", "{copy}"], "clips of your own: give --data"),
        (["eval", "{run}", "--up", "z"], "read in another way: give the options of reading"),
        (["eval", "default"], "on CMU and SNU, which do not come with it; give --data CLIPS --all"),
        (["eval", "{run}", "--all"], "--all needs --data"),
        (["eval", "lafan-baselines", "--data", "a", "--data", "b"], "the baselines take one"),
    ],
)
def test_bad_input_is_told_in_one_line(run, folders, trained, tmp_path, arguments, words):
    copy = shutil.copytree(trained[0] / "tokenizer", tmp_path / "copy")
    names = {"walks": folders / "walks", "run": trained[0], "copy": copy}
    out = ["--out", tmp_path / "out"] if arguments[0] == "train" else []
    code, _, err = run(*(word.format(**names) for word in arguments), *out)
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("method", ["pca-pq", "daps"])
def test_warps_are_for_what_is_trained_in_steps(method, folders, tmp_path):
    losses = []
    for warp in (1.0, 1.33):
        said = []
        settings = [*SMALL, f"method.name={method}", "train.steps=2", f"data.warp={warp}"]
        done = run_training(
            load_config("folder", settings),
            out=tmp_path / f"{warp}",
            data=[folders / "walks"],
            say=said.append,
        )
        losses.append(done.trained.validation["mse"])
        fitted = method == "pca-pq" and warp > 1.0
        assert ("pca-pq is fitted to real windows: data.warp does nothing" in said) == fitted
    assert (losses[0] == losses[1]) == (method == "pca-pq")


@pytest.mark.usefixtures("undrawn")
def test_a_run_goes_on_with_the_same_sets_in_the_same_order(folders, tmp_path):
    walks, dances = folders / "walks", folders / "dances"

    def go(out, steps, data=(walks, dances), **options):
        # No schedule, so that it does not matter when the end is thought to be.
        flat = (
            "method.beta_start=0.1", "method.beta_end=0.1", "data.warp=1.33",
            "train.final_learning_rate=5e-4",
        )  # fmt: skip
        keys = [*SMALL, "method.name=daps", *flat, f"train.steps={steps}"]
        config = load_config("general", keys)
        return run_training(config, out=tmp_path / out, data=data, say=lambda _: None, **options)

    whole = go("whole", 4)
    go("parts", 2)
    with pytest.raises(TrainingError, match="was trained on other data"):
        go("parts", 4, data=(dances, walks), resume=True)
    parts = go("parts", 4, resume=True)
    pairs = zip(*(r.trained.method.parameters() for r in (whole, parts)), strict=True)
    assert all(a.equal(b) for a, b in pairs)


def test_compare_takes_many_folders(folders, tmp_path):
    (tmp_path / "bench.toml").write_text(
        'config = "general"\n[data]\nwindow = 8\nholdout = 3\n[model]\ncodes_per_window = 4\n'
        "vocab_size = 8\n[budgets.one]\n[methods.pca-pq]\n[methods.pca-sq]\n"
    )
    bench = load_bench(tmp_path / "bench.toml")
    said = []
    data = [folders / "walks", folders / "dances"]
    outcomes = run_bench(bench, out=tmp_path / "out", data=data, say=said.append)
    assert [o.error for o in outcomes] == ["", ""]
    for outcome in outcomes:
        assert outcome.result["test"]["split"] == "general, held out of walks, dances"
        assert set(outcome.result["metrics"]["sets"]) == {"walks", "dances"}
    assert "dances: walk_1.npz is in walks too, and counts once, there" in said


def test_compare_measures_on_sets_that_no_run_trains_on(folders, tmp_path):
    (tmp_path / "bench.toml").write_text(
        'config = "general"\n[data]\nwindow = 8\nholdout = 3\n[model]\ncodes_per_window = 4\n'
        "vocab_size = 8\n[budgets.one]\n[methods.pca-pq]\n[methods.pca-sq]\n"
    )
    bench, options = load_bench(tmp_path / "bench.toml"), {"data": [folders / "walks"]}
    unseen = [folders / "lone.npz"]
    outcomes = run_bench(bench, out=tmp_path / "out", unseen=unseen, say=lambda _: None, **options)
    for outcome in outcomes:
        assert outcome.result["metrics"]["sets"].keys() == {"walks"}
        (found,) = outcome.result["metrics"]["unseen"].values()
        assert (found["clips"], found["frames"]) == (1, 60)
        # A hop is less like walks than walks are.
        assert found["mpjpe_mm"] > outcome.result["metrics"]["mpjpe_mm"]
    said = []
    unseen = [folders / "lone.npz", folders / "dances"]
    again = run_bench(bench, out=tmp_path / "out", unseen=unseen, say=said.append, **options)
    assert [o.result for o in again] == [o.result for o in outcomes]
    (told,) = [line for line in said if "not measured" in line]
    assert told.startswith("2 of the runs were there already and are not measured on dances;")
    text = comparison_markdown(bench, outcomes)
    overview, heading = [line for line in text.splitlines() if "unseen" in line]
    assert overview == "| MPJPE mm | held out | lone, unseen |"
    assert heading.startswith("| lone, unseen, 1 clips | MPJPE mm |")
    rows = text[text.index(heading) :].split("\n\n")[0].splitlines()[2:]
    assert sorted(row.split(" | ")[0] for row in rows) == ["| pca-pq", "| pca-sq"]
    with pytest.raises(DataError, match=r"--unseen walks: walk_\d is among the clips of --data"):
        run_bench(bench, out=tmp_path / "b", unseen=options["data"], say=lambda _: None, **options)


def test_a_set_with_nothing_held_out_has_no_metrics():
    rows = {"a": [(10, {"mpjpe_mm": 1.0}), (30, {"mpjpe_mm": 5.0})], "b": [(40, {"mpjpe_mm": 8.0})]}
    found = metrics_of_sets(rows | {"c": []})
    assert list(found["sets"]) == ["a", "b"]
    assert found["sets"]["a"] == {"clips": 2, "frames": 40, "mpjpe_mm": 4.0}
    assert (found["mpjpe_mm"], found["mean_over_sets"]["mpjpe_mm"]) == (6.0, 6.0)
    assert "| a | 2 | 40 | 4.0 |" in sets_markdown(found)
    assert sets_markdown(metrics_of_sets({"a": rows["a"]})) == ""
