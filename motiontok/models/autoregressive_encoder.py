"""The encoder as a policy: q(z | x), autoregressive over the codes of a window.

:class:`AutoregressivePolicy` is a causal transformer over tokens with
cross-attention to the observation. A head gives its outputs their meaning: :class:`VocabularyHead`
is the paper's, one learned row a token; :class:`~motiontok.models.product_quantizer.CodebookHead`
works in the space of a fitted quantiser's codewords.

There is a dedicated begin-of-sequence embedding, and no token id doubles as
padding: log q under teacher forcing equals the sampler's for every sequence.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from typing_extensions import override

from motiontok.models.activation_cache import ActivationCache, LinearFn, choose, compute
from motiontok.models.kv_cache import CachedCausalBlock
from motiontok.models.layers import CausalBlock, Encoder, sinusoids
from motiontok.models.sampling import draw_tokens, log_softmax

__all__ = ["AutoregressivePolicy", "Draw", "Policy", "TokenHead", "VocabularyHead"]

Draw = Callable[[Tensor], Tensor]
"""Log-probabilities ``(..., vocab)`` to one-hot samples of them, relaxed in the gradient."""


@runtime_checkable
class Policy(Protocol):
    """Interface of a stochastic encoder q(z | x), a network or in closed form."""

    def log_probabilities(self, x: Tensor, codes: Tensor) -> Tensor:
        """log q(. | z_<n, x) ``(batch, samples, codes, vocab)`` at ``(batch, samples, codes)``."""
        ...

    def sample(
        self,
        x: Tensor,
        samples: int,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Codes ``(batch, samples, codes)`` and their log q ``(batch, samples)``."""
        ...


class TokenHead(nn.Module):
    """Turns tokens into embeddings and hidden states into logits."""

    @abstractmethod
    def embed(self, codes: Tensor, first: int) -> Tensor:
        """Embeddings ``(..., tokens, width)`` of codes ``(..., tokens)`` at ``first`` onwards."""

    @abstractmethod
    def context(self, x: Tensor) -> Any:
        """Values of the observation that ``logits`` needs, computed once for all samples."""

    @abstractmethod
    def logits(self, hidden: Tensor, context: Any, first: int) -> Tensor:
        """Logits ``(batch, samples, tokens, vocab)`` of hidden states ``(..., tokens, width)``."""


class VocabularyHead(TokenHead):
    """The paper's head: an embedding table, N(0, 1), and a linear map to the vocabulary."""

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, width)
        self.out = nn.Linear(width, vocab_size)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @override
    def embed(self, codes: Tensor, first: int) -> Tensor:
        return self.table(codes)

    def embed_weights(self, weights: Tensor) -> Tensor:
        """Embeddings ``(..., width)`` of (relaxed) one-hot tokens ``(..., vocab)``."""
        return weights @ self.table.weight

    @override
    def context(self, x: Tensor) -> None:
        return None

    @override
    def logits(self, hidden: Tensor, context: None, first: int) -> Tensor:
        return self.out(hidden)


