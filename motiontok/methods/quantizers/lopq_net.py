"""Locally optimised product quantisation with a trained decoder, and encoding by search."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from typing_extensions import override

from motiontok.config import Config
from motiontok.methods.base import DiscreteAutoencoder, Draw, StepResult
from motiontok.methods.linear.lopq import make_lopq_quantizer
from motiontok.methods.networks import Networks
from motiontok.models import LopqDecoder, LopqPolicy, LopqQuantizer
from motiontok.progress import ProgressCallback, silent

__all__ = ["ENOUGH", "LopqNet", "make_lopq_decoder"]

ENOUGH = 4096
"""Observations from which scales are learned."""

_CELLS = 8
_WORDS = 8
_VALUES = 2**24  # of p(x | z) at a time while encoding


class LopqNet(DiscreteAutoencoder):
    """:class:`~motiontok.models.lopq_quantizer.LopqQuantizer`, decoded by a network.

    The quantiser is fitted and stays; the decoder learns by maximum likelihood. The decoder also
    judges codes, in training and in encoding: an observation is coded in each of its nearest cells,
    and the codes with the largest p(x | z) are kept. An ``effort`` above 1 adds ``effort - 1``
    rounds, in which each token in turn may become another of the codewords nearest to the
    observation, if p(x | z) grows (iterated conditional modes, Besag 1986).
    """

    in_teams = True

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        self.decoder = make_lopq_decoder(config, networks)

    @property
    def quantizer(self) -> LopqQuantizer:
        """The fitted part."""
        return self.decoder.quantizer

    @override
    def fit(
        self, draw: Draw, generator: torch.Generator, on_progress: ProgressCallback = silent
    ) -> None:
        self.quantizer.fit(draw, generator, on_progress)
        self.decoder.fit(draw(ENOUGH))

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        # Distances between nearby codewords do not survive 16 bits, and nothing here is large
        # enough to gain by them.
        with torch.autocast(x.device.type, enabled=False):
            codes, _ = self._best_cell(x, self.quantizer.components(x))
            found = self.decoder(codes)
        reward = self.likelihood.log_density(x, found).mean()
        mean = self.likelihood.mean(found.detach())
        metrics = {"reward": reward.detach(), "mse": ((x - mean) ** 2).mean()}
        # By the values of an observation: gradients of one size, whatever is coded.
        return StepResult(-reward / math.prod(self.shape), metrics, codes, mean)

    @torch.no_grad()
    @override
    def encode(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        if temperature:
            policy = LopqPolicy(self.quantizer)
            return policy.sample(x, 1, temperature=temperature, generator=generator)[0][:, 0]
        most = max(_VALUES // (max(_CELLS, _WORDS) * math.prod(self.shape)), 1)
        return torch.cat([self._search(part, effort) for part in x.split(most)])

    @override
    def decode_parameters(self, codes: Tensor) -> Tensor:
        return self.decoder(codes)

    def _search(self, x: Tensor, effort: int) -> Tensor:
        y = self.quantizer.components(x)
        codes, score = self._best_cell(x, y)
        for _ in range(effort - 1):
            before = codes
            codes, score = self._improve(x, y, codes, score)
            if torch.equal(codes, before):
                break
        return codes

    @torch.no_grad()
    def _best_cell(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Codes ``(batch, codes)`` in the best of the nearest cells, and their log p(x | z)."""
        near = self.quantizer.cell_scores(y).topk(min(_CELLS, self.quantizer.vocab_size)).indices
        tries = near.shape[1]
        codes = self.quantizer.quantize(y.repeat_interleave(tries, dim=0), near.flatten())
        return self.likeliest(x, codes.unflatten(0, near.shape))

    def _improve(self, x: Tensor, y: Tensor, codes: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
        """One round over the tokens after the cell's."""
        z = self.quantizer.coordinates(y, codes[:, 0])
        for token in range(1, self.quantizer.codes):
            words = self.quantizer.word_scores(z, codes, token)
            near = words.topk(min(_WORDS, self.quantizer.vocab_size)).indices
            tried = codes[:, None].repeat(1, near.shape[1], 1)
            tried[:, :, token] = near
            best, found = self.likeliest(x, tried)
            better = found > score
            codes = torch.where(better[:, None], best, codes)
            score = torch.where(better, found, score)
        return codes, score


def make_lopq_decoder(config: Config, networks: Networks) -> LopqDecoder:
    """A quantiser to be fitted, and the network on top of it.

    Raises:
        ConfigError: there are too few codes for a cell and a codeword.
    """
    return LopqDecoder(
        make_lopq_quantizer(config, networks),
        networks.likelihood,
        width=config.model.decoder_width,
        layers=config.model.decoder_layers,
    )
