"""Measuring a tokenizer on any number of held-out images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motiontok.config import Config
from motiontok.data.images import (
    ArraySet,
    ImageFile,
    Skipped,
    decode_all,
    errors_of,
    open_image_files,
    open_image_set,
    pixels_of,
)
from motiontok.errors import DataError
from motiontok.evaluate.usage import CodeUsage
from motiontok.images.fid import FrechetDistance
from motiontok.images.measuring import measure_images
from motiontok.images.tokenizer import ImageTokenizer
from motiontok.models import Policy

__all__ = ["ImageEvaluation", "evaluate_images", "held_out_images"]

_CHUNK_BYTES = 2**27
_SHOWN = 16


@dataclass(frozen=True, eq=False)
class ImageEvaluation:
    """Results of measuring.

    Attributes:
        images: their number.
        metrics: of :func:`~motiontok.images.measuring.measure_images`, bits and, with a
            network, ``fid``.
        usage: of codes, at each position.
        shown: a random few of the images, standardised, to look at.
    """

    images: int
    metrics: dict[str, float]
    usage: CodeUsage
    shown: Tensor

    def to_dict(self) -> dict[str, Any]:
        """Everything, for a JSON file."""
        return {
            "images": self.images,
            "metrics": self.metrics,
            "used_per_position": self.usage.used.tolist(),
            "perplexity_per_position": self.usage.perplexity.tolist(),
        }


def evaluate_images(
    tokenizer: ImageTokenizer,
    chunks: Iterable[Tensor],
    *,
    seed: int = 0,
    effort: int = 1,
    distance: FrechetDistance | None = None,
) -> ImageEvaluation:
    """Measure a tokenizer.

    Args:
        tokenizer: to measure.
        chunks: standardised images ``(images, channels, height, width)`` in parts.
        seed: of samples.
        effort: of encoding.
        distance: also take the FID, on decoder means of a sampled sequence an image where
            the encoder is stochastic, as the paper does.

    Raises:
        DataError: there are no images.
    """
    pixels = tokenizer.pixels
    total: dict[str, float] = {}
    counts, images = np.zeros(0, dtype=np.int64), 0
    shown: list[Tensor] = []
    rng = np.random.default_rng(seed)
    generator = torch.Generator(tokenizer.device).manual_seed(seed)
    temperature = 1.0 if isinstance(getattr(tokenizer.method, "policy", None), Policy) else 0.0
    for number, chunk in enumerate(chunks):
        x = chunk.to(tokenizer.device)
        found, usage = measure_images(
            tokenizer.method,
            x,
            lambda a, b: errors_of(a, b, pixels),
            seed=seed + number,
            effort=effort,
        )
        for key, value in found.items():
            total[key] = total.get(key, 0.0) + len(x) * value
        counts = usage.counts if images == 0 else counts + usage.counts
        for n, image in enumerate(x, start=images):
            # Reservoir sampling: how many there will be is not known.
            place = n if n < _SHOWN else int(rng.integers(n + 1))
            if place < _SHOWN:
                shown[place : place + 1] = [image.cpu()]
        images += len(x)
        if distance is not None:
            with torch.no_grad():
                codes = tokenizer.method.encode(
                    x, effort=effort, temperature=temperature, generator=generator
                )
                y = tokenizer.method.decode(codes)
            distance.update(pixels.to_bytes(x), pixels.to_bytes(y))
    if not images:
        raise DataError("no images to measure on")
    usage = CodeUsage(counts)
    metrics = {key: value / images for key, value in total.items()} | usage.summary()
    metrics["bits_per_image"] = tokenizer.bits_per_image
    if distance is not None:
        metrics["fid"] = distance.compute()
    return ImageEvaluation(images, metrics, usage, torch.stack(shown))


def held_out_images(
    config: Config, path: Path | None, *, skipped: Skipped, everything: bool = False
) -> Iterator[Tensor]:
    """Held-out images of the data set a tokenizer was trained on, standardised, in parts.

    Args:
        config: of the training run.
        path: where the images are.
        skipped: where pictures that cannot be decoded are noted.
        everything: the pictures that were trained on, too.

    Raises:
        DataError: nothing usable there.
    """
    if config.data.dataset in ("mnist", "cifar10"):
        opened = open_image_set(config, path)
        assert isinstance(opened, ArraySet)
        yield from opened.validation.split(_part(opened.shape))
        return
    found = open_image_files(config, path)
    files: list[ImageFile] = [*found.held_out, *(found.training if everything else ())]
    size = config.data.size
    squares = []
    for _, square in decode_all(files, size, skipped=skipped):
        squares.append(square)
        if len(squares) == _part((3, size, size)):
            yield pixels_of(config).standardize(torch.from_numpy(np.stack(squares)))
            squares = []
    if squares:
        yield pixels_of(config).standardize(torch.from_numpy(np.stack(squares)))


def _part(shape: tuple[int, ...]) -> int:
    return max(_CHUNK_BYTES // (4 * int(np.prod(shape))), 1)
