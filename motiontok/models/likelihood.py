"""Likelihoods p(x | z) of observations, given a decoder's output.

A decoder gives the parameters of p(x | z): one number for each value of x, in the shape
of x; or, where a likelihood has several, in one more dimension before those of x,
``(..., parameters_per_value, *shape)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

__all__ = [
    "BernoulliLikelihood",
    "GaussianLikelihood",
    "LearnedGaussianLikelihood",
    "Likelihood",
]


class Likelihood(ABC):
    """Values of x are independent given z.

    Args:
        dimensions: dimensions of an observation: 2 for windows (frames, columns), 3 for
            images.

    Attributes:
        parameters_per_value: numbers that a decoder gives for each value of x.
    """

    parameters_per_value: int = 1

    def __init__(self, *, dimensions: int) -> None:
        self.dimensions = dimensions

    @abstractmethod
    def log_density(self, x: Tensor, parameters: Tensor) -> Tensor:
        """log p(x | z), nats, summed over an observation's dimensions, never averaged.

        Args:
            x: ``(..., *shape)``; its leading dimensions may broadcast.
            parameters: ``(..., *shape)`` or ``(..., parameters_per_value, *shape)``.

        Returns:
            ``(...)``.
        """

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """Mean of p(x | z) ``(..., *shape)``."""

    @abstractmethod
    def around(self, mean: Tensor, square: Tensor) -> Tensor:
        """Parameters of a p(x | z) with about these means, as a network's start.

        Args:
            mean: ``(..., *shape)``.
            square: mean square difference of values from them, ``(..., *shape)``.
        """

    def _sum(self, values: Tensor) -> Tensor:
        return values.flatten(-self.dimensions).sum(dim=-1)


class GaussianLikelihood(Likelihood):
    """N(x; parameters, variance) with one variance for all values, normaliser included.

    Args:
        variance: positive.
        dimensions: of an observation.
    """

    def __init__(self, variance: float, *, dimensions: int) -> None:
        super().__init__(dimensions=dimensions)
        self.variance = variance

    @override
    def log_density(self, x: Tensor, parameters: Tensor) -> Tensor:
        count = math.prod(x.shape[-self.dimensions :])
        square = self._sum((x - parameters) ** 2)
        return -0.5 * (count * math.log(2.0 * math.pi * self.variance) + square / self.variance)

    @override
    def mean(self, parameters: Tensor) -> Tensor:
        return parameters

    @override
    def around(self, mean: Tensor, square: Tensor) -> Tensor:
        return mean


class LearnedGaussianLikelihood(Likelihood):
    """N(x; mean, variance) with means and log-variances from the decoder.

    Variances are kept between bounds by clipping their logarithm, without gradient outside: the
    paper's least variance is 0.01 and its largest 1 for ImageNet, and 1.2e-7 without a largest for
    CIFAR-10.

    Args:
        least, most: bounds of a variance.
        dimensions: of an observation.
    """

    parameters_per_value = 2

    def __init__(self, *, least: float, most: float = math.inf, dimensions: int) -> None:
        super().__init__(dimensions=dimensions)
        self.least, self.most = least, most

    @override
    def log_density(self, x: Tensor, parameters: Tensor) -> Tensor:
        log_variance = self._log_variance(parameters)
        square = (x - self.mean(parameters)) ** 2 * (-log_variance).exp()
        return -0.5 * self._sum(math.log(2.0 * math.pi) + log_variance + square)

    @override
    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.select(-self.dimensions - 1, 0)

    @override
    def around(self, mean: Tensor, square: Tensor) -> Tensor:
        log_variance = square.clamp(self.least, self.most).log()
        return torch.stack([mean, log_variance.expand_as(mean)], dim=-self.dimensions - 1)

    def variance(self, parameters: Tensor) -> Tensor:
        """Variances of p(x | z) ``(..., *shape)``."""
        return self._log_variance(parameters).exp()

    def _log_variance(self, parameters: Tensor) -> Tensor:
        raw = parameters.select(-self.dimensions - 1, 1)
        return raw.clamp(math.log(self.least), math.log(self.most))


class BernoulliLikelihood(Likelihood):
    """Values 0 and 1; parameters are logits."""

    @override
    def log_density(self, x: Tensor, parameters: Tensor) -> Tensor:
        return self._sum(x * parameters - F.softplus(parameters))

    @override
    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.sigmoid()

    @override
    def around(self, mean: Tensor, square: Tensor) -> Tensor:
        # Not the logarithm of the odds: means of linear maps may lie beyond 0 and 1. With this
        # slope a mean of 1 is a probability of 0.95.
        return 6.0 * (mean - 0.5)
