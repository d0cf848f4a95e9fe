"""The network: p(code | codes before it, commands, labels), a causal transformer.

The meaning of a code depends on its position, so each position has a vocabulary of its own: V
vectors of low rank, which start as the codes' effects on decoded motion and serve both to read a
code and to score it. Between them are the causal blocks of the tokenizer's policy. In lopq and
temporal tokenizers a code's motion also depends on other codes. Their codes are in addition read
and scored as vectors in the window (:mod:`motiontok.prior.lopq_codes`,
:mod:`motiontok.prior.residual_codes`): the network predicts the difference from a linear prediction
by the window before. Action and style are the blocks' memory; a window's commanded velocity and yaw
rate are added to each of its tokens.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motiontok.errors import TokenizerError
from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.daps.daps_temporal import DapsTemporal
from motiontok.methods.linear.lopq import Lopq
from motiontok.methods.quantizers.temporal import Temporal
from motiontok.models.layers import CausalBlock
from motiontok.prior.lopq_codes import LopqCodes, command_map
from motiontok.prior.residual_codes import ResidualCodes, residual_command_map
from motiontok.tokenizer import MotionTokenizer

__all__ = ["COMMAND_SCALE", "MOST_PRECISE", "Conditions", "PriorConfig", "PriorModel", "State"]

COMMAND_SCALE = (1.0, 0.5, 1.0)
"""Divisors of forward and left velocity (m/s) and yaw rate (rad/s)."""
_UNSEEN = 0.3  # windows added to those in which a code was seen
_RARE = 0.1  # share of the mean count of windows; codes with less are not drawn
MOST_PRECISE = 6.0  # of the logarithm: a variance of 1/400 of a position's own


@dataclass(frozen=True)
class PriorConfig:
    """Sizes of a prior.

    Attributes:
        codes_per_window: codes that it models, the first ones of each window.
        vocab_size: of the tokenizer.
        actions, styles: labels it knows, the first ones ``""`` for unknown.
        context: windows it sees at once, including the one it writes.
        width, heads, layers: of the transformer.
        rank: numbers that describe a code.
        components: of a window, if codes are read as vectors; else 0.
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
    """Commands and labels of sequences.

    Attributes:
        commands: ``(batch, windows, 3)`` mean velocity forward and left in the body's
            heading (m/s) and yaw rate (rad/s); NaN for a window without one.
        action, style: ``(batch,)`` index of the label, 0 for none.
    """

    commands: Tensor
    action: Tensor
    style: Tensor

    @classmethod
    def none(cls, batch: int, windows: int, device: torch.device | str = "cpu") -> Conditions:
        """Conditions without any command or label."""
        zeros = torch.zeros(batch, dtype=torch.long, device=device)
        return cls(torch.full((batch, windows, 3), torch.nan, device=device), zeros, zeros)

    def join(self, other: Conditions) -> Conditions:
        """Both, one after the other along the batch."""
        return Conditions(
            torch.cat([self.commands, other.commands]),
            torch.cat([self.action, other.action]),
            torch.cat([self.style, other.style]),
        )


class State(NamedTuple):
    """Information from earlier windows, for codes that are read as vectors.

    Attributes:
        past: ``(batch, windows, width)``, embedding of the window before.
        expected: ``(batch, windows, components)``, linear prediction from the window before.
        follows: ``(batch, windows)``, whether there is one before.
    """

    past: Tensor
    expected: Tensor
    follows: Tensor


