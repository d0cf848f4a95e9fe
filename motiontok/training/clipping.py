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
    moved = [p for p in parameters if p.grad is not None]
    if not moved:
        return
    gradients = [p.grad for p in moved if p.grad is not None]
    # Few calls for many small tensors: on small models these are a tenth of a step.
    scales = [_unit_norm(p) for p in moved]
    norms = [_unit_norm(g) for g in gradients]
    torch._foreach_clamp_min_(scales, floor)
    torch._foreach_mul_(scales, ratio)
    torch._foreach_clamp_min_(norms, 1e-12)
    torch._foreach_div_(scales, norms)
    torch._foreach_clamp_max_(scales, 1.0)
    torch._foreach_mul_(gradients, scales)


def _unit_norm(x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm
    if x.dim() <= 1:
        return norm(x)
    return norm(x, dim=tuple(range(1, x.dim())), keepdim=True)
