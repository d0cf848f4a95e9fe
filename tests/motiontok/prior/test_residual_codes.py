"""Codes of a temporal tokenizer as vectors in the window."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.config import parse_config
from motiontok.data.clips import Clips, ClipSet
from motiontok.data.training_data import make_training_data
from motiontok.errors import TokenizerError
from motiontok.methods import MotionNetworks, make_method
from motiontok.methods.quantizers import temporal
from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.prior import SamplingOptions, TokenPrior
from motiontok.prior.residual_codes import ResidualCodes, residual_command_map
from motiontok.prior.runs import run_prior_training

CODES, VOCAB, SIZE = 6, 16, 40


@pytest.fixture(scope="module")
def quantizer():
    generator = torch.Generator().manual_seed(0)
    out = ResidualQuantizer(size=SIZE, codes=CODES, vocab_size=VOCAB)
    z = torch.randn(900, SIZE, generator=generator) * torch.linspace(2.0, 0.2, SIZE)
    out.fit(z, torch.diag(torch.linspace(1.0, 2.0, SIZE)), generator)
    return out


@pytest.fixture(scope="module")
def read(quantizer):
    return ResidualCodes(quantizer, CODES)


@pytest.fixture
def codes():
    return torch.randint(VOCAB, (50, CODES), generator=torch.Generator().manual_seed(1))


def test_what_codes_add_is_the_decoded_window(quantizer, read, codes):
    sums = read.vectors(codes).cumsum(dim=1)
    for count in range(1, CODES + 1):
        whole = quantizer.decode(codes[:, :count])
        found = sums[:, count - 1] @ quantizer.synthesis + quantizer.mean
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(read.windows(codes), sums[:, -1], atol=1e-4, rtol=1e-4)


def test_scores_fall_with_the_distance_from_what_is_expected(read, codes):
    """Differences of scores are those of Gaussian log-densities."""
    generator = torch.Generator().manual_seed(3)
    expected = torch.randn(len(codes), SIZE, generator=generator)
    changes = 0.5 * torch.randn(*codes.shape, SIZE, generator=generator)
    precision = torch.rand(codes.shape, generator=generator) + 0.1
    scores = read.scores(expected, changes, precision, codes[:, :1])
    assert not scores[:, 0].any()
    spoken = torch.zeros(SIZE, dtype=torch.bool)
    for n in range(1, CODES):
        places = read.places[n - 1]
        found = []
        for value in range(VOCAB):
            other = codes.clone()
            other[:, n] = value
            vector = read.vector(n, other[:, n], codes[:, :1])
            torch.testing.assert_close(vector, read.vectors(other)[:, n])
            # Of what a code before it spoke of, nothing is expected any more.
            fresh = expected.masked_fill(spoken, 0.0)
            off = ((fresh - vector) / read.scale[n] + changes[:, n])[:, places]
            found.append(-0.5 * precision[:, n] * off.square().sum(dim=-1))
        spoken[places] = True
        density = torch.stack(found, dim=1)
        torch.testing.assert_close(
            scores[:, n] - scores[:, n, :1], density - density[:, :1], atol=2e-3, rtol=1e-3
        )
        one = read.score(n, expected, changes[:, n], precision[:, n], codes[:, :1])
        torch.testing.assert_close(one, scores[:, n], atol=1e-3, rtol=1e-4)


def test_effects_are_vectors_seen_along_directions(read, codes):
    along = torch.randn(SIZE, 3, generator=torch.Generator().manual_seed(2))
    for n in (0, 1, CODES - 1):
        seen = read.effects(n, along, codes[:, : min(n, 1)])
        row = torch.arange(len(codes))
        found = read.vector(n, codes[:, n], codes[:, : min(n, 1)]) @ along
        torch.testing.assert_close(seen[row, codes[:, n]], found, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def made_up():
    """Sixteen made-up motions, two of them held out."""
    motions = procedural.dataset(16, seconds=6.0, seed=0)
    return Clips((ClipSet("made", motions[:14], motions[14:]),), "")


@pytest.fixture(scope="module")
def temporal_tokenizer(made_up):
    return prepared("temporal", made_up)


def prepared(name, clips):
    """A tokenizer of made-up motion before its first step."""
    config = parse_config(
        {
            "data": {"window": 32},
            "model": {
                "codes_per_window": 32,
                "vocab_size": 32,
                "width": 16,
                "decoder_width": 16,
                "components": 256,
            },
            "method": {"name": name},
        },
        "test",
    )
    ready = make_training_data(clips, config.data).stretched(4)
    method = make_method(config, MotionNetworks(config, statistics=ready.statistics))
    generator = torch.Generator().manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporal, "_LINEAR_STEPS", 60)
        patch.setattr(temporal, "_LINEAR_BATCH", 16)
        method.fit(lambda count: ready.windows.batch(min(count, 500), generator), generator)
    return MotionTokenizer(method, ready.statistics)


def test_a_prior_of_a_temporal_tokenizer_reads_samples_and_steers(
    temporal_tokenizer, tmp_path, labelled_clips
):
    tokenizer = temporal_tokenizer
    method = tokenizer.method
    # What components say of velocities is what is decoded.
    says = residual_command_map(method)
    walk = procedural.make("walk", seconds=12.0, seed=3)
    codes = torch.as_tensor(tokenizer.encode(walk))[2:-2]
    said = ResidualCodes(method.quantizer, 32).windows(codes) @ says[:-1] + says[-1]
    decoded = tokenizer.decode_features(codes.numpy()).reshape(len(codes), 32, -1)
    found = decoded[:, :, [1, 2, 0]].mean(axis=1)
    np.testing.assert_allclose(said[1:-1], found[1:-1], atol=0.15)

    run = run_prior_training(
        tokenizer, data=[labelled_clips], out=tmp_path, steps=3, shifts=1, width=16, layers=1
    )
    assert run.metrics["nats"] < 1.3 * run.metrics["nats_uniform"]
    again = TokenPrior.from_pretrained(tmp_path / "prior", tokenizer=tokenizer)
    drawn = run.prior.sample(2, seed=0, velocity=(1.0, 0.0))
    np.testing.assert_array_equal(again.sample(2, seed=0, velocity=(1.0, 0.0)), drawn)
    np.testing.assert_allclose(again.log_prob(drawn[0]), run.prior.log_prob(drawn[0]))
    # Steered, it is faster than when it is told to stand.
    both = [run.prior.sample(3, seed=1, velocity=(v, 0.0))[0] for v in (1.2, 0.0)]
    fast, slow = (tokenizer.decode_features(c)[:, 1].mean() for c in both)
    assert fast > slow + 0.3


def test_a_prior_of_the_first_codes_leaves_the_others_to_the_tokenizer(
    temporal_tokenizer, made_up, tmp_path, labelled_clips
):
    tokenizer = prepared("daps-temporal", made_up)
    sizes = {"data": [labelled_clips], "shifts": 1, "width": 16, "layers": 1, "steps": 3}
    prior = run_prior_training(tokenizer, out=tmp_path / "a", codes=12, **sizes).prior
    again = TokenPrior.from_pretrained(tmp_path / "a", tokenizer=tokenizer)
    plain = SamplingOptions(plant=False)
    begun = prior.sample(2, seed=0, options=plain)[0]
    assert begun.shape == (2, 32)
    drawn = again.sample(3, seed=1, prefix=begun, velocity=(1.0, 0.0), options=plain)[0]
    before = torch.from_numpy(np.concatenate([begun[-1:], drawn[:-1]]))
    whole = tokenizer.method.finish(torch.from_numpy(drawn[:, :12]), before)
    np.testing.assert_array_equal(drawn, whole)
    # Each of the others is likelier than what a chance code would be.
    logp = again.log_prob(np.concatenate([begun, drawn]))
    assert logp.shape == (5, 32)
    rest = -tokenizer.method.nats(torch.from_numpy(np.concatenate([begun, drawn]))[None])[0]
    np.testing.assert_allclose(logp[:, 12:], rest[:, 12:], rtol=1e-5)
    assert (logp[:, 12:] > -np.log(32)).all()
    with pytest.raises(TokenizerError, match="first 12 codes"):
        run_prior_training(temporal_tokenizer, out=tmp_path / "b", codes=12, **sizes)
