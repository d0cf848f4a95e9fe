"""What values of a configuration can be."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from motiontok.errors import ConfigError

if TYPE_CHECKING:
    from motiontok.config import Config

__all__ = ["IMAGE_DATASETS", "check_config", "check_weight"]

IMAGE_DATASETS = ("mnist", "cifar10", "imagenet", "pictures")

_MOTION_DATASETS = ("lafan", "bandai", "folder", "general", "procedural")
_PRECISIONS = ("float32", "bfloat16")
_NETWORKS = ("paper", "temporal")

_OF_MOTION = ("warp", "mix", "holdout_actions", "weights")
"""Of data: what would do nothing to images."""

_HEAVIEST = 1e3
"""Largest weight of a set of clips: with more, the others would never be drawn."""

_MOST = {
    "data.clips": 2**20,
    "data.seconds": 86_400.0,
    "model.width": 2**16,
    "model.decoder_width": 2**16,
    "model.components": 2**16,
    "model.bases": 2**16,
    "model.layers": 2**10,
    "model.decoder_layers": 2**10,
    "method.samples": 2**16,
    "train.batch_size": 2**20,
}
"""More is a slip, and would only end by the memory of the machine."""


def check_weight(weight: float, name: str) -> None:
    """Refuse a weight of a set that leaves no draws to it or to the others.

    Raises:
        ConfigError: it begins with ``name``.
    """
    if not 1.0 / _HEAVIEST <= weight <= _HEAVIEST:
        raise ConfigError(
            f"{name} must be a number of {1.0 / _HEAVIEST:g} to {_HEAVIEST:g}, got {weight:g}"
        )


def check_config(config: Config, where: str) -> None:
    """Refuse values that no run can have.

    Args:
        config: typed, as it was read.
        where: file or command, for the message.

    Raises:
        ConfigError: the message begins with ``where`` and names the key.
    """
    model, method, train, data = config.model, config.method, config.train, config.data
    positive = {
        "data.clips": data.clips,
        "data.seconds": data.seconds,
        "model.codes_per_window": model.codes_per_window,
        "model.width": model.width,
        "model.heads": model.heads,
        "model.layers": model.layers,
        "model.components": model.components,
        "model.bases": model.bases,
        "model.decoder_width": model.decoder_width,
        "model.decoder_layers": model.decoder_layers,
        "data.size": data.size,
        "method.samples": method.samples,
        "method.eta_start": method.eta_start,
        "method.beta_start": method.beta_start,
        "method.beta_end": method.beta_end,
        "method.temperature_start": method.temperature_start,
        "method.temperature_end": method.temperature_end,
        "method.variance": method.variance,
        "train.steps": train.steps,
        "train.batch_size": train.batch_size,
        "train.learning_rate": train.learning_rate,
        "train.final_learning_rate": train.final_learning_rate,
        "train.evaluate_every": train.evaluate_every,
        "train.checkpoint_every": train.checkpoint_every,
        "train.log_every": train.log_every,
        "train.validation_windows": train.validation_windows,
    }
    for key, value in positive.items():
        if not 0 < value < float("inf"):
            raise ConfigError(f"{where}: {key} must be positive, got {value}")
    for name, weight in data.weights.items():
        check_weight(weight, f"{where}: data.weights.{name}")
    known = (*_MOTION_DATASETS, *IMAGE_DATASETS)
    if data.dataset not in known:
        near = difflib.get_close_matches(data.dataset, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"{where}: no data set {data.dataset!r}: {hint}give one of {', '.join(known)}"
        )
    for key, most in _MOST.items():
        if positive[key] > most:
            raise ConfigError(f"{where}: {key} must be {most:,} at most, got {positive[key]:,}")
    if data.window < 2:
        raise ConfigError(f"{where}: data.window must be at least 2, got {data.window}")
    if not 1.0 <= data.warp <= 2.0:
        raise ConfigError(
            f"{where}: data.warp must be 1 (no warps) to 2 (twice as fast), got {data.warp}"
        )
    for key, share in (("data.mix", data.mix), ("method.warm_start", method.warm_start)):
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"{where}: {key} must be a share from 0 to 1, got {share}")
    if data.holdout < 2:
        raise ConfigError(f"{where}: data.holdout must be at least 2, got {data.holdout}")
    if not 2 <= model.vocab_size <= 65_536:
        raise ConfigError(f"{where}: model.vocab_size must be 2 to 65536, got {model.vocab_size}")
    if model.networks not in _NETWORKS[: 1 if data.is_images else None]:
        choice = "paper for images" if data.is_images else f"one of {', '.join(_NETWORKS)}"
        raise ConfigError(f"{where}: model.networks must be {choice}, got {model.networks!r}")
    if not 0 <= train.seed < 2**63:
        raise ConfigError(f"{where}: train.seed must be 0 to 2**63 - 1, got {train.seed}")
    if not 0 <= train.time_budget < float("inf"):
        raise ConfigError(
            f"{where}: train.time_budget must be 0 or minutes, got {train.time_budget}"
        )
    if train.evaluations < 0 or (train.evaluations and not train.time_budget):
        raise ConfigError(
            f"{where}: train.evaluations must be 0 or, with a train.time_budget, positive, got "
            f"{train.evaluations}"
        )
    if train.precision not in _PRECISIONS:
        raise ConfigError(
            f"{where}: train.precision must be one of {', '.join(_PRECISIONS)}, got "
            f"{train.precision!r}"
        )
    if train.chunk < 0:
        raise ConfigError(f"{where}: train.chunk must be 0 or positive, got {train.chunk}")
    if not 0 <= method.decoder_first < 1:
        raise ConfigError(
            f"{where}: method.decoder_first must be in [0, 1), got {method.decoder_first}"
        )
    if not 0 < method.ess_target <= 1:
        raise ConfigError(f"{where}: method.ess_target must be in (0, 1], got {method.ess_target}")
    for key, width in (("width", model.width), ("decoder_width", model.decoder_width)):
        if width % (2 * model.heads):
            raise ConfigError(f"{where}: model.{key} {width} must be a multiple of 2 * heads")
    if data.is_images:
        for key in _OF_MOTION:
            if getattr(data, key) != getattr(type(data), key, {}):
                raise ConfigError(
                    f"{where}: data.{key} is for motion; data.dataset {data.dataset!r} is images"
                )
        return
    longer, shorter = sorted((data.window, model.codes_per_window), reverse=True)
    if longer % shorter:
        raise ConfigError(
            f"{where}: data.window {data.window} and model.codes_per_window "
            f"{model.codes_per_window}: one must be a multiple of the other"
        )
