"""The network: p(code | codes before it, commands, labels), a causal transformer.

A window's N codes mean different things at different positions, so each position has a
vocabulary of its own: V vectors of low rank, that start as what the codes do to the
decoded motion and are used both to read a code and to score it. Between them stand the
causal blocks of the tokenizer's policy. Where codes mean another motion in every cell, as a
lopq tokenizer's do, they are read and scored as vectors in the window besides
(:mod:`motiontok.prior.local`). Action and style are their memory; a window's
commanded velocity and yaw rate are added to each of its tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.lopq import Lopq
from motiontok.models.layers import CausalBlock, KeyValueCache
from motiontok.prior.local import LocalCodes

__all__ = ["Conditions", "PriorConfig", "PriorModel"]

_COMMAND_SCALE = (1.0, 0.5, 1.0)
"""What forward and left velocity (m/s) and yaw rate (rad/s) are divided by."""


@dataclass(frozen=True)
class PriorConfig:
    """Sizes of a prior.

    Attributes:
        codes_per_window, vocab_size: of the tokenizer.
        actions, styles: labels it knows, the first ones ``""`` for unknown.
        context: windows it sees at once, the one it writes included.
        width, heads, layers: of the transformer.
        rank: numbers a code is described by.
        components: of a window in a lopq tokenizer; 0 for others.
    """

    codes_per_window: int
    vocab_size: int
    actions: tuple[str, ...] = ("",)
    styles: tuple[str, ...] = ("",)
    context: int = 3
    width: int = 192
    heads: int = 4
    layers: int = 3
    rank: int = 24
    components: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Conditions:
    """What sequences are to do.

    Attributes:
        commands: ``(batch, windows, 3)`` mean velocity forward and left in the body's
            heading (m/s) and yaw rate (rad/s); NaN where a window has none.
        action, style: ``(batch,)`` index of the label, 0 for none.
    """

    commands: Tensor
    action: Tensor
    style: Tensor

    @classmethod
    def none(cls, batch: int, windows: int, device: torch.device | str = "cpu") -> Conditions:
        """Nothing is asked for."""
        zeros = torch.zeros(batch, dtype=torch.long, device=device)
        return cls(torch.full((batch, windows, 3), torch.nan, device=device), zeros, zeros)

    def join(self, other: Conditions) -> Conditions:
        """Both, one after the other along the batch."""
        return Conditions(
            torch.cat([self.commands, other.commands]),
            torch.cat([self.action, other.action]),
            torch.cat([self.style, other.style]),
        )


class _Cache(KeyValueCache):
    """A cache that takes several tokens at once and can be copied for several samples."""

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        end = self.length + key.shape[2]
        self.keys[:, :, self.length : end] = key
        self.values[:, :, self.length : end] = value
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def repeated(self, samples: int) -> _Cache:
        out = _Cache(
            self.keys.repeat_interleave(samples, dim=0),
            self.values.repeat_interleave(samples, dim=0),
        )
        out.length = self.length
        return out


class PriorModel(nn.Module):
    """Autoregressive over the codes of up to ``context`` consecutive windows.

    Args:
        config: sizes.
    """

    scale: Tensor

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        codes, width, rank = config.codes_per_window, config.width, config.rank
        self.table = nn.Parameter(torch.randn(codes, config.vocab_size, rank))
        self.bias = nn.Parameter(torch.zeros(codes, config.vocab_size))
        self.read = nn.Parameter(torch.randn(codes, rank, width) * rank**-0.5)
        self.write = nn.Parameter(torch.randn(codes, width, rank) * 0.1 * width**-0.5)
        self.begin = nn.Parameter(torch.randn(width))
        self.positions = nn.Parameter(0.5 * torch.randn(codes, width))
        self.slots = nn.Parameter(0.5 * torch.randn(config.context, width))
        self.command = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width))
        self.action = nn.Embedding(len(config.actions), width)
        self.style = nn.Embedding(len(config.styles), width)
        self.blocks = nn.ModuleList(
            CausalBlock(width, config.heads, 4) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.register_buffer("scale", torch.tensor(_COMMAND_SCALE), persistent=False)
        self.local: LocalCodes | None = None
        if config.components:
            self.local_read = nn.Parameter(torch.randn(config.components, width))
            scale = 0.1 * width**-0.5
            self.local_write = nn.Parameter(scale * torch.randn(width, config.components))

    @torch.no_grad()
    def start_from(self, effects: Tensor, frequencies: Tensor) -> None:
        """Describe codes by what they do, and how often they occur.

        Args:
            effects: ``(codes, vocab, rank)``.
            frequencies: ``(codes, vocab)``, rows sum to 1, positive.
        """
        self.table.copy_(effects)
        self.bias.copy_(frequencies.log() - frequencies.log().mean(dim=1, keepdim=True))

    def read_codes_of(self, method: DiscreteAutoencoder) -> None:
        """Take from a tokenizer's method what its codes say, where a table cannot hold it."""
        if self.config.components and isinstance(method, Lopq):
            self.local = LocalCodes(method.quantizer).to(self.begin.device)

    def forward(self, codes: Tensor, conditions: Conditions) -> Tensor:
        """Log-probabilities of every code given those before it, by teacher forcing.

        Args:
            codes: ``(batch, windows, codes)``, at most ``context`` windows.
            conditions: of the same windows.

        Returns:
            ``(batch, windows, codes, vocab)``, normalised over the vocabulary.
        """
        batch, windows, _ = codes.shape
        h = self._embed(codes)
        h = torch.cat([self.begin.expand(batch, 1, -1), h[:, :-1]], dim=1)
        h = (h + self._places(conditions, 0, windows))[:, None]
        for block, memory in zip(self._layers, self._memory(conditions), strict=True):
            h = block(h, memory)
        hidden = self.norm(h[:, 0]).unflatten(1, (windows, -1))
        vectors = torch.einsum("bwnd,ndr->bwnr", hidden, self.write)
        logits = torch.einsum("bwnr,nvr->bwnv", vectors, self.table) + self.bias
        if self.local is not None:
            directions = (hidden @ self.local_write).flatten(0, 1)
            scores = self.local.scores(directions, codes[..., 0].flatten())
            logits = logits + scores.unflatten(0, (batch, windows))
        return torch.log_softmax(logits, dim=-1)

    @torch.no_grad()
    def begin_window(self, past: Tensor, conditions: Conditions, samples: int) -> WindowDecoder:
        """Start writing the window after ``past``.

        Args:
            past: ``(batch, windows, codes)``, fewer than ``context`` windows, maybe none.
            conditions: of those windows and the one to write.
            samples: windows to write for each past.
        """
        return WindowDecoder(self, past, conditions, samples)

    def _embed(self, codes: Tensor) -> Tensor:
        """Embeddings ``(batch, windows * codes, width)`` of whole windows."""
        position = torch.arange(self.config.codes_per_window, device=codes.device)
        vectors = self.table[position, codes]
        embedded = torch.einsum("bwnr,nrd->bwnd", vectors, self.read)
        if self.local is not None:
            said = self.local.vectors(codes.flatten(0, 1)) @ self.local_read
            embedded = embedded + said.unflatten(0, codes.shape[:2])
        return embedded.flatten(1, 2)

    def _places(self, conditions: Conditions, first: int, windows: int) -> Tensor:
        """What is added to tokens ``(batch, windows * codes, width)``: place and command."""
        commands = conditions.commands[:, first : first + windows]
        given = commands.isfinite().all(dim=-1, keepdim=True)
        values = torch.where(given, commands / self.scale, 0.0)
        asked = self.command(torch.cat([values, given.to(values)], dim=-1))
        window = asked + self.slots[first : first + windows]
        return (window[:, :, None] + self.positions).flatten(1, 2)

    def _memory(self, conditions: Conditions) -> list[tuple[Tensor, Tensor]]:
        labels = torch.stack([self.action(conditions.action), self.style(conditions.style)], 1)
        return [block.cross_attention.keys_values(labels) for block in self._layers]

    @property
    def _layers(self) -> list[CausalBlock]:
        return cast("list[CausalBlock]", list(self.blocks))


