"""Waiting frames, played at a steady rate, joined without a jump, slowed down to rest."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from bvh import rotations as rot
from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data.easing import smoothstep
from motiontok.errors import InputError

__all__ = ["BLENDING", "Frame", "Moment", "Playback"]

BLENDING = 14
"""Frames over which one motion passes into another: less than half a second."""

_SLOWING = 12  # frames' time in which the body comes to rest; it then makes half as many
_CHOICE = 9  # frames beyond, of which the one is stopped at in which the body moves least
_REMEMBERED = 100  # past states that requests may name


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of the motion.

    Attributes:
        row: ``(numbers,)`` to publish: place (m), quaternions (w, x, y, z), joints.
        body: ``(91,)`` place of the hips and 22 local rotations of the human.
    """

    row: Array
    body: Array


@dataclass(frozen=True, eq=False)
class Moment:
    """Content of one state.

    Attributes:
        number: of the state.
        held: no frames are left, and the body stands.
        row: as in a frame.
        rates: ``(numbers,)`` change of the row per second, without quaternions.
    """

    number: int
    held: bool
    row: Array
    rates: Array


class Playback:
    """Plays frames of 30 a second at another rate.

    Near the last frame it slows down, and comes to rest there along the motion's own frames; with
    new frames it speeds up again. Safe to add to from one thread while another ticks.

    Args:
        quats: number of quaternions in a row, from its fourth number on.
        rate: states a second.
        speeds: ``(joints,)`` limits of the numbers after the quaternions, per second; none, if not
            given.
        kept: played frames to keep.
    """

    def __init__(self, *, quats: int, rate: float, speeds: Array | None, kept: int) -> None:
        self._quats, self._step, self._kept = quats, FPS / rate, kept
        self._reach = None if speeds is None else speeds / FPS
        self._slower = self._step / _SLOWING
        self._frames: list[Frame] = []
        self._gone = 0  # frames dropped before those
        self._at = 0.0  # place in all frames, dropped ones included
        self._speed = 1.0
        self._tick = 0
        # The motion that is being left, frames since then, and whether joints lag behind.
        self._old: list[Frame] = []
        self._passing, self._catching_up = BLENDING, False
        self._shown: deque[tuple[int, float, Array]] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()

    @property
    def waiting(self) -> float:
        """Frames that wait."""
        with self._lock:
            return max(0.0, self._last - self._at) if self._frames else 0.0

    @property
    def number(self) -> int:
        """Of the next state."""
        return self._tick

    @property
    def end(self) -> int:
        """Index of the next frame."""
        with self._lock:
            return self._gone + len(self._frames)

    @property
    def _last(self) -> int:
        return self._gone + len(self._frames) - 1

    def append(self, frame: Frame) -> None:
        """Add a frame that continues the last one."""
        with self._lock:
            self._frames.append(self._passed_into(frame))

    def late(self, index: int) -> int:
        """Frames by which playback has passed one."""
        with self._lock:
            return max(0, math.ceil(self._at) - index)

    def index_at(self, number: int | None) -> tuple[int, int]:
        """The frame that a future state shows, and the state's number.

        Args:
            number: of the state; the next one by default.

        Raises:
            InputError: it was shown already, or the motion ends before it.
        """
        with self._lock:
            if not self._frames:
                raise InputError("nothing plays yet: push codes first")
            number = self._tick if number is None else number
            if number < self._tick:
                raise InputError(
                    f"frame {number} is past: {self._tick} is the next state; take a later "
                    "from_frame, or plan with fewer samples"
                )
            index = math.ceil(self._at + self._step * (number - self._tick) - 1e-9)
            if index > self._last:
                if number == self._tick:
                    return self._last, number
                end = self._tick + math.floor((self._last - self._at) / self._step)
                raise InputError(f"frame {number} is beyond what waits, which ends at {end}")
            return index, number

    def shown(self, number: int | None) -> tuple[float, Array]:
        """The place in all frames of a state of the last two seconds, and its row.

        Raises:
            InputError: it was not shown, or is too long ago.
        """
        with self._lock:
            if not self._shown:
                raise InputError("nothing plays yet: push codes first")
            first, last = self._shown[0][0], self._shown[-1][0]
            number = last if number is None else number
            if not first <= number <= last:
                raise InputError(
                    f"frame {number}: measurements are taken of states {first} to {last}"
                )
            _, at, row = self._shown[number - first]
            return at, row

    def bodies(self, index: int, most: int) -> Array:
        """Bodies ``(frames, 91)`` of up to so many frames, ending with a given one."""
        with self._lock:
            place = index - self._gone + 1
            return np.stack([f.body for f in self._frames[max(0, place - most) : place]])

    def join(self, index: int, frames: list[Frame]) -> None:
        """Replace the frames from one on by others.

        The old motion passes into the new one within half a second. If playback has passed that
        frame, the new frames are entered at the same distance behind.

        Raises:
            InputError: they end before the present frame.
        """
        with self._lock:
            late = max(0, math.ceil(self._at) - index)
            new = frames[late:]
            if not new:
                raise InputError("these codes came too late: playback is past their end")
            place = index + late - self._gone
            # The old motion is left gradually, also where new frames are added later.
            self._old = self._frames[place : place + BLENDING] or self._frames[-1:]
            self._passing, self._catching_up = 0, self._reach is not None
            del self._frames[place:]
            for frame in new:
                self._frames.append(self._passed_into(frame))

    def stop(self, index: int) -> None:
        """Come to rest soon after a frame, at the least movement, and forget later frames."""
        with self._lock:
            first = max(index, math.ceil(self._at) + _SLOWING // 2) - self._gone
            last = len(self._frames) - 1
            if first >= last:
                return
            choice = self._frames[first : min(first + _CHOICE, last) + 1]
            bodies = np.stack([frame.body[7:] for frame in choice])
            moved = np.abs(np.diff(bodies, axis=0, prepend=bodies[:1])).sum(axis=1)
            moved[0] = moved[1] if len(moved) > 1 else 0.0
            del self._frames[first + int(np.argmin(moved)) + 1 :]
            self._passing, self._catching_up = BLENDING, False

    def tick(self) -> Moment | None:
        """The next state; None before the first frame."""
        with self._lock:
            if not self._frames:
                return None
            behind = int(self._at) - self._gone - self._kept
            if behind > 0:
                del self._frames[:behind]
                self._gone += behind
            left = self._last - self._at
            held = left <= 0.0
            at = min(int(self._at), max(self._last - 1, self._gone))
            low = max(at - 1, self._gone)
            near = [f.row for f in self._frames[low - self._gone : at + 3 - self._gone]]
            part, number = self._at - at, self._tick
            part = min(part, 1.0)
            fits = math.sqrt(2.0 * max(left, 0.0) / _SLOWING)
            self._speed = min(1.0, self._speed + self._slower, fits)
            speed = self._speed
            shown_at = self._at
            self._tick += 1
            self._at = min(self._at + self._step * speed, float(self._last))
        first = at - low
        second = min(first + 1, len(near) - 1)
        row = self._mixed(near[first], near[second], part)
        with self._lock:
            self._shown.append((number, shown_at, row))
        rates = np.zeros(len(row))
        if not held and len(near) > 1:
            # Central differences at both ends, mixed: velocities do not jump between frames.
            each = FPS * speed * np.gradient(np.stack(near), axis=0)
            rates = each[first] + part * (each[second] - each[first])
        return Moment(number, held, row, rates)

    def _mixed(self, a: Array, b: Array, part: float) -> Array:
        return _mixed(a, b, part, self._quats)

    def _passed_into(self, frame: Frame) -> Frame:
        """The next frame while one motion passes into another, within the joints' speed limits."""
        if self._passing < BLENDING:
            old = self._old[min(self._passing, len(self._old) - 1)]
            self._passing += 1
            share = float(smoothstep(self._passing / (BLENDING + 1)))
            body = _mixed(old.body, frame.body, share, 22)
            frame = Frame(self._mixed(old.row, frame.row, share), body)
        if self._catching_up and self._reach is not None and self._frames:
            first = 3 + 4 * self._quats
            wanted, last = frame.row[first:], self._frames[-1].row[first:]
            joints = np.clip(wanted, last - self._reach, last + self._reach)
            self._catching_up = self._passing < BLENDING or bool((joints != wanted).any())
            frame = Frame(np.concatenate([frame.row[:first], joints]), frame.body)
        return frame


def _mixed(a: Array, b: Array, part: float, quats: int) -> Array:
    """A row ``part`` of the way from one to another."""
    out: Array = a + part * (b - a)
    turned = slice(3, 3 + 4 * quats)
    pair = np.stack([a[turned], b[turned]]).reshape(2, quats, 4)
    first, second = rot.align_signs(pair)
    out[turned] = rot.slerp(first, second, np.full(quats, part)).ravel()
    return out
