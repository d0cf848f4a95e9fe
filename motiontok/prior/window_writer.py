"""Writing one window code by code, with cached keys and values."""

from __future__ import annotations

import torch
from torch import Tensor

from motiontok.models.kv_cache import KeyValueCache
from motiontok.prior.model import MOST_PRECISE, Conditions, PriorModel

__all__ = ["WindowWriter"]


class _Cache(KeyValueCache):
    """A cache that takes several tokens at once and can be copied for several samples."""

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        end = self.length + key.shape[2]
        self.keys[:, :, self.length : end] = key
        self.values[:, :, self.length : end] = value
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def take(self, rows: Tensor) -> _Cache:
        out = _Cache(self.keys[rows], self.values[rows])
        out.length = self.length
        return out


class WindowWriter:
    """Writes the window after a past, for each row of a batch.

    Args:
        model: the prior's network.
        past: ``(batch, windows, codes)``, fewer than ``context`` windows, maybe none.
        conditions: of those windows and the one to write.

    Attributes:
        position: of the next code.
    """

    @torch.no_grad()
    def __init__(self, model: PriorModel, past: Tensor, conditions: Conditions) -> None:
        self.model = model
        batch, windows, codes = past.shape
        self._memory = model.memory(conditions)
        last = model.begin.expand(batch, 1, -1)
        self._caches = []
        state, now = None, None
        if model.local is not None:
            before = last.new_zeros(batch, 1, model.config.components)
            if windows:
                before = model.local.windows(past[:, -1])[:, None]
            now = model.state_after(before)
        if windows:
            h, state = model.embed(past)
            h, last = torch.cat([last, h[:, :-1]], dim=1), h[:, -1:]
            h = (h + model.places(conditions, 0, windows, state))[:, None]
        for block, kv in zip(model.layers, self._memory, strict=True):
            empty = block.cache(batch, (windows + 1) * codes, last)
            cache = _Cache(empty.keys, empty.values)
            if windows:
                y = block.norm_self(h).flatten(0, 1)
                cache.append(*block.self_attention.keys_values(y))
                h = block(h, kv)
            self._caches.append(cache)
        self._last = last
        self._place = model.places(conditions, windows, 1, now)
        self._head = past.new_empty(batch, 0)
        if now is not None:
            self._expected = now.expected[:, 0]
            self._usual = model.local_precision[now.follows[:, 0].long()]
            self._sum = torch.zeros_like(self._expected)
        self.position = 0

    def take(self, rows: Tensor) -> None:
        """Continue with these rows, ``(kept,)``; a row may occur several times."""
        self._caches = [cache.take(rows) for cache in self._caches]
        self._memory = [(keys[rows], values[rows]) for keys, values in self._memory]
        self._last, self._place = self._last[rows], self._place[rows]
        self._head = self._head[rows]
        if self.model.local is not None:
            self._expected, self._usual = self._expected[rows], self._usual[rows]
            self._sum = self._sum[rows]

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Logits ``(rows, vocab)`` of the next code."""
        model, n = self.model, self.position
        h = (self._last + self._place[:, n : n + 1])[:, None]
        for block, kv, cache in zip(model.layers, self._memory, self._caches, strict=True):
            h = block(h, kv, cache)
        hidden = model.norm(h[:, 0, 0])
        logits = (hidden @ model.write[n]) @ model.table[n].T + model.bias[n]
        if model.local is not None:
            sure = self._usual[:, n] + hidden @ model.local_sure[n]
            logits = logits + model.local.score(
                n,
                self._expected,
                hidden @ model.local_write,
                sure.clamp_max(MOST_PRECISE).exp(),
                self._head,
            )
        return logits

    @torch.no_grad()
    def push(self, codes: Tensor) -> None:
        """Record the code of each row ``(rows,)``."""
        model, n = self.model, self.position
        last = model.table[n, codes] @ model.read[n]
        if model.local is not None:
            added = model.local.vector(n, codes, self._head)
            if n < model.local.head:
                self._head = torch.cat([self._head, codes[:, None]], dim=1)
            self._sum = self._sum + added
            last = last + model.said(added, self._sum, self._expected, n)
        self._last = last[:, None]
        self.position += 1
