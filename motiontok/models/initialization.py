"""Initial weights of layers."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

__all__ = ["zeroed"]

_Layer = TypeVar("_Layer", nn.Linear, nn.Conv1d, nn.ConvTranspose1d)


def zeroed(layer: _Layer) -> _Layer:
    """The layer with zero weights: its outputs are zero until it learns."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
