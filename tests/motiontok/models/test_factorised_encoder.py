"""The factorised policy, and encoders and decoders at the paper's sizes."""

from __future__ import annotations

import itertools

import pytest
import torch

from motiontok.config import Config
from motiontok.methods import MotionNetworks
from motiontok.models import FactorisedPolicy, LatentEncoder, Policy, WindowDecoder
from motiontok.models.layers import resample

FRAMES, COLUMNS, CODES, VOCAB = 6, 3, 3, 4
SEQUENCES = torch.tensor(list(itertools.product(range(VOCAB), repeat=CODES)))


@pytest.fixture
def policy() -> FactorisedPolicy:
    torch.manual_seed(0)
    read = resample(FRAMES, CODES, COLUMNS, 16)
    encoder = LatentEncoder(read, codes=CODES, width=16, heads=2, layers=2, outputs=16)
    return FactorisedPolicy(VOCAB, encoder).eval()


def observations(batch=2):
    return torch.randn(batch, FRAMES, COLUMNS, generator=torch.Generator().manual_seed(7))


def log_q(policy, x, codes):
    logp = policy.log_probabilities(x, codes)
    return logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)


def test_it_is_a_policy(policy):
    assert isinstance(policy, Policy)


@torch.no_grad()
def test_probabilities_of_all_sequences_sum_to_one(policy):
    total = log_q(policy, observations(), SEQUENCES.expand(2, -1, -1)).double().logsumexp(dim=1)
    torch.testing.assert_close(total, torch.zeros(2, dtype=torch.double), atol=1e-5, rtol=0)


@torch.no_grad()
def test_sampler_and_scorer_agree(policy):
    x = observations()
    codes, total = policy.sample(x, 500, generator=torch.Generator().manual_seed(3))
    assert codes.shape == (2, 500, CODES)
    torch.testing.assert_close(total, log_q(policy, x, codes), atol=1e-5, rtol=0)


@torch.no_grad()
def test_samples_follow_their_probabilities(policy):
    x, count = observations(), 20_000
    codes, _ = policy.sample(x, count, generator=torch.Generator().manual_seed(5))
    probability = log_q(policy, x, SEQUENCES.expand(2, -1, -1)).exp()
    index = (codes * torch.tensor([16, 4, 1])).sum(dim=-1)
    for b in range(2):
        seen = torch.bincount(index[b], minlength=len(SEQUENCES)) / count
        bound = 5 * (probability[b] * (1 - probability[b]) / count).sqrt() + 1e-4
        assert ((seen - probability[b]).abs() < bound).all()


@torch.no_grad()
def test_no_token_tells_anything_about_another(policy):
    x = observations()
    codes = torch.zeros(2, 1, CODES, dtype=torch.long)
    before = policy.log_probabilities(x, codes)
    torch.testing.assert_close(policy.log_probabilities(x, codes + 3), before, atol=0, rtol=0)


@torch.no_grad()
def test_temperature_zero_and_nearly_zero_take_the_most_likely_code(policy):
    x = observations()
    greedy, _ = policy.sample(x, 1, temperature=0.0)
    best = log_q(policy, x, SEQUENCES.expand(2, -1, -1)).argmax(dim=1)
    assert torch.equal(greedy[:, 0], SEQUENCES[best])
    cold, _ = policy.sample(x, 8, temperature=1e-4, generator=torch.Generator().manual_seed(0))
    assert (cold == greedy).all()


@torch.no_grad()
def test_every_token_sees_the_whole_window(policy):
    x = observations(1)
    codes = torch.zeros(1, 1, CODES, dtype=torch.long)
    before = policy.log_probabilities(x, codes)
    for frame in range(FRAMES):
        changed = x.clone()
        changed[:, frame] += 1.0
        moved = (policy.log_probabilities(changed, codes) - before).abs().amax(dim=-1)
        assert (moved > 1e-5).all()


def size(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_networks_hold_the_parameters_of_the_paper():
    """At 100 columns: 1,237,632, 1,386,752, 1,254,656, 621,924 and 490,852."""
    networks = MotionNetworks(Config(), columns=100)
    # One row more than the release: its embedding of token 0 doubles as the start symbol.
    assert size(networks.policy()) == 1_237_632 + 128
    assert size(networks.factorised_policy()) == 1_386_752
    assert size(networks.encoder(64, outputs=128)) == 1_254_656
    assert size(networks.decoder()) == 621_924
    assert size(networks.body(64, 128)) == 490_852


@torch.no_grad()
def test_one_hots_decode_like_their_tokens():
    torch.manual_seed(0)
    decoder = WindowDecoder(
        codes=CODES, frames=FRAMES, columns=COLUMNS, width=16, heads=2, layers=1
    )
    decoder.add_table(VOCAB, 16)
    weights = torch.nn.functional.one_hot(SEQUENCES, VOCAB).float()
    torch.testing.assert_close(decoder.relaxed(weights), decoder(SEQUENCES))
