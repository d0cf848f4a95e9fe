"""Fixed-length windows of features, with the root's path relative to the window's start.

A frame's root columns are velocities. Coding those well does not code the path well:
small errors add up. Within a window they are therefore replaced by their running sums,
yaw (rad) and distances (m) since the frame before the window, by :func:`accumulate`; the
error of the path is then coded like that of a joint. :func:`differentiate` undoes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data.features import COLUMNS
from motiontok.data.once import Once
from motiontok.data.statistics import Statistics
from motiontok.errors import DataError

__all__ = ["WindowSet", "accumulate", "differentiate", "split_windows"]

_ROOT = slice(COLUMNS["yaw_rate"].start, COLUMNS["velocity"].stop)


def accumulate(windows: Tensor) -> Tensor:
    """Velocities to running sums within each window ``(..., frames, columns)``."""
    out = windows.clone()
    out[..., _ROOT] = windows[..., _ROOT].cumsum(dim=-2) / FPS
    return out


def differentiate(windows: Tensor) -> Tensor:
    """Running sums back to velocities: the inverse of :func:`accumulate`."""
    out = windows.clone()
    out[..., 1:, _ROOT] = windows[..., _ROOT].diff(dim=-2)
    out[..., _ROOT] *= FPS
    return out


def split_windows(features: Array, length: int) -> Array:
    """Cut ``(frames, columns)`` into consecutive windows ``(windows, length, columns)``.

    The last window is filled up by holding the last frame (still: its velocities
    are zero), so a clip of any length, also one shorter than a window, is covered.
    """
    frames = len(features)
    windows = max(1, -(-frames // length))
    missing = windows * length - frames
    if missing:
        hold = np.repeat(features[-1:], missing, axis=0)
        hold[:, _ROOT] = 0.0
        features = np.concatenate([features, hold])
    return features.reshape(windows, length, features.shape[1])


class WindowSet:
    """Every window of ``length`` consecutive frames of a set of clips, standardised.

    All clips lie in one tensor on the training device; a window is a row of
    indices, so that drawing a batch is a single gather without host work.

    Args:
        clips: features ``(frames, 203)`` of each clip; clips shorter than a window are
            held on their last frame.
        length: frames a window.
        statistics: to standardise windows with.
        device: where the frames live.

    Raises:
        DataError: there are no clips.
    """

    def __init__(
        self,
        clips: Sequence[Array],
        length: int,
        statistics: Statistics,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        if not clips:
            raise DataError("no clips to cut windows from")
        padded = [_hold(torch.tensor(c, dtype=torch.float32), length) for c in clips]
        self.length = length
        self.statistics = statistics
        self.frames = torch.cat(padded).to(device)
        starts, offset = [], 0
        for clip in padded:
            starts.append(torch.arange(offset, offset + len(clip) - length + 1))
            offset += len(clip)
        self.starts = torch.cat(starts).to(device)
        self._enumerated = torch.cat([s[::length] for s in starts]).to(device)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """``size`` windows ``(size, length, columns)``, each valid start equally likely.

        Only ``rows`` of them are gathered.
        """
        index = torch.randint(
            len(self.starts), (size,), generator=generator, device=self.starts.device
        )
        return self._gather(self.starts[index[rows]])

    def once(self, generator: torch.Generator) -> Once:
        """Every window once, in random order."""
        places = torch.randperm(len(self.starts), generator=generator, device=self.starts.device)
        return Once(self.starts[places], self._gather)

    def enumerated(self) -> Tensor:
        """The consecutive windows of every clip, ``(windows, length, columns)``, no overlap."""
        return self._gather(self._enumerated)

    def _gather(self, starts: Tensor) -> Tensor:
        steps = torch.arange(self.length, device=starts.device)
        return self.statistics.standardize(accumulate(self.frames[starts[:, None] + steps]))


def _hold(clip: Tensor, length: int) -> Tensor:
    missing = length - len(clip)
    if missing <= 0:
        return clip
    hold = clip[-1:].repeat(missing, 1)
    hold[:, _ROOT] = 0.0
    return torch.cat([clip, hold])
