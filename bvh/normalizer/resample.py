"""Change of frame rate."""

from __future__ import annotations

import numpy as np

from bvh.rotations import Array, slerp

__all__ = ["resample"]

_SAME = 1.5e-3  # relative; files round 1/30 s to 0.0333, and 29.97 is as good as 30


def resample(
    positions: Array, rotations: Array, *, source_fps: float, fps: float
) -> tuple[Array, Array]:
    """Sample a motion at ``fps`` by linear and spherical interpolation.

    Both stay within the neighbouring frames, so nothing rings or overshoots.

    Args:
        positions: ``(frames, 3)``.
        rotations: ``(frames, joints, 4)``.
        source_fps: rate of the given frames.
        fps: rate wanted.

    Returns:
        The two arrays with ``1 + floor((frames - 1) * fps / source_fps)`` frames.
    """
    step = source_fps / fps
    ratio = round(step)
    if ratio >= 1 and abs(step / ratio - 1.0) < _SAME:
        return positions[::ratio], rotations[::ratio]
    last = len(positions) - 1
    times = np.arange(int(np.floor(last / step + 1e-6)) + 1) * step
    low = np.clip(np.floor(times).astype(int), 0, max(last - 1, 0))
    high = np.minimum(low + 1, last)
    share = np.clip(times - low, 0.0, 1.0)
    moved = positions[low] + share[:, None] * (positions[high] - positions[low])
    shares = np.broadcast_to(share[:, None], (len(share), rotations.shape[1]))
    return moved, slerp(rotations[low], rotations[high], shares)
