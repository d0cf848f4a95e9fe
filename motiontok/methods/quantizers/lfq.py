"""Lookup-free quantisation (Yu et al. 2024)."""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override

from motiontok.errors import ConfigError
from motiontok.methods.networks import Networks
from motiontok.methods.quantizers.latent_autoencoder import (
    COMMITMENT,
    LatentAutoencoder,
    quantizers,
)

__all__ = ["Lfq"]


class Lfq(LatentAutoencoder):
    """Signs of log2(V) scalars a token, with the entropy loss that spreads their use."""

    def _make_quantizer(self, networks: Networks) -> nn.Module:
        model = self.config.model
        if model.vocab_size & (model.vocab_size - 1):
            raise ConfigError(
                f"model.vocab_size {model.vocab_size} is no power of two, which lfq needs; "
                f"{2 ** (model.vocab_size.bit_length() - 1)} is"
            )
        return quantizers().LFQ(
            dim=model.decoder_width,
            codebook_size=model.vocab_size,
            commitment_loss_weight=COMMITMENT,
        )

    @override
    def quantize(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, loss = self.quantizer(latents)
        return quantized, codes.long(), loss

    @override
    def look_up(self, codes: Tensor) -> Tensor:
        return self.quantizer.indices_to_codes(codes)
