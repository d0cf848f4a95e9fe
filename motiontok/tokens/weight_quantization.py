"""Weights in fewer bits: 16 for all, 8 for matrices that tolerate it.

A row in 8 bits is whole numbers from -127 to 127 times its largest magnitude, itself 16 bits,
over 127. All machines compute that with the same two roundings, so rounded weights are written and
read unchanged.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["dequantize_weights", "quantize_weights", "rounded_rows"]

_STEPS = 127
_WHOLE, _LARGEST = "#8", "#8max"


def rounded_rows(matrix: Tensor, first: int) -> Tensor:
    """``matrix (..., rows, columns)`` with rows from ``first`` on rounded to 8 bits."""
    out = matrix.clone()
    tail = out[..., first:, :]
    largest = tail.abs().amax(dim=-1, keepdim=True).half().to(tail)
    tail.copy_(_values(_whole(tail, largest), largest))
    return out


def quantize_weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors for a file: in 8 or 16 bits wherever that loses nothing."""
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.dim() == 0:
            out[name] = tensor
            continue
        first = _first_of_8_bits(tensor)
        if first < len(tensor):
            tail = tensor[first:]
            largest = tail.abs().amax(dim=-1, keepdim=True)
            out[name + _WHOLE] = _whole(tail, largest).to(torch.int8)
            out[name + _LARGEST] = largest.half()
            tensor = tensor[:first]
        half = tensor.half()
        out[name] = half if torch.equal(half.to(tensor.dtype), tensor) else tensor
    return out


def dequantize_weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inverse of :func:`quantize_weights`.

    Raises:
        KeyError: a part of a tensor is missing.
    """
    out = {}
    for name, tensor in tensors.items():
        if "#" in name:
            continue
        wide = tensor.float() if tensor.dtype == torch.float16 else tensor
        if name + _WHOLE in tensors:
            whole, largest = tensors[name + _WHOLE], tensors[name + _LARGEST]
            wide = torch.cat([wide, _values(whole.float(), largest.float())])
        out[name] = wide
    return out


def _first_of_8_bits(tensor: Tensor) -> int:
    """First row, or matrix of a stack, from which on 8 bits are exact."""
    if tensor.dim() < 2 or tensor.dtype != torch.float32:
        return len(tensor)
    largest = tensor.abs().amax(dim=-1, keepdim=True)
    found = _values(_whole(tensor, largest), largest)
    # Bit for bit: -0 equals 0, and is another weight to a fingerprint.
    other = (found.view(torch.int32) != tensor.view(torch.int32)).flatten(1).any(dim=1)
    other |= (largest.half().to(tensor) != largest).flatten(1).any(dim=1)
    last = other.nonzero()
    return int(last[-1]) + 1 if len(last) else 0


def _whole(rows: Tensor, largest: Tensor) -> Tensor:
    scale = torch.where(largest > 0, largest, torch.ones_like(largest))
    whole = (rows * _STEPS / scale).round().clamp(-_STEPS, _STEPS)
    return whole + 0.0  # no -0: integers have none


def _values(whole: Tensor, largest: Tensor) -> Tensor:
    return whole * largest / _STEPS
