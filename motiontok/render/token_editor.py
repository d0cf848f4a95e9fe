"""Tokens that can be changed one at a time, and their motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.errors import RenderError

__all__ = ["TokenEditor"]


class TokenEditor:
    """A codes array with an undo, decoded on demand.

    Args:
        codes: ``(windows, codes_per_window)`` integers.
        decode: motion of such an array.
        vocab_size: number of values a code can take.
        frames_per_window: frames a window covers.
        seed: of the random swaps.
        files: names and contents of the files of such an array; without it, codes cannot be saved.

    Attributes:
        codes: the present codes.
    """

    def __init__(
        self,
        codes: Array,
        decode: Callable[[Array], Motion],
        *,
        vocab_size: int,
        frames_per_window: int,
        seed: int = 0,
        files: Callable[[Array], Mapping[str, bytes]] | None = None,
    ) -> None:
        self.codes = np.array(codes)
        self.vocab_size = vocab_size
        self.frames_per_window = frames_per_window
        self._original = self.codes.copy()
        self._decode = decode
        self._seed, self._random = seed, np.random.default_rng(seed)
        self._files = files

    def copy(self) -> TokenEditor:
        """Another editor of the original codes."""
        return TokenEditor(
            self._original,
            self._decode,
            vocab_size=self.vocab_size,
            frames_per_window=self.frames_per_window,
            seed=self._seed,
            files=self._files,
        )

    def set(self, window: int, position: int, value: int) -> None:
        """Change one token.

        Raises:
            RenderError: no such window, position or value.
        """
        windows, positions = self.codes.shape
        if not (0 <= window < windows and 0 <= position < positions):
            raise RenderError(f"no token {position} in window {window} of {windows}x{positions}")
        if not 0 <= value < self.vocab_size:
            raise RenderError(f"token {value} is outside the vocabulary of {self.vocab_size}")
        self.codes[window, position] = value

    def swap(self, window: int, position: int) -> int:
        """Put another random value at a place; returns it."""
        old = int(self.codes[window, position])
        value = int((old + self._random.integers(1, max(2, self.vocab_size))) % self.vocab_size)
        self.set(window, position, value)
        return value

    def restore(self) -> None:
        """Undo every change."""
        self.codes[:] = self._original

    @property
    def changed(self) -> Array:
        """``(windows, codes_per_window)`` true for changed tokens."""
        out: Array = self.codes != self._original
        return out

    @property
    def can_be_saved(self) -> bool:
        """Whether there are :meth:`files`."""
        return self._files is not None

    def files(self) -> Mapping[str, bytes]:
        """Names and contents of the files for the present codes."""
        return {} if self._files is None else self._files(self.codes.copy())

    def motion(self) -> Motion:
        """The motion of the present codes."""
        return self._decode(self.codes)
