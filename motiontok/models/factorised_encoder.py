"""The encoder as a policy whose tokens are independent given the window."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motiontok.models.autoregressive_encoder import Draw
from motiontok.models.bidirectional_encoder import LatentEncoder
from motiontok.models.sampling import draw_tokens, log_softmax

__all__ = ["FactorisedPolicy"]


class FactorisedPolicy(nn.Module):
    """q(z | x) = prod_n q(z_n | x) for observations ``x (batch, ...)``.

    The non-autoregressive counterpart of
    :class:`~motiontok.models.autoregressive_encoder.AutoregressivePolicy`: all tokens in one pass.

    Args:
        vocab_size: size of the vocabulary.
        encoder: from ``x`` to one vector a token, of ``encoder.outputs`` numbers.
    """

    def __init__(self, vocab_size: int, encoder: LatentEncoder) -> None:
        super().__init__()
        self.codes = encoder.codes
        self.encoder = encoder
        self.out = nn.Linear(encoder.outputs, vocab_size)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """log q(. | x) ``(batch, codes, vocab)``, normalised over the vocabulary."""
        return log_softmax(self.out(self.encoder(x)))

    def log_probabilities(self, x: Tensor, codes: Tensor) -> Tensor:
        """log q(. | x), the same for every sequence.

        Args:
            x: ``(batch, ...)``.
            codes: ``(batch, samples, codes)``; only their number matters.

        Returns:
            ``(batch, samples, codes, vocab)``, a view without copies.
        """
        return self(x)[:, None].expand(-1, codes.shape[1], -1, -1)

    @torch.no_grad()
    def sample(
        self,
        x: Tensor,
        samples: int,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw sequences.

        Args:
            x: ``(batch, ...)``.
            samples: sequences for each observation.
            temperature: divides the logits; 0 takes the most likely token (greedy).
            generator: source of randomness, on the device of ``x``.
            noise: numbers of [0, 1) ``(batch, samples, codes)`` to draw with instead.

        Returns:
            Codes ``(batch, samples, codes)`` and their log q ``(batch, samples)`` (at
            temperature 1).
        """
        logq = self(x)[:, None].expand(-1, samples, -1, -1)
        codes = draw_tokens(logq, temperature=temperature, generator=generator, noise=noise)
        return codes, logq.gather(-1, codes[..., None])[..., 0].sum(dim=-1)

    def unroll(self, x: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Draw one sequence an observation with gradients through ``draw``.

        Returns:
            One-hots and log-probabilities, each ``(batch, codes, vocab)``.
        """
        logq = self(x)
        return draw(logq), logq
