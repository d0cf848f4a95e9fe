"""Cost of each token in nats, given the tokens before it and the window before.

This is the learned prior in the loop: a small autoregressive network that training, search and
policy share. It identifies tokens by their codewords, not by their numbers, so codewords may move.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motiontok.models.initialization import zeroed
from motiontok.models.residual_quantizer import ResidualQuantizer

__all__ = ["TokenRates"]

# Of the largest deviation: less is no unit. Of many windows the least is six times that.
_FLAT = 1e-3


class TokenRates(nn.Module):
    """Log-probabilities of tokens of a :class:`ResidualQuantizer`.

    A token's logits are linear in its codewords and their squares, in deviations, as those of
    normal densities are, plus one number a codeword. The coefficients come from a perceptron that
    sees the decoded tokens so far, the size, and the decoded window before.

    Args:
        quantizer: the quantiser of the tokens; it is not part of this module.
        width: of the perceptron.
    """

    usual: Tensor
    spread: Tensor

    def __init__(self, quantizer: ResidualQuantizer, *, width: int) -> None:
        super().__init__()
        tokens, vocab_size, subspace = quantizer.words.shape
        kept = len(quantizer.deviation)
        self._quantizer = [quantizer]
        self.said = nn.Linear(kept, width, bias=False)
        self.before = nn.Linear(kept + 3, width)
        self.token = nn.Embedding(tokens, width)
        self.layers = nn.Sequential(
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            zeroed(nn.Linear(width, 2 * subspace)),
        )
        self.bias = nn.Embedding.from_pretrained(torch.zeros(tokens, vocab_size), freeze=False)
        self.size = nn.Sequential(
            nn.Linear(kept + 2, width), nn.GELU(), zeroed(nn.Linear(width, 3))
        )
        self.size_bias = nn.Parameter(torch.zeros(vocab_size))
        self.register_buffer("usual", torch.ones(kept))
        self.register_buffer("spread", torch.ones(tokens, subspace))

    @property
    def quantizer(self) -> ResidualQuantizer:
        """The quantiser of the tokens."""
        return self._quantizer[0]

    @torch.no_grad()
    def start(self) -> None:
        """Take units and frequencies from the fitted quantiser."""
        quantizer = self.quantizer
        self.spread.copy_(_units(quantizer.word_squares()))
        usual = quantizer.shape_squares().clamp_min(1e-12).sqrt()
        coded = quantizer.components.unique()
        usual[coded] = _units(usual[coded].square())
        self.usual.copy_(usual)
        share = quantizer.share / quantizer.share.sum(dim=1, keepdim=True).clamp_min(1e-12)
        self.bias.weight.copy_(share.clamp_min(1e-6).log())

    def begin(self, level: Tensor, past: Tensor, past_level: Tensor) -> Tensor:
        """State ``(batch, width)`` of windows after the token of the size.

        Args:
            level: ``(batch,)``, first token.
            past: ``(batch, kept)``, shape of the window before, or zeros.
            past_level: ``(batch,)``, its first token, or -1.
        """
        logs, old, there = self._sizes_before(past_level)
        more = torch.stack([logs[level], old, there], dim=1)
        return self.before(torch.cat([past / self.usual, more], dim=1))

    def advance(self, state: Tensor, token: int, codes: Tensor) -> Tensor:
        """State after ``token`` (from 1) with ``codes (...)``."""
        return state + self.quantizer.words[token - 1, codes] @ self._weights(token - 1)

    def log_probabilities(self, state: Tensor, token: int) -> Tensor:
        """``(..., vocab)`` of ``token`` (from 1) by the state ``(..., width)`` before it."""
        found = self.layers(state + self.token.weight[token - 1])
        words = self._features(token - 1)
        return F.log_softmax(found @ words.T + self.bias.weight[token - 1], dim=-1)

    def along(self, codes: Tensor, past: Tensor, past_level: Tensor) -> Tensor:
        """Log-probabilities ``(batch, codes - 1, vocab)`` of every value of the later tokens.

        Each is given those of ``codes (batch, codes)`` before it; the first token is left out.
        """
        return F.log_softmax(self._logits(codes, past, past_level), dim=-1).transpose(0, 1)

    def of_sequences(self, codes: Tensor, past: Tensor, past_level: Tensor) -> Tensor:
        """Log-probability ``(batch, codes)`` of each of ``codes (batch, codes)``."""
        logits, taken = self._logits(codes, past, past_level), codes[:, 1:].T
        # In one function, whose gradient needs half the memory of a softmax's and a gather's.
        nats = F.cross_entropy(logits.flatten(0, 1), taken.flatten(), reduction="none")
        size = self.sizes(past, past_level).gather(-1, codes[:, :1])
        return torch.cat([size, -nats.view(taken.shape).T], dim=1)

    @torch.no_grad()
    def likeliest(self, codes: Tensor, past: Tensor, past_level: Tensor) -> Tensor:
        """Whole windows ``(batch, tokens)`` that begin with ``codes (batch, n)``.

        Each later token is the likeliest, given those before it.
        """
        state = self.begin(codes[:, 0], past, past_level)
        out = list(codes.unbind(dim=1))
        for token in range(1, len(self.token.weight) + 1):
            if token == len(out):
                out.append(self.log_probabilities(state, token).argmax(dim=-1))
            state = self.advance(state, token, out[token])
        return torch.stack(out, dim=1)

    def sizes(self, past: Tensor, past_level: Tensor) -> Tensor:
        """Log-probabilities ``(batch, vocab)`` of the first token."""
        logs, old, there = self._sizes_before(past_level)
        found = self.size(torch.cat([past / self.usual, torch.stack([old, there], 1)], dim=1))
        off = logs - old[:, None]
        logits = found[:, :1] * off - found[:, 1:2].exp() * off.square()
        return F.log_softmax(logits * found[:, 2:].exp() + self.size_bias, dim=-1)

    def _logits(self, codes: Tensor, past: Tensor, past_level: Tensor) -> Tensor:
        """Of every value of the tokens after the first, ``(codes - 1, batch, vocab)``."""
        tokens = codes.shape[1] - 1
        words = self.quantizer.codewords(codes)
        steps = torch.einsum("bts,tsw->btw", words, self._weights(slice(tokens)))
        first = self.begin(codes[:, 0], past, past_level)
        states = first[:, None] + steps.cumsum(dim=1) - steps
        found = self.layers(states + self.token.weight[:tokens]).transpose(0, 1)
        features = self._features(slice(tokens)).transpose(1, 2)
        return torch.baddbmm(self.bias.weight[:tokens, None], found, features)

    def _sizes_before(self, past_level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logarithms of all sizes, that of the window before, and whether there is one."""
        logs = self.quantizer.levels.log()
        there = (past_level >= 0).to(logs)
        return logs, logs[past_level.clamp_min(0)] * there, there

    def _weights(self, tokens: int | slice) -> Tensor:
        """``(..., subspace, width)``: from codewords to their addition to the state."""
        weights = self.said.weight.T / self.usual[:, None]
        return weights[self.quantizer.components[tokens]]

    def _features(self, tokens: int | slice) -> Tensor:
        """``(..., vocab, 2 subspace)`` of the present codewords."""
        unit = self.quantizer.words[tokens] / self.spread[tokens, None]
        return torch.cat([unit, -0.5 * unit.square()], dim=-1)


def _units(squares: Tensor) -> Tensor:
    """Roots of mean squares to divide by; of what hardly varies that of what varies most.

    A few windows leave nothing to later tokens. Once training moves those, they vary as others do.
    """
    roots = squares.clamp_min(1e-12).sqrt()
    return torch.where(roots < _FLAT * roots.max(), roots.max(), roots)
