"""The paper's networks of images: MNIST, CIFAR-10, and photographs as ImageNet's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

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

    def __init__(self, config: Config, *, shape: tuple[int, ...]) -> None:
        super().__init__(config, shape=shape, likelihood=self._likelihood())

    def _likelihood(self) -> Likelihood:
        raise NotImplementedError

    def reader(self, codes: int, width: int) -> nn.Module:
        channels, height, across = self.shape
        return PatchReader(
            channels=channels, height=height, width=across, tokens=codes, outputs=width
        )

    def body(self, codes: int, width: int) -> Decoder:
        values = self.likelihood.parameters_per_value
        try:
            return ConvolutionalDecoder(codes=codes, width=width, shape=(values, *self.shape))
        except ValueError as error:
            raise ConfigError(f"model.codes_per_window {codes}: {error}") from None

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

    def body(self, codes: int, width: int) -> Decoder:
        return PerceptronDecoder(codes=codes, width=width, shape=self.shape)

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


_OF_MOTION = ("daps-pq", "lopq", "pca-pq")
_OF_DATASET: dict[str, type[ImageNetworks]] = {"mnist": MnistNetworks, "cifar10": CifarNetworks}


def image_networks(config: Config) -> ImageNetworks:
    """Networks of the images that ``config.data.dataset`` names.

    Raises:
        ConfigError: the method is one of motion only.
    """
    if config.method.name in _OF_MOTION:
        raise ConfigError(
            f"method.name {config.method.name} starts from principal components of motion; for "
            "images choose another, such as daps"
        )
    kind = _OF_DATASET.get(config.data.dataset, PictureNetworks)
    return kind(config, shape=image_shape(config))
