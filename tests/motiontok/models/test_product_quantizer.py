"""The product quantiser, and the policy and decoder that start as nothing but it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_methods import tiny_config

from motiontok.methods import MotionNetworks, make_method
from motiontok.models import ProductQuantizer

FRAMES, COLUMNS, CODES, VOCAB = 8, 6, 4, 16


def windows(count=600, seed=0):
    """Correlated windows: a few smooth modes of falling variance, and a little noise."""
    shape = torch.Generator().manual_seed(42)
    modes = torch.linalg.qr(torch.randn(FRAMES * COLUMNS, 12, generator=shape))[0]
    generator = torch.Generator().manual_seed(seed)
    scale = 3.0 * 0.7 ** torch.arange(12)
    flat = torch.randn(count, 12, generator=generator) * scale @ modes.T
    flat = flat + 0.02 * torch.randn(count, FRAMES * COLUMNS, generator=generator) + 1.5
    return flat.unflatten(1, (FRAMES, COLUMNS))


def fitted(*, codes=CODES, vocab=VOCAB, x=None, **kind) -> ProductQuantizer:
    quantizer = ProductQuantizer(shape=(FRAMES, COLUMNS), codes=codes, vocab_size=vocab, **kind)
    quantizer.fit(windows() if x is None else x, torch.Generator().manual_seed(0))
    return quantizer


def daps_pq(**method):
    config = tiny_config("daps-pq", frames=FRAMES, codes=CODES, vocab=VOCAB, method=method)
    torch.manual_seed(0)
    made = make_method(config, MotionNetworks(config, columns=COLUMNS))
    made.fit(lambda count: windows()[:count], torch.Generator().manual_seed(0))
    return made.eval()


def test_basis_is_orthonormal():
    quantizer = fitted()
    used = quantizer.basis.norm(dim=1) > 0
    rows = quantizer.basis[used]
    assert len(rows) >= 12
    torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)
    assert used[: len(rows)].all()


def test_variances_are_those_of_what_is_lost():
    x = windows()
    quantizer = fitted(x=x, variances=True)
    parameters = quantizer.parameters_around(quantizer.decode(quantizer.encode(x)))
    assert parameters.shape == (len(x), 2, FRAMES, COLUMNS)
    lost = (x - parameters[:, 0]).square().mean(dim=0)
    torch.testing.assert_close(parameters[0, 1].exp(), lost, rtol=1e-3, atol=0)


def test_basis_finds_the_principal_components():
    """Against numpy's dense decomposition: the leading variances are captured."""
    x = windows()
    quantizer = fitted(x=x)
    centred = (x - x.mean(dim=0)).flatten(1)
    exact = np.linalg.svd(centred.numpy(), compute_uv=False)[:8] ** 2
    found = ((centred @ quantizer.basis[:8].T) ** 2).sum(dim=0).numpy()
    np.testing.assert_allclose(found, exact, rtol=1e-3)


def test_groups_are_contiguous_and_go_from_coarse_to_fine():
    x = windows()
    quantizer = fitted(x=x)
    slots = [row[row >= 0].tolist() for row in quantizer.slots]
    flat = [component for group in slots for component in group]
    assert flat == list(range(len(flat)))
    assert all(slots)
    variance = quantizer.coefficients(x).var(dim=0).sum(dim=1)
    assert (variance.diff() < 0).all()


@torch.no_grad()
def test_earlier_codes_matter_more():
    x = windows()
    quantizer = fitted(x=x)
    codes = quantizer.encode(x)
    base = ((quantizer.decode(codes) - x) ** 2).mean()
    harm = []
    for n in range(CODES):
        spoilt = codes.clone()
        spoilt[:, n] = (spoilt[:, n] + 1) % VOCAB
        harm.append(float(((quantizer.decode(spoilt) - x) ** 2).mean() - base))
    assert harm == sorted(harm, reverse=True)


