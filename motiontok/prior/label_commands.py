"""Commands that a label draws: how people of a label move, window after window.

A label says more than how joints move. People who walk go on, people who stop slow down. The
network knows little of it: half of its walks, drawn with a label alone, stand. So a label that
comes without a command draws one, from those that training windows of this label have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bvh.rotations import Array
from motiontok.models.k_means import k_means, nearest
from motiontok.prior.model import COMMAND_SCALE, Conditions
from motiontok.prior.sampling import SamplingOptions
from motiontok.prior.tokens import TokenSet

if TYPE_CHECKING:
    from motiontok.prior.prior import TokenPrior

__all__ = ["CommandSequence", "LabelCommands", "draw_label_commands"]

_MOST = 16  # sequences of a pair
_GROUPED, _ROUNDS = 10_000, 30  # stretches of a pair that are grouped
_SEEN = 2_000  # stretches of an action whose density is taken
_RARE = 1e-30  # a density or weight that counts as zero
_NEAR = 0.3
"""Standard deviation of sequences that are taken as alike, and of the step from one sequence to the
next, in divisors of commands."""


@dataclass(frozen=True, eq=False)
class CommandSequence:
    """Commands of consecutive windows.

    Attributes:
        weight: in proportion to which it is drawn.
        commands: ``(windows, 3)`` velocity forward and left (m/s) and yaw rate (rad/s).
    """

    weight: float
    commands: NDArray[Any]


@dataclass(frozen=True, eq=False)
class LabelCommands:
    """Command sequences of each pair of action and style.

    Attributes:
        of_pair: a pair's sequences, all of as many windows; ``""`` stands for no label.
    """

    of_pair: Mapping[tuple[str, str], tuple[CommandSequence, ...]]

    @classmethod
    def of(cls, tokens: TokenSet, windows: int) -> LabelCommands:
        """Command sequences of training windows with an action or a style.

        All stretches of a pair are grouped (k-means). Each group is represented by the stretch
        nearest to its mean. Its weight is the number of stretches in it times the probability of
        the action given such a sequence, if all actions were equally frequent: like guidance, this
        prefers what tells a label from others.

        Args:
            tokens: training windows.
            windows: length of a sequence.
        """
        whole = tokens.sequence[windows - 1 :] == tokens.sequence[: 1 - windows or None]
        labels = np.stack([tokens.action, tokens.style], axis=1)[: len(whole)]
        begins = {
            (int(action), int(style)): np.flatnonzero(
                whole & (labels == (action, style)).all(axis=1)
            )
            for action, style in np.unique(labels[whole & labels.any(axis=1)], axis=0)
        }
        scaled = tokens.commands / np.array(COMMAND_SCALE, dtype=np.float32)

        def stretches(first: NDArray[np.int64], most: int) -> Array:
            some = first[np.linspace(0, len(first) - 1, min(len(first), most)).astype(int)]
            return scaled[some[:, None] + np.arange(windows)].reshape(len(some), -1).astype(float)

        actions = {
            action: stretches(
                np.concatenate([rows for pair, rows in begins.items() if pair[0] == action]), _SEEN
            )
            for action in {action for action, _ in begins}
        }
        found = {}
        for (action, style), first in begins.items():
            sequences, counts = _grouped(stretches(first, _GROUPED))
            likely = {a: _density(sequences, rows) for a, rows in actions.items()}
            weights = counts * likely[action] / np.maximum(sum(likely.values()), _RARE)
            commands = sequences.reshape(len(sequences), windows, 3) * COMMAND_SCALE
            pair = tokens.actions[action], tokens.styles[style]
            found[pair] = tuple(
                CommandSequence(float(weights[n]), commands[n])
                for n in np.argsort(-weights, kind="stable")
                if weights[n] > _RARE
            )
        return cls({pair: some for pair, some in found.items() if some})

    @classmethod
    def read(cls, rows: Any) -> LabelCommands:
        """Inverse of :meth:`rows`.

        Raises:
            ValueError: a sequence is no list of finite commands.
        """
        found: dict[tuple[str, str], tuple[CommandSequence, ...]] = {}
        for action, style, weight, *numbers in rows:
            commands = np.asarray(numbers, dtype=np.float32).reshape(-1, 3)
            if not (len(commands) and np.isfinite([*commands.flat, weight]).all() and weight > 0):
                raise ValueError(f"courses: {action!r} {style!r} has a bad one")
            pair = str(action), str(style)
            found[pair] = (*found.get(pair, ()), CommandSequence(float(weight), commands))
        if len({len(one.commands) for sequences in found.values() for one in sequences}) > 1:
            raise ValueError("courses: not all are of the same length")
        return cls(found)

    def rows(self) -> list[list[Any]]:
        """As ``prior.json`` has them: action, style, weight and the commands in a row."""
        return [
            [*pair, float(f"{one.weight:.3g}"), *_rounded(one.commands)]
            for pair, sequences in sorted(self.of_pair.items())
            for one in sequences
        ]

    def draw(
        self,
        action: str,
        style: str,
        commands: Tensor,
        *,
        before: Tensor | None = None,
        greedy: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Commands ``(batch, windows, 3)`` of a label, or those given if none are known.

        A sequence is drawn by its weight. Longer commands consist of several; each begins near
        the end of the one before it.

        Args:
            action, style: labels; ``""`` is open.
            commands: ``(batch, windows, 3)``, one window at least, which they replace.
            before: ``(3,)``, mean velocity and yaw rate of the window before the first.
            greedy: take the likeliest sequences.
            generator: source of randomness.
        """
        some = [
            one
            for pair, sequences in sorted(self.of_pair.items())
            if action in ("", pair[0]) and style in ("", pair[1])
            for one in sequences
        ]
        if not (action or style) or not some:
            return commands
        batch, windows, _ = commands.shape
        device = commands.device
        likely = torch.tensor([one.weight for one in some], device=device).log()
        each = torch.from_numpy(np.stack([one.commands for one in some])).float().to(device)
        scale = each.new_tensor(COMMAND_SCALE)
        last = None if before is None else before.expand(batch, 3)
        parts: list[Tensor] = []
        while sum(part.shape[1] for part in parts) < windows:
            logits = likely.expand(batch, -1)
            if last is not None:
                step = (each[:, 0] - last[:, None]) / (scale * _NEAR)
                logits = logits - 0.5 * step.square().sum(dim=-1)
            row = logits.argmax(dim=-1)
            if not greedy:
                row = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)[:, 0]
            parts.append(each[row])
            last = parts[-1][:, -1]
        return torch.cat(parts, dim=1)[:, :windows]


