"""Windows of real clips, made faster or slower."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from motiontok.data.features import COLUMNS
from motiontok.data.kinematics import with_rotations

__all__ = ["draw_speeds", "warped"]

_ROOT = slice(COLUMNS["yaw_rate"].start, COLUMNS["velocity"].stop)
_SIX = slice(COLUMNS["tilt"].start, COLUMNS["rotations"].stop)


def draw_speeds(
    count: int, most: float, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """``(count,)`` factors of speed from 1 / ``most`` to ``most``, uniform in their logarithm."""
    uniform = torch.rand(count, generator=generator, device=device)
    return torch.exp((2.0 * uniform - 1.0) * math.log(most))


def warped(
    frames: Tensor, starts: Tensor, first: Tensor, last: Tensor, speeds: Tensor, length: int
) -> Tensor:
    """Windows ``(windows, length, 203)`` of raw features, resampled in time.

    Features are interpolated linearly, rotations are made orthonormal again, joint positions are
    recomputed on the reference skeleton, and velocities are those of the new speed. A window that
    would reach over the end of its clip begins earlier. If the whole clip is too short, it is
    slowed as far as needed.

    Args:
        frames: raw features ``(frames, 203)`` of all clips, one after the other.
        starts: ``(windows,)`` frame at which each begins.
        first, last: ``(windows,)`` the first and last frame of the clip it is of.
        speeds: ``(windows,)`` source frames for each frame of the window.
        length: frames a window.
    """
    steps = length - 1
    speeds = torch.minimum(speeds, (last - first) / steps)
    # Relative to the start: single precision has no fractions of the frames of large sets.
    shift = (last - starts - speeds * steps).clamp(max=0.0)
    count = torch.arange(length, device=frames.device)
    times = shift[:, None] + speeds[:, None] * count

    def at(times: Tensor, columns: slice) -> Tensor:
        """Columns at ``times (windows, length)``, in frames since the start."""
        before = times.floor()
        place = starts[:, None] + before.long()
        low, high = first[:, None], last[:, None]
        a = frames[:, columns][place.clamp(low, high)]
        b = frames[:, columns][(place + 1).clamp(low, high)]
        return torch.lerp(a, b, (times - before)[..., None])

    out = at(times, slice(None))
    # A velocity is of the step that ends at its frame, so it belongs half a step earlier.
    out[..., _ROOT] = at(times + 0.5 * (1.0 - speeds[:, None]), _ROOT) * speeds[:, None, None]
    return with_rotations(out, out[..., _SIX].unflatten(-1, (-1, 6)))
