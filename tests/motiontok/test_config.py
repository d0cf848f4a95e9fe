"""Configurations: every key known, typed, checked; errors name the key and its neighbours."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motiontok.config import Config, load_config, parse_config, shipped_configs
from motiontok.errors import ConfigError
from motiontok.methods import METHODS


@pytest.fixture
def write(tmp_path):
    """Write a TOML file and return its path as a string."""

    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_configurations_load(name):
    config = load_config(name)
    assert config.name == name
    assert config.method.name in METHODS


def test_the_configurations_that_the_commands_name_are_shipped():
    assert {"demo", "lafan", "bandai", "folder"} <= set(shipped_configs())


def test_a_configuration_survives_json():
    config = load_config("demo", ["train.steps=7", "method.name=daps"])
    assert parse_config(json.loads(json.dumps(config.to_dict())), "here") == config


def test_a_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_config("demo").name = "other"


def test_what_a_file_leaves_out_has_defaults(write):
    config = load_config(write("[train]\nsteps = 5\n"))
    assert config.train.steps == 5
    assert config.model == Config().model
    assert config.name == "mine"


def test_whole_numbers_serve_as_fractions(write):
    config = load_config(write("[data]\nseconds = 4\n"), ["learning_rate=1"])
    assert config.data.seconds == 4.0
    assert type(config.data.seconds) is float
    assert type(config.train.learning_rate) is float


@given(st.integers(1, 10**9), st.floats(1e-9, 1e9))
def test_overrides_arrive_unchanged(steps, rate):
    config = load_config("demo", [f"train.steps={steps}", f"train.learning_rate={rate!r}"])
    assert config.train.steps == steps
    assert config.train.learning_rate == rate


def test_overrides_may_leave_out_the_section_and_quotes():
    config = load_config("demo", ["steps=11", "dataset=folder", "mirror=false", "name=other"])
    assert (config.train.steps, config.data.dataset) == (11, "folder")
    assert config.data.mirror is False
    assert config.name == "other"


def test_a_name_that_two_sections_share_needs_its_section(write):
    shared = "name"  # of the run, and of the method
    config = load_config("demo", [f"{shared}=run7", "method.name=daps"])
    assert (config.name, config.method.name) == ("run7", "daps")


def test_later_overrides_win():
    assert load_config("demo", ["steps=5", "train.steps=6"]).train.steps == 6


def test_overrides_need_only_make_sense_together():
    config = load_config("demo", ["width=96", "heads=3", "decoder_width=96"])
    assert config.model.width == 96


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.stepz=5", ["--set train.stepz=5", "unknown key train.stepz", "train.steps"]),
        ("stepz=5", ["unknown key stepz", "train.steps"]),
        ("trian.steps=5", ["unknown key trian", "did you mean train?"]),
        ("model.vocabulary=5", ["model.vocab_size"]),
        ("model.learning_rat=5", ["train.learning_rate"]),
        ("zzz=5", ["unknown key zzz", "data, method, model, name, train"]),
        ("train.steps=many", ["--set train.steps=many", "must be of type int", "'many'"]),
        ("train.steps=1.5", ["must be of type int, got 1.5"]),
        ("data.mirror=1", ["must be of type bool, got 1"]),
        ("train.steps=true", ["must be of type int, got True"]),
        ("train.learning_rate=true", ["must be of type float, got True"]),
        ("train=5", ["train is a section, got 5"]),
        ("name.first=5", ["name is no section"]),
        ("train.steps", ["expected section.key=value"]),
        ("=5", ["expected section.key=value"]),
        ("train.=5", ["expected section.key=value"]),
    ],
)
def test_a_bad_override_is_named_with_its_neighbours(override, words):
    with pytest.raises(ConfigError) as caught:
        load_config("demo", [override])
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.steps=0", "train.steps must be positive, got 0"),
        ("train.batch_size=-1", "train.batch_size must be positive"),
        ("train.batch_size=1000000000", "train.batch_size must be 1,048,576 at most, got 1,000"),
        ("data.seconds=1e9", "data.seconds must be 86,400.0 at most, got 1,000,000,000.0"),
        ("model.components=1000000", "model.components must be 65,536 at most"),
        ("model.layers=1000000", "model.layers must be 1,024 at most"),
        ("train.learning_rate=inf", "train.learning_rate must be positive, got inf"),
        ("train.learning_rate=nan", "train.learning_rate must be positive, got nan"),
        ("train.time_budget=-1.0", "train.time_budget must be 0 or minutes"),
        ("train.time_budget=nan", "train.time_budget"),
        ("train.seed=-1", "train.seed must be 0 to"),
        ("train.seed=9223372036854775808", "train.seed must be 0 to"),
        ("data.window=1", "data.window must be at least 2, got 1"),
        ("data.holdout=1", "data.holdout must be at least 2"),
        ("model.vocab_size=1", "model.vocab_size must be 2 to 65536"),
        ("model.vocab_size=65537", "model.vocab_size must be 2 to 65536"),
        ("method.ess_target=0.0", "method.ess_target must be in (0, 1]"),
        ("method.ess_target=1.1", "method.ess_target must be in (0, 1]"),
        ("method.decoder_first=1.0", "method.decoder_first must be in [0, 1)"),
        ("method.warm_start=nan", "method.warm_start must be a share from 0 to 1, got nan"),
        ("method.warm_start=-0.1", "method.warm_start must be a share from 0 to 1"),
        ("method.warm_start=1.5", "method.warm_start must be a share from 0 to 1"),
        ("method.beta_end=0.0", "method.beta_end must be positive"),
        ("model.width=20", "model.width 20 must be a multiple of 2 * heads"),
        ("model.decoder_width=20", "model.decoder_width 20 must be a multiple"),
        ("model.codes_per_window=24", "one must be a multiple of the other"),
    ],
)
def test_impossible_values_are_refused_by_name(override, words):
    with pytest.raises(ConfigError) as caught:
        load_config("demo", [override])
    assert words in str(caught.value)
    assert override in str(caught.value)


def test_a_file_with_an_unknown_key_is_named(write):
    path = write("[train]\nlearning_rat = 1.0\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert path in str(caught.value)
    assert "train.learning_rate" in str(caught.value)


def test_a_missing_configuration_names_the_nearest():
    with pytest.raises(ConfigError, match=r"no configuration 'lafn': did you mean lafan\? give"):
        load_config("lafn")
    with pytest.raises(ConfigError, match=r"give a TOML file or one of bandai, cifar10, demo"):
        load_config("nowhere/qqq.toml")


def test_a_folder_and_a_binary_file_are_no_configurations(tmp_path):
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(str(tmp_path))
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a TOML file"):
        load_config(str(tmp_path / "x.toml"))


def test_broken_toml_is_named_with_its_line(write):
    path = write("[train]\nsteps = = 5\n")
    with pytest.raises(ConfigError, match="line 2"):
        load_config(path)


def test_a_section_that_is_a_value_is_refused(write):
    with pytest.raises(ConfigError, match="train is a section, got 5"):
        load_config(write("train = 5\n"))


@pytest.mark.parametrize(
    ("name", "near"), [("cifarr", "did you mean cifar10"), ("cmu", "give one of lafan, ")]
)
def test_an_unknown_data_set_is_answered_with_all_known_ones(name, near):
    with pytest.raises(ConfigError, match=f"no data set '{name}': {near}") as caught:
        load_config("mnist", [f"data.dataset={name}"])
    for known in ("lafan", "bandai", "folder", "procedural", "mnist", "imagenet", "pictures"):
        assert known in str(caught.value)


@pytest.mark.parametrize("key", ["train.steps", "steps"])
def test_steps_that_are_given_end_a_run_whatever_budget_a_configuration_has(key):
    assert load_config("folder").train.time_budget > 0
    train = load_config("folder", [f"{key}=7", "train.seed=1"]).train
    assert (train.steps, train.time_budget) == (7, 0.0)
    train = load_config("folder", ["train.time_budget=2.0", f"{key}=7"]).train
    assert (train.steps, train.time_budget) == (7, 2.0)
    assert load_config("folder", ["train.seed=1"]).train.time_budget > 0


@pytest.mark.parametrize(
    "setting", ["mix=0.5", "warp=1.3", "holdout_actions=run", "weights.walks=2.0"]
)
def test_what_is_for_motion_is_refused_where_images_are_trained_on(setting):
    key = setting.partition("=")[0].partition(".")[0]
    with pytest.raises(ConfigError, match=rf"data\.{key} is for motion; .* 'mnist' is images"):
        load_config("mnist", [f"data.{setting}"])
    load_config("general", [f"data.{setting}"])
