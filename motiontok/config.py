"""Run configurations: TOML files read into frozen dataclasses.

Every key is known, typed and checked. The error for an unknown key names the nearest known ones.
``section.key=value`` strings override single values.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from motiontok.config_checks import IMAGE_DATASETS, check_config
from motiontok.errors import ConfigError
from motiontok.paths import config_dir, shipped_configs
from motiontok.settings import build, put

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "Config",
    "DataConfig",
    "MethodConfig",
    "ModelConfig",
    "TrainConfig",
    "let_steps_end_run",
    "load_config",
    "override",
    "parse_config",
    "shipped_configs",
]


@dataclass(frozen=True)
class DataConfig:
    """Training data.

    Attributes:
        dataset: motion: ``lafan``, ``bandai``, ``folder`` (any humanoid BVH), ``general``
            (many folders of it) or ``procedural``; images: ``mnist``, ``cifar10``,
            ``imagenet`` or ``pictures`` (any folder of them).
        window: frames a window.
        size: side of the squares to which pictures are cut, pixels.
        mirror: also train on the mirror image of every clip.
        warp: half of the windows of a batch are resampled in time, up to so many times faster or
            slower, such as 1.33; 1 leaves all unchanged. For methods trained in steps; fits see
            unwarped windows.
        mix: share of the windows of a batch whose arms, trunk or head move as those of another
            window do (:mod:`motiontok.data.body_part_mixing`). For methods trained in steps, too.
        holdout: every so-many-th clip of a set, in sorted order, is held out for validation
            (``lafan`` instead holds out the DAPS paper's four clips).
        holdout_actions: whole actions to hold out instead, by the names of the files and separated
            by commas, such as ``run,kick``; applies to sets that have any of them.
        weights: of sets by their names, 1 by default. A set's share of the draws is its weight
            times the square root of its windows.
        clips, seconds: number and length of procedural clips.
    """

    dataset: str = "procedural"
    window: int = 32
    size: int = 256
    mirror: bool = True
    warp: float = 1.0
    mix: float = 0.0
    holdout: int = 20
    holdout_actions: str = ""
    weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    clips: int = 200
    seconds: float = 8.0

    @property
    def is_images(self) -> bool:
        """Whether images are coded, not motion."""
        return self.dataset in IMAGE_DATASETS


@dataclass(frozen=True)
class ModelConfig:
    """Size of the tokens and of the networks.

    Attributes:
        codes_per_window: tokens a window; divides the window's frames or is a multiple.
        vocab_size: values a token can take, at most 65,536.
        width, heads, layers: policy, both of its stacks.
        decoder_width, decoder_layers: decoder.
        components: principal components that lopq, lopq-net and daps-lopq keep.
        bases: number of neighbourhoods with a basis of their own in these components.
        networks: of motion, for methods with an encoder and a decoder of windows: ``paper``, or
            ``temporal`` with convolutions over time (docs/method.md).
    """

    codes_per_window: int = 64
    vocab_size: int = 1024
    width: int = 128
    heads: int = 4
    layers: int = 2
    decoder_width: int = 128
    decoder_layers: int = 2
    components: int = 512
    bases: int = 256
    networks: str = "paper"


@dataclass(frozen=True)
class MethodConfig:
    """How the discrete autoencoder is trained (docs/method.md).

    Attributes:
        name: method, see ``motiontok.methods.METHODS``.
        samples: sequences K drawn from the policy for each window (daps, reinforce), or
            draws of the Gumbel noise that are averaged (grmck).
        ess_target: target share of K for the effective sample size.
        eta_start: trust region of DAPS at the start. From the paper's 100 it takes thousands of
            steps to reach the value that meets the target.
        beta_start, beta_end: entropy weight, annealed exponentially over the run.
        temperature_start, temperature_end: of the softmax that gumbel and grmck
            differentiate, exponential over the run.
        variance: of the Gaussian likelihood, in standardised units. Images learn their variances,
            and daps-pq only starts its policy with it.
        decoder_first: share of the run in which only the decoder learns, on codes of the
            starting policy; for daps-pq and daps-lopq.
        warm_start: share of the run with straight-through codes before DAPS; for daps-temporal.
    """

    name: str = "daps"
    samples: int = 8
    ess_target: float = 0.33
    eta_start: float = 100.0
    beta_start: float = 3.0
    beta_end: float = 0.01
    temperature_start: float = 1.0
    temperature_end: float = 1.0
    variance: float = 0.25
    decoder_first: float = 0.0
    warm_start: float = 0.5


@dataclass(frozen=True)
class TrainConfig:
    """The training loop.

    Attributes:
        steps: optimiser steps.
        time_budget: minutes; if not 0, the run ends by the clock, not by steps, and every schedule
            follows the clock.
        batch_size: windows a step.
        learning_rate, final_learning_rate: of AdamW, along a half cosine; equal ones stay constant.
        evaluate_every, checkpoint_every, log_every: in steps.
        evaluations: with a time budget, number of additional evaluations at equal times, so that
            curves of methods of unequal speed can be compared.
        validation_windows: largest number of held-out windows in each evaluation.
        seed: of every random number of the run.
        precision: ``float32``, or ``bfloat16`` for products, with probabilities, rewards,
            losses and statistics in float32: for GPUs (docs/training.md).
        chunk: observations at a time in the gradients of ``daps`` and methods derived from it; 0
            takes as many as fit a CPU's cache, or half of a GPU of 24 GB. The gradients are the
            same.
    """

    steps: int = 250_000
    time_budget: float = 0.0
    batch_size: int = 256
    learning_rate: float = 3e-4
    final_learning_rate: float = 3e-4
    evaluate_every: int = 5000
    evaluations: int = 0
    checkpoint_every: int = 1000
    log_every: int = 50
    validation_windows: int = 512
    seed: int = 0
    precision: str = "float32"
    chunk: int = 0


@dataclass(frozen=True)
class Config:
    """One run."""

    name: str = "run"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary, as :func:`parse_config` reads it."""
        return dataclasses.asdict(self)


def load_config(name_or_path: str, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration.

    Args:
        name_or_path: a shipped name such as ``lafan``, or a path to a TOML file.
        overrides: ``section.key=value`` (or ``key=value`` where the key is unambiguous).

    Raises:
        ConfigError: no such configuration, not TOML, or a bad key or value.
    """
    shipped = config_dir() / f"{name_or_path}.toml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = "" if isinstance(error, FileNotFoundError) else f" ({error.strerror})"
        near = difflib.get_close_matches(name_or_path, shipped_configs(), n=1)
        raise ConfigError(
            f"no configuration {name_or_path!r}{reason}: "
            + (f"did you mean {near[0]}? " if near else "")
            + f"give a TOML file or one of {', '.join(shipped_configs())}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a TOML file") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    values.setdefault("name", path.stem)
    return override(parse_config(values, str(path)), overrides, str(path))


def override(config: Config, overrides: Sequence[str], where: str) -> Config:
    """A configuration with some values replaced.

    Args:
        config: to start from.
        overrides: as :func:`load_config` takes them.
        where: file to name in messages.

    Raises:
        ConfigError: a bad key or value.
    """
    values, given = config.to_dict(), set()
    for text in overrides:
        given.add(put(values, text, Config))
        build(Config, values, f"--set {text}")
    let_steps_end_run(values, given)
    config = build(Config, values, where)
    # Only all overrides together need to make sense.
    check_config(config, " ".join([where, *(f"--set {text}" for text in overrides)]))
    return config


def let_steps_end_run(values: dict[str, Any], given: Container[str]) -> None:
    """Drop a configuration's own time budget if steps are given without another one.

    Args:
        values: the configuration as a nested mapping, with what was given; changed.
        given: the keys that were given, as ``section.key``.
    """
    if "train.steps" in given and "train.time_budget" not in given:
        values["train"]["time_budget"] = 0.0


def parse_config(values: Mapping[str, Any], where: str) -> Config:
    """Check a nested mapping and make it a :class:`Config`.

    Args:
        values: as ``Config.to_dict`` gives them.
        where: file to name in messages.

    Raises:
        ConfigError: unknown key, wrong type or impossible value.
    """
    config = build(Config, values, where)
    check_config(config, where)
    return config
