"""Hold decoded bodies still that were still when encoded.

Codes are few, so even a motionless body is decoded with a small error, another one in each window:
it trembles, and its root wanders. A decoder's output is motion plus noise. If it is no larger than
the noise, it may be removed. A tokenizer measures the noise on held poses (:func:`measure_noise`);
with more bits there is less to remove.

This is a filter with known noise (Lee, IEEE Trans. PAMI 2, 1980: smooth in proportion to the noise
in the local variance), over time and causal, so that a stream needs no more frames ahead.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bvh import procedural
from bvh.motion import FPS
from bvh.rotations import Array
from bvh.skeleton import FEET, JOINTS
from motiontok.data.easing import smoothstep
from motiontok.data.features import COLUMNS, FEATURES, from_motion

__all__ = ["Noise", "StillnessFilter", "measure_noise"]

_SLOW = 20.0
"""Frames of the slow mean, against which motion is measured."""

_HELD = 40.0
"""Frames over which a held pose is smoothed."""

_SETTLING = 24
"""Frames until a body at rest is fully held: a turning point is no rest."""

_WAY = 30.0
"""Frames over which the root's movement is summed."""

_OWED = 20.0
"""Frames after which held-back movement counts as noise; before, a body that moves off receives
it."""

_STILL, _MOVES = 2.5, 4.0
"""Multiples of the noise up to which a body is held, and from which on it is released.

Noise is measured on made-up poses; captured ones have half as much again.
"""

_STANDING = 1.0
"""Factor by which the root's noise limit grows while both feet stand in a still pose."""

_LEVER = 0.3  # m that a radian of heading moves the body by
_MOST = 0.03  # m of noise; what moves more is motion, however bad the tokenizer
_FRAMES = 192  # for which poses are held to measure it

_ROOT = slice(COLUMNS["yaw_rate"].start, COLUMNS["velocity"].stop)
_HEIGHT = COLUMNS["height"].start
_POSITIONS, _CONTACTS = COLUMNS["positions"], COLUMNS["contacts"]
_LEGS = np.array([any(part in name for part in ("Leg", "Foot", "Toe")) for name in JOINTS[1:]])
_FEET = [_POSITIONS.start + 3 * (joint - 1) for joint in FEET]


def _of_legs() -> Array:
    """1 for columns that are held with the legs: theirs, the hips' and contacts."""
    out = np.zeros(FEATURES)
    out[: COLUMNS["rotations"].start] = 1.0
    out[_CONTACTS] = 1.0
    out[COLUMNS["rotations"]] = np.repeat(_LEGS, 6)
    out[_POSITIONS] = np.repeat(_LEGS, 3)
    return out


_WITH_LEGS = _of_legs()


@dataclass(frozen=True)
class Noise:
    """Differences of a decoded held body from its slow mean, metres rms.

    Attributes:
        legs: of joints of the legs.
        upper: of all other joints.
        root: movement in a second, turns included.
    """

    legs: float
    upper: float
    root: float


