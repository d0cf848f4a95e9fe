"""VQ-VAE (van den Oord et al. 2017)."""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override

from motiontok.methods.networks import Networks
from motiontok.methods.quantizers.latent_autoencoder import (
    CodebookAutoencoder,
    codebook_options,
    quantizers,
)

__all__ = ["VqVae"]


class VqVae(CodebookAutoencoder):
    """Nearest row of one codebook for all tokens.

    The codebook starts by k-means, follows running averages and replaces dead codes. Practice has
    added these to the original; it is stronger than the codebook trained by gradient that DAPS was
    first compared with.
    """

    def _make_quantizer(self, networks: Networks) -> nn.Module:
        return quantizers().VectorQuantize(
            dim=self.config.model.decoder_width, **codebook_options(self.config, self.tokens)
        )

    @override
    def quantize(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, loss = self.quantizer(latents)
        return quantized, codes, loss.sum()

    @override
    def look_up(self, codes: Tensor) -> Tensor:
        return self.quantizer.get_output_from_indices(codes)
