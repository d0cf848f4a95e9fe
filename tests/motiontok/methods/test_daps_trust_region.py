"""The trust region of DAPS: effective sample size, and the eta that meets its target."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from daps_problems import (
    CODES,
    VOCAB,
    effective_share,
    enumerable,
    enumerate_all,
    make,
    policy_gradient,
    target,
    windows,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from motiontok.methods.daps.daps import (
    importance_weights,
    solve_log_eta,
)


@pytest.mark.parametrize("name", ["daps", "daps-na"])
@torch.no_grad()
def test_the_rate_along_samples_is_the_rate_of_all_sequences_on_average(name):
    """KL(q || uniform) = N log V - H(q), enumerated; analytic at each position of samples."""
    method, x = enumerable(name), windows()
    logq, _ = enumerate_all(method, x)
    exact = CODES * math.log(VOCAB) + (logq.exp() * logq).sum(dim=1)
    codes, _ = method.policy.sample(x, 4000, generator=torch.Generator().manual_seed(2))
    estimate = method.kl(method.policy.log_probabilities(x, codes))
    error = estimate.std(dim=1) / estimate.shape[1] ** 0.5
    assert ((estimate.mean(dim=1) - exact).abs() < 4 * error + 1e-9).all()
    assert (estimate >= 0).all()
    assert (estimate <= method.largest_kl).all()


@torch.no_grad()
@pytest.mark.parametrize("eta", [2.0, 5.0, 30.0])
def test_effective_sample_size_tends_to_the_renyi_divergence(eta):
    """Lemma 1: K / ESS tends to exp(D_2(q* || q)) as K grows."""
    method, x, beta = enumerable(eta=eta), windows(), 0.5
    logq, reward = enumerate_all(method, x)
    aim = target(reward, logq, eta=eta, beta=beta)
    renyi = (2 * aim.log() - logq).logsumexp(dim=1)
    errors = []
    for samples in (200, 20_000):
        codes, drawn = method.policy.sample(x, samples, generator=torch.Generator().manual_seed(2))
        weights = importance_weights(method.reward(x, codes)[0], drawn, eta=eta, beta=beta)
        errors.append(float((-effective_share(weights).log() - renyi).abs().max()))
    assert errors[1] < 0.05
    assert errors[1] < errors[0]


@torch.no_grad()
@pytest.mark.parametrize("eta", [0.3, 1.0, 4.0, 100.0])
def test_the_effective_sample_size_bounds_the_step(eta):
    """Corollary 1: KL(q* || q) <= log(K / ESS)."""
    method, x, beta = enumerable(eta=eta), windows(4), 0.5
    logq, reward = enumerate_all(method, x)
    aim = target(reward, logq, eta=eta, beta=beta)
    divergence = (aim * (aim.log() - logq)).sum(dim=1)
    renyi = (2 * aim.log() - logq).logsumexp(dim=1)
    assert (divergence <= renyi + 1e-9).all()
    codes, drawn = method.policy.sample(x, 10_000, generator=torch.Generator().manual_seed(2))
    weights = importance_weights(method.reward(x, codes)[0], drawn, eta=eta, beta=beta)
    # The bound is tight to a few per cent; that much is the estimate's own error.
    assert (divergence <= -effective_share(weights).log() + 0.05).all()


@torch.no_grad()
def test_a_uniform_policy_gives_the_identity_exactly():
    """Every sequence once, from a uniform q: ESS / K = exp(-D_2), no limit needed."""
    generator = torch.Generator().manual_seed(3)
    reward = torch.randn(5, 256, generator=generator, dtype=torch.double)
    logq = torch.full((5, 256), -math.log(256), dtype=torch.double)
    weights = importance_weights(reward, logq, eta=0.7, beta=0.2)
    renyi = (2 * weights.log() - logq).logsumexp(dim=1)
    torch.testing.assert_close(-effective_share(weights).log(), renyi)


@pytest.mark.parametrize("begin", [1e-3, 1e4])
def test_eta_walks_to_its_target_from_both_sides(begin):
    method = make(
        codes=CODES, frames=2 * CODES, samples=32, ess_target=0.5, beta_start=0.2, beta_end=0.2
    )
    method.log_eta.data.fill_(math.log(begin))
    optimizer = torch.optim.Adam([method.log_eta], lr=0.3)
    generator, x = torch.Generator().manual_seed(0), windows(8).float()
    ess = []
    for _ in range(100):
        result = method.training_step(x, 0.0, generator)
        (gradient,) = torch.autograd.grad(result.loss, method.log_eta)
        ess.append(float(result.metrics["ess"]))
        # Downhill: eta falls where too many samples count, and rises where too few do.
        assert float(gradient) * (ess[-1] - 0.5) >= 0
        method.log_eta.grad = gradient
        optimizer.step()
    assert abs(ess[0] - 0.5) > 0.2
    assert abs(np.mean(ess[-20:]) - 0.5) < 0.05


def test_only_eta_learns_from_the_trust_region(small):
    """The loss of eta moves eta; policy and decoder losses do not."""
    x, generator = windows(), torch.Generator().manual_seed(0)
    result = small.training_step(x, 0.0, generator)
    result.loss.backward()
    with_eta = policy_gradient(small)
    assert small.log_eta.grad.abs() > 0
    frozen = enumerable(samples=8)
    frozen.log_eta.requires_grad_(False)
    frozen.training_step(x, 0.0, torch.Generator().manual_seed(0)).loss.backward()
    torch.testing.assert_close(policy_gradient(frozen), with_eta)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(0.2, 0.95), st.floats(0.0, 2.0))
def test_the_solved_eta_meets_its_target(seed, wanted, beta):
    generator = torch.Generator().manual_seed(seed)
    reward = 20 * torch.randn(16, 8, generator=generator)
    logq = torch.randn(16, 8, generator=generator) * 0.1 - 5
    log_eta = solve_log_eta(reward, logq, beta=beta, ess_target=wanted)
    found = effective_share(importance_weights(reward, logq, eta=math.exp(log_eta), beta=beta))
    assert float(found.mean()) == pytest.approx(wanted, abs=2e-3)


def test_an_unreachable_target_gives_the_nearest_eta():
    flat = torch.zeros(4, 8)
    spiked = torch.zeros(4, 8)
    spiked[:, 0] = 1e12
    # Equal samples always count in full; one sample alone never counts as half of eight.
    assert solve_log_eta(flat, flat, beta=0.1, ess_target=0.5) == pytest.approx(-9, abs=1e-3)
    assert solve_log_eta(spiked, flat, beta=0.1, ess_target=0.5) == pytest.approx(16, abs=1e-3)
