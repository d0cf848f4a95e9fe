"""DAPS against closed forms, on problems small enough to enumerate."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from daps_problems import (
    CODES,
    COLUMNS,
    FRAMES,
    VOCAB,
    decoder_gradient,
    enumerable,
    enumerate_all,
    make,
    policy_gradient,
    target,
    windows,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from motiontok.errors import ConfigError
from motiontok.methods.daps.daps import (
    importance_weights,
)
from motiontok.methods.schedule import cosine, exponential_decay
from motiontok.models import GaussianLikelihood


@pytest.mark.parametrize("name", ["daps", "daps-na"])
def test_gradients_converge_to_the_exact_ones_as_samples_grow(name):
    """Policy: sum of q* grad log q over all sequences. Decoder: expectation under q."""
    eta, beta, x = 1.0, 0.5, windows()
    exact = enumerable(name, eta=eta)
    logq, reward = enumerate_all(exact, x)
    aim = target(reward, logq, eta=eta, beta=beta).detach()
    (-(aim * logq).sum(dim=1).mean() - (logq.detach().exp() * reward).sum(dim=1).mean()).backward()
    errors = []
    for samples in (16, 256, 4096):
        method = enumerable(name, eta=eta, samples=samples)
        method.training_step(x, 0.0, torch.Generator().manual_seed(1)).loss.backward()
        errors.append(
            [
                float((of(method) - of(exact)).norm() / of(exact).norm())
                for of in (policy_gradient, decoder_gradient)
            ]
        )
    policy, decoder = np.array(errors).T
    # Monte Carlo: errors fall by the square root of 16.
    assert (policy[1:] < 0.5 * policy[:-1]).all()
    assert (decoder[1:] < 0.5 * decoder[:-1]).all()
    assert policy[-1] < 0.15
    assert decoder[-1] < 0.15


@torch.no_grad()
def test_weights_turn_the_policy_into_its_target(small):
    """q times the weights over all sequences is q*."""
    logq, reward = enumerate_all(small, windows())
    weights = importance_weights(reward, logq, eta=2.0, beta=0.5)
    weighted = logq.exp() * weights
    torch.testing.assert_close(
        weighted / weighted.sum(dim=1, keepdim=True), target(reward, logq, eta=2.0, beta=0.5)
    )


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.floats(0.1, 20.0), st.floats(0.0, 5.0))
@torch.no_grad()
def test_the_target_maximises_its_regularised_problem(seed, eta, beta):
    """J(p) = E_p[R] - eta KL(p || q) + beta H(p) = J(q*) - (eta + beta) KL(p || q*)."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.double)

    logq = torch.log_softmax(2 * normal(64), dim=0)
    reward = 10 * normal(64)
    weighted = logq.exp() * importance_weights(reward[None], logq[None], eta=eta, beta=beta)[0]
    best = weighted / weighted.sum()

    def objective(p):
        logp = torch.where(p > 0, p, 1.0).log()
        return (p * (reward - eta * (logp - logq) - beta * logp)).sum()

    rivals = [torch.softmax(scale * normal(64), dim=0) for scale in (0.1, 1.0, 5.0)]
    rivals += [logq.exp(), torch.softmax(best.clamp_min(1e-300).log() + 0.05 * normal(64), dim=0)]
    for p in rivals:
        divergence = (p * (p.log() - best.clamp_min(1e-300).log())).sum()
        gap = objective(best) - objective(p)
        assert gap > -1e-9 * objective(best).abs()
        if best.min() > 1e-250:
            torch.testing.assert_close(gap, (eta + beta) * divergence, rtol=1e-6, atol=1e-6)


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.floats(0, 10), st.floats(-1e4, 1e4))
def test_every_baseline_cancels(seed, eta, beta, baseline):
    generator = torch.Generator().manual_seed(seed)
    reward = 5 * torch.randn(4, 8, generator=generator, dtype=torch.double)
    logq = -torch.rand(4, 8, generator=generator, dtype=torch.double)
    plain = importance_weights(reward, logq, eta=eta, beta=beta)
    for shift in (
        torch.full((4, 1), baseline, dtype=torch.double),
        reward.mean(dim=1, keepdim=True),
        reward.logsumexp(dim=1, keepdim=True),
    ):
        shifted = importance_weights(reward - shift, logq, eta=eta, beta=beta)
        torch.testing.assert_close(shifted, plain, atol=1e-6, rtol=1e-6)


