"""Residual vector quantisation (Zeghidour et al. 2021), as motion tokenizers use it."""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override

from motiontok.methods.networks import Networks
from motiontok.methods.quantizers.latent_autoencoder import (
    CodebookAutoencoder,
    codebook_options,
    quantizers,
)

__all__ = ["Rvq"]

_DEPTH = 4


class Rvq(CodebookAutoencoder):
    """Each vector as a sum of up to four codewords, each coding the residual of the last.

    At the same rate there are a quarter as many tokens as with one code a token. Codes are in
    order of tokens; those of one token go from coarse to fine.
    """

    def _depth(self, networks: Networks) -> int:
        codes = self.config.model.codes_per_window
        depths = range(min(_DEPTH, codes), 0, -1)
        return next(d for d in depths if codes % d == 0 and networks.fits(codes // d))

    def _make_quantizer(self, networks: Networks) -> nn.Module:
        return quantizers().ResidualVQ(
            dim=self.config.model.decoder_width,
            num_quantizers=self.config.model.codes_per_window // self.tokens,
            **codebook_options(self.config, self.tokens),
        )

    @override
    def quantize(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, loss = self.quantizer(latents)
        return quantized, codes.flatten(1), loss.sum()

    @override
    def look_up(self, codes: Tensor) -> Tensor:
        return self.quantizer.get_output_from_indices(codes.unflatten(1, (self.tokens, -1)))
