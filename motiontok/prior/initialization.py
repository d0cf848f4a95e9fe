"""A prior's knowledge before training: effects and frequencies of codes, and a linear predictor."""

from __future__ import annotations

import torch
from torch import Tensor

from motiontok.prior.model import PriorModel
from motiontok.tokenizer import MotionTokenizer

__all__ = ["code_effects", "fit_linear_predictor"]

_TRIED_RIDGES = [1e-4 * 10.0**k for k in range(7)]
_TRIED_PRECISIONS = [0.01 * 2.0**k for k in range(16)]
_JUDGED, _FEWEST_JUDGED = 1024, 64


@torch.no_grad()
def code_effects(tokenizer: MotionTokenizer, usual: Tensor, rank: int) -> Tensor:
    """Effect of each code on the decoded window, as ``rank`` numbers ``(codes, vocab, rank)``.

    Every code is put in turn into a typical window. The leading principal components of the decoded
    windows distinguish codes of different motion.

    Args:
        tokenizer: decodes the codes.
        usual: ``(codes,)`` the commonest code at each position, perhaps only of the first ones.
        rank: numbers a code.
    """
    rows = []
    for n in range(len(usual)):
        codes = usual.repeat(tokenizer.vocab_size, 1)
        codes[:, n] = torch.arange(tokenizer.vocab_size)
        parts = [tokenizer.method.decode(c.to(tokenizer.device)).cpu() for c in codes.split(256)]
        effect = torch.cat(parts).flatten(1)
        effect = effect - effect.mean(dim=0)
        # The small Gram matrix has the same components as the large covariance.
        values, vectors = torch.linalg.eigh((effect @ effect.T).double())
        kept = min(rank, len(values))
        part = (vectors[:, -kept:] * values[-kept:].clamp_min(0).sqrt()).float().flip(1)
        part = torch.nn.functional.pad(part, (0, rank - kept))
        rows.append(part / part.std().clamp_min(1e-6))
    return torch.stack(rows)


@torch.no_grad()
def fit_linear_predictor(model: PriorModel, codes: Tensor, sequence: Tensor) -> None:
    """Fit a linear prediction of a window from the one before it, and its precision.

    Ridge regression over the components of consecutive windows gives the prediction. For each
    position the precision is the one under which its codes are likeliest. Both are judged on
    held-back windows; if these are few, nothing is predicted.

    Args:
        model: reads codes as vectors.
        codes: ``(windows, codes)`` of training sequences.
        sequence: ``(windows,)``, the sequence of each window.
    """
    local = model.local
    assert local is not None
    follows = (sequence[1:] == sequence[:-1]).nonzero()[:, 0]
    kept_back = len(follows) // 8
    if kept_back < _FEWEST_JUDGED:
        return
    seen, judged = follows[:-kept_back], follows[-kept_back:]
    size = len(local.whitening)
    gram, cross = torch.zeros(size, size), torch.zeros(size, size)
    for part in seen.split(1024):
        # Windows are vectors of 512 numbers or so: all of them would be gigabytes.
        before, after = local.windows(codes[part]), local.windows(codes[part + 1])
        gram += before.T @ before
        cross += before.T @ after
    one = gram.diagonal().mean().clamp_min(1e-12) * torch.eye(len(gram))
    x, y = (
        torch.cat([local.windows(codes[part + k]) for part in judged.split(256)]) for k in (0, 1)
    )
    solved = min(
        (torch.linalg.solve(gram + ridge * one, cross) for ridge in _TRIED_RIDGES),
        key=lambda matrix: float((x @ matrix - y).square().sum()),
    )
    model.local_expect.copy_(solved)

    some = torch.linspace(0, kept_back - 1, min(_JUDGED, kept_back)).long()
    expected, actual = x[some] @ solved, codes[judged[some] + 1]
    found = []
    for precision in _TRIED_PRECISIONS:
        total = torch.zeros(codes.shape[1])
        for e, z in zip(expected.split(128), actual.split(128), strict=True):
            flat = torch.full(z.shape, precision)
            scores = local.scores(e, e.new_zeros(*z.shape, e.shape[1]), flat, z[:, : local.head])
            logp = torch.log_softmax(scores + model.bias, dim=-1)
            total += logp.gather(-1, z[..., None])[..., 0].sum(dim=0)
        found.append(total)
    best = torch.stack(found).argmax(dim=0)
    model.local_precision[1] = torch.tensor(_TRIED_PRECISIONS).log()[best]
