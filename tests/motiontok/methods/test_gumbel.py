"""Relaxed gradients against integrals and enumeration."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from motiontok.methods.relaxed.relaxation import conditional_gumbel, gumbel_rao, straight_through
from motiontok.models import (
    AutoregressivePolicy,
    FactorisedPolicy,
    LatentEncoder,
    VocabularyHead,
)

LOGITS = torch.tensor([0.5, -1.0, 0.2, 1.1], dtype=torch.double)
PAYOFF = torch.tensor([1.0, -2.0, 0.3, 0.7], dtype=torch.double)


def estimators(temperature, generator, samples=8):
    """Both estimators as functions of log-probabilities."""
    return {
        "straight_through": lambda logp: straight_through(
            logp, temperature=temperature, generator=generator
        ),
        "gumbel_rao": lambda logp: gumbel_rao(
            logp, temperature=temperature, samples=samples, generator=generator
        ),
    }


def gradients(draw, logits, payoff, count):
    """``count`` independent estimates of d E[payoff(z)] / d logits, ``(count, vocab)``."""
    leaf = logits.repeat(count, 1).requires_grad_()
    (out,) = torch.autograd.grad(payoff(draw(leaf.log_softmax(dim=-1))).sum(), leaf)
    return out


def same_mean(a, b, errors=5.0):
    """Whether means of rows agree to within their standard errors."""
    spread = (a.var(dim=0) / len(a) + b.var(dim=0) / len(b)).sqrt()
    return bool(((a.mean(dim=0) - b.mean(dim=0)).abs() < errors * spread).all())


@pytest.mark.parametrize("name", ["straight_through", "gumbel_rao"])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_forward_is_one_hot_and_follows_its_probabilities(name, temperature):
    draw = estimators(temperature, torch.Generator().manual_seed(0), samples=2)[name]
    count = 20_000
    drawn = draw(LOGITS.log_softmax(dim=0).repeat(count, 1))
    torch.testing.assert_close(drawn.sum(dim=1), torch.ones(count, dtype=torch.double))
    assert ((drawn == 0) | (drawn - 1).abs().lt(1e-12)).all()
    expected = LOGITS.softmax(dim=0)
    bound = 5 * (expected * (1 - expected) / count).sqrt()
    assert ((drawn.mean(dim=0) - expected).abs() < bound).all()


@pytest.mark.parametrize("name", ["straight_through", "gumbel_rao"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_two_categories_give_the_integral_of_the_logistic(name, temperature):
    """For two categories and a linear payoff the expected gradient is an integral over
    one logistic variate: E[s'((l + u) / t)] / t."""
    logit, count = 0.7, 200_000
    logits = torch.tensor([logit, 0.0], dtype=torch.double)
    draw = estimators(temperature, torch.Generator().manual_seed(1), samples=2)[name]
    found = gradients(draw, logits, lambda z: z[:, 0], count)[:, 0]

    def integrand(u):
        y = scipy.special.expit((logit + u) / temperature)
        return y * (1 - y) / temperature * scipy.stats.logistic.pdf(u)

    expected, _ = scipy.integrate.quad(integrand, -40, 40)
    assert float(found.mean()) == pytest.approx(expected, abs=5 * float(found.std()) / count**0.5)


def test_a_cold_relaxation_gives_the_enumerated_gradient():
    """Linear payoff, temperature to 0: the bias vanishes, what is left is noise."""
    probability = LOGITS.softmax(dim=0)
    exact = probability * (PAYOFF - (probability * PAYOFF).sum())
    errors = []
    for temperature in (4.0, 1.0, 0.1):
        draw = estimators(temperature, torch.Generator().manual_seed(2))["straight_through"]
        found = gradients(draw, LOGITS, lambda z: z @ PAYOFF, 100_000)
        errors.append(float((found.mean(dim=0) - exact).norm() / exact.norm()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_gumbel_rao_keeps_the_mean_and_lowers_the_variance(temperature):
    """Also for a payoff that is not linear in the one-hot."""

    def payoff(z):
        return (z @ PAYOFF).exp()

    spread = []
    reference = None
    for samples in (None, 1, 4, 32):
        generator = torch.Generator().manual_seed(3)
        name = "straight_through" if samples is None else "gumbel_rao"
        draw = estimators(temperature, generator, samples=samples or 1)[name]
        found = gradients(draw, LOGITS, payoff, 20_000)
        reference = found if reference is None else reference
        assert same_mean(found, reference)
        spread.append(float(found.var(dim=0).sum()))
    plain, one, four, many = spread
    assert one == pytest.approx(plain, rel=0.1)
    assert four < 0.8 * plain
    assert many < four


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(2, 9), st.floats(0.1, 10.0))
def test_conditional_noise_always_leads_to_the_choice(seed, vocab, scale):
    generator = torch.Generator().manual_seed(seed)
    logp = (scale * torch.randn(16, vocab, generator=generator)).log_softmax(dim=-1)
    choice = torch.randint(vocab, (16,), generator=generator)
    noise = conditional_gumbel(logp, choice, samples=5, generator=generator)
    assert noise.shape == (5, 16, vocab)
    assert ((logp + noise).argmax(dim=-1) == choice).all()


def test_conditional_noise_is_gumbel_noise_again_over_all_choices():
    count = 20_000
    logp = LOGITS.log_softmax(dim=0).repeat(count, 1)
    choice = torch.from_numpy(
        np.random.default_rng(0).choice(4, size=count, p=LOGITS.softmax(dim=0).numpy())
    )
    generator = torch.Generator().manual_seed(4)
    noise = conditional_gumbel(logp, choice, samples=1, generator=generator)[0]
    for column in noise.T:
        assert scipy.stats.kstest(column.numpy(), scipy.stats.gumbel_r.cdf).pvalue > 1e-4
    assert (np.abs(np.corrcoef(noise.T.numpy()) - np.eye(4)) < 5 / count**0.5).all()


def policies():
    shape = {"codes": 4, "width": 16, "heads": 2, "layers": 2}
    torch.manual_seed(0)
    return {
        "autoregressive": AutoregressivePolicy(VocabularyHead(5, 16), nn.Linear(3, 16), **shape),
        "factorised": FactorisedPolicy(5, LatentEncoder(nn.Linear(3, 16), **shape, outputs=16)),
    }


@pytest.mark.parametrize("name", ["autoregressive", "factorised"])
def test_unrolling_scores_what_it_drew_as_teacher_forcing_does(name):
    policy = policies()[name]
    x = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(5))
    draw = estimators(1.0, torch.Generator().manual_seed(6))["straight_through"]
    weights, logp = policy.unroll(x, draw)
    assert weights.shape == logp.shape == (6, 4, 5)
    codes = weights.argmax(dim=-1)
    torch.testing.assert_close(
        logp, policy.log_probabilities(x, codes[:, None])[:, 0], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(("name", "linked"), [("autoregressive", True), ("factorised", False)])
def test_gradients_flow_through_the_whole_scan(name, linked):
    """The last token's probabilities change with the first one's relaxed sample."""
    policy = policies()[name]
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(5))
    kept = []
    draw = estimators(1.0, torch.Generator().manual_seed(6))["straight_through"]

    def keep(logp):
        kept.append(draw(logp))
        return kept[-1]

    _, logp = policy.unroll(x, keep)
    (gradient,) = torch.autograd.grad(logp[:, -1, 0].sum(), kept[0], allow_unused=True)
    assert (gradient is not None and bool(gradient.abs().max() > 1e-6)) == linked
