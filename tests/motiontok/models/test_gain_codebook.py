"""The table of sizes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motiontok.models.gain_codebook import GainCodebook, keep_best

TOKENS, VOCAB = 12, 256
COUNTS = torch.arange(TOKENS) % 4 + 1


def energies(count=2000, seed=0):
    """Of windows whose bands are of sizes of their own around one of the window."""
    generator = torch.Generator().manual_seed(seed)
    window = (0.6 * torch.randn(count, 1, generator=generator)).exp()
    band = (0.3 * torch.randn(count, 4, generator=generator)).exp().repeat_interleave(3, dim=1)
    square = torch.randn(count, TOKENS, 4, generator=generator).square()
    return (window * band) ** 2 * (square * (torch.arange(4) < COUNTS[:, None])).sum(dim=-1)


@pytest.fixture(scope="module")
def table():
    out = GainCodebook(tokens=TOKENS, vocab_size=VOCAB)
    out.fit(energies(), COUNTS, torch.Generator().manual_seed(0))
    return out


def test_scores_rise_and_fall_as_normal_densities_of_coordinates(table):
    """Of two windows of the same energies but for one band, against torch's own density."""
    sizes = table.sizes(torch.arange(VOCAB))
    energy = energies(20, seed=1)
    lean = 0.8
    expected = -0.5 * lean * (energy[:, None] / sizes.square()).sum(dim=-1)
    expected = expected - (COUNTS * sizes.log()).sum(dim=-1)
    torch.testing.assert_close(table.scores(energy), expected, atol=1e-2, rtol=1e-4)


@given(times=st.floats(0.5, 2.0), seed=st.integers(0, 100))
def test_a_larger_window_is_said_to_be_larger(table, times, seed):
    energy = energies(50, seed)
    before, after = (
        table.sizes(table.scores(e).argmax(dim=1)).log().mean(dim=1)
        for e in (energy, times**2 * energy)
    )
    apart = (after - before).mean()
    assert abs(float(apart) - torch.tensor(times).log()) < 0.2


def test_sizes_reach_beyond_what_was_trained_on(table):
    largest = table.sizes(torch.arange(VOCAB)).max()
    seen = (energies() / COUNTS).sqrt().mean(dim=1).quantile(0.998)
    assert largest > 1.5 * seen


def test_profiles_are_told_apart(table):
    """Not only the size of all: one that is large in its first band alone is said to be."""
    energy = COUNTS.repeat(2, 1).float()
    energy[0, :3] *= 4.0
    plain, front = (table.sizes(table.scores(e[None]).argmax(dim=1))[0] for e in energy.flip(0))
    assert front[0] / front[-1] > 1.3 * plain[0] / plain[-1]


@pytest.mark.parametrize("vocab", [2, 5, 37, 64])
@pytest.mark.parametrize("tokens", [1, 3, 20])
def test_every_size_of_vocabulary_has_as_many_profiles(vocab, tokens):
    out = GainCodebook(tokens=tokens, vocab_size=vocab)
    energy = torch.rand(100, tokens, generator=torch.Generator().manual_seed(0)) + 0.1
    out.fit(energy, torch.ones(tokens, dtype=torch.long), torch.Generator().manual_seed(0))
    sizes = out.sizes(torch.arange(vocab))
    assert sizes.shape == (vocab, tokens)
    assert (sizes > 0).all()
    assert torch.isfinite(out.scores(energy)).all()


def test_nothing_but_zeros_fits():
    out = GainCodebook(tokens=TOKENS, vocab_size=VOCAB)
    out.fit(torch.zeros(30, TOKENS), COUNTS, torch.Generator().manual_seed(0))
    assert torch.isfinite(out.sizes(torch.arange(VOCAB))).all()
    assert torch.isfinite(out.scores(torch.ones(3, TOKENS))).all()


def test_the_best_is_kept_row_by_row():
    codes = [torch.full((2, 3), value) for value in (1, 2)]
    errors = [torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]])]
    assert keep_best(list(zip(errors, codes, strict=True))).tolist() == [[1, 1, 1], [2, 2, 2]]
