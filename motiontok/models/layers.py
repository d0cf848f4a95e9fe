"""Transformer layers of the paper: pre-LN, no biases in attention, ReLU MLP, no dropout.

Tensors of sampled sequences are ``(batch, samples, tokens, width)``: K sequences for
each observation. Self-attention runs within a sequence; cross-attention reads the
observation's memory, whose keys and values are projected once for all K.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motiontok.models.activation_cache import LinearFn, compute
from motiontok.models.kv_cache import DifferentiableCache, KeyValueCache

__all__ = [
    "CausalBlock",
    "Encoder",
    "EncoderBlock",
    "resample",
    "sinusoids",
]


def sinusoids(length: int, width: int) -> Tensor:
    """Fixed positions ``(length, width)``: sines, then cosines, not interleaved."""
    half = width // 2
    frequency = torch.exp(-math.log(10_000.0) * torch.arange(half) / max(half - 1, 1))
    phase = torch.arange(length)[:, None] * frequency
    return torch.cat([phase.sin(), phase.cos()], dim=1)


class _Shorten(nn.Conv1d):
    """Strided convolution along the tokens of ``(batch, tokens, channels)``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT).mT


class _Lengthen(nn.ConvTranspose1d):
    """Strided transposed convolution along the tokens of ``(batch, tokens, channels)``."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(x.mT, output_size).mT


def resample(source: int, target: int, inputs: int, outputs: int) -> nn.Module:
    """One linear layer from ``(batch, source, inputs)`` to ``(batch, target, outputs)``.

    Source: the paper's ResampleConv1D, which for its sizes is a single strided
    (transposed) convolution of kernel 4. One length must divide the other.
    """
    ratio = max(source, target) // min(source, target)
    # Kernel and stride of one parity: only then does padding give the exact length.
    kernel = max(4, ratio)
    kernel += (kernel - ratio) % 2
    padding = (kernel - ratio) // 2
    layer: _Shorten | _Lengthen
    if ratio == 1:
        layer = _Shorten(inputs, outputs, 1)
    elif target > source:
        layer = _Lengthen(inputs, outputs, kernel, stride=ratio, padding=padding)
    else:
        layer = _Shorten(inputs, outputs, kernel, stride=ratio, padding=padding)
    nn.init.xavier_normal_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _mlp(width: int, ratio: int) -> nn.Sequential:
    return nn.Sequential(_linear(width, ratio * width), nn.ReLU(), _linear(ratio * width, width))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = _linear(width, width, bias=False)
        self.key = _linear(width, width, bias=False)
        self.value = _linear(width, width, bias=False)
        self.out = _linear(width, width, bias=False)

    def split(self, x: Tensor) -> Tensor:
        """``(..., tokens, width)`` to ``(..., heads, tokens, width / heads)``."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    def keys_values(self, x: Tensor, product: LinearFn = compute) -> tuple[Tensor, Tensor]:
        return self.split(product(self.key, x)), self.split(product(self.value, x))

    def attend(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        causal: bool = False,
        mask: Tensor | None = None,
        product: LinearFn = compute,
    ) -> Tensor:
        query = self.split(product(self.query, x))
        y = F.scaled_dot_product_attention(query, keys, values, mask, is_causal=causal)
        return product(self.out, y.transpose(-2, -3).flatten(-2))


class EncoderBlock(nn.Module):
    """Bidirectional self-attention and an MLP, on ``(batch, tokens, width)``."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width, eps=1e-6)
        self.attention = _Attention(width, heads)
        self.norm_mlp = nn.LayerNorm(width, eps=1e-6)
        self.mlp = _mlp(width, mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:
        """As many tokens ``(batch, tokens, width)``, each of which has seen all."""
        y = self.norm_attention(x)
        x = x + self.attention.attend(y, *self.attention.keys_values(y))
        return x + self.mlp(self.norm_mlp(x))


class Encoder(nn.Module):
    """Fixed positions, encoder blocks and a final norm, on ``(batch, tokens, width)``."""

    positions: Tensor

    def __init__(self, length: int, width: int, heads: int, layers: int, mlp_ratio: int) -> None:
        super().__init__()
        self.register_buffer("positions", sinusoids(length, width), persistent=False)
        self.blocks = nn.ModuleList(EncoderBlock(width, heads, mlp_ratio) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised tokens ``(batch, length, width)`` of as many without positions."""
        x = x + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class CausalBlock(nn.Module):
    """Causal self-attention, cross-attention to the memory, and an MLP.

    Works on ``(batch, samples, tokens, width)``. The mask is only causal: no token id is padding,
    so teacher forcing and sampling agree exactly.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = _Attention(width, heads)
        self.norm_cross = nn.LayerNorm(width, eps=1e-6)
        self.cross_attention = _Attention(width, heads)
        self.norm_mlp = nn.LayerNorm(width, eps=1e-6)
        self.mlp = _mlp(width, mlp_ratio)

    def cache(
        self, sequences: int, length: int, like: Tensor, *, differentiable: bool = False
    ) -> KeyValueCache:
        """Empty cache for ``sequences`` sequences of ``length`` tokens."""
        heads = self.self_attention.heads
        shape = (sequences, heads, 0 if differentiable else length, like.shape[-1] // heads)
        kind = DifferentiableCache if differentiable else KeyValueCache
        return kind(like.new_empty(shape), like.new_empty(shape))

    @property
    def mlp_layers(self) -> tuple[nn.Linear, nn.Linear]:
        """The layers of the MLP, before and after its ReLU."""
        return cast(nn.Linear, self.mlp[0]), cast(nn.Linear, self.mlp[2])

    def forward(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor],
        cache: KeyValueCache | None = None,
        product: LinearFn = compute,
    ) -> Tensor:
        """One block.

        Args:
            x: ``(batch, samples, tokens, width)``; one token with a cache.
            memory: keys and values that ``cross_attention.keys_values`` made of the
                observation's memory.
            cache: earlier tokens of these sequences, extended by this one.
            product: computes the outputs of layers, or returns kept ones.
        """
        batch, samples, tokens, _ = x.shape
        y = self.norm_self(x).flatten(0, 1)
        keys, values = self.self_attention.keys_values(y, product)
        mask = None
        if cache is not None:
            (keys, values), mask = cache.append(keys, values), cache.mask
        y = self.self_attention.attend(
            y, keys, values, causal=cache is None, mask=mask, product=product
        )
        x = x + y.unflatten(0, (batch, samples))
        # The memory has no mask, so the K sequences can share one query axis.
        y = self.norm_cross(x).flatten(1, 2)
        y = self.cross_attention.attend(y, *memory, product=product)
        x = x + y.unflatten(1, (samples, tokens))
        widen, narrow = self.mlp_layers
        return x + product(narrow, torch.relu(product(widen, self.norm_mlp(x))))
