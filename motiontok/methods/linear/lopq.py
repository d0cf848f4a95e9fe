"""Locally optimised product quantisation: fitted in a minute, not trained."""

from __future__ import annotations

from typing import ClassVar, NoReturn

import torch
from torch import Tensor
from typing_extensions import override

from motiontok.config import Config
from motiontok.errors import ConfigError
from motiontok.methods.base import DiscreteAutoencoder, Draw
from motiontok.methods.networks import Networks
from motiontok.models import LopqPolicy, LopqQuantizer
from motiontok.progress import ProgressCallback, silent

__all__ = ["Lopq", "make_lopq_quantizer"]


class Lopq(DiscreteAutoencoder):
    """:class:`~motiontok.models.lopq_quantizer.LopqQuantizer` alone.

    Everything happens in :meth:`fit`. Encoding tries the ``effort`` nearest cells of a window, with
    a few sizes each, and keeps the best.
    """

    decodes_prefixes = True
    takes_steps = False
    # The leading rows of the common basis carry most of a window: rounded like the others,
    # they would cost 2 mm, in noise that is not smooth in time. With 64 rows exempt a sixth
    # is added to the acceleration's error, with 128 a twentieth.
    rows_in_8_bits: ClassVar[dict[str, int]] = {"quantizer.basis": 128, "quantizer.local": 0}

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        self.quantizer = make_lopq_quantizer(config, networks)

    @property
    def policy(self) -> LopqPolicy:
        """The quantiser as a distribution over codes."""
        return LopqPolicy(self.quantizer)

    @override
    def fit(
        self, draw: Draw, generator: torch.Generator, on_progress: ProgressCallback = silent
    ) -> None:
        self.quantizer.fit(draw, generator, on_progress)

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> NoReturn:
        raise NotImplementedError("lopq is fitted by fit(); it takes no training steps")

    @torch.no_grad()
    @override
    def encode(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        if temperature:
            drawn, _ = self.policy.sample(x, 1, temperature=temperature, generator=generator)
            return drawn[:, 0]
        return self.quantizer.encode(x, cells=effort)

    @override
    def decode_parameters(self, codes: Tensor) -> Tensor:
        return self.quantizer.decode(codes)


def make_lopq_quantizer(config: Config, networks: Networks) -> LopqQuantizer:
    """A quantiser to be fitted.

    Raises:
        ConfigError: there are too few codes for a cell and a codeword.
    """
    model = config.model
    if model.codes_per_window < 2:
        raise ConfigError(
            f"model.codes_per_window must be at least 2 for {config.method.name}: a cell and a "
            "codeword in it"
        )
    return LopqQuantizer(
        shape=networks.shape,
        codes=model.codes_per_window,
        vocab_size=model.vocab_size,
        components=model.components,
        bases=model.bases,
        sized=networks.says_sizes,
    )
