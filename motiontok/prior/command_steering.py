"""Make windows follow their commands while their codes are drawn.

The network was trained on commands of captured motion. Commanded to turn harder than people do, it
mostly continues as before. But a window's mean velocity and yaw rate are linear in its components
(:func:`motiontok.prior.lopq_codes.command_map`; for a temporal tokenizer nearly so,
:func:`motiontok.prior.residual_codes.residual_command_map`), and every code contributes its own
part. So a code's contribution is known before it is drawn, and codes are weighted by a normal
density of the remaining error. The product favours codes that both follow the windows before and
obey the command.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motiontok.prior.model import PriorModel

__all__ = ["CommandSteering", "fit_command_steering"]


@torch.no_grad()
def fit_command_steering(model: PriorModel, codes: Tensor) -> None:
    """Measure how much of velocity and yaw rate the codes after each one usually contribute.

    Args:
        model: reads codes as vectors.
        codes: ``(windows, codes)`` of training windows.
    """
    assert model.local is not None
    total = torch.zeros_like(model.says_later)
    for part in codes.split(256):
        so_far = (model.local.vectors(part) @ model.says[:-1]).cumsum(dim=1)
        total += (so_far - so_far[:, -1:]).square().sum(dim=0)
    model.says_later.copy_((total / len(codes)).sqrt())


class CommandSteering:
    """Scores of codes by the command of their window.

    Args:
        model: reads codes as vectors.
        commands: ``(rows, 3)``; values that are not finite are open.
        tolerance: standard deviation (m/s and rad/s) allowed for whole windows; a single code may
            deviate by as much more as later codes usually add.
    """

    def __init__(self, model: PriorModel, commands: Tensor, *, tolerance: float) -> None:
        assert model.local is not None
        self._local, self._map = model.local, model.says[:-1]
        self._precision = 1.0 / (tolerance**2 + model.says_later.square())
        self._asked = commands.isfinite()
        self._residual = torch.where(self._asked, commands - model.says[-1], 0.0)
        self._head = torch.zeros(len(commands), 0, dtype=torch.long, device=commands.device)

    def take(self, rows: Tensor) -> None:
        """Continue with these rows, ``(kept,)``."""
        self._asked, self._residual = self._asked[rows], self._residual[rows]
        self._head = self._head[rows]

    def scores(self, position: int) -> Tensor:
        """Log-densities ``(rows, vocab)`` of the codes at a position, up to a constant."""
        left = self._residual[:, None] - self._local.effects(position, self._map, self._head)
        return -0.5 * ((self._asked[:, None] * left).square() @ self._precision[position])

    def push(self, position: int, codes: Tensor) -> None:
        """Record the code of each row ``(rows,)``."""
        added = self._local.vector(position, codes, self._head)
        if position < self._local.head:
            self._head = torch.cat([self._head, codes[:, None]], dim=1)
        self._residual = self._residual - added @ self._map
