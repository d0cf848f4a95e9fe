"""Images for the training loop, in memory or decoded during training."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from motiontok.data.epoch_sampler import EpochSampler
from motiontok.data.images.arrays import ImageArrays
from motiontok.data.images.fidelity import errors_of
from motiontok.data.images.files import ImageFile, ImageFiles
from motiontok.data.images.pixels import Pixels
from motiontok.data.images.stream import PictureStream, Skipped, decode_all
from motiontok.errors import DataError

__all__ = ["ArraySet", "ImageSet", "PictureSet"]

_CROPS = 4  # of a picture, before they say little new


class ImageSet(ABC):
    """Standardised images ``(channels, height, width)`` to train on, and held-out ones.

    Attributes:
        pixels: how they are standardised.
        validation: held-out images ``(images, channels, height, width)``.
        fingerprint: changes with the data.
        note: what it is, one line.
    """

    pixels: Pixels
    validation: Tensor
    fingerprint: str
    note: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return tuple(self.validation.shape[1:])

    @abstractmethod
    def __len__(self) -> int:
        """Images to train on."""

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """``rows`` of ``size`` images ``(size, channels, height, width)`` to train on."""

    @abstractmethod
    def once(self, generator: torch.Generator) -> EpochSampler:
        """Every image once, in random order, some at a time."""

    @abstractmethod
    def seek(self, drawn: int) -> None:
        """Continue after ``drawn`` images, if the set, not the generator, decides the order."""

    @abstractmethod
    def close(self) -> None:
        """Stop decoding ahead."""

    def metrics(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Errors of reconstructions, as :func:`~motiontok.data.images.errors_of` has them."""
        return errors_of(x, y, self.pixels)


class ArraySet(ImageSet):
    """Small images that fit in memory, drawn with replacement, as the paper draws them.

    Args:
        arrays: bytes.
        pixels: how to standardise them.
        device: where training runs; the bytes lie there.
    """

    def __init__(
        self, arrays: ImageArrays, pixels: Pixels, *, device: torch.device | str = "cpu"
    ) -> None:
        self.pixels = pixels
        self.validation = pixels.standardize(torch.tensor(arrays.held_out)).to(device)
        self._training = torch.tensor(arrays.training).to(device)
        digest = hashlib.sha256()
        for array in (arrays.training, arrays.held_out):
            digest.update(np.ascontiguousarray(array).tobytes())
        self.fingerprint = digest.hexdigest()[:16]
        self.note = f"{len(self)} images to train on, {len(self.validation)} held out"

    def __len__(self) -> int:
        return len(self._training)

    @override
    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        device = self._training.device
        index = torch.randint(len(self._training), (size,), generator=generator, device=device)
        return self.pixels.standardize(self._training[index[rows]])

    @override
    def once(self, generator: torch.Generator) -> EpochSampler:
        device = self._training.device
        order = torch.randperm(len(self._training), generator=generator, device=device)
        return EpochSampler(order, lambda places: self.pixels.standardize(self._training[places]))

    def seek(self, drawn: int) -> None:
        """Nothing to do: the generator alone decides the next images."""

    def close(self) -> None:
        """Nothing to do: nothing is decoded."""


class PictureSet(ImageSet):
    """Pictures on disk, in shuffled epochs, decoded ahead by threads.

    Args:
        files: pictures to train on and held out.
        pixels: how to standardise them.
        size: side of the squares.
        seed: of order, crops and flips.
        held_out: at most so many held-out pictures, evenly spread, are kept in memory.
        device: where training runs.
        workers: threads; as :class:`~motiontok.data.images.PictureStream` has them.

    Raises:
        DataError: no held-out picture can be decoded.
    """

    def __init__(
        self,
        files: ImageFiles,
        pixels: Pixels,
        size: int,
        *,
        seed: int,
        held_out: int,
        device: torch.device | str = "cpu",
        workers: int | None = None,
    ) -> None:
        self.pixels = pixels
        self.skipped = Skipped()
        self.held_out = _spread(files.held_out, held_out)
        squares = [s for _, s in decode_all(self.held_out, size, skipped=self.skipped)]
        if not squares:
            reason = next(iter(self.skipped.reasons.values()), "there are none")
            raise DataError(f"no held-out picture can be used: {reason}")
        self.validation = pixels.standardize(torch.from_numpy(np.stack(squares))).to(device)
        self._stream = PictureStream(files.training, size, seed=seed, workers=workers)
        self._stream.skipped = self.skipped
        self._device = torch.device(device)
        names = "\n".join(f.name for part in (files.training, files.held_out) for f in part)
        self.fingerprint = hashlib.sha256(f"{size}\n{names}".encode()).hexdigest()[:16]
        self.note = (
            f"{len(files.training)} pictures to train on, {len(files.held_out)} held out "
            f"({len(squares)} measured while training); {files.note}"
        )

    def __len__(self) -> int:
        return len(self._stream.files)

    @override
    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        pixels = torch.from_numpy(self._stream.take(size, rows))
        if self._device.type == "cuda":
            pixels = pixels.pin_memory()
        return self.pixels.standardize(pixels.to(self._device, non_blocking=True))

    def once(self, generator: torch.Generator) -> EpochSampler:
        """Every picture four times, with a different crop each time."""

        def gather(places: Tensor) -> Tensor:
            return self.batch(len(places), generator) if len(places) else self.validation[:0]

        return EpochSampler(torch.arange(_CROPS * len(self)), gather)

    @override
    def seek(self, drawn: int) -> None:
        self._stream.seek(drawn)

    @override
    def close(self) -> None:
        self._stream.close()


def _spread(files: Sequence[ImageFile], count: int) -> list[ImageFile]:
    if len(files) <= count:
        return list(files)
    return [files[i] for i in np.linspace(0, len(files) - 1, count).round().astype(int)]
