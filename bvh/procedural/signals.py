"""Smooth signals: the curves that procedural motion is drawn with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bvh.rotations import Array

__all__ = ["keys", "low_pass", "noise", "ramp", "smoothstep"]


def smoothstep(x: ArrayLike) -> Array:
    """Minimum-jerk rise from 0 to 1 for ``x`` in [0, 1], flat outside.

    Flash and Hogan, "The coordination of arm movements", 1985: the quintic whose
    velocity and acceleration vanish at both ends.
    """
    u: Array = np.clip(np.asarray(x, dtype=float), 0.0, 1.0)
    out: Array = u**3 * (10.0 + u * (6.0 * u - 15.0))
    return out


def ramp(time: Array, start: float, duration: float) -> Array:
    """Minimum-jerk rise from 0 to 1 that begins at ``start`` and takes ``duration``."""
    return smoothstep((time - start) / duration)


def noise(
    time: Array, rng: np.random.Generator, *, lowest: float = 0.08, top: float = 0.6
) -> Array:
    """Smooth noise of zero mean and unit variance, ``(frames,)``.

    Args:
        time: seconds, ``(frames,)``.
        rng: source of phases and frequencies.
        lowest: lowest frequency, Hz.
        top: highest frequency, Hz.
    """
    frequencies = np.geomspace(lowest, top, 5) * rng.uniform(0.8, 1.25, 5)
    amplitudes = rng.uniform(0.5, 1.0, 5) / np.sqrt(np.arange(1, 6))
    phases = rng.uniform(0.0, 2.0 * np.pi, 5)
    waves = np.sin(2.0 * np.pi * frequencies * time[:, None] + phases)
    out: Array = waves @ amplitudes / np.sqrt(0.5 * np.sum(amplitudes**2))
    return out


def keys(time: Array, times: Sequence[float], values: Sequence[float]) -> Array:
    """Interpolate key frames without overshoot, constant outside them.

    Fritsch and Carlson, "Monotone piecewise cubic interpolation", 1980, with the
    harmonic-mean slopes of Fritsch and Butland, 1984: a key that is an extreme or
    borders a plateau has zero velocity.

    Args:
        time: where to evaluate, seconds, ``(frames,)``.
        times: increasing key times; keys closer than a microsecond to the one
            before are dropped.
        values: one value a key.
    """
    x, y = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    kept = np.concatenate([[True], np.diff(np.maximum.accumulate(x)) > 1e-6])
    x, y = x[kept], y[kept]
    if len(x) == 1:
        return np.full(len(time), y[0])
    step = np.diff(x)
    slope = np.diff(y) / step
    velocity = np.zeros_like(y)
    same = slope[1:] * slope[:-1] > 0
    w1, w2 = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    safe = np.where(same, slope[1:], 1.0), np.where(same, slope[:-1], 1.0)
    velocity[1:-1] = np.where(same, (w1 + w2) / (w1 / safe[1] + w2 / safe[0]), 0.0)
    at = np.clip(np.searchsorted(x, time, side="right") - 1, 0, len(step) - 1)
    h = step[at]
    u = np.clip((time - x[at]) / h, 0.0, 1.0)
    v = 1.0 - u
    out: Array = (
        y[at] * v * v * (1 + 2 * u)
        + y[at + 1] * u * u * (3 - 2 * u)
        + h * u * v * (velocity[at] * v - velocity[at + 1] * u)
    )
    return out


def low_pass(values: Array, width: float) -> Array:
    """Gaussian smoothing along axis 0 with edges held, ``width`` in frames."""
    reach = int(np.ceil(3 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, (reach, reach), mode="edge")
    out: Array = np.convolve(padded, kernel, mode="valid")
    return out
