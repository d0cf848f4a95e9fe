"""Weights in fewer bits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motiontok.tokens.weight_quantization import dequantize_weights, quantize_weights, rounded_rows


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from([(1, 1), (5, 7), (3, 4, 6), (9, 2)]),
    first=st.integers(0, 9),
    scale=st.floats(-7.0, 4.0),
    seed=st.integers(0, 2**31),
)
def test_rounded_weights_are_written_and_read_without_change(shape, first, scale, seed):
    """Bit for bit, whatever their size: a fingerprint is taken of them."""
    generator = torch.Generator().manual_seed(seed)
    matrix = (10.0**scale * torch.randn(shape, generator=generator)).half().float()
    first = 0 if matrix.dim() == 3 else min(first, shape[0])
    rounded = rounded_rows(matrix, first)
    found = dequantize_weights(quantize_weights({"m": rounded, "count": torch.tensor(3)}))
    assert found["m"].numpy().tobytes() == rounded.numpy().tobytes()
    assert found["count"] == 3
    torch.testing.assert_close(rounded_rows(rounded, first), rounded, rtol=0, atol=0)


@pytest.mark.parametrize(("shape", "first"), [((40, 64), 8), ((4, 10, 64), 0)])
def test_rounded_rows_take_a_quarter_of_the_room_and_lose_half_a_step(shape, first):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)).half().float()
    rounded = rounded_rows(matrix, first)
    size = sum(t.numel() * t.element_size() for t in quantize_weights({"m": rounded}).values())
    rows = matrix.numel() // 64 - first
    assert size == 2 * first * 64 + rows * (64 + 2)
    assert torch.equal(rounded[..., :first, :], matrix[..., :first, :])
    step = matrix.abs().amax(dim=-1, keepdim=True) / 127
    assert bool(((rounded - matrix).abs() <= 0.501 * step).all())


def test_weights_that_fit_no_fewer_bits_stay_as_they_are():
    exact = {"w": torch.randn(3, 3), "v": torch.randn(4), "s": torch.tensor(0.1)}
    found = quantize_weights(exact)
    assert found.keys() == exact.keys()
    assert all(found[k].dtype == torch.float32 for k in exact)


def test_zeros_and_empty_matrices_come_back():
    given_ = {"zero": torch.zeros(3, 4), "none": torch.zeros(0, 4), "stack": torch.zeros(2, 0, 4)}
    found = dequantize_weights(quantize_weights(given_))
    assert all(torch.equal(found[k], given_[k]) for k in given_)