class PriorModel(nn.Module):
    """Autoregressive over the codes of up to ``context`` consecutive windows.

    Args:
        config: sizes.

    Attributes:
        known: ``(codes, vocab)``, codes that occur in training windows; only these are drawn.
        says: ``(components + 1, 3)``, linear map from a window's components, and a last one that is
            always 1, to its mean velocity (m/s) and yaw rate (rad/s).
        says_later: ``(codes, 3)``, root mean square of the contribution of the codes after each
            one.
    """

    scale: Tensor
    known: Tensor
    says: Tensor
    says_later: Tensor

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
        self.register_buffer("known", torch.ones(codes, config.vocab_size, dtype=torch.bool))
        self.register_buffer("scale", torch.tensor(COMMAND_SCALE), persistent=False)
        self.local: LopqCodes | ResidualCodes | None = None
        # In a tuple, so that it is no submodule of this one.
        self._finishing: tuple[DapsTemporal] | None = None
        self._method: tuple[DiscreteAutoencoder, ...] = ()
        if config.components:
            kept, scale = config.components, width**-0.5
            self.local_read = nn.Parameter(torch.randn(kept, width))
            self.local_past = nn.Parameter(kept**-0.5 * torch.randn(kept, width))
            self.local_surprise = nn.Parameter(kept**-0.5 * torch.randn(kept, width))
            self.local_expect = nn.Parameter(torch.zeros(kept, kept))
            self.local_write = nn.Parameter(0.1 * scale * torch.randn(width, kept))
            self.local_sure = nn.Parameter(0.1 * scale * torch.randn(codes, width))
            # Logarithms of precisions: of windows without a past, and with one.
            self.local_precision = nn.Parameter(torch.full((2, codes), math.log(0.01)))
            # Of motiontok.prior.command_steering.
            self.register_buffer("says", torch.zeros(kept + 1, 3), persistent=False)
            self.register_buffer("says_later", torch.zeros(codes, 3))

    @property
    def method(self) -> DiscreteAutoencoder | None:
        """The tokenizer's method, if codes are read as vectors."""
        return self._method[0] if self._method else None

    @property
    def codes_per_window(self) -> int:
        """Codes of a window, including those that the tokenizer adds."""
        if self._finishing is None:
            return self.config.codes_per_window
        return self._finishing[0].config.model.codes_per_window

    @torch.no_grad()
    def start_from(self, effects: Tensor, counts: Tensor) -> None:
        """Start from the effects and frequencies of codes.

        Args:
            effects: ``(codes, vocab, rank)``.
            counts: ``(codes, vocab)``, of training windows that have a code.
        """
        self.table.copy_(effects)
        frequencies = (counts + _UNSEEN).log()
        self.bias.copy_(frequencies - frequencies.mean(dim=1, keepdim=True))
        self._know(counts)

    @torch.no_grad()
    def go_on_from(self, trained: PriorModel, counts: Tensor) -> None:
        """Take what another network of these sizes has learnt; of labels, by their names.

        Labels that are new to it start as none.

        Args:
            trained: the other one.
            counts: as in :meth:`start_from`: which codes are known, training windows alone say.
        """
        state = trained.state_dict()
        for name in ("action", "style"):
            labels: tuple[str, ...] = getattr(trained.config, f"{name}s")
            mine: tuple[str, ...] = getattr(self.config, f"{name}s")
            rows = [labels.index(label) if label in labels else 0 for label in mine]
            state[f"{name}.weight"] = state[f"{name}.weight"][rows]
        self.load_state_dict(state)
        self._know(counts)

    def _know(self, counts: Tensor) -> None:
        # Few windows cannot tell which codes are rare.
        self.known.copy_(counts >= int(_RARE * counts.mean()))

    @staticmethod
    def components_of(method: DiscreteAutoencoder) -> int:
        """Components of a window, for a tokenizer whose codes are read as vectors; else 0."""
        if isinstance(method, Lopq):
            return len(method.quantizer.basis)
        return len(method.quantizer.deviation) if isinstance(method, Temporal) else 0

    def read_codes_of(self, tokenizer: MotionTokenizer) -> None:
        """Take the vectors of a tokenizer's codes, if a table cannot express them.

        Raises:
            TokenizerError: a window has more codes than this prior draws, and the tokenizer cannot
                add the others.
        """
        method, device = tokenizer.method, self.begin.device
        if tokenizer.codes_per_window > self.config.codes_per_window:
            if not isinstance(method, DapsTemporal):
                raise TokenizerError(
                    f"a prior of the first {self.config.codes_per_window} codes of each window "
                    "needs a tokenizer that draws the others: one of method daps-temporal, not "
                    f"{tokenizer.config.method.name}"
                )
            self._finishing = (method,)
        if not self.config.components:
            return
        self._method = (method,)
        if isinstance(method, Lopq):
            self.local = LopqCodes(method.quantizer).to(device)
            self.says = command_map(method.quantizer, tokenizer.statistics).to(device)
        elif isinstance(method, Temporal):
            self.local = ResidualCodes(method.quantizer, self.config.codes_per_window).to(device)
            self.says = residual_command_map(method).to(device)

    def commands_said(self, codes: Tensor) -> Tensor | None:
        """Mean velocity and yaw rate ``(3,)`` of a window's codes ``(N,)``; None if unknown."""
        if self.local is None:
            return None
        drawn = codes[None, : self.config.codes_per_window]
        return (self.local.windows(drawn) @ self.says[:-1] + self.says[-1])[0]

    def whole(self, codes: Tensor, before: Tensor | None) -> Tensor:
        """All codes ``(rows, N)`` of windows with drawn codes ``(rows, codes)``.

        Args:
            codes: the drawn ones.
            before: ``(rows, N)``, the windows before them, if there are any.
        """
        if self._finishing is None:
            return codes
        method, place = self._finishing[0], self._finishing[0].device
        after = None if before is None else before.to(place)
        return method.finish(codes.to(place), after).to(codes.device)

    def with_rest(self, logp: Tensor, codes: Tensor) -> Tensor:
        """Log-probabilities ``(windows, N)`` of all codes of consecutive windows.

        Args:
            logp: ``(windows, codes)``, of the codes that this model draws.
            codes: ``(windows, N)``, those of whole windows.
        """
        if self._finishing is None:
            return logp
        method = self._finishing[0]
        rest = -method.nats(codes[None].to(method.device))[0, :, logp.shape[1] :]
        return torch.cat([logp, rest.to(logp)], dim=1)

    def forward(self, codes: Tensor, conditions: Conditions) -> Tensor:
        """Log-probabilities of every code given those before it, by teacher forcing.

        Args:
            codes: ``(batch, windows, codes)``, at most ``context`` windows.
            conditions: of the same windows.

        Returns:
            ``(batch, windows, codes, vocab)``, normalised over the vocabulary.
        """
        batch, windows, _ = codes.shape
        h, state = self.embed(codes)
        h = torch.cat([self.begin.expand(batch, 1, -1), h[:, :-1]], dim=1)
        h = (h + self.places(conditions, 0, windows, state))[:, None]
        for block, memory in zip(self.layers, self.memory(conditions), strict=True):
            h = block(h, memory)
        hidden = self.norm(h[:, 0]).unflatten(1, (windows, -1))
        vectors = torch.einsum("bwnd,ndr->bwnr", hidden, self.write)
        logits = torch.einsum("bwnr,nvr->bwnv", vectors, self.table) + self.bias
        if self.local is not None and state is not None:
            usual = self.local_precision[state.follows.long()]
            sure = usual + (hidden * self.local_sure).sum(dim=-1)
            scores = self.local.scores(
                state.expected.flatten(0, 1),
                (hidden @ self.local_write).flatten(0, 1),
                sure.clamp_max(MOST_PRECISE).exp().flatten(0, 1),
                codes[..., : self.local.head].flatten(0, 1),
            )
            logits = logits + scores.unflatten(0, (batch, windows))
        return torch.log_softmax(logits, dim=-1)

    def embed(self, codes: Tensor) -> tuple[Tensor, State | None]:
        """Embeddings ``(batch, windows * codes, width)`` of whole windows, and their state."""
        position = torch.arange(self.config.codes_per_window, device=codes.device)
        vectors = self.table[position, codes]
        embedded = torch.einsum("bwnr,nrd->bwnd", vectors, self.read)
        if self.local is None:
            return embedded.flatten(1, 2), None
        added = self.local.vectors(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
        sums = added.cumsum(dim=2)
        state = self.state_after(F.pad(sums[:, :-1, -1], (0, 0, 1, 0)))
        return (embedded + self.said(added, sums, state.expected[:, :, None])).flatten(1, 2), state

    def said(
        self, added: Tensor, sums: Tensor, expected: Tensor, n: int | Tensor | None = None
    ) -> Tensor:
        """Embedding of codes ``(..., [codes,] components)`` and of the deviation so far."""
        assert self.local is not None
        scale = self.local.scale[:, None] if n is None else self.local.scale[n]
        surprise = (sums - expected) * self.local.whitening
        return (added / scale) @ self.local_read + surprise @ self.local_surprise

    def state_after(self, before: Tensor) -> State:
        """State of windows ``(batch, windows, components)`` from those before them."""
        assert self.local is not None
        past = (before * self.local.whitening) @ self.local_past
        return State(past, before @ self.local_expect, before.any(dim=-1))

    def places(
        self, conditions: Conditions, first: int, windows: int, state: State | None
    ) -> Tensor:
        """Additions to tokens ``(batch, windows * codes, width)``: position, command, past."""
        commands = conditions.commands[:, first : first + windows]
        given = commands.isfinite().all(dim=-1, keepdim=True)
        values = torch.where(given, commands / self.scale, 0.0)
        asked = self.command(torch.cat([values, given.to(values)], dim=-1))
        window = asked + self.slots[first : first + windows]
        if state is not None:
            window = window + state.past
        return (window[:, :, None] + self.positions).flatten(1, 2)

    def memory(self, conditions: Conditions) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the labels, for each layer."""
        labels = torch.stack([self.action(conditions.action), self.style(conditions.style)], 1)
        return [block.cross_attention.keys_values(labels) for block in self.layers]

    @property
    def layers(self) -> list[CausalBlock]:
        """The causal blocks."""
        return cast("list[CausalBlock]", list(self.blocks))
