"""Readers and decoders of images ``(batch, channels, height, width)``.

Source: the paper's image networks. An image is read as a grid of patches, one a token,
and written either by a perceptron (small binary images) or by a residual convolutional
decoder whose first grid is the tokens'. Batch norm is replaced by group norm with as many
parameters: the score of one sample must not depend on the other samples of its batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from motiontok.models.decoder import Decoder

__all__ = ["ConvolutionalDecoder", "LinearFirst", "PatchGrid", "PatchReader", "PerceptronDecoder"]

_GROUPS = 8
_HIDDEN = (64, 256)  # units of the layers of the decoder of MNIST
_CHANNELS = 64  # of the decoder of colour images, at the grid's size


@dataclass(frozen=True)
class PatchGrid:
    """How an image is cut into patches, one a token.

    Attributes:
        rows, columns: patches down and across.
        height, width: pixels of a patch.
    """

    rows: int
    columns: int
    height: int
    width: int

    @classmethod
    def fit(cls, height: int, width: int, patches: int) -> PatchGrid:
        """The most square grid of ``patches`` that covers ``height x width`` pixels.

        Sides of a patch are rounded up to even numbers, so the canvas may be larger than
        the image: 8 patches of a 28 x 28 image are 2 x 4 of 14 x 8, on 28 x 32.
        """
        rows, columns = _most_square(patches)
        return cls(rows, columns, _even(height / rows), _even(width / columns))

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width that the patches cover together."""
        return self.rows * self.height, self.columns * self.width

    def cut(self, images: Tensor) -> Tensor:
        """Patches ``(batch, patches, height * width * channels)``, row by row.

        Args:
            images: ``(batch, channels, height, width)``, put in the middle of a canvas of
                zeros where it is smaller.
        """
        down, across = (c - s for c, s in zip(self.canvas, images.shape[-2:], strict=True))
        padding = (across // 2, across - across // 2, down // 2, down - down // 2)
        x = F.pad(images, padding) if any(padding) else images
        x = x.unflatten(3, (self.columns, self.width)).unflatten(2, (self.rows, self.height))
        return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


class PatchReader(nn.Module):
    """One linear layer on the pixels of each patch.

    Args:
        channels, height, width: of an image.
        tokens: patches, one a token.
        outputs: size of a token's vector.
    """

    def __init__(
        self, *, channels: int, height: int, width: int, tokens: int, outputs: int
    ) -> None:
        super().__init__()
        self.grid = PatchGrid.fit(height, width, tokens)
        self.embed = nn.Linear(channels * self.grid.height * self.grid.width, outputs)
        nn.init.xavier_uniform_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Vectors ``(batch, tokens, outputs)`` of images ``(batch, channels, height, width)``."""
        return self.embed(self.grid.cut(x))


class PerceptronDecoder(Decoder):
    """The paper's decoder of MNIST: all latents at once through two hidden layers.

    Args:
        codes, width: shape of the latents.
        shape: of the output; its product is that of the last layer.
    """

    def __init__(self, *, codes: int, width: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((codes * width, *_HIDDEN, math.prod(shape))):
            layers += [_dense(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    @override
    def synthesize(self, latents: Tensor) -> Tensor:
        return self.layers(latents.flatten(1)).unflatten(1, self.shape)


class ConvolutionalDecoder(Decoder):
    """The paper's decoder of colour images: two residual blocks, then doublings of the size.

    Each doubling halves the channels, but they are never fewer than the output has.

    Args:
        codes, width: shape of the latents; the most square grid of them is the smallest
            image.
        shape: of the output ``(..., height, width)``, whose sides are a power of two times
            the grid's.

    Raises:
        ValueError: no doublings lead from the grid to the output.
    """

    def __init__(self, *, codes: int, width: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.grid = _most_square(codes)
        sides = shape[-2:]
        ratio = sides[0] // self.grid[0]
        if ratio & (ratio - 1) or sides != (self.grid[0] * ratio, self.grid[1] * ratio):
            raise ValueError(
                f"a grid of {self.grid[0]} x {self.grid[1]} codes cannot be doubled to "
                f"{sides[0]} x {sides[1]} pixels"
            )
        channels = math.prod(shape[:-2])
        doublings = ratio.bit_length() - 1
        self.read = _convolution(width, _CHANNELS, 3)
        self.blocks = nn.Sequential(_Residual(_CHANNELS), _Residual(_CHANNELS), nn.ReLU())
        widths = [max(_CHANNELS >> n, channels) for n in range(doublings)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [_doubling(inputs, outputs), _norm(outputs), nn.ReLU()]
        out = _doubling(widths[-1], channels) if widths else _convolution(_CHANNELS, channels, 1)
        self.layers = nn.Sequential(*layers, out)

    @override
    def synthesize(self, latents: Tensor) -> Tensor:
        x = self.read(latents.mT.unflatten(2, self.grid))
        return self.layers(self.blocks(x)).unflatten(1, self.shape[:-2])


class LinearFirst(Decoder):
    """A decoder behind linear layers on each latent, as the paper's FSQ has them.

    There is no activation between: they change how the decoder learns, not what it can represent.

    Args:
        sizes: of the latents, and of the outputs of the layers.
        body: decoder of latents of the last size.
    """

    def __init__(self, sizes: Sequence[int], body: Decoder) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_dense(a, b) for a, b in pairwise(sizes)))
        self.body = body

    @override
    def synthesize(self, latents: Tensor) -> Tensor:
        return self.body.synthesize(self.layers(latents))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            _convolution(channels, channels, 3),
            _norm(channels),
            nn.ReLU(),
            _convolution(channels, channels, 1),
            _norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _most_square(count: int) -> tuple[int, int]:
    """Rows and columns of ``count`` cells, no more rows than columns."""
    rows = max(r for r in range(1, math.isqrt(count) + 1) if count % r == 0)
    return rows, count // rows


def _even(length: float) -> int:
    return 2 * math.ceil(length / 2)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(_GROUPS, channels), channels, eps=1e-5)


# LeCun-normal, the default of the paper's framework.
def _dense(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=1.0 / math.sqrt(inputs))
    nn.init.zeros_(layer.bias)
    return layer


def _convolution(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2)
    nn.init.normal_(layer.weight, std=1.0 / math.sqrt(inputs * size**2))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    # Each output pixel is reached by a quarter of the kernel.
    nn.init.normal_(layer.weight, std=1.0 / math.sqrt(inputs * 4))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
