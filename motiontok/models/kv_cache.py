"""Keys and values of the tokens so far, so that a sequence grows token by token at equal cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from motiontok.models.activation_cache import ActivationCache

if TYPE_CHECKING:
    from motiontok.models.layers import CausalBlock

__all__ = ["CachedCausalBlock", "DifferentiableCache", "KeyValueCache"]

# From so many tokens on, plain products are faster for one query on a CPU than the fused kernel,
# which is made for many (a fifth to a third at 64 tokens).
_FEW = 16


class KeyValueCache:
    """Keys and values of the tokens sampled so far, in buffers of full length.

    Args:
        keys, values: ``(batch * samples, heads, tokens, width / heads)`` buffers.

    Attributes:
        mask: ``(1, tokens)``, which of the tokens that :meth:`append` returns exist; all if None.
    """

    mask: Tensor | None = None

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys
        self.values = values
        self.length = 0

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add one token's key and value; return all so far."""
        self.keys[:, :, self.length : self.length + 1] = key
        self.values[:, :, self.length : self.length + 1] = value
        self.length += 1
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]


class DifferentiableCache(KeyValueCache):
    """A cache that gradients can pass through: grown by copies, never written in place."""

    @override
    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self.keys = torch.cat([self.keys[:, :, : self.length], key], dim=2)
        self.values = torch.cat([self.values[:, :, : self.length], value], dim=2)
        self.length += 1
        return self.keys, self.values


def _attend_one(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of one query ``(..., heads, 1, size)`` to ``(..., heads, tokens, size)``."""
    if query.is_cuda or keys.shape[-2] < _FEW:
        return F.scaled_dot_product_attention(query, keys, values)
    scores = (query * query.shape[-1] ** -0.5) @ keys.mT
    return torch.softmax(scores, dim=-1) @ values


class CachedCausalBlock:
    """A block on sequences that grow token by token, without gradients.

    Values that do not change from token to token are computed once; queries, keys and values of a
    token are one product. Shapes depend on the arguments alone, and there are no transfers and no
    random numbers, so a loop over it can be captured in a CUDA graph.

    Args:
        block: the block with the layers.
        memory: as :meth:`CausalBlock.forward` takes it.
        samples: sequences for each observation.
        length: tokens of a sequence.
        recall: keeps the outputs of products.
    """

    def __init__(
        self,
        block: CausalBlock,
        memory: tuple[Tensor, Tensor],
        samples: int,
        length: int,
        recall: ActivationCache | None = None,
    ) -> None:
        own, (keys, _) = block.self_attention, memory
        self.block, self.memory, self.samples, self.recall = block, memory, samples, recall
        # In the type of the memory: autocast does not keep what it makes of this product.
        parts = (own.query.weight, own.key.weight, own.value.weight)
        self.weight = torch.cat(parts).to(keys.dtype)
        batch, heads, _, size = keys.shape
        self.past = keys.new_empty(2, batch * samples, heads, length, size)

    def __call__(self, x: Tensor, place: int) -> Tensor:
        """Token ``place`` ``(batch * samples, width)`` of all sequences through the block."""
        block, (memory_keys, memory_values) = self.block, self.memory
        _, rows, heads, _, size = self.past.shape
        own, cross = block.self_attention, block.cross_attention
        y = F.linear(block.norm_self(x), self.weight)
        y = self._kept(y, place, own.query, own.key, own.value).view(rows, 3, heads, 1, size)
        self.past[:, :, :, place : place + 1] = y[:, 1:].transpose(0, 1)
        keys, values = self.past[:, :, :, : place + 1].unbind()
        y = own.out(_attend_one(y[:, 0], keys, values).flatten(1))
        x = x + self._kept(y, place, own.out)
        y = self._kept(cross.query(block.norm_cross(x)), place, cross.query)
        y = y.view(-1, self.samples, heads, size).transpose(1, 2)
        y = F.scaled_dot_product_attention(y, memory_keys, memory_values)
        y = cross.out(y.transpose(1, 2).reshape(rows, -1))
        x = x + self._kept(y, place, cross.out)
        widen, narrow = block.mlp_layers
        y = self._kept(widen(block.norm_mlp(x)), place, widen)
        return x + self._kept(narrow(torch.relu(y)), place, narrow)

    def _kept(self, y: Tensor, place: int, *layers: nn.Linear) -> Tensor:
        if self.recall is not None:
            self.recall.keep(y, place, *layers)
        return y
