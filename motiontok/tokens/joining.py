"""Frames of decoded windows as codes arrive: final ones, and those that the next window changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from bvh.rotations import Array
from motiontok.data import blend_seams
from motiontok.data.seams import REACH
from motiontok.tokens.checks import OnInvalid, hold_invalid, stand_in

__all__ = ["Blending", "Context", "Joining"]

Check = Callable[[Any, OnInvalid, bool], tuple[Tensor, NDArray[np.bool_]]]
"""Checks codes as :func:`~motiontok.tokens.checks.check_codes` does. It takes the codes, what to do
about invalid ones, and whether a valid window came before them."""

Decode = Callable[[Tensor], Array]
"""From codes ``(windows, codes)`` to raw features ``(windows, window, 203)``."""


class Joining(ABC):
    """Joins the windows of a stream.

    Attributes:
        look_ahead: frames of a window that come with the next one.
        ahead: ``(frames, 203)`` held-back frames, as they are without a next window.
    """

    look_ahead: int
    ahead: Array | None = None

    @abstractmethod
    def push(self, codes: Any, on_invalid: OnInvalid) -> Array:
        """Raw features ``(frames, 203)`` that are now final.

        Raises:
            CodesError: as :func:`~motiontok.tokens.checks.check_codes`.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget all windows."""


class Blending(Joining):
    """For methods with independent windows: the jump at a border is shared out.

    Args:
        check, decode: see there.
        window: frames a window.
    """

    def __init__(self, check: Check, decode: Decode, *, window: int) -> None:
        self._check, self._decode, self._window = check, decode, window
        self.look_ahead = min(REACH, window // 2)
        self.reset()

    @override
    def reset(self) -> None:
        self.ahead = None
        self._raw: Array | None = None
        self._blended = np.empty((0, 0))

    @override
    def push(self, codes: Any, on_invalid: OnInvalid) -> Array:
        z, valid = self._check(codes, on_invalid, self._raw is not None)
        windows = self._decode(z)
        if not valid.all():
            before = None if self._raw is None else self._raw[-1]
            windows = hold_invalid(windows, valid, before)
        ready = []
        for raw in windows:
            if self._raw is None:
                blended = raw
            else:
                pair = np.concatenate([self._raw, raw])
                change = blend_seams(pair, self._window) - pair
                ready.append((self._blended + change[: self._window])[-self.look_ahead :])
                blended = raw + change[self._window :]
            ready.append(blended[: -self.look_ahead])
            self._raw, self._blended = raw, blended
        self.ahead = self._blended[-self.look_ahead :]
        return np.concatenate(ready)


class Context(Joining):
    """For methods that decode a window with its neighbours: the last windows are decoded again.

    Quantisation errors differ from window to window, so borders are blended as well.

    Args:
        check, decode: see there.
        window: frames a window.
        reach: frames before and after a window that its decoding depends on.
    """

    def __init__(self, check: Check, decode: Decode, *, window: int, reach: int) -> None:
        self._check, self._decode, self._window = check, decode, window
        fade = min(REACH, window // 2)
        # The first border beside which a frame may change lies so far back.
        border = (reach + 1) // window * window
        self.look_ahead = max(reach, border + fade)
        # Frames that are not final depend on so many more, and two beside a border are enough.
        self._kept = -(-(self.look_ahead + fade + 2 + reach) // window)
        self.reset()

    @override
    def reset(self) -> None:
        self.ahead = None
        self._codes: Tensor | None = None
        self._valid = np.empty(0, dtype=np.bool_)
        self._before: Array | None = None  # the frame before the windows that are kept
        self._final = 0  # frames of these that came already

    @override
    def push(self, codes: Any, on_invalid: OnInvalid) -> Array:
        z, valid = self._check(codes, on_invalid, self._codes is not None)
        z = stand_in(z, valid, None if self._codes is None else self._codes[-1])
        if self._codes is not None:
            z = torch.cat([self._codes, z])
            valid = np.concatenate([self._valid, valid])
        windows = self._decode(z)
        if not valid.all():
            windows = hold_invalid(windows, valid, self._before)
        frames = blend_seams(windows.reshape(-1, windows.shape[-1]), self._window)
        end = max(len(frames) - self.look_ahead, self._final)
        ready, self.ahead = frames[self._final : end], frames[end:]
        dropped = max(len(z) - self._kept, 0)
        if dropped:
            self._before = windows[dropped - 1, -1]
        self._codes, self._valid = z[dropped:], valid[dropped:]
        self._final = end - dropped * self._window
        return ready
