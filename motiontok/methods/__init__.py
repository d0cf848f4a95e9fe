"""Training methods for discrete autoencoders: one file a method, one small interface."""

from motiontok.config import Config
from motiontok.errors import ConfigError
from motiontok.methods.base import DiscreteAutoencoder, StepResult
from motiontok.methods.daps import Daps, DapsFromQuantizer

__all__ = ["METHODS", "DiscreteAutoencoder", "StepResult", "make_method"]

METHODS: dict[str, type[DiscreteAutoencoder]] = {
    "daps": Daps,
    "daps-pq": DapsFromQuantizer,
}
"""Every method by name."""


def make_method(config: Config, columns: int) -> DiscreteAutoencoder:
    """The autoencoder that ``config.method.name`` names, with fresh weights.

    Raises:
        ConfigError: there is no such method.
    """
    try:
        kind = METHODS[config.method.name]
    except KeyError:
        raise ConfigError(
            f"method.name: no method {config.method.name!r}; choose from {', '.join(METHODS)}"
        ) from None
    return kind(config, columns)
