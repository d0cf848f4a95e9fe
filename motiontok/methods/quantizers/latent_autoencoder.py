"""Autoencoders that quantise a deterministic encoder's vectors, by vector-quantize-pytorch."""

from __future__ import annotations

import importlib
import math
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from motiontok.config import Config
from motiontok.errors import MissingDependencyError
from motiontok.methods.base import DiscreteAutoencoder, Draw, StepResult
from motiontok.methods.networks import Networks
from motiontok.models import Decoder
from motiontok.progress import ProgressCallback, silent

__all__ = ["COMMITMENT", "LatentAutoencoder", "quantizers", "seeded"]

COMMITMENT = 0.25
"""Weight of the commitment loss, the usual one (van den Oord et al. 2017)."""


def quantizers() -> Any:
    """The package vector_quantize_pytorch.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module("vector_quantize_pytorch")
    except ImportError:
        raise MissingDependencyError(
            "vqvae, fsq, rvq and lfq need vector-quantize-pytorch: "
            "pip install 'motiontok[baselines]'"
        ) from None


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Let code that draws from torch's global state draw from ``generator`` instead."""
    device = generator.device
    seed = torch.randint(2**62, (), generator=generator, device=device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(seed))
        yield


class LatentAutoencoder(DiscreteAutoencoder):
    """Encoder, quantiser, decoder; the decoder's gradient passes straight through.

    Loss: -R / dimensions plus the quantiser's own. The encoder is deterministic: there is one
    candidate for each x, for any ``effort`` and ``temperature``.
    """

    quantizer: Any

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        model = config.model
        self.tokens = model.codes_per_window // self._depth(networks)
        self.encoder = networks.encoder(self.tokens, outputs=model.decoder_width)
        self.decoder = self._make_decoder(networks)
        self.quantizer = self._make_quantizer(networks)

    def _depth(self, networks: Networks) -> int:
        """Codes for each token of the transformers."""
        return 1

    def _make_decoder(self, networks: Networks) -> Decoder:
        """A decoder of vectors, without a table of tokens."""
        return networks.body(self.tokens, self.config.model.decoder_width)

    @abstractmethod
    def _make_quantizer(self, networks: Networks) -> nn.Module:
        """The library's layer on vectors of ``model.decoder_width``."""

    @abstractmethod
    def quantize(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantised latents, codes ``(batch, codes)`` and the quantiser's loss.

        Args:
            latents: ``(batch, tokens, width)``.
        """

    @abstractmethod
    def look_up(self, codes: Tensor) -> Tensor:
        """Quantised latents ``(batch, tokens, width)`` of codes ``(batch, codes)``."""

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        with seeded(generator):
            latents, codes, own_loss = self.quantize(self.encoder(x))
        found = self.decoder.synthesize(latents)
        reward = self.likelihood.log_density(x, found)
        loss = own_loss - reward.mean() / math.prod(self.shape)
        mean = self.likelihood.mean(found.detach())
        metrics = {
            "reward": reward.detach().mean(),
            "mse": ((x - mean) ** 2).mean(),
            "quantizer_loss": own_loss.detach(),
        }
        return StepResult(loss, metrics, codes, mean)

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
        training = self.quantizer.training
        # In training mode these layers move their codebooks.
        self.quantizer.eval()
        try:
            return self.quantize(self.encoder(x))[1]
        finally:
            self.quantizer.train(training)

    @override
    def decode_parameters(self, codes: Tensor) -> Tensor:
        return self.decoder.synthesize(self.look_up(codes))


def codebook_options(config: Config, tokens: int) -> dict[str, Any]:
    """Settings of a k-means-started, running-average codebook.

    Plain straight-through gradients and a codebook that follows quickly: with the rotation trick
    and the usual decay of 0.99 the codes collapsed onto one, at the high learning rate that short
    runs need.

    A random latent replaces a code that wins less than a tenth of its fair share of a batch. The
    usual count of 2 would replace every code if a batch had fewer vectors than the codebook.
    """
    share = config.train.batch_size * tokens / config.model.vocab_size
    return {
        "codebook_size": config.model.vocab_size,
        "decay": 0.9,
        "rotation_trick": False,
        "kmeans_init": True,
        "threshold_ema_dead_code": 0.1 * share,
        "commitment_weight": COMMITMENT,
    }


class CodebookAutoencoder(LatentAutoencoder):
    """One with learned codebooks, started by k-means on training windows."""

    def fit(
        self, draw: Draw, generator: torch.Generator, on_progress: ProgressCallback = silent
    ) -> None:
        enough = max(16 * self.config.model.vocab_size // self.tokens, 1)
        self.quantizer.train()
        with torch.no_grad(), seeded(generator):
            self.quantize(self.encoder(draw(enough)))