class StillnessFilter:
    """Removes noise from arriving features where motion is no larger.

    A pose whose joints stay within the noise of their slow mean is smoothed over more than a
    second: first legs and hips, and where these are still, the rest of the body. The root then
    follows the standing feet, and its own movement is held back for a while. A body that moves off
    is released within a few frames, and receives the movement held back.

    Features in pieces give the same result as all at once.

    Args:
        noise: of the decoder.
    """

    def __init__(self, noise: Noise) -> None:
        self._noise = noise
        self._begun = False
        self._mean, self._shown = np.zeros(FEATURES), np.zeros(FEATURES)
        self._way, self._owed = np.zeros(3), np.zeros(3)
        self._hold = np.zeros(2)  # of legs, of the rest; 0 to 1

    def copy(self) -> StillnessFilter:
        """An independent filter that continues from here."""
        return copy.deepcopy(self)

    def push(self, features: Array) -> Array:
        """The same frames ``(frames, 203)``, with still ones held."""
        if not len(features):
            return features
        if not self._begun:
            self._begun = True
            self._mean, self._shown = features[0].copy(), features[0].copy()
        means, still = self._stillness(features)
        out = features.copy()
        for n, frame in enumerate(features):
            if still[n, 0] == 0.0 and self._hold[0] == 0.0:
                self._shown = frame
                continue
            out[n] = self._held(frame, means[n], still[n])
        self._mean = means[-1]
        return out

    def _stillness(self, features: Array) -> tuple[Array, Array]:
        """Slow means ``(frames, 203)``, and how still legs and the rest are, ``(frames, 2)``."""
        means, ways = _slow(features, self._mean, self._way)
        self._way = ways[-1]
        feet = np.clip(means[:, _CONTACTS], 0.0, 1.0)
        standing = np.minimum(feet[:, :2].max(axis=1), feet[:, 2:].max(axis=1))
        way = np.linalg.norm(ways, axis=1) / (1.0 + _STANDING * standing**2)
        still = self._near(features - means)
        still[:, 0] *= _near(way, self._noise.root)
        return means, still

    def _near(self, off: Array) -> Array:
        """Whether differences ``(..., 203)`` of poses are noise, 0 to 1, for legs and the rest."""
        return _near(_distances(off), np.array([self._noise.legs, self._noise.upper]))

    def _held(self, frame: Array, mean: Array, still: Array) -> Array:
        """One frame ``(203,)``, held as far as the body is still."""
        # A slow change is seen by where it has led to.
        still = np.minimum(still, self._near(mean - self._shown))
        hold = np.minimum(self._hold + 1.0 / _SETTLING, still)
        hold[1] = min(hold[1], hold[0])
        share = _HELD ** -smoothstep(hold)
        columns = share[1] + (share[0] - share[1]) * _WITH_LEGS
        shown = self._shown + columns * (frame - self._shown)

        step = smoothstep(hold[0]) * self._step_of_feet(shown) if hold[0] else np.zeros(3)
        free = (share[0] - 1.0 / _HELD) / (1.0 - 1.0 / _HELD)
        due = self._owed * (1.0 - 1.0 / _OWED) + frame[_ROOT] / FPS - step
        self._owed = (1.0 - free) * due
        self._hold, self._shown = hold, shown
        out = shown.copy()
        out[_ROOT] = FPS * (free * due + step)
        return out

    def _step_of_feet(self, shown: Array) -> Array:
        """Turn and step of the root that keep standing feet in place, ``(3,)``."""
        contacts = np.minimum(shown[_CONTACTS], self._shown[_CONTACTS])
        weights = np.clip(contacts, 0.0, 1.0) ** 2
        out = np.zeros(3)
        if weights.sum() > 0.1:
            moved = np.stack([(shown - self._shown)[foot : foot + 2] for foot in _FEET])
            out[1:] = -(weights @ moved) / weights.sum()
        return out


def measure_noise(decoded: Callable[[Array], Array]) -> Noise:
    """Noise of held poses after decoding.

    Args:
        decoded: from features ``(poses, frames, 203)`` to decoded ones, seams blended.
    """
    made = [procedural.make(kind, seconds=0.1) for kind in procedural.KINDS]
    poses = np.stack([from_motion(motion[:1])[0] for motion in made])
    squares = []
    for features in decoded(np.repeat(poses[:, None], _FRAMES, axis=1)):
        means, ways = _slow(features, features[0], np.zeros(3))
        way = np.linalg.norm(ways, axis=1, keepdims=True)
        squares.append(np.square(np.hstack([_distances(features - means), way])).mean(axis=0))
    # Rounded, so that networks that round otherwise on other machines give the same.
    return Noise(*(min(round(float(x), 4), _MOST) for x in np.sqrt(np.mean(squares, axis=0))))


def _slow(features: Array, mean: Array, way: Array) -> tuple[Array, Array]:
    """Slow means ``(frames, 203)`` of features, and the root's movements ``(frames, 3)``, metres.

    Args:
        features: ``(frames, 203)``.
        mean: ``(203,)`` before the first frame.
        way: ``(3,)`` likewise.
    """
    # Imported here, since few need it and others need not wait for it.
    from scipy.signal import lfilter

    keep = 1.0 - 1.0 / _SLOW
    means, _ = lfilter([1.0 - keep], [1.0, -keep], features, axis=0, zi=keep * mean[None])
    keep = 1.0 - 1.0 / _WAY
    steps = features[:, _ROOT] * [_LEVER, 1.0, 1.0] / FPS
    ways, _ = lfilter([1.0], [1.0, -keep], steps, axis=0, zi=keep * way[None])
    return means, ways


def _distances(off: Array) -> Array:
    """Root mean square of joints' differences ``(..., 203)``: legs and the rest ``(..., 2)``, m."""
    square = np.square(off[..., _POSITIONS]).reshape(*off.shape[:-1], -1, 3).sum(axis=-1)
    parts = (square[..., part].mean(axis=-1) for part in (_LEGS, ~_LEGS))
    return np.sqrt(np.stack(list(parts), axis=-1) + np.square(off[..., _HEIGHT, None]))


def _near(distance: Array, noise: Array | float) -> Array:
    """1 where ``distance`` is noise, 0 where it is motion."""
    return 1.0 - smoothstep((distance / np.maximum(noise, 1e-6) - _STILL) / (_MOVES - _STILL))
