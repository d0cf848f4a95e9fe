"""Codes of a lopq tokenizer as vectors in the window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open

from motiontok import MotionTokenizer
from motiontok.config import load_config
from motiontok.data.clips import load_clips, make_training_data
from motiontok.errors import TokenizerError
from motiontok.methods import MotionNetworks, make_method
from motiontok.models import LocalQuantizer
from motiontok.prior import TokenPrior
from motiontok.prior.local import LocalCodes
from motiontok.prior.runs import run_prior_training

CODES, VOCAB, COMPONENTS = 6, 32, 24


@pytest.fixture(scope="module")
def quantizer():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 8, 6, generator=generator) * torch.linspace(0.2, 3.0, 6)
    x = x + 4.0 * torch.randn(20, 8, 6, generator=generator).repeat(200, 1, 1)
    out = LocalQuantizer(
        frames=8, columns=6, codes=CODES, vocab_size=VOCAB, components=COMPONENTS, bases=4
    )
    out.fit(lambda count: x[:count], generator)
    return out


@pytest.fixture(scope="module")
def local(quantizer):
    return LocalCodes(quantizer)


@pytest.fixture
def codes():
    return torch.randint(VOCAB, (50, CODES), generator=torch.Generator().manual_seed(1))


def test_vectors_say_what_codes_add_to_the_decoded_window(quantizer, local, codes):
    """Changing one code moves the decoded components along the change of its vector."""
    vectors = local.vectors(codes)
    for n in range(1, CODES):
        other = codes.clone()
        other[:, n] = (other[:, n] + 1) % VOCAB
        moved = quantizer.decode_components(other) - quantizer.decode_components(codes)
        said = (local.vectors(other) - vectors)[:, n]
        scale = (moved * said).sum() / said.square().sum()
        torch.testing.assert_close(scale * said, moved, atol=1e-4, rtol=1e-3)
        assert torch.equal(local.vectors(other)[:, :n], vectors[:, :n])
    torch.testing.assert_close(
        vectors[:, 0] * quantizer.centroids.square().sum(dim=1).mean().sqrt(),
        quantizer.centroids[codes[:, 0]],
    )


def test_vectors_are_about_one_long(local):
    every = torch.randint(VOCAB, (4000, CODES), generator=torch.Generator().manual_seed(2))
    lengths = local.vectors(every).square().sum(dim=-1).mean(dim=0)
    torch.testing.assert_close(lengths, torch.ones(CODES), atol=0.15, rtol=0)


def test_scores_are_products_with_the_vectors(local, codes):
    directions = torch.randn(50, CODES, COMPONENTS, generator=torch.Generator().manual_seed(3))
    scores = local.scores(directions, codes[:, 0])
    for n in range(CODES):
        for value in (0, 5, VOCAB - 1):
            other = codes.clone()
            other[:, n] = value
            # The first code chooses its own cell; the others are scored in the cell given.
            vectors = local.vectors(other)[:, n]
            expected = (vectors * directions[:, n]).sum(dim=-1)
            torch.testing.assert_close(scores[:, n, value], expected, atol=1e-4, rtol=1e-4)


def test_one_position_at_a_time_is_the_same(local, codes):
    directions = torch.randn(50, CODES, COMPONENTS, generator=torch.Generator().manual_seed(4))
    vectors, scores = local.vectors(codes), local.scores(directions, codes[:, 0])
    for n in range(CODES):
        torch.testing.assert_close(local.vector(n, codes[:, n], codes[:, 0]), vectors[:, n])
        torch.testing.assert_close(
            local.score(n, directions[:, n], codes[:, 0]), scores[:, n], atol=1e-5, rtol=1e-4
        )


def test_a_prior_of_a_lopq_tokenizer_is_read_with_it(tmp_path, labelled_clips):
    """Trained, saved without what the tokenizer knows, and read again beside it."""
    config = load_config(
        "demo",
        (
            "data.dataset=folder", "model.codes_per_window=8", "model.vocab_size=16",
            "model.components=32", "model.bases=4", "data.holdout=4",
        ),
    )  # fmt: skip
    ready = make_training_data(load_clips(config.data, labelled_clips, seed=0), config.data)
    method = make_method(config, MotionNetworks(config))
    generator = torch.Generator().manual_seed(0)
    method.prepare(lambda count: ready.windows.batch(min(count, 2000), generator), generator)
    tokenizer = MotionTokenizer(method, ready.statistics, offsets=ready.offsets)
    run = run_prior_training(
        tokenizer, data=labelled_clips, out=tmp_path, steps=3, shifts=1, width=16, layers=1
    )
    assert run.metrics["nats"] < 1.2 * run.metrics["nats_uniform"]
    with safe_open(tmp_path / "prior" / "prior.safetensors", framework="pt") as file:
        assert not [k for k in file.keys() if k.startswith("local.")]  # noqa: SIM118
    again = TokenPrior.from_pretrained(tmp_path / "prior", tokenizer=tokenizer)
    codes = run.prior.sample(2, seed=0, label="walk")
    np.testing.assert_array_equal(again.sample(2, seed=0, label="walk"), codes)
    np.testing.assert_allclose(again.log_prob(codes[0]), run.prior.log_prob(codes[0]))
    with pytest.raises(TokenizerError, match="needs it to read codes: give tokenizer="):
        TokenPrior.from_pretrained(tmp_path / "prior")
    resumed = run_prior_training(
        tokenizer, data=labelled_clips, out=tmp_path, steps=4, shifts=1, width=16, layers=1,
        resume=True,
    )  # fmt: skip
    assert resumed.metrics["steps"] == 4