class Raised(GaussianLikelihood):
    """log p plus a number for each window: what any baseline subtracts, with another sign."""

    def log_density(self, x, parameters):
        return super().log_density(x, parameters) + 1e3 * x.flatten(-2).sum(dim=-1)


def test_a_baseline_changes_nothing_in_a_whole_step(small):
    """Policy, decoder and trust region learn the same, whatever a window adds to its rewards."""
    found = []
    for method in (small, enumerable(samples=8)):
        if method is not small:
            method.likelihood = Raised(0.25, dimensions=2)
        result = method.training_step(windows(), 0.0, torch.Generator().manual_seed(0))
        result.loss.backward()
        gradient = [policy_gradient(method), decoder_gradient(method), method.log_eta.grad[None]]
        found.append((torch.cat(gradient), result.metrics["ess"], result.metrics["reward"]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found[0][1], found[1][1])
    assert (found[0][2] - found[1][2]).abs() > 1.0


def test_reward_is_a_sum_and_belongs_to_its_own_sample(small):
    x = windows()
    codes = torch.randint(VOCAB, (3, 5, CODES), generator=torch.Generator().manual_seed(0))
    reward, mean = small.reward(x, codes)
    likelihood = GaussianLikelihood(0.25, dimensions=2)
    for b, k in itertools.product(range(3), range(5)):
        alone = small.decode(codes[b, k][None])[0]
        torch.testing.assert_close(mean[b, k], alone)
        torch.testing.assert_close(reward[b, k], likelihood.log_density(x[b], alone))


def test_effort_never_reconstructs_worse(small):
    x = windows(20)
    greedy = small.reward(x, small.encode(x)[:, None])[0]
    for effort in (2, 8, 64):
        generator = torch.Generator().manual_seed(4)
        best = small.reward(x, small.encode(x, effort=effort, generator=generator)[:, None])[0]
        assert (best >= greedy - 1e-9).all()
    assert (best > greedy).any()


def test_beta_decays_as_measured_on_the_release():
    """3.0 to 0.01 over 250,000 steps: beta(50) is 2.99658."""
    assert exponential_decay(50 / 250_000, start=3.0, end=0.01) == pytest.approx(2.99658, abs=5e-5)
    assert exponential_decay(0.0, start=3.0, end=0.01) == 3.0
    assert exponential_decay(1.0, start=3.0, end=0.01) == pytest.approx(0.01)
    assert exponential_decay(0.5, start=4.0, end=0.25) == pytest.approx(1.0)
    assert exponential_decay(7.0, start=3.0, end=0.01) == pytest.approx(0.01)
    assert exponential_decay(0.3, start=1.0, end=1.0) == 1.0


def test_the_learning_rate_follows_half_a_cosine():
    assert cosine(0.0, start=1e-3, end=1e-4) == pytest.approx(1e-3)
    assert cosine(0.5, start=1e-3, end=1e-4) == pytest.approx(5.5e-4)
    assert cosine(1.0, start=1e-3, end=1e-4) == pytest.approx(1e-4)
    assert cosine(2.0, start=1e-3, end=1e-4) == pytest.approx(1e-4)
    assert cosine(0.7, start=3e-4, end=3e-4) == pytest.approx(3e-4)


def train(method, x, steps, *, seed=0, rate=3e-3, decoder=True):
    generator = torch.Generator().manual_seed(seed)
    moving = list(method.policy.parameters()) + (list(method.decoder.parameters()) * decoder)
    optimizer = torch.optim.Adam(
        [{"params": moving, "lr": rate}, {"params": [method.log_eta], "lr": 1e-2}]
    )
    for step in range(steps):
        result = method.training_step(x, step / steps, generator)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
    return result


def test_the_policy_converges_to_the_boltzmann_posterior_of_a_fixed_decoder():
    """The fixed point of DAPS: q proportional to exp(R / beta), the global optimum of
    E_q[R] + beta H(q), on all 64 sequences of each window."""
    beta, x = 5.0, windows(4)
    method = make(codes=CODES, frames=2 * CODES, samples=32, beta_start=beta, beta_end=beta)
    method = method.double()
    method.log_eta.data.fill_(math.log(10.0))
    with torch.no_grad():
        logq, reward = enumerate_all(method, x)
        optimum = (reward / beta).log_softmax(dim=1)
        before = (logq.exp() * (logq - optimum)).sum(dim=1)
    train(method, x, 300, decoder=False)
    with torch.no_grad():
        logq, _ = enumerate_all(method, x)
        after = (logq.exp() * (logq - optimum)).sum(dim=1)
    assert before.min() > 0.5
    assert (after < 0.1 * before).all()


def test_a_toy_source_is_coded_at_its_global_optimum():
    """Four equally likely patterns and two tokens of two values: as many sequences as
    patterns, so the optimum gives each its own and reconstructs all of them."""
    patterns = torch.randn(4, FRAMES, COLUMNS, generator=torch.Generator().manual_seed(5))
    method = make(codes=2, vocab=2, ess_target=0.5, beta_start=10.0, beta_end=0.5)
    method.log_eta.data.fill_(math.log(10.0))
    train(method, patterns.repeat(4, 1, 1), 250, rate=2e-3)
    codes = method.encode(patterns)
    assert len({tuple(c) for c in codes.tolist()}) == 4
    with torch.no_grad():
        error = ((method.decode(codes) - patterns) ** 2).mean()
    assert error < 0.01 * patterns.var()


@pytest.mark.parametrize("name", ["daps", "daps-pq", "daps-lopq"])
def test_one_seed_is_one_result(name):
    x = torch.randn(16, FRAMES, COLUMNS, generator=torch.Generator().manual_seed(5))

    def run(seed):
        method = make(name, codes=2, samples=4, decoder_first=0.3 if "pq" in name else 0.0)
        method.fit(lambda count: x[:count], torch.Generator().manual_seed(seed))
        train(method, x, 10, seed=seed)
        return torch.cat([p.detach().flatten() for p in method.parameters()])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


@pytest.mark.parametrize("name", ["daps-pq", "daps-lopq"])
def test_starting_from_a_quantiser_learns_decoder_first_then_both(name):
    x = torch.randn(64, FRAMES, COLUMNS, generator=torch.Generator().manual_seed(5))
    schedule = {"decoder_first": 0.5, "beta_start": 20.0, "beta_end": 20.0}
    method = make(name, codes=2, samples=16, ess_target=0.96, **schedule)
    generator = torch.Generator().manual_seed(0)
    method.fit(lambda count: x[:count], generator)
    optimizer = torch.optim.Adam(method.decoder.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        method.training_step(x, 0.49, generator).loss.backward()
        assert all(p.grad is None for p in method.policy.parameters())
        optimizer.step()
    assert not method.started
    assert float(method.log_eta.detach()) == pytest.approx(math.log(100.0))
    result = method.training_step(x, 0.5, generator)
    result.loss.backward()
    assert method.started
    assert float(result.metrics["ess"]) == pytest.approx(0.96, abs=0.002)
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in method.policy.parameters())


@torch.no_grad()
def test_the_quantiser_start_is_its_own_target():
    """As long as the decoder is linear, q is q*: every sample weighs the same."""
    x = torch.randn(64, FRAMES, COLUMNS, generator=torch.Generator().manual_seed(5))
    method = make("daps-pq", codes=2, samples=16)
    generator = torch.Generator().manual_seed(0)
    method.fit(lambda count: x[:count], generator)
    assert float(method.training_step(x, 0.2, generator).metrics["ess"]) > 0.999


@pytest.mark.parametrize("name", ["daps", "daps-na", "daps-pq", "daps-lopq", "daps-temporal"])
def test_a_single_sample_has_nothing_to_be_weighed_against(name):
    with pytest.raises(ConfigError, match=rf"method\.samples must be at least 2 for {name},"):
        make(name, codes=2, samples=1)


def test_weight_decay_spares_eta_biases_norms_and_embeddings():
    for name in ("daps", "daps-pq", "daps-lopq"):
        method = make(name, codes=2)
        names = {id(p): n for n, p in method.named_parameters()}
        groups = method.parameter_groups()
        decayed = {names[id(p)] for g in groups if g["weight_decay"] for p in g["params"]}
        assert decayed
        assert not [n for n in decayed if "norm" in n or "bias" in n or "table" in n or "eta" in n]
        assert not [n for n in decayed if "kind" in n]
        listed = [id(p) for g in groups for p in g["params"]]
        assert sorted(listed) == sorted(names)
        (own,) = [g for g in groups if not g["clip"]]
        assert [names[id(p)] for p in own["params"]] == ["log_eta"]
        assert own["lr"] == 1e-3
