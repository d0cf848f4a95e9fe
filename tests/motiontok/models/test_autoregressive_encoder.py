"""The policy q(z | x): one distribution, whether sampled or teacher-forced."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from motiontok.models import AutoregressivePolicy, CodebookHead, ProductQuantizer, VocabularyHead
from motiontok.models.layers import Encoder, resample, sinusoids

FRAMES, COLUMNS, WIDTH = 8, 3, 16


def vocabulary_policy(*, codes=4, vocab=4, frames=FRAMES, layers=2) -> AutoregressivePolicy:
    torch.manual_seed(0)
    return AutoregressivePolicy(
        VocabularyHead(vocab, WIDTH),
        resample(frames, codes, COLUMNS, WIDTH),
        codes=codes,
        width=WIDTH,
        heads=2,
        layers=layers,
    ).eval()


def codebook_policy(*, codes=4, vocab=4) -> AutoregressivePolicy:
    """A policy in a quantiser's space that has already learnt to move."""
    generator = torch.Generator().manual_seed(1)
    quantizer = ProductQuantizer(shape=(FRAMES, COLUMNS), codes=codes, vocab_size=vocab)
    quantizer.fit(torch.randn(200, FRAMES, COLUMNS, generator=generator), generator)
    torch.manual_seed(0)
    head = CodebookHead(quantizer, width=WIDTH, variance=0.25)
    torch.nn.init.normal_(head.move, std=0.2)
    torch.nn.init.normal_(head.precision, std=0.2)
    return AutoregressivePolicy(
        head, resample(FRAMES, codes, COLUMNS, WIDTH), codes=codes, width=WIDTH, heads=2, layers=1
    ).eval()


POLICIES = pytest.mark.parametrize("make", [vocabulary_policy, codebook_policy])


def observations(batch=2, frames=FRAMES):
    return torch.randn(batch, frames, COLUMNS, generator=torch.Generator().manual_seed(7))


def every_sequence(codes: int, vocab: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(vocab), repeat=codes)))


def log_q(policy, x, codes):
    """Teacher-forced log q of sequences, ``(batch, samples)``."""
    logp = policy.log_probabilities(x, codes)
    return logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)


@POLICIES
@torch.no_grad()
def test_sampler_and_teacher_forcing_agree_on_every_sequence(make):
    """Sequences with token 0 included, which are the ones padding masks get wrong."""
    policy, x = make(), observations()
    sequences = every_sequence(4, 4)
    expected = log_q(policy, x, sequences.expand(2, -1, -1))
    # Very hot sampling visits all sequences; log q is that of temperature 1.
    codes, total = policy.sample(
        x, 4000, temperature=1e4, generator=torch.Generator().manual_seed(3)
    )
    index = (codes * torch.tensor([64, 16, 4, 1])).sum(dim=-1)
    for b in range(2):
        assert len(index[b].unique()) == 256
    torch.testing.assert_close(total, expected.gather(1, index), atol=1e-5, rtol=1e-6)


@POLICIES
@pytest.mark.parametrize(("codes", "vocab"), [(4, 8), (2, 64), (8, 2)])
@torch.no_grad()
def test_probabilities_of_all_sequences_sum_to_one(make, codes, vocab):
    policy = make(codes=codes, vocab=vocab)
    sequences = every_sequence(codes, vocab).expand(2, -1, -1)
    total = log_q(policy, observations(), sequences).double().logsumexp(dim=1)
    torch.testing.assert_close(total, torch.zeros(2, dtype=torch.double), atol=1e-5, rtol=0)


@POLICIES
@torch.no_grad()
def test_samples_follow_their_probabilities(make):
    policy, x = make(codes=2, vocab=4), observations()
    count = 20_000
    codes, _ = policy.sample(x, count, generator=torch.Generator().manual_seed(5))
    probability = log_q(policy, x, every_sequence(2, 4).expand(2, -1, -1)).exp()
    for b in range(2):
        seen = torch.bincount(codes[b, :, 0] * 4 + codes[b, :, 1], minlength=16) / count
        # Five standard errors of each frequency.
        bound = 5 * (probability[b] * (1 - probability[b]) / count).sqrt() + 1e-4
        assert ((seen - probability[b]).abs() < bound).all()


@POLICIES
@torch.no_grad()
def test_a_later_token_never_changes_an_earlier_probability(make):
    policy, x = make(), observations()
    codes = torch.randint(4, (2, 3, 4), generator=torch.Generator().manual_seed(1))
    before = policy.log_probabilities(x, codes)
    for n in range(4):
        changed = codes.clone()
        changed[..., n:] = (changed[..., n:] + 1) % 4
        after = policy.log_probabilities(x, changed)
        torch.testing.assert_close(after[:, :, : n + 1], before[:, :, : n + 1], atol=1e-6, rtol=0)
        if n < 3:
            assert (after[:, :, n + 1] - before[:, :, n + 1]).abs().max() > 1e-4


