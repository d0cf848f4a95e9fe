"""Adaptive gradient clipping (Brock et al. 2021, "High-Performance Large-Scale ...")."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

__all__ = ["clip_adaptively", "transposed_weights"]


def transposed_weights(module: nn.Module) -> frozenset[Tensor]:
    """Weights whose outputs are their second dimension: transposed convolutions, embeddings."""
    kinds = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d | nn.Embedding
    return frozenset(m.weight for m in module.modules() if isinstance(m, kinds))


@torch.no_grad()
def clip_adaptively(
    parameters: Iterable[nn.Parameter],
    *,
    transposed: Collection[Tensor] = frozenset(),
    ratio: float = 1.0,
    floor: float = 1e-3,
) -> None:
    """Scale gradients in place so that no unit's exceeds ``ratio`` times its weights' norm.

    A unit is an output row of a matrix or an output channel of a convolution, a column of an
    embedding over all of its tokens, the whole of a vector, and one position's part of weights that
    each position has of its own (codewords, and the maps from and to them). DAPS losses are sums
    over thousands of dimensions, so this acts on nearly every step.

    Args:
        parameters: those with a gradient are clipped.
        transposed: :func:`transposed_weights` of their module.
        ratio: largest allowed gradient norm relative to the weight norm.
        floor: least weight norm, so that zero-initialised weights can move.
    """
    moved = [p for p in parameters if p.grad is not None]
    if not moved:
        return
    gradients = [p.grad for p in moved if p.grad is not None]
    # Few calls for many small tensors: on small models these are a tenth of a step.
    outputs = [1 if p in transposed else 0 for p in moved]
    scales = [_unit_norm(p, dim) for p, dim in zip(moved, outputs, strict=True)]
    norms = [_unit_norm(g, dim) for g, dim in zip(gradients, outputs, strict=True)]
    torch._foreach_clamp_min_(scales, floor)
    torch._foreach_mul_(scales, ratio)
    torch._foreach_clamp_min_(norms, 1e-12)
    torch._foreach_div_(scales, norms)
    torch._foreach_clamp_max_(scales, 1.0)
    torch._foreach_mul_(gradients, scales)


def _unit_norm(x: Tensor, outputs: int) -> Tensor:
    norm = torch.linalg.vector_norm
    if x.dim() <= 1:
        return norm(x)
    return norm(x, dim=tuple(d for d in range(x.dim()) if d != outputs), keepdim=True)
