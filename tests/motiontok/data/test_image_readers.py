"""MNIST and CIFAR-10 files, whole and broken."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest
import torch

from motiontok.config import load_config
from motiontok.data.images import (
    BINARY,
    CIFAR10,
    load_cifar10,
    load_mnist,
    open_image_set,
    read_idx,
)
from motiontok.errors import DataError

TRAIN, TEST = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"


def idx(array):
    head = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def digits(count, seed=0, side=28):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)


def records(count, seed, label=3):
    rows = np.random.default_rng(seed).integers(0, 256, (count, 3073), dtype=np.uint8)
    rows[:, 0] = label
    return rows


@pytest.fixture
def cifar(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for n in range(1, 6):
        (folder / f"data_batch_{n}.bin").write_bytes(records(4, n).tobytes())
    (folder / "test_batch.bin").write_bytes(records(3, 9).tobytes())
    return tmp_path


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_read_plain_and_gzipped(tmp_path, packed):
    pack, end = (gzip.compress, ".gz") if packed else (bytes, "")
    (tmp_path / f"{TRAIN}{end}").write_bytes(pack(idx(digits(5))))
    (tmp_path / f"{TEST}{end}").write_bytes(pack(idx(digits(2, seed=1))))
    arrays = load_mnist(tmp_path)
    np.testing.assert_array_equal(arrays.training[:, 0], digits(5))
    np.testing.assert_array_equal(arrays.held_out[:, 0], digits(2, seed=1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "nothing"),
        (b"\x89PNG\r\n\x1a\n0000", "not an IDX file"),
        (idx(digits(5))[:-1], "truncated"),
        (idx(digits(5))[:9], "truncated"),
        (gzip.compress(idx(digits(5)))[:-20], "truncated"),
        (b"\x1f\x8bjunk", "damaged"),
        (b"\x00\x00\x0d\x01" + bytes(8), "not an IDX file"),
    ],
)
def test_a_broken_idx_file_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / TRAIN
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        read_idx(path)
    assert str(path) in str(error.value)


def test_a_missing_or_foreign_mnist_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load_mnist(tmp_path / "nowhere")
    with pytest.raises(DataError, match=TRAIN):
        load_mnist(tmp_path)
    (tmp_path / TRAIN).write_bytes(idx(digits(5)))
    with pytest.raises(DataError, match=TEST):
        load_mnist(tmp_path)
    (tmp_path / TEST).write_bytes(idx(np.arange(10)))
    with pytest.raises(DataError, match="expected images"):
        load_mnist(tmp_path)
    (tmp_path / TEST).write_bytes(idx(digits(2, side=27)))
    with pytest.raises(DataError, match="held-out ones"):
        load_mnist(tmp_path)


def test_binarisation_is_the_papers():
    x = BINARY.standardize(torch.tensor([0, 127, 128, 255], dtype=torch.uint8))
    assert x.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_cifar_is_read_from_folder_and_archive(cifar, tmp_path):
    found = load_cifar10(cifar)
    expected = np.concatenate([records(4, n)[:, 1:] for n in range(1, 6)])
    np.testing.assert_array_equal(found.training, expected.reshape(-1, 3, 32, 32))
    assert found.held_out.shape == (3, 3, 32, 32)
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(cifar / "cifar-10-batches-bin", "cifar-10-batches-bin")
    again = load_cifar10(archive)
    np.testing.assert_array_equal(again.training, found.training)


def test_the_pickled_cifar_is_refused_with_the_reason(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": [1]}))
    with pytest.raises(DataError, match="pickled"):
        load_cifar10(tmp_path)
    with pytest.raises(DataError, match="pickled"):
        load_cifar10(folder)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, folder.name)
    with pytest.raises(DataError, match="pickled"):
        load_cifar10(archive)


def test_a_broken_cifar_is_refused_by_name(cifar, tmp_path):
    batch = cifar / "cifar-10-batches-bin" / "data_batch_3.bin"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"data_batch_3\.bin is truncated"):
        load_cifar10(cifar)
    batch.write_bytes(records(4, 1, label=77).tobytes())
    with pytest.raises(DataError, match="not of CIFAR-10"):
        load_cifar10(cifar)
    batch.unlink()
    with pytest.raises(DataError, match=r"no data_batch_3\.bin"):
        load_cifar10(cifar)
    broken = tmp_path / "cut.tar.gz"
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        file.add(cifar / "cifar-10-batches-bin" / "test_batch.bin", "x/test_batch.bin")
    broken.write_bytes(content.getvalue()[:-200])
    with pytest.raises(DataError, match=r"cut\.tar\.gz"):
        load_cifar10(broken)


def test_standardisation_is_undone():
    pixels = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    assert torch.equal(CIFAR10.to_bytes(CIFAR10.standardize(pixels)), pixels)
    unit = CIFAR10.to_unit(CIFAR10.standardize(pixels))
    torch.testing.assert_close(unit, pixels / 255.0, atol=1e-6, rtol=0)


def test_batches_follow_the_generator(tmp_path):
    (tmp_path / TRAIN).write_bytes(idx(digits(50)))
    (tmp_path / TEST).write_bytes(idx(digits(4)))
    data = open_image_set(load_config("mnist"), tmp_path)
    draw = [data.batch(8, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
    assert draw[0].shape == (8, 1, 28, 28)
    assert len(data) == 50
    assert data.validation.unique().tolist() == [0.0, 1.0]


def test_data_must_be_given_and_fit(tmp_path, cifar):
    with pytest.raises(DataError, match="--data"):
        open_image_set(load_config("mnist"), None)
    with pytest.raises(DataError, match="--data"):
        open_image_set(load_config("imagenet256"), None)
    (tmp_path / TRAIN).write_bytes(idx(digits(5, side=30)))
    (tmp_path / TEST).write_bytes(idx(digits(4, side=30)))
    with pytest.raises(DataError, match="30"):
        open_image_set(load_config("mnist"), tmp_path)


def test_the_real_mnist(shared_data):
    arrays = load_mnist(shared_data / "mnist")
    assert arrays.training.shape == (60_000, 1, 28, 28)
    assert arrays.held_out.shape == (10_000, 1, 28, 28)
    # A pixel is ink in about one of eight; the first digit is a five.
    assert 0.12 < (arrays.training > 127).mean() < 0.14