def test_encoding_takes_the_nearest_codewords():
    quantizer, x = fitted(), windows(50, seed=1)
    y = quantizer.coefficients(x)
    distance = ((y[:, :, None] - quantizer.codewords) ** 2).sum(dim=-1)
    assert torch.equal(quantizer.encode(x), distance.argmin(dim=-1))


def test_synthesis_inverts_analysis_within_the_basis():
    quantizer, x = fitted(), windows(20, seed=1)

    def project(x):
        return quantizer.synthesize(quantizer.components(quantizer.coefficients(x)))

    projected = project(x)
    again = project(projected)
    torch.testing.assert_close(again, projected, atol=1e-4, rtol=0)
    kept = ((projected - x) ** 2).mean() / x.var()
    assert kept < 0.05


@torch.no_grad()
def test_more_codes_and_more_words_err_less():
    x = windows(400, seed=2)

    def error(codes, vocab):
        quantizer = fitted(codes=codes, vocab=vocab)
        return float(((quantizer.decode(quantizer.encode(x)) - x) ** 2).mean())

    assert error(4, 16) < 0.8 * error(2, 16)
    assert error(4, 64) < 0.8 * error(4, 8)


def test_spread_and_error_describe_the_fit():
    """Spread is the deviation of each codeword coordinate, error what quantising leaves."""
    x = windows()
    quantizer = fitted(x=x)
    used = quantizer.slots >= 0
    torch.testing.assert_close(
        quantizer.spread[used],
        quantizer.codewords.detach().std(dim=1, unbiased=False)[used],
        rtol=1e-4,
        atol=1e-6,
    )
    assert (quantizer.spread[~used] == 1).all()
    rest = (x - quantizer.decode(quantizer.encode(x)).detach()).flatten(1)
    rows = quantizer.basis[quantizer.basis.norm(dim=1) > 0]
    assert float(quantizer.error) == pytest.approx(
        float((rest @ rows.T).square().mean().sqrt()), rel=1e-3
    )


def test_one_seed_is_one_quantiser():
    a, b = fitted(), fitted()
    assert torch.equal(a.codewords, b.codewords)
    assert torch.equal(a.basis, b.basis)


