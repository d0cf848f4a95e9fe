"""The networks for each kind of data, in one place.

A method asks for readers, decoders and a likelihood; the kind of data decides which ones.
:class:`MotionNetworks` has those for windows of motion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import nn
from typing_extensions import override

from motiontok.config import Config
from motiontok.data import FEATURES, Statistics
from motiontok.errors import ConfigError
from motiontok.models import (
    AutoregressivePolicy,
    Decoder,
    FactorisedPolicy,
    GaussianLikelihood,
    LatentEncoder,
    Likelihood,
    VocabularyHead,
    WindowDecoder,
)
from motiontok.models.autoregressive_encoder import TokenHead
from motiontok.models.gain_codebook import FEWEST_SIZED
from motiontok.models.layers import resample
from motiontok.models.temporal_autoencoder import STRIDE
from motiontok.models.window_convolutions import TemporalReader, TemporalWindowDecoder

__all__ = ["MotionNetworks", "Networks"]


class Networks(ABC):
    """Everything that depends on the kind of data; the rest of every method is the same code.

    The autoregressive policy and the bidirectional encoder, of the factorised policy and
    of quantisers, are at about the same size, as in the paper.

    Args:
        config: sizes and hyper-parameters.
        shape: of an observation.
        likelihood: p(x | z), whose parameters the decoders give.

    Attributes:
        encoder_depth: bidirectional layers of an encoder per layer of ``model.layers``, which
            counts both stacks of the autoregressive policy.
        encoder_mlp_ratio: of those layers.
        levels: of FSQ's scalars for sizes of vocabulary in which they differ from
            :func:`~motiontok.methods.quantizers.fsq.levels`.
        sized: whether a token of fitted quantisers names sizes, since observations may lie far
            beyond training ones.
    """

    encoder_depth: ClassVar[int] = 3
    encoder_mlp_ratio: ClassVar[int] = 4
    levels: ClassVar[Mapping[int, tuple[int, ...]]] = {}
    sized: ClassVar[bool] = True

    def __init__(self, config: Config, *, shape: tuple[int, ...], likelihood: Likelihood) -> None:
        self.config = config
        self.shape = shape
        self.likelihood = likelihood

    @property
    def says_sizes(self) -> bool:
        """Whether a fitted quantiser of this many codes spends one on sizes."""
        return self.sized and self.config.model.codes_per_window >= FEWEST_SIZED

    @abstractmethod
    def reader(self, codes: int, width: int) -> nn.Module:
        """A layer from observations ``(batch, *shape)`` to ``(batch, codes, width)``."""

    @abstractmethod
    def body(self, codes: int, width: int) -> Decoder:
        """A decoder of ``codes`` vectors of ``width``, without a table of tokens."""

    def body_of_scalars(self, codes: int, width: int) -> Decoder:
        """A decoder of ``codes`` vectors of ``width`` that are a linear map of a few scalars."""
        return self.body(codes, width)

    def fits(self, codes: int) -> bool:
        """Whether readers and decoders of so many vectors exist."""
        return True

    def decoder(self) -> Decoder:
        """A decoder of codes, with a table of tokens."""
        model = self.config.model
        decoder = self.body(model.codes_per_window, model.decoder_width)
        decoder.add_table(model.vocab_size, model.decoder_width)
        return decoder

    def encoder(self, codes: int, *, outputs: int, layers: int | None = None) -> LatentEncoder:
        """A bidirectional encoder to ``codes`` vectors of ``outputs`` numbers.

        Args:
            codes: vectors an observation.
            outputs: size of a vector.
            layers: by default ``encoder_depth`` times the configuration's.
        """
        model = self.config.model
        return LatentEncoder(
            self.reader(codes, model.width),
            codes=codes,
            width=model.width,
            heads=model.heads,
            layers=self.encoder_depth * model.layers if layers is None else layers,
            outputs=outputs,
            mlp_ratio=self.encoder_mlp_ratio,
        )

    def policy(self, head: TokenHead | None = None) -> AutoregressivePolicy:
        """The autoregressive policy, around the paper's head or another one."""
        model = self.config.model
        return AutoregressivePolicy(
            head or VocabularyHead(model.vocab_size, model.width),
            self.reader(model.codes_per_window, model.width),
            codes=model.codes_per_window,
            width=model.width,
            heads=model.heads,
            layers=model.layers,
        )

    def factorised_policy(self) -> FactorisedPolicy:
        """The policy whose tokens are independent given the observation."""
        model = self.config.model
        return FactorisedPolicy(
            model.vocab_size, self.encoder(model.codes_per_window, outputs=model.width)
        )


class MotionNetworks(Networks):
    """The networks for windows ``(frames, columns)``, Gaussian of fixed variance.

    The paper's, or with convolutions over time around the same transformers (``model.networks``).

    Args:
        config: sizes and hyper-parameters.
        columns: of a frame.
        statistics: that standardise the windows, for methods that need the root's velocities. Saved
            weights contain what they need.

    Attributes:
        statistics: see there.

    Raises:
        ConfigError: with convolutions, a window is no multiple of 4 frames.
    """

    def __init__(
        self, config: Config, *, columns: int = FEATURES, statistics: Statistics | None = None
    ) -> None:
        self.frames, self.columns = config.data.window, columns
        self.statistics = statistics
        self.temporal = config.model.networks == "temporal"
        if self.temporal and self.frames % STRIDE:
            raise ConfigError(
                f"data.window must be a multiple of {STRIDE} for model.networks temporal, got "
                f"{self.frames}"
            )
        super().__init__(
            config,
            shape=(self.frames, columns),
            likelihood=GaussianLikelihood(config.method.variance, dimensions=2),
        )

    @override
    def fits(self, codes: int) -> bool:
        steps = self.frames // STRIDE if self.temporal else self.frames
        return not max(codes, steps) % min(codes, steps)

    @override
    def reader(self, codes: int, width: int) -> nn.Module:
        if self.temporal:
            self._require(codes)
            return TemporalReader(
                frames=self.frames, columns=self.columns, codes=codes, width=width
            )
        return resample(self.frames, codes, self.columns, width)

    @override
    def body(self, codes: int, width: int) -> Decoder:
        model = self.config.model
        if self.temporal:
            self._require(codes)
        kind = TemporalWindowDecoder if self.temporal else WindowDecoder
        return kind(
            codes=codes,
            frames=self.frames,
            columns=self.columns,
            width=width,
            heads=model.heads,
            layers=model.decoder_layers,
        )

    def _require(self, codes: int) -> None:
        """Refuse numbers of tokens that share no grid with the latents of a window."""
        if not self.fits(codes):
            raise ConfigError(
                f"model.codes_per_window {codes}: of it and the {self.frames // STRIDE} latents of "
                f"data.window {self.frames} one must divide the other for model.networks temporal"
            )
