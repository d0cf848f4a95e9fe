"""Fréchet inception distance, by torchmetrics, with a network that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motiontok.errors import InputError, MissingDependencyError

__all__ = ["WEIGHTS", "FrechetDistance", "load_inception"]

WEIGHTS = "inception-2015-12-05.pt"
"""Usual name of the network: NVIDIA's TorchScript of the original, which StyleGAN and
clean-fid measure with as well."""


class _Features(nn.Module):
    """The network as torchmetrics calls it: bytes in, one row of features an image out."""

    num_features = 2048

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return self.network(images, return_features=True)


def load_inception(path: Path | None, device: torch.device | str = "cpu") -> nn.Module:
    """The feature network of FID.

    Args:
        path: a TorchScript file that maps bytes ``(batch, 3, height, width)`` to features
            ``(batch, 2048)`` and does the resizing itself, as :data:`WEIGHTS` does.
        device: where to put it.

    Raises:
        InputError: there is no such file, or it is no such network.
    """
    if path is None or not path.is_file():
        where = f"{path}: no such file" if path is not None else "no network given"
        raise InputError(
            f"{where}; FID needs the Inception network as TorchScript: fetch {WEIGHTS} (NVIDIA, "
            "of StyleGAN's metrics) and give --inception its path"
        )
    try:
        network = torch.jit.load(str(path), map_location=device).eval()
        features = _Features(network)
        found = features(torch.zeros(2, 3, 32, 32, dtype=torch.uint8, device=device))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        line = str(error).strip().split("\n")[0]
        raise InputError(
            f"{path}: not the Inception network as TorchScript ({line}); {WEIGHTS} is"
        ) from None
    if found.shape != (2, features.num_features):
        raise InputError(
            f"{path}: gives features {tuple(found.shape)} of 2 images, not "
            f"(2, {features.num_features})"
        )
    return features


class FrechetDistance:
    """FID of reconstructions from originals (Heusel et al. 2017).

    Args:
        network: of :func:`load_inception`.
        device: where it is.

    Raises:
        MissingDependencyError: torchmetrics is not installed.
    """

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu") -> None:
        try:
            from torchmetrics.image.fid import FrechetInceptionDistance
        except ImportError:
            raise MissingDependencyError(
                "FID needs torchmetrics: pip install 'motiontok[images]'"
            ) from None
        self._metric: Any = FrechetInceptionDistance(feature=network).to(device)

    def update(self, originals: Tensor, reconstructions: Tensor) -> None:
        """Add images, bytes ``(batch, channels, height, width)``; grey ones are repeated."""
        for images, real in ((originals, True), (reconstructions, False)):
            self._metric.update(images.expand(-1, 3, -1, -1), real=real)

    def compute(self) -> float:
        """The distance between all images so far."""
        return float(self._metric.compute())