class AutoregressivePolicy(nn.Module):
    """q(z | x) = prod_n q(z_n | z_<n, x) for observations ``x (batch, ...)``.

    Args:
        head: meaning of tokens.
        read: from ``x`` to the memory's inputs ``(batch, codes, width)``.
        codes: tokens an observation.
        width, heads, layers, mlp_ratio: size of both transformer stacks.
    """

    positions: Tensor

    def __init__(
        self,
        head: TokenHead,
        read: nn.Module,
        *,
        codes: int,
        width: int,
        heads: int,
        layers: int,
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        self.codes = codes
        self.head = head
        self.read = read
        self.encoder = Encoder(codes, width, heads, layers, mlp_ratio)
        self.begin = nn.Parameter(torch.randn(width))
        self.register_buffer("positions", sinusoids(codes, width), persistent=False)
        self.blocks = nn.ModuleList(CausalBlock(width, heads, mlp_ratio) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def _observe(self, x: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Any]:
        memory = self.encoder(self.read(x))
        return [b.cross_attention.keys_values(memory) for b in self._layers], self.head.context(x)

    @property
    def _layers(self) -> list[CausalBlock]:
        return cast("list[CausalBlock]", list(self.blocks))

    def log_probabilities(self, x: Tensor, codes: Tensor) -> Tensor:
        """log q(. | z_<n, x) by teacher forcing.

        Args:
            x: ``(batch, ...)``.
            codes: ``(batch, samples, codes)``.

        Returns:
            ``(batch, samples, codes, vocab)``, normalised over the vocabulary.
        """
        hidden, context = self._read_back(x, codes)
        return log_softmax(self.head.logits(hidden, context, 0))

    def log_q(self, x: Tensor, codes: Tensor, product: LinearFn) -> tuple[Tensor, Tensor]:
        """log q of sequences just drawn, from activations kept in drawing them.

        Args:
            x: ``(batch, ...)``.
            codes: ``(batch, samples, codes)``.
            product: of the :class:`~motiontok.models.activation_cache.ActivationCache` that
                :meth:`sample` filled.

        Returns:
            log q ``(batch, samples)``, and the result of :meth:`log_probabilities` without
            gradients.
        """
        hidden, context = self._read_back(x, codes, product)
        if isinstance(self.head, VocabularyHead):
            # Kept as log-probabilities: for a softmax these are the same logits.
            logits = product(self.head.out, hidden)
            logp = logits.detach()
        else:
            logits = self.head.logits(hidden, context, 0)
            logp = log_softmax(logits.detach())
        return choose(logits, logp, codes).sum(dim=-1), logp

    def _read_back(
        self, x: Tensor, codes: Tensor, product: LinearFn = compute
    ) -> tuple[Tensor, Any]:
        """Hidden states ``(batch, samples, codes, width)`` before each code, and the context."""
        batch, samples, _ = codes.shape
        memory, context = self._observe(x)
        begin = self.begin.expand(batch, samples, 1, -1)
        h = torch.cat([begin, self.head.embed(codes[..., :-1], 0)], dim=2) + self.positions
        for block, kv in zip(self._layers, memory, strict=True):
            h = block(h, kv, product=product)
        return self.norm(h), context

    @torch.no_grad()
    def sample(
        self,
        x: Tensor,
        samples: int,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
        recall: ActivationCache | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw sequences token by token with cached keys and values.

        Args:
            x: ``(batch, ...)``.
            samples: sequences for each observation.
            temperature: divides the logits; 0 takes the most likely token (greedy).
            generator: source of randomness, on the device of ``x``.
            noise: numbers of [0, 1) ``(batch, samples, codes)`` to draw with instead, so that the
                draws are a function of the arguments.
            recall: keeps activations for :meth:`log_q`.

        Returns:
            Codes ``(batch, samples, codes)`` and their log q ``(batch, samples)`` (at
            temperature 1).
        """
        batch = x.shape[0]
        memory, context = self._observe(x)
        codes = torch.empty(batch, samples, self.codes, dtype=torch.long, device=x.device)
        total = x.new_zeros(batch, samples)
        blocks = [
            CachedCausalBlock(block, kv, samples, self.codes, recall)
            for block, kv in zip(self._layers, memory, strict=True)
        ]
        token = self.begin.expand(batch * samples, -1)
        for n in range(self.codes):
            h = token + self.positions[n]
            for block in blocks:
                h = block(h, n)
            hidden = self.norm(h).view(batch, samples, 1, -1)
            logq = log_softmax(self.head.logits(hidden, context, n)[:, :, 0])
            if recall is not None and isinstance(self.head, VocabularyHead):
                recall.keep(logq.flatten(0, 1), n, self.head.out)
            choice = draw_tokens(
                logq,
                temperature=temperature,
                generator=generator,
                noise=None if noise is None else noise[..., n],
            )
            codes[..., n] = choice
            total += logq.gather(-1, choice[..., None])[..., 0]
            token = self.head.embed(choice[..., None], n).flatten(0, 2)
        return codes, total

    def unroll(self, x: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Draw one sequence an observation, each token from those before it, with gradients.

        The next step reads the one-hot that ``draw`` returns, so that gradients flow through the
        whole scan. Needs a :class:`VocabularyHead`.

        Args:
            x: ``(batch, ...)``.
            draw: sampler of one position.

        Returns:
            One-hots and log-probabilities, each ``(batch, codes, vocab)``.
        """
        head = cast(VocabularyHead, self.head)
        memory, context = self._observe(x)
        token = self.begin.expand(len(x), 1, 1, -1)
        caches = [b.cache(len(x), self.codes, token, differentiable=True) for b in self._layers]
        drawn, logs = [], []
        for n in range(self.codes):
            h = token + self.positions[n]
            for block, kv, cache in zip(self._layers, memory, caches, strict=True):
                h = block(h, kv, cache)
            logs.append(log_softmax(head.logits(self.norm(h), context, n)[:, 0, 0]))
            drawn.append(draw(logs[-1]))
            token = head.embed_weights(drawn[-1])[:, None, None]
        return torch.stack(drawn, dim=1), torch.stack(logs, dim=1)