@pytest.mark.parametrize("sized", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_windows_than_words_still_fit(count, sized):
    x = windows(count)
    quantizer = fitted(x=x, sized=sized)
    out = quantizer.decode(quantizer.encode(x))
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out, x, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("sized", [False, True])
def test_constant_windows_are_coded_exactly(sized):
    x = torch.full((40, FRAMES, COLUMNS), 2.5)
    quantizer = fitted(x=x, sized=sized)
    torch.testing.assert_close(quantizer.decode(quantizer.encode(x)), x)


def of_many_sizes(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return 1.5 + torch.randn(count, 1, 1, generator=generator).exp() * (windows(count, seed) - 1.5)


@torch.no_grad()
def test_naming_sizes_pays_where_they_differ():
    """At equal bits: one token fewer says shapes."""
    x, new = of_many_sizes(3000, 0), of_many_sizes(500, 1)

    def error(sized):
        quantizer = fitted(codes=6, vocab=32, x=x, sized=sized)
        return float(((quantizer.decode(quantizer.encode(new)) - new) ** 2).mean())

    assert error(True) < 0.8 * error(False)


@torch.no_grad()
def test_the_first_codes_decode_alone():
    """Sizes alone say the mean, and each code after them something more."""
    x = windows(400)
    quantizer = fitted(codes=6, x=x, sized=True)
    codes = quantizer.encode(x)
    errors = [float(((quantizer.decode(codes[:, :n]) - x) ** 2).mean()) for n in range(1, 7)]
    torch.testing.assert_close(quantizer.decode(codes[:, :1])[0].flatten(), quantizer.mean)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.2 * errors[0]


def test_the_policy_starts_as_the_quantiser():
    method, x = daps_pq(), windows(100, seed=3)
    assert torch.equal(method.encode(x), method.quantizer.encode(x))


def test_the_decoder_starts_as_linear_synthesis():
    method, x = daps_pq(), windows(10, seed=3)
    codes = method.encode(x)
    torch.testing.assert_close(method.decode(codes), method.quantizer.decode(codes))


@pytest.mark.parametrize("beta", [1.0, 0.1])
@torch.no_grad()
def test_the_policy_starts_with_the_closed_form_logits(beta):
    """log q = -|y_n - c_nv|^2 / (2 s2 beta) up to a constant, whatever came before."""
    method, x = daps_pq(variance=0.5, beta_start=beta, beta_end=beta), windows(7, seed=4)
    method.head.beta.fill_(beta)
    y = method.quantizer.coefficients(x)
    distance = ((y[:, :, None] - method.quantizer.codewords) ** 2).sum(dim=-1)
    expected = torch.log_softmax(-distance.double() / (2 * 0.5 * beta), dim=-1)
    codes = torch.randint(VOCAB, (7, 3, CODES), generator=torch.Generator().manual_seed(0))
    found = method.policy.log_probabilities(x, codes).double()
    # Rounding of a float32 logit of this size.
    tolerance = 1e-6 * float(distance.max()) / beta + 1e-4
    torch.testing.assert_close(found, expected[:, None].expand_as(found), atol=tolerance, rtol=0)


@torch.no_grad()
def test_the_starting_policy_is_the_entropy_regularised_optimum():
    """q proportional to exp(log p(x|z) / beta): enumerated over every sequence."""
    beta = 2.0
    config = {"beta_start": beta, "beta_end": beta, "variance": 2.0}
    method, x = daps_pq(**config), windows(3, seed=5)
    method.head.beta.fill_(beta)
    grid = torch.cartesian_prod(*[torch.arange(VOCAB)] * CODES)[::37]
    codes = grid.expand(3, -1, -1)
    logp = method.policy.log_probabilities(x, codes)
    logq = logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)
    reward, _ = method.reward(x, codes)
    difference = (logq - reward / beta).double()
    spread = difference.std(dim=1) / logq.double().std(dim=1)
    assert spread.max() < 1e-3


@torch.no_grad()
def test_the_prior_sampler_draws_from_the_starting_policy():
    method, x = daps_pq(), windows(1, seed=6)
    method.head.beta.fill_(20.0)
    codes = method.config.model.codes_per_window
    noise = torch.rand(8000, codes, generator=torch.Generator().manual_seed(0))
    drawn = method.head.sample_prior(x.expand(8000, -1, -1), noise)
    codes = torch.zeros(1, 1, CODES, dtype=torch.long)
    probability = method.policy.log_probabilities(x, codes)[0, 0].exp()
    for n in range(CODES):
        seen = torch.bincount(drawn[:, n], minlength=VOCAB) / 8000
        bound = 5 * (probability[n] * (1 - probability[n]) / 8000).sqrt() + 1e-3
        assert ((seen - probability[n]).abs() < bound).all()


def test_the_policy_loss_does_not_move_the_codewords():
    method, x = daps_pq(), windows(5)
    codes = method.encode(x)[:, None]
    logp = method.policy.log_probabilities(x, codes)
    logp.gather(-1, codes[..., None]).sum().backward()
    assert method.quantizer.codewords.grad is None
    assert method.head.move.grad.abs().max() > 0


def test_weights_are_stored_once():
    names = [name for name in daps_pq().state_dict() if name.endswith("codewords")]
    assert names == ["decoder.quantizer.codewords"]


def test_bits_are_spread_evenly_over_groups():
    """Each group gets about log2(V) bits by reverse water-filling."""
    x = windows(4000)
    quantizer = fitted(x=x, codes=4, vocab=16)
    centred = (x - x.mean(dim=0)).flatten(1)
    logs = 0.5 * ((centred @ quantizer.basis.T).var(dim=0) + 1e-12).log2()
    used = int((quantizer.slots >= 0).sum())
    level = (float(logs[:used].sum()) - 4 * math.log2(16)) / used
    for row in quantizer.slots:
        bits = float((logs[row[row >= 0]] - level).sum())
        assert 1.0 < bits < 8.0
