"""Locally optimised product quantisation, its closed-form policy, and the method."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch

from motiontok.config import parse_config
from motiontok.errors import ConfigError
from motiontok.methods import MotionNetworks, make_method
from motiontok.models import LopqPolicy, LopqQuantizer, Policy, ProductQuantizer

FRAMES, COLUMNS, CODES, VOCAB = 8, 6, 4, 32

with_and_without_sizes = pytest.mark.parametrize("sized", [False, True])


def curved(count=3000, seed=0):
    """Windows on a curved surface of two dimensions in a space of 48."""
    shape = torch.Generator().manual_seed(42)
    modes = torch.linalg.qr(torch.randn(FRAMES * COLUMNS, 16, generator=shape))[0]
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(count, 2, generator=generator)
    waves = [
        f(k * angle[:, [i]]) for k in (1, 2, 3, 4) for i in (0, 1) for f in (torch.sin, torch.cos)
    ]
    flat = torch.cat(waves, dim=1) @ modes.T
    flat = flat + 0.01 * torch.randn(count, FRAMES * COLUMNS, generator=generator) + 0.5
    return flat.unflatten(1, (FRAMES, COLUMNS))


def of_many_sizes(count=3000, seed=0):
    """The same, each window some times as far from their mean."""
    x = curved(count, seed)
    generator = torch.Generator().manual_seed(seed)
    times = torch.randn(count, 1, 1, generator=generator).exp()
    return 0.5 + times * (x - 0.5)


def fitted(
    x=None, *, codes=CODES, vocab=VOCAB, bases=8, components=24, sized=True
) -> LopqQuantizer:
    quantizer = LopqQuantizer(
        shape=(FRAMES, COLUMNS), codes=codes, vocab_size=vocab,
        components=components, bases=bases, sized=sized,
    )  # fmt: skip
    windows = curved() if x is None else x
    quantizer.fit(lambda count: windows[:count], torch.Generator().manual_seed(0))
    return quantizer


@cache
def shared(*, codes=CODES, vocab=VOCAB, sized=True) -> LopqQuantizer:
    """Fitted to ``curved()``; not to be changed."""
    return fitted(codes=codes, vocab=vocab, sized=sized)


@cache
def lopq(**model):
    sizes = {
        "codes_per_window": CODES,
        "vocab_size": VOCAB,
        "heads": 2,
        "components": 24,
        "bases": 8,
    }
    config = parse_config(
        {"data": {"window": FRAMES}, "model": sizes | model, "method": {"name": "lopq"}}, "test"
    )
    method = make_method(config, MotionNetworks(config, columns=COLUMNS))
    method.fit(lambda count: curved()[:count], torch.Generator().manual_seed(0))
    return method.eval()


def error(quantizer, x, **kind) -> float:
    with torch.no_grad():
        return float(((quantizer.decode(quantizer.encode(x, **kind)) - x) ** 2).mean())


def test_beats_one_basis_for_all_at_equal_bits():
    new = curved(500, seed=1)
    flat = ProductQuantizer(shape=(FRAMES, COLUMNS), codes=CODES, vocab_size=VOCAB)
    flat.fit(curved(), torch.Generator().manual_seed(0))
    assert error(shared(sized=False), new) < 0.7 * error(flat, new)


def test_naming_sizes_pays_where_they_differ():
    """At equal bits: one token fewer says shapes."""
    x, new = of_many_sizes(), of_many_sizes(500, seed=1)
    with_sizes, without = (fitted(x, codes=8, sized=sized) for sized in (True, False))
    assert error(with_sizes, new) < 0.8 * error(without, new)


def test_a_window_of_another_size_has_codewords_of_the_same_shape():
    """Of all codes that of sizes alone changes, if what is left in the cell is scaled."""
    quantizer, x = shared(codes=8), curved(200, seed=2)
    y = quantizer.components(x)
    cells = quantizer.encode(x)[:, 0]
    levels = quantizer.sizes.deviations[:32, 0]
    times = levels[20] / levels[16]
    centre = quantizer.centroids[cells]
    scaled = quantizer.quantize(centre + times * (y - centre), cells, tried=1)
    plain = quantizer.quantize(y, cells, tried=1)
    inside = (plain[:, 1] > 0) & (plain[:, 1] < 28)
    assert inside.sum() > 100
    assert torch.equal(scaled[inside, 1], plain[inside, 1] + 4)
    assert (scaled[inside, 2:] == plain[inside, 2:]).float().mean() > 0.99


def test_bases_are_orthonormal():
    quantizer = shared()
    for rows in (quantizer.basis, *quantizer.local):
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-4, rtol=0)


def test_coordinates_are_inverted_within_a_basis():
    quantizer = shared()
    y = quantizer.components(curved(20, seed=2))
    cells = quantizer.encode(curved(20, seed=2))[:, 0]
    z = quantizer.coordinates(y, cells)
    again = quantizer.coordinates(quantizer.reconstruct(cells, z), cells)
    torch.testing.assert_close(again, z, atol=1e-4, rtol=1e-4)


@with_and_without_sizes
def test_tokens_are_the_nearest_words_in_the_window(sized):
    """Of all values of a token, the one chosen leaves the least error, in cell and sizes chosen."""
    quantizer, x = shared(sized=sized), curved(6, seed=3)
    y = quantizer.components(x)
    codes = quantizer.encode(x)
    best = ((quantizer.decode_components(codes) - y) ** 2).sum(dim=1)
    for token in range(quantizer.head, CODES):
        for value in range(VOCAB):
            other = codes.clone()
            other[:, token] = value
            left = ((quantizer.decode_components(other) - y) ** 2).sum(dim=1)
            assert (left >= best - 1e-4).all()


def test_cells_are_the_nearest():
    quantizer, x = shared(), curved(30, seed=3)
    distance = torch.cdist(quantizer.components(x), quantizer.centroids)
    assert torch.equal(quantizer.encode(x)[:, 0], distance.argmin(dim=1))


def test_trying_more_sizes_never_errs_more():
    quantizer, x = fitted(of_many_sizes()), of_many_sizes(200, seed=4)
    y = quantizer.components(x)
    cells = quantizer.encode(x)[:, 0]
    errors = []
    for tried in (1, 2, 4, VOCAB):
        again = quantizer.decode_components(quantizer.quantize(y, cells, tried=tried))
        errors.append(((again - y) ** 2).sum(dim=1))
    for fewer, more in pairwise(errors):
        assert (more <= fewer + 1e-4 * (1.0 + fewer)).all()
    assert errors[2].mean() < errors[0].mean()


def test_trying_more_cells_never_errs_more():
    quantizer, x = shared(), curved(200, seed=4)
    y = quantizer.components(x)
    errors = []
    for cells in (1, 2, 4, VOCAB, 10 * VOCAB):
        again = quantizer.decode_components(quantizer.encode(x, cells=cells))
        errors.append(((again - y) ** 2).sum(dim=1))
    for fewer, more in pairwise(errors):
        assert (more <= fewer + 1e-5).all()
    assert errors[2].mean() < errors[0].mean()


def test_windows_beyond_training_are_still_coded():
    """Three times as far from the mean as any seen, and not just cut off at the edge."""
    x = curved(200, seed=11)
    far = x.mean(dim=0) + 3.0 * (x - x.mean(dim=0))
    quantizer = shared(codes=8, vocab=64)
    assert error(quantizer, far, cells=4) < 0.15 * float(far.var(dim=0).mean())


@with_and_without_sizes
def test_coordinates_go_from_coarse_to_fine(sized):
    quantizer = shared(sized=sized)
    variance = quantizer.spread.square().mean(0) * quantizer.codewords.var(dim=0)
    ends = quantizer.ends.tolist()[quantizer.head - 1 :]
    means = [float(variance[a:b].mean()) for a, b in pairwise(ends)]
    assert len(means) == CODES - quantizer.head
    assert means == sorted(means, reverse=True)
    assert ends[0] == 0
    assert quantizer.ends[-1] == quantizer.codewords.shape[1]


@pytest.mark.parametrize("count", [1, 3, 40])
def test_few_windows_still_fit(count):
    x = curved(count)
    out = (quantizer := fitted(x)).decode(quantizer.encode(x))
    assert torch.isfinite(out).all()
    assert ((out - x) ** 2).mean() < 0.1 * x.var()


def test_few_windows_do_not_pass_for_all_there_are(monkeypatch):
    """What a small neighbourhood has not seen is not taken to be impossible."""
    few, others = curved(60), curved(500, seed=1)
    found = error(fitted(few), others)
    for prior in ("_PRIOR_SQUARE", "_PRIOR_WINDOWS", "_SHRINK"):
        monkeypatch.setattr(f"motiontok.models.lopq_quantizer.{prior}", 0.0)
    assert found < 0.9 * error(fitted(few), others)


def test_fitting_says_how_far_it_is():
    heard = []
    quantizer = LopqQuantizer(
        shape=(FRAMES, COLUMNS), codes=CODES, vocab_size=VOCAB, components=24, bases=8
    )
    quantizer.fit(
        lambda count: curved()[:count],
        torch.Generator().manual_seed(0),
        lambda share, doing: heard.append((share, doing)),
    )
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] < 1.0
    assert {doing for _, doing in heard} == {
        "common basis", "windows", "cells", "bases", "codewords",
    }  # fmt: skip


def test_constant_windows_are_coded_exactly():
    x = torch.full((50, FRAMES, COLUMNS), 2.5)
    quantizer = fitted(x)
    torch.testing.assert_close(quantizer.decode(quantizer.encode(x, cells=4)), x, atol=1e-4, rtol=0)


def test_one_seed_is_one_quantiser():
    a, b = fitted().state_dict(), fitted().state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


@with_and_without_sizes
def test_another_quantiser_of_the_same_shape_loads_it(sized):
    quantizer, x = shared(sized=sized), curved(10, seed=5)
    other = LopqQuantizer(
        shape=(FRAMES, COLUMNS), codes=CODES, vocab_size=VOCAB, components=24, bases=8,
        sized=sized,
    )  # fmt: skip
    other.load_state_dict(quantizer.state_dict())
    assert torch.equal(other.encode(x), quantizer.encode(x))


def test_spoilt_weights_are_refused():
    state = shared().state_dict()
    state["codewords"] = state["codewords"][:, :-1]
    other = LopqQuantizer(
        shape=(FRAMES, COLUMNS), codes=CODES, vocab_size=VOCAB, components=24, bases=8
    )
    with pytest.raises(RuntimeError, match="codewords"):
        other.load_state_dict(state)


@with_and_without_sizes
def test_the_policy_at_temperature_zero_is_the_quantiser(sized):
    quantizer, x = shared(sized=sized), curved(50, seed=6)
    policy = LopqPolicy(quantizer)
    assert isinstance(policy, Policy)
    codes = policy.sample(x, 1, temperature=0.0)[0][:, 0]
    y = quantizer.components(x)
    cells = quantizer.cell_scores(y).argmax(dim=1)
    assert torch.equal(codes, quantizer.quantize(y, cells, tried=1))


@with_and_without_sizes
def test_log_probabilities_are_those_of_the_sampler(sized):
    policy, x = LopqPolicy(shared(sized=sized)), curved(7, seed=7)
    codes, logq = policy.sample(x, 5, generator=torch.Generator().manual_seed(0))
    logp = policy.log_probabilities(x, codes)
    torch.testing.assert_close(logp.exp().sum(dim=-1), torch.ones(7, 5, CODES))
    again = logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)
    torch.testing.assert_close(again, logq, atol=1e-3, rtol=1e-5)


@with_and_without_sizes
def test_log_probabilities_are_gaussian_densities(sized):
    """log q of a token is the log-density of the window around what the token says."""
    quantizer, x = shared(sized=sized), curved(3, seed=8)
    codes = quantizer.encode(x)
    found = LopqPolicy(quantizer).log_probabilities(x, codes[:, None])[:, 0].double()
    y = quantizer.components(x)
    for token in (0, *range(quantizer.head, CODES)):
        every = codes[:, None].repeat(1, VOCAB, 1)
        every[..., token] = torch.arange(VOCAB)
        if token == 0:
            means, variance = quantizer.centroids.expand(3, -1, -1), quantizer.cell_variance
        else:
            means = quantizer.decode_components(every.flatten(0, 1)).unflatten(0, (3, VOCAB))
            variance = quantizer.noise_variance
            if sized:
                variance = variance * quantizer.sizes.sizes(codes[:, 1])[:, [token - 2]] ** 2
        expected = -((y[:, None] - means) ** 2).sum(dim=-1) / (2 * variance)
        torch.testing.assert_close(
            found[:, token], torch.log_softmax(expected.double(), dim=-1), atol=2e-2, rtol=1e-3
        )


def test_the_policy_errs_about_as_much_as_the_quantiser():
    """Its entropy is that of the quantiser's own uncertainty, not more."""
    method, x = lopq(), curved(300, seed=9)
    generator = torch.Generator().manual_seed(0)
    greedy = ((method.decode(method.encode(x)) - x) ** 2).mean()
    drawn = method.encode(x, temperature=1.0, generator=generator)
    assert not torch.equal(drawn, method.encode(x))
    assert ((method.decode(drawn) - x) ** 2).mean() < 6 * greedy


def test_the_method_encodes_and_decodes_as_its_quantiser():
    method, x = lopq(), curved(20, seed=10)
    assert torch.equal(method.encode(x, effort=3), method.quantizer.encode(x, cells=3))
    codes = method.encode(x)
    assert codes.shape == (20, CODES)
    torch.testing.assert_close(method.decode(codes), method.quantizer.decode(codes))


def test_sizes_are_named_where_there_are_tokens_enough():
    assert lopq().quantizer.head == 1
    assert lopq(codes_per_window=8).quantizer.head == 2


def test_one_code_is_refused():
    with pytest.raises(ConfigError, match="codes_per_window must be at least 2"):
        lopq(codes_per_window=1)
