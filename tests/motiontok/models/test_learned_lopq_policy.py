"""The policy that moves the point which a locally optimised quantiser codes."""

from __future__ import annotations

import itertools

import pytest
import torch

from motiontok.models import LearnedLopqPolicy, LopqPolicy, LopqQuantizer, Policy

SHAPE, CODES, VOCAB = (4, 3), 3, 5


@pytest.fixture(params=[False, True])
def policies(request):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, *SHAPE, generator=generator) * torch.linspace(0.3, 2.0, 3)
    quantizer = LopqQuantizer(
        shape=SHAPE, codes=CODES, vocab_size=VOCAB, components=8, bases=2, sized=request.param
    )
    quantizer.fit(lambda count: x[:count], generator)
    torch.manual_seed(0)
    moving = LearnedLopqPolicy(quantizer, width=16, layers=2)
    moving.fit(x)
    return moving, LopqPolicy(quantizer), x[:6]


def disturb(policy):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)


def test_it_starts_as_the_quantisers_own_policy(policies):
    moving, fixed, x = policies
    assert isinstance(moving, Policy)
    codes, _ = fixed.sample(x, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        moving.log_probabilities(x, codes), fixed.log_probabilities(x, codes)
    )
    greedy = moving.sample(x, 1, temperature=0.0)[0][:, 0]
    assert torch.equal(greedy, fixed.sample(x, 1, temperature=0.0)[0][:, 0])


def test_what_is_sampled_has_the_probability_it_says(policies):
    moving, _, x = policies
    disturb(moving)
    codes, logq = moving.sample(x, 7, generator=torch.Generator().manual_seed(3))
    logp = moving.log_probabilities(x, codes)
    again = logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)
    torch.testing.assert_close(again, logq, atol=1e-5, rtol=1e-5)


def test_probabilities_of_all_sequences_sum_to_one(policies):
    moving, _, x = policies
    disturb(moving)
    every = torch.tensor(list(itertools.product(range(VOCAB), repeat=CODES)))
    codes = every.expand(len(x), -1, -1)
    logp = moving.log_probabilities(x, codes)
    logq = logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)
    torch.testing.assert_close(logq.exp().sum(dim=1), torch.ones(len(x)), atol=1e-4, rtol=0)


def test_noise_decides_and_frequencies_follow(policies):
    moving, _, x = policies
    disturb(moving)
    noise = torch.rand(len(x), 4000, CODES, generator=torch.Generator().manual_seed(4))
    codes, _ = moving.sample(x, 4000, noise=noise)
    assert torch.equal(moving.sample(x, 4000, noise=noise)[0], codes)
    share = torch.nn.functional.one_hot(codes[..., 0], VOCAB).float().mean(dim=1)
    expected = moving.log_probabilities(x, codes[:, :1])[:, 0, 0].exp()
    torch.testing.assert_close(share, expected, atol=0.04, rtol=0)


def test_gradients_reach_all_it_learns(policies):
    moving, fixed, x = policies
    disturb(moving)
    codes, _ = fixed.sample(x, 3, generator=torch.Generator().manual_seed(5))
    moving.log_probabilities(x, codes).gather(-1, codes[..., None]).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in moving.parameters())
