"""Problems small enough to enumerate all sequences of codes."""

from __future__ import annotations

import itertools
import math

import torch
from tiny_methods import tiny_config

from motiontok.methods import MotionNetworks, make_method
from motiontok.methods.daps.daps import (
    Daps,
)

FRAMES, COLUMNS, CODES, VOCAB = 4, 2, 3, 4


SEQUENCES = torch.tensor(list(itertools.product(range(VOCAB), repeat=CODES)))


def make(name="daps", *, codes=None, vocab=VOCAB, frames=FRAMES, columns=COLUMNS, **method):
    codes = CODES if codes is None else codes
    config = tiny_config(name, frames=frames, codes=codes, vocab=vocab, method=method)
    torch.manual_seed(0)
    return make_method(config, MotionNetworks(config, columns=columns))


def enumerable(name="daps", *, eta=2.0, **method) -> Daps:
    made = make(
        name, codes=CODES, frames=2 * CODES, beta_start=0.5, beta_end=0.5, **method
    ).double()
    made.log_eta.data.fill_(math.log(eta))
    return made


def windows(batch=3, frames=2 * CODES):
    generator = torch.Generator().manual_seed(9)
    return torch.randn(batch, frames, COLUMNS, generator=generator, dtype=torch.double)


def enumerate_all(method: Daps, x):
    """log q and rewards ``(batch, sequences)`` of every sequence."""
    codes = SEQUENCES.expand(len(x), -1, -1)
    logp = method.policy.log_probabilities(x, codes)
    logq = logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)
    return logq, method.reward(x, codes)[0]


def target(reward, logq, *, eta, beta):
    """q*, written down from the paper: proportional to exp((R + eta log q) / (eta + beta))."""
    return torch.softmax((reward + eta * logq) / (eta + beta), dim=-1)


def policy_gradient(method: Daps) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in method.policy.parameters()])


def decoder_gradient(method: Daps) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in method.decoder.parameters()])


def effective_share(weights):
    return 1.0 / (weights**2).sum(dim=-1) / weights.shape[-1]
