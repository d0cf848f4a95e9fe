"""The paper's networks for images: MNIST, CIFAR-10, and photographs such as ImageNet's."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn
from typing_extensions import override

from motiontok.config import Config
from motiontok.data.images import image_shape
from motiontok.errors import ConfigError
from motiontok.methods.networks import Networks
from motiontok.models import (
    BernoulliLikelihood,
    Decoder,
    FactorisedPolicy,
    LatentEncoder,
    LearnedGaussianLikelihood,
    Likelihood,
)
from motiontok.models.images import (
    ConvolutionalDecoder,
    LinearFirst,
    PatchReader,
    PerceptronDecoder,
)
from motiontok.models.product_quantizer import component_count

__all__ = ["CifarNetworks", "ImageNetworks", "MnistNetworks", "PictureNetworks", "image_networks"]


class ImageNetworks(Networks):
    """Patches in, one a token; a residual convolutional decoder out.

    Args:
        config: sizes and hyper-parameters.
        shape: channels, height and width of an image.

    Attributes:
        after_scalars: sizes of the linear layers between FSQ's scalars and the decoder, in
            widths of the decoder.
    """

    after_scalars: ClassVar[tuple[float, ...]]
    sized: ClassVar[bool] = False  # pixels have bounds

    def __init__(self, config: Config, *, shape: tuple[int, ...]) -> None:
        super().__init__(config, shape=shape, likelihood=self._likelihood())

    @abstractmethod
    def _likelihood(self) -> Likelihood:
        """p(x | z), whose parameters the decoders give."""

    @override
    def reader(self, codes: int, width: int) -> nn.Module:
        channels, height, across = self.shape
        return PatchReader(
            channels=channels, height=height, width=across, tokens=codes, outputs=width
        )

    @override
    def body(self, codes: int, width: int) -> Decoder:
        values = self.likelihood.parameters_per_value
        try:
            return ConvolutionalDecoder(codes=codes, width=width, shape=(values, *self.shape))
        except ValueError as error:
            raise ConfigError(f"model.codes_per_window {codes}: {error}") from None

    @override
    def body_of_scalars(self, codes: int, width: int) -> Decoder:
        sizes = (width, *(int(width * ratio) for ratio in self.after_scalars))
        return LinearFirst(sizes, self.body(codes, sizes[-1]))


class MnistNetworks(ImageNetworks):
    """Binary images; the decoder is a perceptron. Quantisers' encoders are a little wider."""

    encoder_depth: ClassVar[int] = 2
    encoder_mlp_ratio: ClassVar[int] = 7
    after_scalars: ClassVar[tuple[float, ...]] = (4 / 3,)

    def _likelihood(self) -> Likelihood:
        return BernoulliLikelihood(dimensions=3)

    @override
    def body(self, codes: int, width: int) -> Decoder:
        return PerceptronDecoder(codes=codes, width=width, shape=self.shape)

    @override
    def factorised_policy(self) -> FactorisedPolicy:
        model = self.config.model
        encoder = LatentEncoder(
            self.reader(model.codes_per_window, model.width),
            codes=model.codes_per_window,
            width=model.width,
            heads=model.heads,
            layers=self.encoder_depth * model.layers,
            outputs=model.width,
            mlp_ratio=6,
        )
        return FactorisedPolicy(model.vocab_size, encoder)


class CifarNetworks(ImageNetworks):
    """Colour images of 32 pixels, variances learned and almost unbounded."""

    encoder_depth: ClassVar[int] = 2
    encoder_mlp_ratio: ClassVar[int] = 6
    after_scalars: ClassVar[tuple[float, ...]] = (2, 1)

    def _likelihood(self) -> Likelihood:
        return LearnedGaussianLikelihood(least=torch.finfo(torch.float32).eps, dimensions=3)


class PictureNetworks(ImageNetworks):
    """Photographs, learned variances from 0.01 to 1."""

    levels: ClassVar[Mapping[int, tuple[int, ...]]] = {1000: (8, 5, 5, 5)}
    after_scalars: ClassVar[tuple[float, ...]] = (4, 1)

    def _likelihood(self) -> Likelihood:
        return LearnedGaussianLikelihood(least=0.01, most=1.0, dimensions=3)


_LARGEST_BASIS = 2**26  # numbers, 256 MiB
_OF_DATASET: dict[str, type[ImageNetworks]] = {"mnist": MnistNetworks, "cifar10": CifarNetworks}


def image_networks(config: Config) -> ImageNetworks:
    """Networks of the images that ``config.data.dataset`` names.

    Raises:
        ConfigError: the method does not suit such images, or there are more codes than patches.
    """
    method, shape = config.method.name, image_shape(config)
    codes, most = config.model.codes_per_window, shape[1] // 2 * (shape[2] // 2)
    if codes > most:
        raise ConfigError(
            f"model.codes_per_window {codes}: an image of {shape[1]} x {shape[2]} pixels has no "
            f"more than {most} patches of 2 x 2, one a code"
        )
    if method == "lopq":
        raise ConfigError(
            "method.name lopq is of motion only; for images choose another, such as lopq-net"
        )
    if method in ("daps-pq", "pca-pq", "daps-lopq", "lopq-net"):
        _require_components(config, shape)
    return _OF_DATASET.get(config.data.dataset, PictureNetworks)(config, shape=shape)


def _require_components(config: Config, shape: tuple[int, ...]) -> None:
    """Refuse images that are unsuitable for a quantiser of principal components."""
    method, codes = config.method.name, config.model.codes_per_window
    local = method in ("daps-lopq", "lopq-net")
    if config.data.dataset == "mnist" and not local:
        raise ConfigError(
            f"method.name {method} decodes to a Gaussian, but {config.data.dataset} is binary; "
            "choose another, such as lopq-net"
        )
    kept = config.model.components if local else component_count(shape, codes)
    if kept * math.prod(shape) > _LARGEST_BASIS:
        raise ConfigError(
            f"method.name {method} keeps principal components of whole images: "
            f"{kept} of {math.prod(shape)} numbers are too many; choose a smaller data.size or "
            f"fewer model.{'components' if local else 'codes_per_window'}, or another method, "
            "such as daps"
        )