@POLICIES
def test_an_early_position_has_no_gradient_into_a_later_code(make):
    """The mask is causal in the graph too, not only by value."""
    policy, x = make(), observations()
    policy.head.embed = _recording(policy.head.embed, kept := [])
    logp = policy.log_probabilities(x, torch.zeros(2, 1, 4, dtype=torch.long))
    (embedded,) = kept
    (gradient,) = torch.autograd.grad(logp[:, :, 1, 2].sum(), embedded)
    assert gradient[:, :, 0].abs().max() > 0
    assert not gradient[:, :, 1:].any()


def _recording(function, kept):
    def record(*arguments):
        out = function(*arguments).detach().requires_grad_()
        kept.append(out)
        return out

    return record


@POLICIES
@torch.no_grad()
def test_greedy_is_deterministic_and_takes_the_most_likely_token(make):
    policy, x = make(), observations()
    torch.manual_seed(11)
    codes, total = policy.sample(x, 1, temperature=0.0)
    torch.manual_seed(12)
    again, _ = policy.sample(x, 1, temperature=0.0)
    assert torch.equal(codes, again)
    logp = policy.log_probabilities(x, codes)
    assert torch.equal(logp.argmax(dim=-1), codes)
    torch.testing.assert_close(total, logp.amax(dim=-1).sum(dim=-1), atol=1e-5, rtol=0)


@POLICIES
@torch.no_grad()
def test_cold_sampling_becomes_greedy(make):
    policy, x = make(), observations()
    greedy, _ = policy.sample(x, 1, temperature=0.0)
    cold, _ = policy.sample(x, 8, temperature=1e-4, generator=torch.Generator().manual_seed(0))
    assert (cold == greedy).all()


@POLICIES
@torch.no_grad()
def test_a_window_and_a_sample_do_not_see_their_neighbours(make):
    policy, x = make(), observations(batch=3)
    codes = torch.randint(4, (3, 5, 4), generator=torch.Generator().manual_seed(1))
    together = policy.log_probabilities(x, codes)
    for b, k in itertools.product(range(3), range(5)):
        alone = policy.log_probabilities(x[b : b + 1], codes[b : b + 1, k : k + 1])
        torch.testing.assert_close(together[b, k], alone[0, 0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_sampling_needs_no_gradient_and_uses_only_its_own_generator():
    policy, x = vocabulary_policy(), observations()
    state = torch.get_rng_state()
    codes, _ = policy.sample(x, 3, generator=torch.Generator().manual_seed(2))
    again, _ = policy.sample(x, 3, generator=torch.Generator().manual_seed(2))
    other, _ = policy.sample(x, 3, generator=torch.Generator().manual_seed(4))
    assert torch.equal(codes, again)
    assert not torch.equal(codes, other)
    assert torch.equal(state, torch.get_rng_state())


@torch.no_grad()
def test_order_of_tokens_matters():
    """Positions are there: one multiset of earlier tokens, two orders, two predictions."""
    policy, x = vocabulary_policy(), observations(batch=1)
    pair = torch.tensor([[[1, 2, 0, 0], [2, 1, 0, 0]]])
    logp = policy.log_probabilities(x, pair)
    assert (logp[0, 0, 2] - logp[0, 1, 2]).abs().max() > 1e-3


@pytest.mark.parametrize("longer", [1, 2, 3, 4, 5, 6, 7, 8, 16, 32])
@pytest.mark.parametrize("shorter", [1, 2, 5])
@pytest.mark.parametrize("up", [True, False])
def test_resampling_gives_the_asked_length(longer, shorter, up):
    source, target = (shorter, shorter * longer) if up else (shorter * longer, shorter)
    out = resample(source, target, 3, 7)(torch.zeros(2, source, 3))
    assert out.shape == (2, target, 7)


@pytest.mark.parametrize(("frames", "codes"), [(9, 3), (3, 9), (10, 2), (4, 4)])
@torch.no_grad()
def test_any_whole_ratio_of_frames_and_codes_works(frames, codes):
    policy = vocabulary_policy(codes=codes, vocab=2, frames=frames, layers=1)
    out, _ = policy.sample(observations(frames=frames), 2)
    assert out.shape == (2, 2, codes)


def test_positions_follow_their_formula():
    """First half sines, second half cosines, of frequencies 10000^(-i / (D/2 - 1))."""
    table = sinusoids(50, 12)
    for n, i in itertools.product((0, 1, 7, 49), range(6)):
        phase = n * 10_000 ** (-i / 5)
        assert table[n, i].item() == pytest.approx(math.sin(phase), abs=1e-5)
        assert table[n, 6 + i].item() == pytest.approx(math.cos(phase), abs=1e-5)


def test_layers_hold_the_parameters_of_the_paper():
    """Encoder: 2 blocks of 197,760 and a norm; policy at C = 100: 1,237,632 and a BOS."""
    encoder = Encoder(64, 128, 4, 2, 4)
    assert sum(p.numel() for p in encoder.parameters()) == 2 * 197_760 + 256
    policy = AutoregressivePolicy(
        VocabularyHead(1024, 128),
        resample(32, 64, 100, 128),
        codes=64,
        width=128,
        heads=4,
        layers=2,
    )
    assert sum(p.numel() for p in policy.parameters()) == 1_237_632 + 128