def draw_label_commands(
    prior: TokenPrior,
    asked: Conditions,
    past: Tensor,
    *,
    batch: int,
    options: SamplingOptions,
    generator: torch.Generator | None,
) -> Conditions:
    """Conditions of one sequence, with commands ``(batch, windows, 3)`` if labels draw some.

    Args:
        prior: knows commands of labels, or does not.
        asked: conditions; any command in them is left as it is.
        past: ``(rows, windows, codes)`` before, of which the first row counts; may have no windows.
        batch: sequences.
        options: with a temperature of 0 the likeliest sequences are taken.
        generator: source of randomness.
    """
    if prior.label_commands is None or bool(asked.commands.isfinite().any()):
        return asked
    drawn = prior.label_commands.draw(
        prior.config.actions[int(asked.action)],
        prior.config.styles[int(asked.style)],
        asked.commands.expand(batch, -1, -1),
        before=prior.model.commands_said(past[0, -1]) if past.shape[1] else None,
        greedy=options.temperature == 0.0,
        generator=generator,
    )
    return replace(asked, commands=drawn)


def _rounded(commands: NDArray[Any]) -> list[float]:
    # Adding 0 leaves no -0.
    return [float(x) for x in np.round(commands.ravel().astype(float), 2) + 0.0]


def _grouped(x: Array) -> tuple[Array, NDArray[np.int64]]:
    """Rows ``(sequences, columns)`` that stand for all rows, and how many each stands for."""
    points = torch.from_numpy(x).float()
    means = k_means(points, _MOST, torch.Generator().manual_seed(0), iterations=_ROUNDS)
    counts = torch.bincount(nearest(points, means), minlength=len(means)).numpy()
    return x[nearest(means, points).numpy()][counts > 0], counts[counts > 0]


def _density(sequences: Array, rows: Array) -> Array:
    """Density ``(sequences,)`` of rows at sequences, up to a factor."""
    apart = np.square(sequences[:, None] - rows).sum(axis=-1)
    return np.asarray(np.exp(-0.5 * apart / _NEAR**2).mean(axis=1))
