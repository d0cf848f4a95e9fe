"""Adaptive gradient clipping (Brock et al. 2021, "High-Performance Large-Scale ...")."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["clip_adaptively"]


@torch.no_grad()
def clip_adaptively(
    parameters: Iterable[nn.Parameter], *, ratio: float = 1.0, floor: float = 1e-3
) -> None:
    """Scale gradients in place so that no unit's exceeds ``ratio`` times its weights' norm.

    A unit is an output row of a matrix or of a convolution, the whole of a vector.
    DAPS losses are sums over thousands of dimensions, so this acts on nearly every step.

    Args:
        parameters: those with a gradient are clipped.
        ratio: largest allowed gradient norm relative to the weight norm.
        floor: least weight norm, so that zero-initialised weights can move.
    """
    for parameter in parameters:
        if parameter.grad is None:
            continue
        limit = ratio * _unit_norm(parameter).clamp_min(floor)
        norm = _unit_norm(parameter.grad)
        parameter.grad.mul_((limit / norm.clamp_min(1e-12)).clamp_max(1.0))


def _unit_norm(x: Tensor) -> Tensor:
    if x.dim() <= 1:
        return x.norm()
    return x.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.dim() - 1))
