"""Convolutions over steps are torch's, and sequences in one row know nothing of each other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from motiontok.models.step_convolutions import StepConv, TransposedStepConv, fixed_weights
from motiontok.models.temporal_autoencoder import GAP, STRIDE, TemporalDecoder, TemporalEncoder

# Kernel, stride, padding, dilation.
SHAPES = [(1, 1, 0, 1), (3, 1, 1, 1), (3, 1, 3, 3), (4, 2, 1, 1), (16, 4, 6, 1)]
WIDE = 6


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("size", "stride", "pad", "dilation"), SHAPES)
def test_they_are_the_convolutions_of_torch(size, stride, pad, dilation, bias):
    own = StepConv(5, WIDE, size, stride, pad, dilation, bias=bias)
    known = nn.Conv1d(5, WIDE, size, stride, pad, dilation, bias=bias)
    known.load_state_dict(own.state_dict())
    x = torch.randn(2, 24, 5)
    torch.testing.assert_close(own(x), known(x.mT).mT)
    if dilation == 1 and size % 2 == 0:
        own = TransposedStepConv(5, WIDE, size, stride, pad, bias=bias)
        known = nn.ConvTranspose1d(5, WIDE, size, stride, pad, bias=bias)
        known.load_state_dict(own.state_dict())
        torch.testing.assert_close(own(x), known(x.mT).mT)


@pytest.fixture
def networks():
    sizes = {"columns": 7, "channels": WIDE, "width": 8}
    made = TemporalEncoder(**sizes), TemporalDecoder(**sizes)
    for network in made:
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3)
    return made


def test_sequences_in_one_row_are_as_each_alone(networks):
    encoder, decoder = networks
    lengths = (5, 1, 9)
    clips = [torch.randn(1, STRIDE * n, 7) for n in lengths]
    # What lies between must not matter.
    between = torch.full((1, STRIDE * GAP, 7), 100.0)
    row = torch.cat([part for clip in clips for part in (clip, between)], dim=1)
    inside = torch.cat([torch.arange(n + GAP) < n for n in lengths])
    z = encoder(row, inside.float()[None, :, None])
    y = decoder(z, inside.float()[None, :, None]).unflatten(1, (-1, STRIDE))
    alone = [encoder(clip) for clip in clips]
    torch.testing.assert_close(z[:, inside], torch.cat(alone, dim=1))
    frames = torch.cat([decoder(latents) for latents in alone], dim=1)
    torch.testing.assert_close(y[:, inside].flatten(1, 2), frames)
    assert not torch.allclose(encoder(row)[:, inside], torch.cat(alone, dim=1), atol=1e-2)


def test_fixed_weights_give_the_same_and_get_no_gradients(networks):
    decoder = networks[1]
    z = torch.randn(1, 6, WIDE, requires_grad=True)
    expected = decoder(z)
    (slope,) = torch.autograd.grad(expected.square().sum(), z)
    with fixed_weights(decoder):
        found = decoder(z)
        found.square().sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(z.grad, slope)
    assert all(layer.weight.grad is None for layer in (decoder.lapped, decoder.layers[0]))
    with fixed_weights(decoder):
        with fixed_weights(decoder):
            pass  # another thread, which ends first
        torch.testing.assert_close(decoder(z), expected)
    decoder(z).sum().backward()
    assert decoder.lapped.weight.grad is not None
