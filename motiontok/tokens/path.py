"""The root's path in features, and encoding that does not drift from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data import COLUMNS, Noise, Start, StillnessFilter, split_windows

__all__ = ["encode_on_path", "root_path", "rotated"]

_TURN = COLUMNS["yaw_rate"].start
_VELOCITY = COLUMNS["velocity"]


def rotated(vectors: Array, angle: Array) -> Array:
    """Vectors ``(..., 2)`` on the floor turned to the left by angles ``(...)``, rad."""
    x, y = np.moveaxis(vectors, -1, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def root_path(features: Array, pose: Start) -> tuple[Array, Array]:
    """Positions ``(..., frames, 2)`` and headings ``(..., frames)`` that follow ``pose``.

    Args:
        features: ``(..., frames, 203)`` raw.
        pose: of the frame before the first one.
    """
    yaw = pose.yaw + np.cumsum(features[..., _TURN], axis=-1) / FPS
    step = rotated(features[..., _VELOCITY] / FPS, yaw)
    return np.cumsum(step, axis=-2) + [pose.x, pose.y], yaw


def encode_on_path(
    features: Array,
    *,
    window: int,
    context: int = 0,
    encode: Callable[[Array], NDArray[np.int64]],
    decode: Callable[[NDArray[np.int64]], Array],
    noise: Noise,
) -> NDArray[np.int64]:
    """Codes of a clip, each window corrected for the path error of the windows before it.

    The decoded path's error in place and heading at the beginning of a window is added to the
    window's velocities, spread evenly over its frames, before it is encoded. So errors of windows
    do not add up.

    Args:
        features: ``(frames, 203)`` raw.
        window: frames a window.
        context: windows before and after one on which its codes and its decoding depend. Later
            windows are used uncorrected; the path error that their final codes cause is corrected
            in its turn.
        encode: from consecutive windows ``(windows, window, 203)`` to codes ``(windows, codes)``.
        decode: from those to the windows.
        noise: of the decoder, used to hold still bodies: a held body's root stays in its place.

    Returns:
        ``(windows, codes)``.
    """
    windows = split_windows(features, window)
    place, heading = root_path(_standing(windows.reshape(-1, features.shape[1])), Start())
    steered = windows.copy()
    codes: list[NDArray[np.int64]] = []
    # Where the decoded path is before each window; the last ones are found anew at each step.
    poses, filters = [Start()], [StillnessFilter(noise)]
    for n, x in enumerate(steered):
        if n:
            last = n * window - 1
            now = poses[n]
            x[:, _TURN] += (heading[last] - now.yaw) * FPS / window
            yaw = now.yaw + np.cumsum(x[:, _TURN]) / FPS
            step = np.diff(place[last : last + window + 1], axis=0)
            step = step + (place[last] - [now.x, now.y]) / window
            x[:, _VELOCITY] = FPS * rotated(step, -yaw)
        begin = max(n - context, 0)
        found = encode(steered[begin : n + 1 + context])
        codes.append(found[n - begin])
        first = max(n - 2 * context, 0)
        known = np.concatenate([np.stack(codes[first:]), found[n - begin + 1 :]])
        decoded = decode(known)[begin - first : n + 1 - first]
        del filters[begin + 1 :]
        held = []
        for frames in decoded:
            filters.append(filters[-1].copy())
            held.append(filters[-1].push(frames))
        rows = np.concatenate(held)
        positions, turned = root_path(rows if begin else _standing(rows), poses[begin])
        ends = range(window - 1, len(rows), window)
        poses[begin + 1 :] = [
            Start(float(positions[i, 0]), float(positions[i, 1]), float(turned[i])) for i in ends
        ]
    return np.stack(codes)


def _standing(features: Array) -> Array:
    """Features whose first frame has no step from the frame before."""
    out = features.copy()
    out[0, [_TURN, _VELOCITY.start, _VELOCITY.start + 1]] = 0.0
    return out
