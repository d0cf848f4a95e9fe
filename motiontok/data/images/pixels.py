"""From bytes of images to models' inputs, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BINARY", "CIFAR10", "IMAGENET", "Pixels"]


@dataclass(frozen=True)
class Pixels:
    """Standardisation of ``(..., channels, height, width)``.

    Attributes:
        mean, deviation: of a channel's bytes; none where pixels are binary: 1 above 127,
            else 0, the paper's fixed binarisation of MNIST.
    """

    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def binary(self) -> bool:
        """Whether pixels are 0 and 1."""
        return not self.mean

    def standardize(self, images: Tensor) -> Tensor:
        """Models' inputs, float32, from bytes."""
        if self.binary:
            return (images > 127).float()
        mean, deviation = self._columns(images.device)
        return (images.float() - mean) / deviation

    def to_unit(self, x: Tensor) -> Tensor:
        """Models' inputs with black 0 and white 1, clipped."""
        if self.binary:
            return x.clamp(0.0, 1.0)
        mean, deviation = self._columns(x.device)
        return ((x * deviation + mean) / 255.0).clamp(0.0, 1.0)

    def to_bytes(self, x: Tensor) -> Tensor:
        """Bytes from models' inputs, rounded and clipped."""
        return (255.0 * self.to_unit(x)).round().to(torch.uint8)

    def _columns(self, device: torch.device) -> tuple[Tensor, Tensor]:
        return (
            torch.tensor(self.mean, device=device)[:, None, None],
            torch.tensor(self.deviation, device=device)[:, None, None],
        )


BINARY = Pixels()
"""MNIST."""

CIFAR10 = Pixels((125.307, 122.950, 113.865), (62.993, 62.089, 66.705))
"""The paper's constants of CIFAR-10."""

IMAGENET = Pixels((123.095, 115.324, 102.224), (68.819, 66.551, 69.687))
"""The paper's constants of ImageNet, also for other photographs."""
