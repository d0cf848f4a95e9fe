"""Codes of a lopq tokenizer as vectors in the window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open

from motiontok import MotionTokenizer
from motiontok.config import load_config
from motiontok.data.clips import load_clips
from motiontok.data.training_data import make_training_data
from motiontok.errors import TokenizerError
from motiontok.methods import MotionNetworks, make_method
from motiontok.models import LopqQuantizer
from motiontok.prior import TokenPrior
from motiontok.prior.initialization import fit_linear_predictor
from motiontok.prior.lopq_codes import LopqCodes
from motiontok.prior.model import Conditions, PriorConfig, PriorModel
from motiontok.prior.runs import run_prior_training
from motiontok.prior.tokens import commands_of

CODES, VOCAB, COMPONENTS = 6, 32, 24


@pytest.fixture(scope="module")
def quantizer():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 8, 6, generator=generator) * torch.linspace(0.2, 3.0, 6)
    x = x + 4.0 * torch.randn(20, 8, 6, generator=generator).repeat(200, 1, 1)
    out = LopqQuantizer(shape=(8, 6), codes=CODES, vocab_size=VOCAB, components=COMPONENTS, bases=4)
    out.fit(lambda count: x[:count], generator)
    return out


@pytest.fixture(scope="module")
def local(quantizer):
    return LopqCodes(quantizer)


@pytest.fixture
def codes():
    return torch.randint(VOCAB, (50, CODES), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def asked(codes):
    """What is expected of windows, what changes it at each code, and how surely."""
    generator = torch.Generator().manual_seed(3)
    expected = torch.randn(len(codes), COMPONENTS, generator=generator)
    changes = torch.randn(*codes.shape, COMPONENTS, generator=generator)
    return expected, changes, torch.rand(codes.shape, generator=generator) + 0.1


def test_what_codes_add_is_the_decoded_window(quantizer, local, codes):
    sums = local.vectors(codes).cumsum(dim=1)
    for count in range(2, CODES + 1):
        torch.testing.assert_close(
            sums[:, count - 1], quantizer.decode_components(codes[:, :count]), atol=1e-4, rtol=1e-4
        )
    torch.testing.assert_close(local.windows(codes), sums[:, -1], atol=1e-4, rtol=1e-4)


def test_scores_fall_with_the_distance_from_what_is_expected(quantizer, local, codes, asked):
    """Differences of scores are those of Gaussian log-densities along what a code can say."""
    expected, changes, precision = asked
    scores = local.scores(expected, changes, precision, codes[:, : local.head])
    offset = quantizer.local[quantizer.base[codes[:, 0]]]
    ends = quantizer.ends.tolist()
    for n in range(CODES):
        meant = expected / local.scale[n] + changes[:, n]
        found = []
        for value in range(VOCAB):
            other = codes.clone()
            other[:, n] = value
            said = local.vectors(other)[:, n] / local.scale[n]
            if n == 0:
                off = meant - said
            else:
                rows = offset[:, ends[n - 1] : ends[n]]
                here = meant - quantizer.centroids[codes[:, 0]] / local.scale[n] - said
                off = (rows @ here[..., None])[..., 0]
            found.append(-0.5 * precision[:, n] * off.square().sum(dim=-1))
        density = torch.stack(found, dim=1)
        torch.testing.assert_close(
            scores[:, n] - scores[:, n, :1], density - density[:, :1], atol=2e-3, rtol=1e-3
        )


def test_one_position_at_a_time_is_the_same(local, codes, asked):
    expected, changes, precision = asked
    head = codes[:, : local.head]
    vectors, scores = local.vectors(codes), local.scores(*asked, head)
    for n in range(CODES):
        known = head[:, :n]
        torch.testing.assert_close(local.vector(n, codes[:, n], known), vectors[:, n])
        one = local.score(n, expected, changes[:, n], precision[:, n], known)
        torch.testing.assert_close(one, scores[:, n], atol=1e-3, rtol=1e-4)


def test_what_is_expected_is_learnt_from_the_windows_before(quantizer):
    """Where each window says the next, codes are likelier at once than by counting."""
    config = PriorConfig(
        codes_per_window=CODES, vocab_size=VOCAB, width=16, layers=1, rank=4, components=COMPONENTS
    )
    torch.manual_seed(0)
    model = PriorModel(config)
    model.local = LopqCodes(quantizer)
    generator = torch.Generator().manual_seed(5)
    way = torch.randn(3000, 8, 6, generator=generator).cumsum(dim=0) * 0.3
    codes = quantizer.encode(way)
    fit_linear_predictor(model, codes, torch.zeros(len(codes), dtype=torch.long))
    pairs = torch.stack([codes[:-1], codes[1:]], dim=1)[::20]
    logp = model(pairs, Conditions.none(len(pairs), 2)).gather(-1, pairs[..., None])
    first, second = logp.mean(dim=(0, 2, 3))
    assert second > first + 0.5


def test_a_prior_of_a_lopq_tokenizer_is_read_with_it(tmp_path, labelled_clips):
    """Trained, saved without what the tokenizer knows, and read again beside it."""
    config = load_config(
        "demo",
        (
            "method.name=lopq", "data.dataset=folder",
            "model.codes_per_window=8", "model.vocab_size=16",
            "model.components=32", "model.bases=4", "data.holdout=4",
        ),
    )  # fmt: skip
    ready = make_training_data(load_clips(config.data, [labelled_clips], seed=0), config.data)
    method = make_method(config, MotionNetworks(config))
    generator = torch.Generator().manual_seed(0)
    method.fit(lambda count: ready.windows.batch(min(count, 2000), generator), generator)
    tokenizer = MotionTokenizer(method, ready.statistics)
    run = run_prior_training(
        tokenizer, data=[labelled_clips], out=tmp_path, steps=3, shifts=1, width=16, layers=1
    )
    assert run.metrics["nats"] < 1.2 * run.metrics["nats_uniform"]
    with safe_open(tmp_path / "prior" / "prior.safetensors", framework="pt") as file:
        assert not [k for k in file.keys() if k.startswith("local.")]  # noqa: SIM118
    again = TokenPrior.from_pretrained(tmp_path / "prior", tokenizer=tokenizer)
    # Codes say the mean velocity and yaw rate of what is decoded, before windows are joined.
    drawn = run.prior.sample(1, batch=6, seed=0)
    decoded = [tokenizer.decode_features(c) for c in drawn]
    expected = np.concatenate([commands_of(f, tokenizer.frames_per_window) for f in decoded])
    model = run.prior.model
    said = model.local.windows(torch.from_numpy(drawn[:, 0])) @ model.says[:-1] + model.says[-1]
    np.testing.assert_allclose(said, expected, atol=2e-3)
    codes = run.prior.sample(2, seed=0, label="walk")
    np.testing.assert_array_equal(again.sample(2, seed=0, label="walk"), codes)
    np.testing.assert_allclose(again.log_prob(codes[0]), run.prior.log_prob(codes[0]))
    with pytest.raises(TokenizerError, match="needs it to read codes: give tokenizer="):
        TokenPrior.from_pretrained(tmp_path / "prior")
    resumed = run_prior_training(
        tokenizer, data=[labelled_clips], out=tmp_path, steps=4, shifts=1, width=16, layers=1,
        resume=True,
    )  # fmt: skip
    assert resumed.metrics["steps"] == 4
