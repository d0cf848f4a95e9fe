"""Policy and prior over residual tokens, on sequences few enough to list them all."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from motiontok.methods.daps.daps import importance_weights
from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.models.token_policy import TokenPolicy
from motiontok.models.token_rates import TokenRates

SIZE, CODES, VOCAB = 6, 4, 3


@pytest.fixture(scope="module")
def ready():
    """A policy whose prior says something, and latents."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    quantizer = ResidualQuantizer(size=SIZE, codes=CODES, vocab_size=VOCAB)
    z = torch.randn(400, SIZE, generator=generator) * torch.linspace(2.0, 0.5, SIZE)
    quantizer.fit(z, torch.eye(SIZE), generator)
    policy = TokenPolicy(TokenRates(quantizer, width=8))
    policy.rates.start()
    for parameter in policy.rates.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator)
    policy.left.fill_(60.0)
    return policy, z[:5]


def parts_of(policy, z):
    level, shape = policy.quantizer.split(z)
    past = policy.quantizer.shapes(policy.quantizer.encode(z)).roll(1, 0)
    return level, shape, (past, level.roll(1))


def sequences(level):
    """All of them, ``(81 // 3, batch, codes)``: sizes are given."""
    every = torch.tensor(list(product(range(VOCAB), repeat=CODES - 1)))
    return [torch.cat([level[:, None], row.expand(len(level), -1)], dim=1) for row in every]


@torch.no_grad()
def test_the_prior_adds_up_to_one_over_all_sequences(ready):
    policy, z = ready
    level, _, past = parts_of(policy, z)
    logs = [policy.rates.of_sequences(codes, *past) for codes in sequences(level)]
    later = torch.stack([rows[:, 1:].sum(dim=1) for rows in logs]).logsumexp(dim=0)
    torch.testing.assert_close(later, torch.zeros(len(z)), atol=1e-5, rtol=0)
    sizes = policy.rates.sizes(*past).logsumexp(dim=1)
    torch.testing.assert_close(sizes, torch.zeros(len(z)), atol=1e-5, rtol=0)
    torch.testing.assert_close(logs[0][:, 0], policy.rates.sizes(*past)[range(len(z)), level])


@torch.no_grad()
@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_draws_have_the_probabilities_that_are_stated(ready, weight):
    policy, z = ready
    level, shape, past = parts_of(policy, z)
    logs = torch.stack(
        [
            policy.log_q(shape, codes, past, rate_weight=weight).sum(dim=1)
            for codes in sequences(level)
        ]
    )
    torch.testing.assert_close(logs.logsumexp(0), torch.zeros(len(z)), atol=1e-5, rtol=0)
    drawn, logq, logp = policy.draw(
        shape,
        level,
        past,
        rate_weight=weight,
        noise=torch.rand(
            len(z), len(policy.quantizer.words), 4000, generator=torch.Generator().manual_seed(0)
        ),
    )
    for codes, expected in zip(sequences(level), logs.exp(), strict=True):
        same = (drawn == codes[:, None]).all(dim=-1)
        share = same.double().mean(dim=1)
        torch.testing.assert_close(share, expected.double(), atol=0.04, rtol=0)
        if same.any():
            row = same.any(dim=1)
            stated = torch.where(same, logq, -torch.inf).amax(dim=1)
            torch.testing.assert_close(stated[row], expected[row].log(), atol=1e-4, rtol=1e-4)
            if weight:
                prior = policy.rates.of_sequences(codes, *past)[:, 1:].sum(dim=1)
                stated = torch.where(same, logp, -torch.inf).amax(dim=1)
                torch.testing.assert_close(stated[row], prior[row], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_beam_of_all_sequences_finds_the_least_cost(ready):
    policy, z = ready
    level, shape, past = parts_of(policy, z)
    costs = []
    for codes in sequences(level):
        left = shape - policy.quantizer.shapes(codes)
        nats = policy.rates.of_sequences(codes, *past)[:, 1:].sum(dim=1)
        costs.append(policy.nats * left.square().sum(dim=1) - 0.8 * nats)
    best = torch.stack(costs).argmin(dim=0)
    found = policy.search(shape, level, past, rate_weight=0.8, beam=VOCAB**CODES)
    every = sequences(level)
    for row, at in enumerate(best):
        assert torch.equal(found[row], every[at][row])


@torch.no_grad()
def test_without_the_prior_the_search_is_the_quantisers(ready):
    policy, z = ready
    level, shape, past = parts_of(policy, z)
    found = policy.search(shape, level, past, rate_weight=0.0, beam=1)
    assert torch.equal(found, policy.quantizer.encode(z))


def test_slopes_of_the_policy_lead_to_what_is_chosen(ready):
    policy, z = ready
    level, shape, past = parts_of(policy, z)
    codes = sequences(level)[7]
    shape = shape.clone().requires_grad_()
    before = policy.log_q(shape, codes, past, rate_weight=0.0).sum(dim=1)
    (slope,) = torch.autograd.grad(before.sum(), shape)
    after = policy.log_q(shape + 1e-3 * slope, codes, past, rate_weight=0.0).sum(dim=1)
    assert (after > before).all()


@torch.no_grad()
def test_local_scores_give_the_exact_target_and_less_noise_than_one_score(ready):
    """Two windows whose rewards add up: the target factorises (daps_temporal)."""
    policy, z = ready
    level, shape, past = parts_of(policy, z[:2])
    eta, beta, weight, samples = 0.5, 0.3, 0.3, 20_000
    listed = sequences(level)
    every = torch.stack([codes[:, 1:] for codes in listed], dim=1)
    generator = torch.Generator().manual_seed(3)
    table = torch.randn(2, VOCAB, VOCAB, VOCAB, generator=generator) * 0.7

    def rewards(codes):
        window = torch.arange(2)[:, None].expand(codes.shape[:2])
        return table[window, codes[..., 0], codes[..., 1], codes[..., 2]]

    def logp(codes):
        parts = [policy.rates.of_sequences(c, *past)[:, 1:].sum(dim=1) for c in codes.unbind(1)]
        return torch.stack(parts, dim=1)

    logq = torch.stack([policy.log_q(shape, c, past, rate_weight=weight).sum(1) for c in listed], 1)
    prior = logp(torch.stack(listed, dim=1))
    target = ((rewards(every) + beta * prior + eta * logq) / (eta + beta)).softmax(dim=1)
    noise = torch.rand(len(shape), len(policy.quantizer.words), samples, generator=generator)
    drawn, q, stated = policy.draw(shape, level, past, rate_weight=weight, noise=noise)
    own = rewards(drawn[..., 1:])
    both = (drawn[:, :, None, 1:] == every[:, None]).all(dim=-1).double()
    place = both.argmax(dim=2)
    p = prior.gather(1, place)
    torch.testing.assert_close(stated, p, atol=1e-4, rtol=1e-4)
    local = importance_weights(own, q - p, eta=eta, beta=beta)
    found = torch.einsum("wk,wks->ws", local.double(), both)
    torch.testing.assert_close(found, target.double(), atol=0.02, rtol=0)
    # One score: the sum of both windows weighs the draws of each.
    joint = importance_weights(own.sum(0), (q - p).sum(0), eta=eta, beta=beta)
    assert float(1.0 / joint.square().sum()) < 0.95 * float((1.0 / local.square().sum(1)).min())
