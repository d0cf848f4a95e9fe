"""Still anchors for standing or resting points, and corrections that fade between contacts.

They look at a second or so around a frame, so that a motion cut elsewhere has the same contacts
from there on.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from bvh.foot_contacts import runs
from bvh.rotations import Array
from motiontok.data.easing import smoothstep

__all__ = ["fade", "steady", "still"]

_STEADY = 0.5  # s over which the place of a contact is averaged
_FIRM = 0.7  # s over which a turn of a flat foot spreads
_LOOSE = 0.3  # s, where it is not flat
_FADE = 0.5  # s from a contact at which its correction has faded


def still(path: Array, fps: float) -> Array:
    """A path ``(frames, n)`` as still as possible near another one.

    The least of squared distances and, much heavier, squared steps (Whittaker 1923): a
    mean with weights that fall off exponentially to both sides.
    """
    frames = len(path)
    if frames < 2:
        return path.copy()
    heavy = (_STEADY * fps) ** 2
    band = np.full((2, frames), -heavy)
    band[0] = 1.0 + 2.0 * heavy
    band[0, [0, -1]] = 1.0 + heavy
    out: Array = solveh_banded(band, path, lower=True, overwrite_ab=True, check_finite=False)
    return out


def steady(angles: Array, held: Array, fps: float) -> Array:
    """Angles ``(frames,)``, rad, that turn as little as possible in frames ``held (frames,)``.

    As :func:`still`, of the turns between held frames alone. Other turns are kept, and the rest of
    the held ones comes gradually there: no angle jumps where a hold begins or ends, and two holds
    shortly after one another share what lies between them.
    """
    if len(angles) < 2:
        return angles.copy()
    turns = (np.diff(angles) + np.pi) % (2.0 * np.pi) - np.pi
    together = held[1:] & held[:-1]
    path = np.concatenate([[0.0], np.cumsum(np.where(together, turns, 0.0))])
    heavy = np.where(together, _FIRM * fps, _LOOSE * fps) ** 2
    band = np.zeros((2, len(path)))
    band[0] = 1.0
    band[0, 1:] += heavy
    band[0, :-1] += heavy
    band[1, :-1] = -heavy
    out: Array = angles - path + solveh_banded(band, path, lower=True, check_finite=False)
    return out


def fade(values: Array, known: Array, fps: float) -> Array:
    """Fill the frames between known ones ``(frames,)`` by a smooth blend of ``(frames, n)``.

    Gaps of half a second are bridged; in longer ones values fade to zero and come back.
    """
    frames = len(values)
    out = np.zeros_like(values)
    out[known] = values[known]
    reach = max(_FADE * fps, 1.0)
    for start, end in runs(~known):
        place = np.arange(start, end)
        length = min(reach, end - start + 1.0) if start > 0 and end < frames else reach
        if start > 0:
            out[start:end] += (
                smoothstep(1.0 - (place - start + 1.0) / length)[:, None] * values[start - 1]
            )
        if end < frames:
            out[start:end] += smoothstep(1.0 - (end - place) / length)[:, None] * values[end]
    return out
