"""A comparison as a file: which runs it asks for, and what is wrong with it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from comparisons import TINY, TOOLS

from motiontok.config import load_config
from motiontok.errors import ConfigError
from motiontok.evaluate.bench import load_bench
from motiontok.methods import METHODS


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