class WindowDecoder:
    """Writes one window code by code, with cached keys and values.

    Args:
        model, past, conditions, samples: as :meth:`PriorModel.begin_window` has them.
    """

    def __init__(
        self, model: PriorModel, past: Tensor, conditions: Conditions, samples: int
    ) -> None:
        self.model = model
        batch, windows, codes = past.shape
        rows = batch * samples
        memory = model._memory(conditions)
        last = model.begin.expand(batch, 1, -1)
        length = (windows + 1) * codes
        self._caches = []
        if windows:
            h = model._embed(past)
            h, last = torch.cat([last, h[:, :-1]], dim=1), h[:, -1:]
            h = (h + model._places(conditions, 0, windows))[:, None]
        for block, kv in zip(model._layers, memory, strict=True):
            empty = block.cache(batch, length, last)
            cache = _Cache(empty.keys, empty.values)
            if windows:
                y = block.norm_self(h).flatten(0, 1)
                cache.append(*block.self_attention.keys_values(y))
                h = block(h, kv)
            self._caches.append(cache.repeated(samples))
        self._memory = [
            (k.repeat_interleave(samples, 0), v.repeat_interleave(samples, 0)) for k, v in memory
        ]
        self._last = last.repeat_interleave(samples, 0)
        self._place = model._places(conditions, windows, 1).repeat_interleave(samples, 0)
        self._position = 0
        self._cells = torch.zeros(rows, dtype=torch.long, device=past.device)
        self.rows = rows

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Logits ``(batch * samples, vocab)`` of the next code."""
        model, n = self.model, self._position
        h = (self._last + self._place[:, n : n + 1])[:, None]
        for block, kv, cache in zip(model._layers, self._memory, self._caches, strict=True):
            h = block(h, kv, cache)
        hidden = model.norm(h[:, 0, 0])
        logits = (hidden @ model.write[n]) @ model.table[n].T + model.bias[n]
        if model.local is not None:
            logits = logits + model.local.score(n, hidden @ model.local_write, self._cells)
        return logits

    @torch.no_grad()
    def push(self, codes: Tensor) -> None:
        """Say which code each row ``(batch * samples,)`` has taken."""
        model, n = self.model, self._position
        if n == 0:
            self._cells = codes
        last = model.table[n, codes] @ model.read[n]
        if model.local is not None:
            last = last + model.local.vector(n, codes, self._cells) @ model.local_read
        self._last = last[:, None]
        self._position += 1
