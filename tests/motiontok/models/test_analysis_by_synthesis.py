"""Analysis by synthesis: codes whose decoding errs less, and never more."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from motiontok.models.analysis_by_synthesis import analyse
from motiontok.models.residual_quantizer import ResidualQuantizer

SIZE, CODES, VOCAB = 24, 6, 16


@pytest.fixture(scope="module")
def latents():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(800, SIZE, generator=generator) * torch.linspace(3.0, 0.1, SIZE)


@pytest.fixture(scope="module")
def quantizer(latents):
    made = ResidualQuantizer(size=SIZE, codes=CODES, vocab_size=VOCAB)
    made.fit(latents, torch.eye(SIZE), torch.Generator().manual_seed(1))
    return made


@pytest.fixture(scope="module")
def windows(latents):
    return latents[:64]


def bent(z):
    """A decoder that is not the one whose metric the quantiser has."""
    return z + 0.6 * torch.sin(2.0 * z.roll(1, dims=1))


def test_windows_err_less_by_more_rounds_and_codes_are_those_of_their_targets(quantizer, windows):
    def errors(z):
        return (bent(z) - bent(windows)).square().sum(dim=1)

    totals = [errors(quantizer.decode(quantizer.encode(windows))).sum().item()]
    for rounds in (4, 8, 16):
        found = analyse(quantizer, windows, errors, rounds=rounds)
        torch.testing.assert_close(errors(quantizer.decode(found.codes)), found.error)
        torch.testing.assert_close(quantizer.quantize(found.target)[0], found.codes)
        totals.append(found.error.sum().item())
    assert all(more < fewer for fewer, more in pairwise(totals)), totals
    assert totals[-1] < 0.97 * totals[0], totals


def test_windows_whose_best_rounds_disagree_keep_what_errs_least_together(quantizer, windows):
    """Rounds that suit one half of the windows each, and a penalty for any mixture of them."""
    seen, half = [], torch.arange(len(windows)) % 2 == 0
    weight = torch.ones((), requires_grad=True)  # as a decoder in training has

    def errors(z):
        error = weight * (bent(z) - bent(windows)).square().sum(dim=1)
        seen.append(len(seen))
        if len(seen) == 1:
            return error
        # The second suits one half, the third the other, and what is made of both nobody.
        return error + (10.0 * (half == (len(seen) == 2)) if len(seen) < 4 else 1e3)

    found = analyse(quantizer, windows, errors, rounds=2)
    assert len(seen) == 4
    assert torch.equal(found.codes, quantizer.encode(windows))
    assert not found.error.requires_grad


@pytest.mark.parametrize("first", [1, 3])
def test_only_the_first_codes_are_sought_where_only_they_count(quantizer, windows, first):
    def errors(z):
        return (bent(z) - bent(windows)).square().sum(dim=1)

    found = analyse(quantizer, windows, errors, rounds=6, first=first)
    assert found.codes.shape == (len(windows), first)
    whole = analyse(quantizer, windows, errors, rounds=6)
    assert found.error.sum() <= errors(quantizer.decode(whole.codes[:, :first])).sum()


def test_quantized_components_are_what_the_codes_decode_to(quantizer, windows):
    y = quantizer.project(windows)
    for first in (1, 2, None):
        codes, quantized = quantizer.quantize(y, first=first)
        assert torch.equal(codes, quantizer.encode(windows)[:, :first])
        torch.testing.assert_close(quantizer.latents(quantized), quantizer.decode(codes))
