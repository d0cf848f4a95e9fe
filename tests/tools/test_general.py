"""The bench of generalisation on tiny made-up sets: what is trained on, tested on, and told."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bvh import procedural
from bvh.splits import parse_name
from motiontok.errors import ConfigError

TOOLS = Path(__file__).parents[2] / "tools" / "bench"
sys.path.insert(0, str(TOOLS))

import general as tool  # noqa: E402
from general_page import Entry, general_markdown, rows_of  # noqa: E402
from general_sets import clips_of, load_general, load_split  # noqa: E402

BENCH = """
config = "demo"
near_duplicates = "walks"
prefixes = ["coarse-to-fine"]

[sets.walks]
title = "Walks"
paths = ["walks"]
every = 3

[sets.mixed]
paths = ["more/runs", "more/squats"]
every = 2

[data]
window = 8

[model]
vocab_size = 8
width = 8
heads = 1

[budgets.low]
model = { codes_per_window = 4 }

[budgets.high]
model = { codes_per_window = 8 }

[methods.pca-pq]

[methods.pca-sq]

[methods.coarse-to-fine]
method = { name = "pca-pq" }
"""
TRAININGS = {
    "all": (("walks", "mixed"), ("walks", "mixed")),
    "without-walks": (("mixed",), ("walks",)),
    "without-mixed": (("walks",), ("mixed",)),
    "walks-alone": (("walks",), ("walks",)),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Folders of clips, and the bench's file beside them."""
    folder = tmp_path_factory.mktemp("general")
    for kind, place, count in (
        ("walk", "walks", 6),
        ("run", "more/runs", 2),
        ("squat", "more/squats", 2),
    ):
        (folder / place).mkdir(parents=True)
        for seed in range(count):
            motion = procedural.make(kind, seconds=2.0, seed=seed)
            motion.save(folder / place / f"{kind}_{seed}.npz")
    (folder / "bench.toml").write_text(BENCH, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def bench(root):
    return load_general(root / "bench.toml")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTIONTOK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def data_of(bench, root):
    return tool.Data(bench, root, lambda line: None)


@pytest.fixture(scope="module")
def finished(bench, root):
    """All runs of the tiny bench: their figures and folder."""
    out = root / "out"
    entries = tool.run_general(bench, data_of(bench, root), out=out, say=lambda line: None)
    return entries, out


def test_the_shipped_bench_tests_the_same_clips_in_every_table():
    shipped = load_general(TOOLS / "general.toml")
    assert {t.name: t.tests for t in shipped.trainings} == {
        "all": ("bandai", "lafan", "general"),
        "without-bandai": ("bandai",),
        "without-lafan": ("lafan",),
        "without-general": ("general",),
        "bandai-alone": ("bandai",),
    }
    themes = {parse_name(name).action for name in shipped.sources["lafan"].held_out}
    assert len(shipped.sources["lafan"].held_out) == len(themes) == 6
    rates = {(c.method, c.bits) for c in shipped.bench.cells}
    assert {(m, b) for m in ("pca-pq", "pca-sq") for b in (160.0, 320.0, 640.0)} < rates
    # Trained once, measured at all rates.
    assert {b for m, b in rates if m == "lopq"} == {640.0}


def test_no_clip_that_is_tested_is_trained_on(bench, root):
    of_sets = {name: load_split(source, root) for name, source in bench.sources.items()}
    assert [len(of_sets[name].held_out) for name in ("walks", "mixed")] == [2, 2]
    assert {t.name: (t.sets, t.tests) for t in bench.trainings} == TRAININGS
    for training in bench.trainings:
        trained = {m.source.name for m in clips_of(training, of_sets).training}
        assert trained
        for name in training.tests:
            assert not trained & {m.source.name for m in of_sets[name].held_out}
            if training.table == "unseen":
                assert not trained & {m.source.name for m in of_sets[name].train}


def test_every_method_is_trained_and_tested_for_every_table(bench, finished):
    entries, out = finished
    assert not [e.error for e in entries if e.error]
    assert len(entries) == len(bench.bench.cells) == 4 * (2 + 2 + 1)
    for entry in entries:
        measured = entry.result["metrics"]["measured"]
        assert {m["set"] for m in measured} == set(TRAININGS[entry.training][1])
        parts = [m["part"] for m in measured if m["set"] == measured[0]["set"]]
        assert parts == (["first 4 of 8 codes", ""] if entry.label == "coarse-to-fine" else [""])
        for of in measured:
            assert of["mpjpe_mm"] > 0
            assert of["clips"] == 2
            if entry.label == "pca-pq":
                codes = entry.result["config"]["model"]["codes_per_window"]
                assert of["bits_per_window"] == 3 * codes
    folder = out / "without-walks" / "low" / "pca-pq" / "seed-0"
    assert (folder / "tokenizer" / "config.json").is_file()


def test_the_first_codes_of_one_tokenizer_are_a_rate_of_their_own(bench, finished):
    coarse, whole = [
        row
        for row in rows_of(bench, finished[0], "near-duplicates", "walks")
        if row.method.startswith("coarse-to-fine")
    ]
    assert (coarse.method, whole.method) == (
        "coarse-to-fine, first 4 of 8 codes",
        "coarse-to-fine",
    )
    assert (coarse.mean["bits_per_window"], whole.mean["bits_per_window"]) == (12, 24)
    assert coarse.mean["bits_per_second"] == 12 * 30 / 8
    assert coarse.mean["mpjpe_mm"] > whole.mean["mpjpe_mm"]


def test_motion_like_what_was_trained_on_is_nearer_and_said_to_be(bench, finished, tmp_path):
    entries, _ = finished
    nearest = {e.training: e.result["nearest_mm"] for e in entries}
    near, far = nearest["walks-alone"]["walks"], nearest["without-walks"]["walks"]
    assert 0 < near["median"] < far["median"]
    text = general_markdown(bench, entries, picture=tmp_path / "a.png", page=tmp_path / "b.md")
    _, _, unseen = text.partition("### Walks, trained on mixed\n\n")
    assert unseen.startswith(f"The nearest training window is {far['median']:.0f} mm away")


def test_near_duplicates_are_told_in_whatever_table_they_are(bench, finished, tmp_path):
    def page(median):
        entries = [
            replace(e, result={**e.result, "nearest_mm": {"walks": of | {"median": median}}})
            for e in finished[0]
            for of in e.result["nearest_mm"].values()
        ]
        return general_markdown(bench, entries, picture=tmp_path / "a.png", page=tmp_path / "b.md")

    near, far = page(24.0), page(26.0)
    assert "| unseen: Walks (near duplicates) | unseen: mixed |" in near
    # In the table of that name it need not be said.
    assert near.count("do not quote them") == 2
    assert "(near duplicates)" not in far
    assert "do not quote them" not in far


def test_what_is_there_is_not_run_again(bench, root, finished, monkeypatch):
    entries, out = finished

    def fail(*_, **__):
        raise AssertionError("no clips are needed when all runs are there")

    monkeypatch.setattr(tool, "load_split", fail)
    said: list[str] = []
    again = tool.run_general(bench, data_of(bench, root), out=out, say=said.append)
    assert [e.result for e in again] == [e.result for e in entries]
    assert said == ["20 of 20 runs are there already"]


def test_only_some_runs_now(bench, root, tmp_path):
    def run(*only):
        found = tool.run_general(
            bench, data_of(bench, root), out=tmp_path, only=only, say=lambda line: None
        )
        return {(e.training, e.label) for e in found}

    assert run("without-mixed", "pca-sq") == {("without-mixed", "pca-sq")}
    both = run("near-duplicates", "pca-sq")
    assert both == {("without-mixed", "pca-sq"), ("walks-alone", "pca-sq")}
    with pytest.raises(ConfigError, match=r"--only lopq: choose from pca-pq, pca-sq, .*unseen"):
        run("lopq")


def test_results_on_other_clips_are_refused(root, finished):
    text = BENCH.replace("every = 3", "every = 2")
    (root / "other.toml").write_text(text, encoding="utf-8")
    other = load_general(root / "other.toml")
    with pytest.raises(ConfigError, match="is of a run on other clips"):
        tool.run_general(other, data_of(other, root), out=finished[1], say=lambda line: None)


def test_a_tokenizer_counts_as_unseeing_only_of_sets_it_is_said_not_to_have_seen(
    bench, root, finished
):
    folder = finished[1] / "all" / "high" / "pca-pq" / "seed-0" / "tokenizer"
    sets = tuple(bench.sources)
    given = dict(
        tool.tokenizer_given(text, sets) for text in (f"mine={folder}:mixed", f"other={folder}")
    )
    out = root / "beside"
    *_, mine, other = tool.run_general(
        bench,
        data_of(bench, root),
        out=out,
        only=["walks-alone", "pca-sq"],
        tokenizers=given,
        say=lambda line: None,
    )
    assert [mine.table(bench, name) for name in sets] == ["unseen", "held-out"]
    # Of unknown origin: it may have seen everything.
    assert [other.table(bench, name) for name in sets] == ["held-out", "held-out"]
    rows = {r.method: r for r in rows_of(bench, [mine, other], "unseen", "walks")}
    assert set(rows) == {"mine", "mine, first 4 of 8 codes"}
    # The very tokenizer of the bench has the bench's figures.
    of_run = rows_of(bench, finished[0], "held-out", "walks")
    (same,) = [r for r in of_run if r.method == "pca-pq" and r.mean["bits_per_window"] == 24]
    assert rows["mine"].mean["mpjpe_mm"] == pytest.approx(same.mean["mpjpe_mm"])
    for name in ("mine", "other"):
        assert (out / "tokenizers" / name / "result.json").is_file()
    assert torch.get_num_threads() >= 1
    with pytest.raises(ConfigError, match="no set 'none'; choose from walks, mixed"):
        tool.tokenizer_given(f"{folder}:none", sets)


def test_the_page_has_every_table_and_its_sources_own_values(bench, finished, tmp_path):
    page, picture = tmp_path / "docs" / "general.md", tmp_path / "images" / "general.png"
    text = general_markdown(bench, finished[0], picture=picture, page=page)
    assert "](../images/general.png)" in text
    titles = (
        "## Held-out clips of the sets trained on",
        "### Walks, trained on Walks, mixed",
        "### mixed, trained on Walks, mixed",
        "## Whole data sets never trained on",
        "### Walks, trained on mixed",
        "### mixed, trained on Walks\n",
        "## Near duplicates",
        "### Walks, trained on Walks\n",
        "## Cost",
    )
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 1 + 5 * 2 + 1
    for head, _, *rows in tables:
        assert {row.count("|") for row in rows} == {head.count("|")}
        # Two methods at two rates, and one at one rate and its first codes.
        assert len(rows) == 6
    # Of the codec of variable length the summary says what it took.
    summary = tables[0]
    codec, coarse = (
        next(row for row in summary if row.startswith(f"| {name} | 12 |"))
        for name in ("pca-sq", "coarse-to-fine, first 4 of 8 codes")
    )
    assert codec.count(" at ") == 5
    assert " at " not in coarse
    errors = [table for table in tables if table[0].startswith("| Error")]
    for column in ("MPJPE mm", "global mm", "end effectors mm", "skate mm/s", "its source"):
        assert column in errors[0][0]
    assert "still to do" not in text
    assert "19 of 20 runs are still to do" in general_markdown(
        bench, finished[0][:1], picture=picture, page=page
    )
    found = replace(bench, finding="Walks are easy.")
    assert general_markdown(found, finished[0], picture=picture, page=page).startswith(
        "# What generalises\n\nWalks are easy.\n\n`tools/bench/general.py` writes this page."
    )
    broken = Entry("pca-pq", 0, "all", ("walks",), {}, "diverged")
    assert "- all, pca-pq, seed 0: diverged" in general_markdown(
        bench, [broken], picture=picture, page=page
    )


def test_the_command_writes_page_picture_and_figures(root, finished, monkeypatch, tmp_path):
    page, picture = tmp_path / "general.md", tmp_path / "general.png"
    arguments = ["general.py", "--bench", root / "bench.toml", "--data", root]
    arguments += ["--out", finished[1], "--page", page, "--picture", picture]
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", [str(a) for a in arguments])
    pytest.importorskip("matplotlib")
    tool.main()
    torch.set_num_threads(threads)
    assert page.read_text(encoding="utf-8").startswith("# What generalises\n")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(json.loads((root / "out.json").read_text())) == 20
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--set", "lafan=x"])
    with pytest.raises(SystemExit, match="error: --set lafan: no such set; choose from walks"):
        tool.main()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("every = 3", "every = 3\nheld_out = ['walk_0']", "sets.walks: give either every"),
        ("every = 3", "every = 1", "sets.walks: give either every"),
        ("every = 3", "evry = 3", "sets.walks: unknown key evry"),
        ('paths = ["walks"]', "paths = []", "sets.walks: paths must name at least one"),
        ('paths = ["walks"]', 'paths = "walks"', "sets.walks: paths must be a list of strings"),
        ('near_duplicates = "walks"', 'near_duplicates = "talks"', "none of walks, mixed"),
        ('["coarse-to-fine"]', '["lopq"]', "prefixes: no method 'lopq'"),
        ('config = "demo"', 'config = "demo"\nfinding = 3', "finding is text, got 3"),
        ('config = "demo"', 'config = "demo"\ntables = 3', "unknown key tables"),
    ],
)
def test_a_bad_bench_is_answered_by_name(old, new, words, root):
    assert old in BENCH
    path = root / "bad.toml"
    path.write_text(BENCH.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        load_general(path)
    assert "\n" not in str(caught.value)


def test_a_set_may_be_elsewhere_and_its_clips_named(root, tmp_path):
    text = BENCH.replace("every = 3", 'held_out = ["walk_4"]')
    path = tmp_path / "named.toml"
    path.write_text(text, encoding="utf-8")
    named = load_general(path, {"walks": str(root / "walks")})
    split = load_split(named.sources["walks"], tmp_path / "nothing-here")
    assert [m.source.name for m in split.held_out] == ["walk_00004"]
    assert len(split.train) == 5
