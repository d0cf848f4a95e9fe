"""The root's path in features, and encoding that does not drift from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data import COLUMNS, Start, split_windows

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
    encode: Callable[[Array], NDArray[np.int64]],
    decode: Callable[[NDArray[np.int64]], Array],
) -> NDArray[np.int64]:
    """Codes of a clip, each window steered back to the path that the ones before have left.

    What the decoded path lacks at the beginning of a window in place and heading is added to
    the window's velocities, spread evenly over its frames, before it is encoded. Errors of
    windows then do not add up.

    Args:
        features: ``(frames, 203)`` raw.
        window: frames a window.
        encode: from ``(window, 203)`` to codes ``(1, codes)``.
        decode: from those to ``(window, 203)``.

    Returns:
        ``(windows, codes)``.
    """
    windows = split_windows(features, window)
    place, heading = root_path(_standing(windows.reshape(-1, features.shape[1])), Start())
    codes = [encode(windows[0])]
    positions, turned = root_path(_standing(decode(codes[0])), Start())
    for n, x in enumerate(windows[1:], start=1):
        last = n * window - 1
        steered = x.copy()
        steered[:, _TURN] += (heading[last] - turned[-1]) * FPS / window
        yaw = turned[-1] + np.cumsum(steered[:, _TURN]) / FPS
        step = np.diff(place[last : last + window + 1], axis=0)
        step = step + (place[last] - positions[-1]) / window
        steered[:, _VELOCITY] = FPS * rotated(step, -yaw)
        codes.append(encode(steered))
        x_now, y_now = positions[-1]
        pose = Start(float(x_now), float(y_now), float(turned[-1]))
        positions, turned = root_path(decode(codes[-1]), pose)
    return np.concatenate(codes)


def _standing(features: Array) -> Array:
    """Features whose first frame stands on its pose: there is no step to it."""
    out = features.copy()
    out[0, [_TURN, _VELOCITY.start, _VELOCITY.start + 1]] = 0.0
    return out
