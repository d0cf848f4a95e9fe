"""Codes from arriving frames, and frames from arriving codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bvh.errors import BVHError
from bvh.motion import FPS, Motion
from bvh.rotations import Array
from bvh.skeleton import JOINTS
from motiontok.data import (
    COLUMNS,
    Noise,
    Start,
    StillnessFilter,
    from_motion,
    lock_feet_onward,
    to_motion,
)
from motiontok.errors import CodesError, DataError
from motiontok.tokens.checks import OnInvalid, array_of, check_on_invalid
from motiontok.tokens.joining import Joining

__all__ = ["StreamDecoder", "StreamEncoder"]

_FARTHEST = 1e6  # m; as far as streams of codes go


def _numbers(values: Any, name: str) -> Array:
    """Values as numbers; None, text or rows of different lengths are refused."""
    try:
        if np.iscomplexobj(values):
            raise TypeError
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(())
    if not numbers.ndim:
        raise BVHError(f"pose {name}: expected an array of numbers, got {type(values).__name__}")
    return numbers


class StreamEncoder:
    """Encodes frames as they arrive; made by ``MotionTokenizer.stream_encoder``.

    A window's codes come with its last frame, or ``reach`` frames later. All codes together,
    those of :meth:`flush` included, equal those of the whole motion encoded at once.

    Args:
        encode: from raw features ``(frames, 203)`` to codes ``(windows, codes)``.
        window: frames a window.
        codes: codes a window.
        reach: frames before and after a window on which its codes depend.
        offsets: ``(22, 3)`` the subject's rest offsets, metres.

    Attributes:
        frames: frames pushed so far, after :meth:`flush` until the next push too.
        start: place and heading of the first frame, likewise; None before it.
    """

    def __init__(
        self,
        encode: Callable[[Array], NDArray[np.int64]],
        *,
        window: int,
        codes: int,
        reach: int,
        offsets: Array,
    ) -> None:
        self._encode = encode
        self._window = window
        self._codes = codes
        self._reach = reach
        self._offsets = offsets
        self._reset()

    def _reset(self) -> None:
        self.frames = 0
        self.start: Start | None = None
        self._positions = np.empty((0, 3))
        self._rotations = np.empty((0, len(JOINTS), 4))
        self._ahead = False  # whether the first frame that is kept is there for velocities only
        self._known = 0  # kept windows, the first ones, whose codes were returned already
        self._ended = False

    def push(self, root_positions: Array, rotations: Array) -> NDArray[np.int64]:
        """Codes ``(windows, codes_per_window)`` of the windows that are now full, often none.

        Args:
            root_positions: ``(frames, 3)`` or, of one frame, ``(3,)``, world, metres.
            rotations: ``(frames, 22, 4)`` or ``(22, 4)``, as of a Motion at 30 frames/s.

        Raises:
            BVHError: shapes disagree, a value is not finite or no number, or a place is beyond 1e6
                m. The stream goes on with the next frames.
        """
        positions = _numbers(root_positions, "root_positions")
        rotations = _numbers(rotations, "rotations")
        if positions.ndim == 1:
            positions, rotations = positions[None], rotations[None]
        piece = Motion(positions, rotations, self._offsets)
        if not len(piece):
            return np.empty((0, self._codes), dtype=np.int64)
        if not np.abs(positions).max() <= _FARTHEST:
            raise BVHError(f"pose: the root is beyond {_FARTHEST:.0e} m, where no body can be")
        if self._ended:
            self._reset()
        if self.start is None:
            self.start = Start.of(piece)
        self.frames += len(piece)
        self._positions = np.concatenate([self._positions, positions])
        self._rotations = np.concatenate([self._rotations, rotations])
        seen = (len(self._positions) - self._ahead - self._reach) // self._window
        if seen <= self._known:
            return np.empty((0, self._codes), dtype=np.int64)
        return self._take(seen * self._window + self._reach, seen)

    def flush(self) -> NDArray[np.int64]:
        """Codes of the remaining frames, the last one held to the window's end.

        The next push begins anew; until then :attr:`start` and :attr:`frames` say what a file
        of the codes needs.
        """
        frames = len(self._positions) - self._ahead
        seen = -(-frames // self._window)
        left = not self._ended and seen > self._known
        codes = self._take(frames, seen) if left else np.empty((0, self._codes), np.int64)
        self._ended = True
        return codes

    def _take(self, frames: int, seen: int) -> NDArray[np.int64]:
        """Codes of windows up to ``seen`` that were not returned yet, from the first ``frames``.

        It keeps the windows on which the next ones depend, and the frame before them, since
        velocities need it.
        """
        count = frames + self._ahead
        piece = Motion(self._positions[:count], self._rotations[:count], self._offsets)
        codes = self._encode(from_motion(piece)[int(self._ahead) :])[self._known : seen]
        known = min(seen, -(-self._reach // self._window))
        gone = (seen - known) * self._window
        if gone:
            first = gone - 1 + self._ahead
            self._positions, self._rotations = self._positions[first:], self._rotations[first:]
            self._ahead = True
        self._known = known
        return codes


class StreamDecoder:
    """Decodes windows as they arrive; made by ``MotionTokenizer.stream_decoder``.

    Frames beside a border depend on the next window, so the last :attr:`look_ahead` frames of a
    window come with the next one or with :meth:`flush`. All frames together equal those of the
    whole sequence decoded at once with ``plant=False``. With ``plant=True`` a still body is held,
    as in ``decode``, and so are standing feet. Held feet in ``decode`` depend on all later frames,
    so in a stream they differ a little (docs/tokens.md has figures).

    Args:
        joining: decodes windows and joins them.
        start: place and heading of frame 0.
        offsets: ``(22, 3)`` rest offsets of the body to move, metres.
        plant: hold standing feet in place, and a body that is still.
        on_invalid: what to do about a window with a code outside the vocabulary.
        noise: of the decoder, by codes a window.

    Attributes:
        look_ahead: frames of a window that come with the next one.
        pose: place and heading of the last frame, with feet not held.
    """

    def __init__(
        self,
        joining: Joining,
        *,
        start: Start,
        offsets: Array,
        plant: bool,
        on_invalid: OnInvalid,
        noise: Callable[[int], Noise],
    ) -> None:
        check_on_invalid(on_invalid)
        self._joining = joining
        self._first = start
        self._offsets = offsets
        self._plant = plant
        self._on_invalid = on_invalid
        self._noise = noise
        self.look_ahead = joining.look_ahead
        self.reset()

    def reset(self) -> None:
        """Begin anew, at the stream's first pose."""
        self._joining.reset()
        self.pose = self._first
        self._shift: Array | None = None
        self._still: StillnessFilter | None = None
        # The last frame so far, from which the next frames' velocities go on.
        self._last: Array | None = None

    def push(self, codes: Any, *, on_invalid: OnInvalid | None = None) -> Motion:
        """Frames that are now final.

        Args:
            codes: ``(windows, codes_per_window)`` or, of one window, ``(codes_per_window,)``.
            on_invalid: for these windows, instead of the decoder's.

        Raises:
            CodesError: wrong shape, type or a value outside the vocabulary; with ``"hold"``
                only where the stream has no valid window yet.
        """
        if not hasattr(codes, "ndim"):
            codes = array_of(codes)
        if codes.ndim == 1:
            codes = codes[None]
        if codes.ndim != 2:
            raise CodesError(f"codes: expected (windows, codes), got {tuple(codes.shape)}")
        ready = self._joining.push(codes, on_invalid or self._on_invalid)
        assert self._joining.ahead is not None
        if self._plant and self._still is None:
            self._still = StillnessFilter(self._noise(np.shape(codes)[-1]))
        return self._move(ready, self._joining.ahead)

    def flush(self) -> Motion:
        """The held-back frames.

        Later pushes continue from their last place, without blending into them; :meth:`reset`
        begins anew.

        Raises:
            DataError: no codes were pushed since the last time.
        """
        tail = self._joining.ahead
        if tail is None:
            raise DataError("nothing to flush: no codes were pushed")
        motion = self._move(tail, tail[:0])
        self._joining.reset()
        return motion

    def _move(self, features: Array, ahead: Array) -> Motion:
        """Motion of ``features``; those ``ahead`` are only looked at."""
        if not len(features):
            # Windows may be shorter than what is kept back.
            return to_motion(ahead, self._offsets, start=self.pose)[:0]
        if self._still is not None:
            features = self._still.push(features)
            ahead = self._still.copy().push(ahead)
        known = features if self._last is None else np.concatenate([self._last, features])
        skip, end = len(known) - len(features), len(known)
        motion = to_motion(np.concatenate([known, ahead]), self._offsets, start=self.pose)
        turned = self.pose.yaw + float(known[1:, COLUMNS["yaw_rate"]].sum()) / FPS
        x, y = motion.root_positions[end - 1, :2]
        self.pose, self._last = Start(float(x), float(y), turned), known[-1:]
        if self._still is None:
            return motion[skip:end]
        contacts = np.concatenate([known, ahead])[:, COLUMNS["contacts"]]
        planted, shifts = lock_feet_onward(motion, contacts, self._shift)
        self._shift = shifts[end - 1]
        return planted[skip:end]
