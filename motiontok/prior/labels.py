"""Labels that a prior knows, and pairs of action and style that occurred."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motiontok.errors import InputError
from motiontok.prior.tokens import Tokens, blocks

__all__ = ["Pairs", "index_of"]


@dataclass(frozen=True)
class Pairs:
    """Actions and the styles in which they were seen.

    Attributes:
        known: of action and style; ``""`` stands for none.
    """

    known: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, tokens: Tokens) -> Pairs:
        """The pairs of training windows."""
        rows: set[tuple[int, int]] = set()
        for part in blocks(tokens):
            found = np.unique(np.stack([part.action, part.style], axis=1), axis=0)
            rows |= {(int(action), int(style)) for action, style in found}
        return cls(frozenset((tokens.actions[a], tokens.styles[s]) for a, s in rows))

    @classmethod
    def read(cls, rows: Any) -> Pairs:
        """Inverse of :meth:`rows`."""
        return cls(frozenset((str(action), str(style)) for action, style in rows))

    def rows(self) -> list[list[str]]:
        """As ``prior.json`` has them."""
        return [list(pair) for pair in sorted(self.known)]

    def require(self, action: str | None, style: str | None) -> None:
        """Refuse two labels that never occurred together; the prior would guess.

        Raises:
            InputError: they did not; the message lists the styles of the action.
        """
        actions, styles = ({pair[n] for pair in self.known} for n in (0, 1))
        if action not in actions or style not in styles or (action, style) in self.known:
            return
        found = ", ".join(sorted(s for a, s in self.known if a == action and s)) or "none"
        raise InputError(
            f"label {action!r} was never seen in style {style!r}: its styles are {found}"
        )


def index_of(text: str | None, known: Sequence[str], what: str, device: torch.device) -> Tensor:
    """Place ``(1,)`` of a label among those known, 0 of None.

    Raises:
        InputError: it is unknown.
    """
    if text is None:
        return torch.zeros(1, dtype=torch.long, device=device)
    if not text or text not in known:
        near = difflib.get_close_matches(text, known[1:], n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        choices = ", ".join(known[1:]) or "none: this prior was trained without"
        raise InputError(f"no {what} {text!r}: {guess}choose from {choices}")
    return torch.tensor([known.index(text)], device=device)
