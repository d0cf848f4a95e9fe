"""The linear codec with an entropy model: honest lengths, exact inverses, sensible rates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from motiontok.evaluate.scalar_codec import EntropyModel, PrincipalComponents, ScalarCodec


def low_rank_windows(count=400, rank=5, frames=6, columns=4, seed=0, noise=0.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(rank, frames * columns, generator=torch.Generator().manual_seed(99))
    scale = torch.linspace(3.0, 0.5, rank)
    flat = (scale * torch.randn(count, rank, generator=generator)) @ mix + 2.0
    flat += noise * torch.randn(flat.shape, generator=generator)
    return flat.unflatten(1, (frames, columns))


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.floats(0.0, 4.0))
@example(8733418, 4.0)
def test_probabilities_of_all_integers_sum_to_one(seed, scale):
    """Everything that can be said, within +-400, in every context, has total probability 1:
    a code with these lengths exists, and no length is flattered. What lies beyond has next to
    none: the geometric distributions here fall by a tenth and more from one integer to the next."""
    rng = np.random.default_rng(seed)
    model = EntropyModel(np.rint(scale * rng.normal(size=(30, 3))).astype(np.int64))
    symbol = np.arange(-400, 401)
    for before in ((0, 0), (1, -1), (9, 3)):
        rows = np.stack([np.full(801, before[0]), np.full(801, before[1]), symbol], axis=1)
        # The chain rule: the first two are the same in all rows.
        bits = model.bits(rows)
        first = EntropyModel.bits(model, rows[:, :2])
        assert np.exp2(-(bits - first)).sum() == pytest.approx(1.0, abs=1e-6)


def test_lengths_satisfy_krafts_inequality():
    rng = np.random.default_rng(0)
    model = EntropyModel(np.rint(0.7 * rng.normal(size=(200, 3))).astype(np.int64))
    every = np.array(list(itertools.product(range(-6, 7), repeat=3)))
    assert np.exp2(-(np.ceil(model.bits(every)) + 1)).sum() <= 1.0


def test_the_model_comes_close_to_the_entropy_of_a_known_source():
    rng = np.random.default_rng(0)
    probability = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
    draws = [rng.choice(np.arange(-2, 3), size=(20_000, 4), p=probability) for _ in range(2)]
    model = EntropyModel(draws[0])
    entropy = -4 * (probability * np.log2(probability)).sum()
    assert model.bits(draws[1]).mean() == pytest.approx(entropy, rel=0.01)


def test_the_context_learns_that_large_follows_large():
    """Rows that are all still or all busy: knowing the last two integers tells which."""
    rng = np.random.default_rng(0)
    busy = rng.random(4000) < 0.5
    rows = np.rint(np.where(busy[:, None], 3.0, 0.2) * rng.normal(size=(4000, 8))).astype(np.int64)
    model = EntropyModel(rows[:2000])
    shuffled = rng.permuted(rows, axis=0)
    assert model.bits(rows[2000:]).mean() < 0.85 * EntropyModel(shuffled).bits(shuffled).mean()


def test_an_integer_never_seen_costs_finitely_many_bits():
    model = EntropyModel(np.zeros((50, 2), dtype=np.int64))
    bits = model.bits(np.array([[0, 0], [1, 0], [10**6, -(10**6)]]))
    assert np.isfinite(bits).all()
    assert bits[0] < bits[1] < bits[2]


def test_principal_components_are_those_of_the_covariance():
    x = low_rank_windows(noise=0.3)
    found = PrincipalComponents.fit(x, 5)
    flat = x.flatten(1).double().numpy()
    _, _, rows = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    overlap = np.abs(found.rows.double().numpy() @ rows[:5].T)
    np.testing.assert_allclose(overlap, np.eye(5), atol=1e-2)
    np.testing.assert_allclose((found.rows @ found.rows.T).numpy(), np.eye(5), atol=1e-4)
    again = PrincipalComponents.fit(x, 5)
    assert torch.equal(found.rows, again.rows)


def test_windows_in_the_span_come_back_within_the_step():
    x = low_rank_windows()
    components = PrincipalComponents.fit(x, 5)
    y = components.analyse(x).double().numpy()
    for step in (1.0, 0.1, 0.01):
        codec = ScalarCodec(components, step, y)
        back = components.analyse(codec.decode(codec.encode(x))).double().numpy()
        assert np.abs(back - y).max() < step + 1e-3
        # Better than the even error of plain rounding would be at twice the step.
        assert (back - y).std() < 2 * step / 12**0.5


def test_a_finer_step_costs_bits_and_buys_accuracy():
    x, held_out = low_rank_windows(noise=0.2), low_rank_windows(seed=1, noise=0.2)
    components = PrincipalComponents.fit(x, 24)
    rates, errors = [], []
    for step in (4.0, 2.0, 1.0, 0.5):
        codec = ScalarCodec(components, step, components.analyse(x).double().numpy())
        symbols = codec.encode(held_out)
        rates.append(codec.bits(symbols).mean())
        errors.append(float(((codec.decode(symbols) - held_out) ** 2).mean()))
    assert rates == sorted(rates)
    assert errors == sorted(errors, reverse=True)
    assert all(bits == int(bits) for bits in codec.bits(symbols))


@pytest.mark.parametrize("bits", [12.0, 30.0, 60.0])
def test_the_asked_rate_is_met(bits):
    x = low_rank_windows(2000, noise=0.2)
    codec = ScalarCodec.at_rate(PrincipalComponents.fit(x, 24), bits, x)
    assert codec.bits(codec.encode(x)).mean() == pytest.approx(bits, rel=0.03)
    unseen = low_rank_windows(2000, seed=1, noise=0.2)
    assert codec.bits(codec.encode(unseen)).mean() == pytest.approx(bits, rel=0.06)


def test_a_rate_of_nothing_gives_the_mean_window():
    x = low_rank_windows()
    components = PrincipalComponents.fit(x, 5)
    codec = ScalarCodec(components, 1e6, components.analyse(x).double().numpy())
    symbols = codec.encode(x[:3])
    assert symbols.shape == (3, 0)
    assert (codec.bits(symbols) == 1.0).all()
    torch.testing.assert_close(codec.decode(symbols), x.mean(dim=0).expand(3, -1, -1))
