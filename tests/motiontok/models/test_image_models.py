"""Patches, decoders, and the sizes of the paper's networks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motiontok.config import load_config
from motiontok.errors import ConfigError
from motiontok.methods import make_method
from motiontok.methods.image_networks import image_networks
from motiontok.models.images import (
    ConvolutionalDecoder,
    PatchGrid,
    PatchReader,
    PerceptronDecoder,
)

# Encoder and decoder, from the authors' code (jax.eval_shape). A begin-of-sequence embedding
# of its own, one width more, is ours. Their VQ-VAE has a codebook, V times the decoder's width,
# besides, as ours has.
PUBLISHED = {
    ("mnist", "daps"): (156_480 + 64, 267_344),
    ("mnist", "daps-na"): (160_640, 267_344),
    ("mnist", "vqvae"): (160_512, 250_960),
    ("mnist", "fsq"): (160_707, 267_493),
    ("cifar10", "daps"): (1_060_992 + 128, 257_958),
    ("cifar10", "daps-na"): (1_143_296, 257_958),
    ("cifar10", "vqvae"): (1_077_248, 192_422),
    ("cifar10", "fsq"): (1_077_635, 258_854),
    ("imagenet256", "daps"): (1_211_008 + 128, 330_198),
    ("imagenet256", "daps-na"): (1_360_128, 330_198),
    ("imagenet256", "vqvae"): (1_228_032, 199_126),
    ("imagenet256", "fsq"): (1_228_548, 331_478),
}
FSQ_LEVELS = {"mnist": (8, 6, 5), "cifar10": (8, 8, 8), "imagenet256": (8, 5, 5, 5)}


@pytest.mark.parametrize(("name", "method"), PUBLISHED)
def test_sizes_are_the_papers(name, method):
    settings = [f"method.name={method}"]
    if method in ("vqvae", "fsq"):
        pytest.importorskip(
            "vector_quantize_pytorch", reason="needs: pip install 'motiontok[baselines]'"
        )
    if method == "fsq":
        settings.append(f"model.vocab_size={math.prod(FSQ_LEVELS[name])}")
    config = load_config(name, settings)
    made = make_method(config, image_networks(config))
    if method == "vqvae":
        encoder, decoder = [made.encoder], [made.decoder]
        assert made.quantizer.codebook.numel() == (
            config.model.vocab_size * config.model.decoder_width
        )
    elif method == "fsq":
        # To the scalars and back is the encoder's and the decoder's in the paper.
        encoder = [made.encoder, made.quantizer.project_in]
        decoder = [made.decoder, made.quantizer.project_out]
        assert tuple(made.quantizer._levels.tolist()) == FSQ_LEVELS[name]
    else:
        encoder, decoder = [made.policy], [made.decoder]
    counts = tuple(
        sum(p.numel() for m in part for p in m.parameters()) for part in (encoder, decoder)
    )
    assert counts == PUBLISHED[name, method]
    if method in ("daps", "daps-na"):
        # The trust region is the one parameter more.
        assert sum(p.numel() for p in made.parameters()) == sum(counts) + 1


@pytest.mark.parametrize(
    ("size", "patches", "grid", "patch", "canvas"),
    [
        ((28, 28), 8, (2, 4), (14, 8), (28, 32)),
        ((32, 32), 64, (8, 8), (4, 4), (32, 32)),
        ((256, 256), 1024, (32, 32), (8, 8), (256, 256)),
        ((10, 10), 7, (1, 7), (10, 2), (10, 14)),
    ],
)
def test_the_grid_is_the_most_square_one(size, patches, grid, patch, canvas):
    found = PatchGrid.fit(*size, patches)
    assert (found.rows, found.columns) == grid
    assert (found.height, found.width) == patch
    assert found.canvas == canvas


@given(
    st.integers(1, 3),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 24),
)
def test_patches_hold_every_pixel_once(channels, height, width, patches):
    grid = PatchGrid.fit(height, width, patches)
    x = torch.arange(1.0, channels * height * width + 1).reshape(1, channels, height, width)
    cut = grid.cut(x)
    assert cut.shape == (1, patches, channels * grid.height * grid.width)
    assert sorted(cut[cut != 0].tolist()) == x.flatten().tolist()


def test_a_patch_is_a_rectangle_of_the_middle_of_the_canvas():
    x = torch.rand(2, 3, 28, 28)
    cut = PatchGrid.fit(28, 28, 8).cut(x)
    second = cut[:, 1].reshape(2, 14, 8, 3)  # row, column, channel
    torch.testing.assert_close(second, x[:, :, :14, 6:14].permute(0, 2, 3, 1))
    assert (cut[:, 0].reshape(2, 14, 8, 3)[:, :, :2] == 0).all()


def test_readers_and_decoders_have_the_shapes_they_say():
    x = torch.rand(2, 3, 16, 24)
    reader = PatchReader(channels=3, height=16, width=24, tokens=6, outputs=5)
    assert reader(x).shape == (2, 6, 5)
    latents = torch.rand(2, 16, 8)
    assert PerceptronDecoder(codes=16, width=8, shape=(1, 7, 5)).synthesize(latents).shape == (
        2, 1, 7, 5,
    )  # fmt: skip
    for side in (4, 8, 32):
        decoder = ConvolutionalDecoder(codes=16, width=8, shape=(2, 3, side, side))
        assert decoder.synthesize(latents).shape == (2, 2, 3, side, side)
    wide = ConvolutionalDecoder(codes=8, width=8, shape=(3, 8, 16))
    assert wide.synthesize(torch.rand(2, 8, 8)).shape == (2, 3, 8, 16)


def test_the_score_of_a_sample_does_not_hang_on_its_neighbours():
    """Batch norm would make it."""
    torch.manual_seed(0)
    decoder = ConvolutionalDecoder(codes=16, width=8, shape=(3, 16, 16)).train()
    latents = torch.randn(5, 16, 8)
    torch.testing.assert_close(decoder.synthesize(latents)[:2], decoder.synthesize(latents[:2]))


def test_codes_that_no_doubling_leads_from_are_a_config_error():
    config = load_config("cifar10", ["model.codes_per_window=36"])
    with pytest.raises(ConfigError, match="6 x 6 codes cannot be doubled to 32 x 32"):
        make_method(config, image_networks(config))
