"""Finite scalar quantisation (Mentzer et al. 2024)."""

from __future__ import annotations

import math

from torch import Tensor, nn
from typing_extensions import override

from motiontok.errors import ConfigError
from motiontok.methods.networks import Networks
from motiontok.methods.quantizers.latent_autoencoder import LatentAutoencoder, quantizers
from motiontok.models import Decoder

__all__ = ["Fsq", "levels"]

_FEWEST, _MOST = 3, 32


def levels(vocab_size: int) -> tuple[int, ...]:
    """Levels of each scalar, as equal as possible, with a product of exactly ``vocab_size``.

    About one scalar for each three bits: 1000 is 10 x 10 x 10, 512 is 8 x 8 x 8 and 240
    is 8 x 6 x 5, as in the DAPS paper (except ImageNet's 1000); 1024 is 16 x 8 x 8.

    Raises:
        ConfigError: there are no such levels from 3 to 32.
    """
    found = _best_levels(vocab_size)
    if found is None:
        near = min(
            (v for v in range(3, 2 * vocab_size + 8) if _best_levels(v)),
            key=lambda v: abs(v - vocab_size),
        )
        raise ConfigError(
            f"model.vocab_size {vocab_size} is no product of {_FEWEST} to {_MOST} levels, which "
            f"fsq needs; {near} is"
        )
    return found


def _best_levels(vocab_size: int) -> tuple[int, ...] | None:
    wanted = max(round(math.log2(vocab_size) / 3), 1)
    candidates = [c for c in _factorisations(vocab_size, _MOST) if len(c) >= wanted]
    return min(candidates, key=lambda c: (len(c), c[0] - c[-1]), default=None)


def _factorisations(number: int, largest: int) -> list[tuple[int, ...]]:
    """Every way to write ``number`` as a falling product of factors up to ``largest``."""
    if number == 1:
        return [()]
    return [
        (factor, *rest)
        for factor in range(min(number, largest), _FEWEST - 1, -1)
        if number % factor == 0
        for rest in _factorisations(number // factor, factor)
    ]


class Fsq(LatentAutoencoder):
    """A few bounded, rounded scalars a token; the codebook is their grid.

    Levels, and layers between scalars and decoder, are the networks' if the paper has its own.
    """

    def _make_decoder(self, networks: Networks) -> Decoder:
        return networks.body_of_scalars(self.tokens, self.config.model.decoder_width)

    def _make_quantizer(self, networks: Networks) -> nn.Module:
        model = self.config.model
        chosen = networks.levels.get(model.vocab_size) or levels(model.vocab_size)
        return quantizers().FSQ(levels=chosen, dim=model.decoder_width)

    @override
    def quantize(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes = self.quantizer(latents)
        return quantized, codes.long(), latents.new_zeros(())

    @override
    def look_up(self, codes: Tensor) -> Tensor:
        return self.quantizer.indices_to_codes(codes)
