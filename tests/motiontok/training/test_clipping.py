"""Adaptive gradient clipping, unit by unit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from motiontok.training.clipping import clip_adaptively, transposed_weights


def parameter(value, gradient):
    out = nn.Parameter(torch.as_tensor(value, dtype=torch.float32))
    out.grad = torch.as_tensor(gradient, dtype=torch.float32)
    return out


def test_rows_of_a_matrix_are_clipped_one_by_one():
    """Norms of rows 5, 5, 13 and gradients of 50, 5, 1: only the first is too long."""
    weight = parameter(
        [[3.0, 4.0], [4.0, 3.0], [5.0, 12.0]], [[30.0, 40.0], [3.0, 4.0], [1.0, 0.0]]
    )
    clip_adaptively([weight])
    torch.testing.assert_close(weight.grad, torch.tensor([[3.0, 4.0], [3.0, 4.0], [1.0, 0.0]]))


def test_a_vector_is_one_unit():
    bias = parameter([0.6, 0.8], [10.0, 0.0])
    clip_adaptively([bias])
    torch.testing.assert_close(bias.grad, torch.tensor([1.0, 0.0]))


def test_an_output_channel_of_a_convolution_is_one_unit():
    weight = parameter(
        torch.ones(2, 3, 4), torch.stack([torch.full((3, 4), 5.0), torch.ones(3, 4)])
    )
    clip_adaptively([weight])
    torch.testing.assert_close(weight.grad, torch.ones(2, 3, 4))


@pytest.mark.parametrize("layer", [nn.ConvTranspose1d(3, 2, 4), nn.ConvTranspose2d(3, 2, 4)])
def test_an_output_channel_of_a_transposed_convolution_is_one_unit(layer):
    """Torch has its weights as (inputs, outputs, kernel ...)."""
    nn.init.ones_(layer.weight)
    gradient = torch.ones_like(layer.weight)
    gradient[:, 0] = 5.0
    layer.weight.grad = gradient.clone()
    decoder = nn.Sequential(nn.Linear(2, 2), layer)
    clip_adaptively(decoder.parameters(), transposed=transposed_weights(decoder))
    torch.testing.assert_close(layer.weight.grad, torch.ones_like(layer.weight))


def test_a_column_of_an_embedding_is_one_unit():
    """As in the authors' code: tokens keep the ratios of their gradients."""
    table = nn.Embedding(2, 2)
    nn.init.ones_(table.weight)
    table.weight.grad = torch.tensor([[3.0, 1.0], [4.0, 1.0]])
    clip_adaptively(table.parameters(), transposed=transposed_weights(table))
    scale = 2**0.5 / 5
    torch.testing.assert_close(
        table.weight.grad, torch.tensor([[3.0 * scale, 1.0], [4.0 * scale, 1.0]])
    )


def test_a_number_is_one_unit():
    number = parameter(2.0, -7.0)
    clip_adaptively([number])
    torch.testing.assert_close(number.grad, torch.tensor(-2.0))


def test_weights_that_start_at_zero_can_move():
    weight = parameter(torch.zeros(2, 3), torch.full((2, 3), 7.0))
    clip_adaptively([weight])
    torch.testing.assert_close(weight.grad.norm(dim=1), torch.full((2,), 1e-3))


def test_without_a_gradient_nothing_happens():
    still = nn.Parameter(torch.ones(3))
    clip_adaptively([still])
    assert still.grad is None


def test_zero_gradients_stay_zero():
    weight = parameter(torch.ones(2, 2), torch.zeros(2, 2))
    clip_adaptively([weight])
    assert not weight.grad.any()


@given(
    st.integers(0, 2**31),
    st.sampled_from([(5,), (4, 6), (3, 4, 5), ()]),
    st.floats(1e-6, 1e6),
    st.floats(0.01, 10.0),
)
def test_no_unit_exceeds_its_share_and_directions_stay(seed, shape, size, ratio):
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(shape, generator=generator)
    before = size * torch.randn(shape, generator=generator)
    clipped = parameter(value, before.clone())
    clip_adaptively([clipped], ratio=ratio)

    def rows(x):
        return x.reshape(shape[0], -1) if len(shape) > 1 else x.reshape(1, -1)

    limit = ratio * rows(value).norm(dim=1).clamp_min(1e-3)
    after, old = rows(clipped.grad), rows(before)
    assert (after.norm(dim=1) <= limit * 1.0001).all()
    scale = (after * old).sum(dim=1) / (old * old).sum(dim=1)
    torch.testing.assert_close(after, scale[:, None] * old, rtol=1e-4, atol=1e-6 * size)
    small = old.norm(dim=1) <= limit
    assert torch.equal(after[small], old[small])
