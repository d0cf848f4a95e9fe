"""Likelihoods against torch.distributions, and the paper's identity of reward and error."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions

from motiontok.models import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LearnedGaussianLikelihood,
    Likelihood,
)

WINDOW, IMAGE = (5, 7), (3, 4, 5)
SHAPES = st.sampled_from([WINDOW, IMAGE])
SEEDS = st.integers(0, 2**31)


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


@settings(max_examples=50)
@given(SEEDS, SHAPES, st.floats(0.01, 4.0))
def test_a_gaussian_of_fixed_variance(seed, shape, variance):
    x, mean = normal(seed, 2, 3, *shape)
    likelihood = GaussianLikelihood(variance, dimensions=len(shape))
    expected = distributions.Normal(mean, math.sqrt(variance)).log_prob(x).flatten(1).sum(dim=1)
    torch.testing.assert_close(likelihood.log_density(x, mean), expected)
    assert torch.equal(likelihood.mean(mean), mean)


@settings(max_examples=50)
@given(SEEDS, SHAPES, st.floats(0.01, 0.5), st.floats(0.5, 3.0))
def test_a_gaussian_of_learned_variance(seed, shape, least, most):
    x, mean, raw = normal(seed, 3, 4, *shape)
    raw = 4.0 * raw
    likelihood = LearnedGaussianLikelihood(least=least, most=most, dimensions=len(shape))
    parameters = torch.stack([mean, raw], dim=1)
    variance = raw.exp().clamp(least, most)
    torch.testing.assert_close(likelihood.variance(parameters), variance)
    expected = distributions.Normal(mean, variance.sqrt()).log_prob(x).flatten(1).sum(dim=1)
    torch.testing.assert_close(likelihood.log_density(x, parameters), expected)
    assert torch.equal(likelihood.mean(parameters), mean)


@settings(max_examples=50)
@given(SEEDS, SHAPES, st.floats(0.1, 50.0))
def test_bits_with_logits(seed, shape, scale):
    logits = scale * normal(seed, 4, *shape)
    x = (normal(seed + 1, 4, *shape) > 0).double()
    likelihood = BernoulliLikelihood(dimensions=len(shape))
    bernoulli = distributions.Bernoulli(logits=logits)
    expected = bernoulli.log_prob(x).flatten(1).sum(dim=1)
    torch.testing.assert_close(likelihood.log_density(x, logits), expected)
    torch.testing.assert_close(likelihood.mean(logits), bernoulli.probs)


@pytest.mark.parametrize(
    "likelihood",
    [
        GaussianLikelihood(0.25, dimensions=2),
        LearnedGaussianLikelihood(least=0.01, most=1.0, dimensions=2),
        BernoulliLikelihood(dimensions=2),
    ],
    ids=lambda likelihood: type(likelihood).__name__,
)
def test_samples_share_their_observation(likelihood: Likelihood):
    """x ``(batch, 1, ...)`` against parameters ``(batch, samples, ...)``, one by one."""
    values = likelihood.parameters_per_value
    x = (normal(0, 3, *WINDOW) > 0).double()
    parameters = normal(1, 3, 4, *([values] if values > 1 else []), *WINDOW)
    found = likelihood.log_density(x[:, None], parameters)
    assert found.shape == (3, 4)
    assert likelihood.mean(parameters).shape == (3, 4, *WINDOW)
    for b in range(3):
        for k in range(4):
            alone = likelihood.log_density(x[b], parameters[b, k])
            torch.testing.assert_close(found[b, k], alone)


def test_a_variance_at_its_bound_has_no_gradient():
    likelihood = LearnedGaussianLikelihood(least=0.01, most=1.0, dimensions=1)
    raw = torch.tensor([-10.0, -1.0, 10.0], requires_grad=True)
    likelihood.log_density(torch.ones(3), torch.stack([torch.zeros(3), raw])).backward()
    assert (raw.grad != 0).tolist() == [False, True, False]


def test_certain_bits_stay_finite():
    likelihood = BernoulliLikelihood(dimensions=1)
    found = likelihood.log_density(torch.tensor([1.0, 0.0]), torch.tensor([-200.0, 200.0]))
    assert float(found) == pytest.approx(-400.0)


def test_the_paper_relates_reward_to_error():
    """T C = 3200 and variance 0.25: R = -722.5 - 6400 MSE."""
    x, mean = normal(0, 2, 32, 100)
    expected = -722.5 - 6400 * float(((x - mean) ** 2).mean())
    found = GaussianLikelihood(0.25, dimensions=2).log_density(x, mean)
    assert float(found) == pytest.approx(expected, abs=0.1)


@settings(max_examples=50)
@given(SEEDS, SHAPES, st.floats(0.01, 0.5), st.floats(0.5, 3.0))
def test_parameters_around_a_mean_have_it_and_its_error(seed, shape, least, most):
    mean, square = normal(seed, 4, *shape), normal(seed + 1, *shape).square() + 1e-9
    fixed = GaussianLikelihood(0.25, dimensions=len(shape))
    assert torch.equal(fixed.mean(fixed.around(mean, square)), mean)
    learned = LearnedGaussianLikelihood(least=least, most=most, dimensions=len(shape))
    parameters = learned.around(mean, square)
    assert torch.equal(learned.mean(parameters), mean)
    expected = square.clamp(least, most).expand_as(mean)
    torch.testing.assert_close(learned.variance(parameters), expected)
    bits = BernoulliLikelihood(dimensions=len(shape))
    # Near a half as steep as 1.5, sure to 0.05 at 0 and 1, and on the same side beyond.
    chance = bits.mean(bits.around(mean, square))
    assert torch.equal(chance > 0.5, mean > 0.5)
    ends = bits.mean(bits.around(torch.tensor([[0.0, 1.0]]), torch.tensor(1.0)))
    assert ends.flatten().tolist() == pytest.approx([0.0474, 0.9526], abs=1e-3)
