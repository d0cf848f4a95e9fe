"""The images that a configuration names."""

from __future__ import annotations

from pathlib import Path

import torch

from motiontok.config import Config, DataConfig
from motiontok.data.images.cifar import load_cifar10
from motiontok.data.images.files import ImageFiles
from motiontok.data.images.layouts import find_imagenet, find_pictures
from motiontok.data.images.mnist import load_mnist
from motiontok.data.images.pixels import BINARY, CIFAR10, IMAGENET, Pixels
from motiontok.data.images.sets import ArraySet, ImageSet, PictureSet
from motiontok.errors import ConfigError, DataError

__all__ = ["image_shape", "open_image_files", "open_image_set", "pixels_of"]

_PIXELS = {"mnist": BINARY, "cifar10": CIFAR10}
_SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
_NEEDS = {
    "mnist": "the folder of MNIST's IDX files",
    "cifar10": "cifar-10-binary.tar.gz or its folder",
    "imagenet": "the folder with ImageNet's train and val",
    "pictures": "a folder of pictures",
}


def pixels_of(config: Config) -> Pixels:
    """How a data set's bytes are standardised."""
    return _PIXELS.get(config.data.dataset, IMAGENET)


def image_shape(config: Config) -> tuple[int, ...]:
    """Channels, height and width of a data set's images."""
    return _SHAPES.get(config.data.dataset, (3, config.data.size, config.data.size))


def open_image_set(
    config: Config, path: Path | None, *, device: torch.device | str = "cpu"
) -> ImageSet:
    """Images to train on and held-out ones.

    Args:
        config: of the run.
        path: where they are.
        device: where training runs.

    Raises:
        DataError: no path, or nothing usable there.
        ConfigError: a size that the data set's images do not have.
    """
    dataset, size = config.data.dataset, config.data.size
    if path is None:
        raise DataError(f"{dataset} needs --data: {_NEEDS[dataset]}")
    pixels = pixels_of(config)
    if dataset in _SHAPES:
        side = _SHAPES[dataset][1]
        if size not in (side, DataConfig.size):
            raise ConfigError(
                f"data.size {size}: images of {dataset} have {side} pixels a side; leave it out"
            )
        arrays = load_mnist(path) if dataset == "mnist" else load_cifar10(path)
        if arrays.training.shape[1:] != image_shape(config):
            raise DataError(
                f"{path}: images are {arrays.training.shape[1:]}, {dataset}'s are "
                f"{image_shape(config)} (channels, height, width)"
            )
        return ArraySet(arrays, pixels, device=device)
    return PictureSet(
        open_image_files(config, path),
        pixels,
        size,
        seed=config.train.seed,
        held_out=config.train.validation_windows,
        device=device,
    )


def open_image_files(config: Config, path: Path | None) -> ImageFiles:
    """Files of a data set that is read during training.

    Raises:
        DataError: no path, or nothing usable there.
    """
    dataset = config.data.dataset
    if path is None:
        raise DataError(f"{dataset} needs --data: {_NEEDS[dataset]}")
    if dataset == "imagenet":
        return find_imagenet(path)
    return find_pictures(path, holdout=config.data.holdout)
