"""A tiny set of digits and a run on it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

TINY_IMAGES = (
    "name=tiny-images",
    "model.vocab_size=16",
    "model.width=16",
    "model.heads=2",
    "model.decoder_width=16",
    "method.samples=4",
    "method.eta_start=2.0",
    "train.steps=40",
    "train.batch_size=16",
    "train.learning_rate=2e-3",
    "train.evaluate_every=20",
    "train.checkpoint_every=10",
    "train.log_every=5",
    "train.validation_windows=32",
)


def write_idx(path: Path, array: np.ndarray) -> None:
    head = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


@pytest.fixture(scope="session")
def tiny_images() -> tuple[str, ...]:
    """Overrides that make ``mnist`` a run of a second."""
    return TINY_IMAGES


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like MNIST's, of white rectangles."""
    folder = tmp_path_factory.mktemp("blobs")
    rng = np.random.default_rng(0)
    for stem, count in (("train-images-idx3-ubyte", 200), ("t10k-images-idx3-ubyte", 64)):
        images = np.zeros((count, 28, 28), dtype=np.uint8)
        for image in images:
            top, left = rng.integers(2, 14, 2)
            image[top : top + 12, left : left + 12] = 255
        write_idx(folder / stem, images)
    return folder


@pytest.fixture(scope="session")
def image_run(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run on the blobs; not to be changed."""
    pytest.importorskip("torch", reason="needs: pip install torch")
    from motiontok.config import load_config
    from motiontok.images.runs import run_image_training

    out = tmp_path_factory.mktemp("images") / "run"
    run_image_training(
        load_config("mnist", TINY_IMAGES), out=out, data=blobs, say=lambda line: None
    )
    return out
