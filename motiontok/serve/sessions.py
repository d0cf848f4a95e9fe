"""A session: codes go in window by window, states come out at a steady rate."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bvh import rotations as rot
from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data import Start
from motiontok.errors import InputError
from motiontok.robots.trajectory import wxyz_from_xyzw
from motiontok.tokenizer import MotionTokenizer
from motiontok.tokens.checks import OnInvalid

if TYPE_CHECKING:
    from motiontok.robots import Robot

__all__ = ["BodyState", "Session"]


@dataclass(frozen=True, eq=False)
class BodyState:
    """What is published, 50 times a second.

    Attributes:
        frame: counts states of a session from 0.
        held: nothing new was there; the body stands as it was.
        root_pos: ``(3,)`` m, of the robot's base or the human's hips.
        root_quat: ``(4,)`` (w, x, y, z), likewise.
        joint_pos: ``(joints,)`` rad (or m), of a robot; else empty.
        joint_vel: ``(joints,)`` rad/s (or m/s).
        rotations: ``(22, 4)`` local rotations of a human; of a robot, empty.
    """

    frame: int
    held: bool
    root_pos: Array
    root_quat: Array
    joint_pos: Array
    joint_vel: Array
    rotations: Array


class Session:
    """Plays codes back, on a robot if there is one.

    Safe to push to from one thread while another calls :meth:`tick`.

    Args:
        name: of the session.
        tokenizer: decodes.
        robot: to move; without one, states are of the human.
        start: place and heading to begin at.
        offsets: ``(22, 3)`` bones of the human, metres; the tokenizer's if not given.
        first: codes that come of each window, if not all.
        rate: states a second.
        most_seconds: so much may wait to be played.
    """

    def __init__(
        self,
        name: str,
        tokenizer: MotionTokenizer,
        *,
        robot: Robot | None,
        start: Start,
        offsets: Array | None,
        first: int | None,
        rate: float,
        most_seconds: float,
    ) -> None:
        self.name = name
        self.windows = 0
        self.used = time.monotonic()
        self._decoder = tokenizer.stream_decoder(start=start, offsets=offsets, first=first)
        self._window = tokenizer.frames_per_window
        self._follower = None
        if robot is not None:
            from motiontok.robots import Follower

            self._follower = Follower(
                robot, offsets=tokenizer.offsets if offsets is None else offsets
            )
        self._step = FPS / rate
        self._most = most_seconds * FPS
        # Frames of the body, (frames, numbers), and where in them playback is.
        self._frames: list[Array] = []
        self._at = 0.0
        self._tick = 0
        self._lock = threading.Lock()
        # Codes are decoded in the order in which they come, also by several workers.
        self._pushing = threading.Lock()

    @property
    def queued_seconds(self) -> float:
        """Length of what waits to be played."""
        with self._lock:
            return max(0.0, len(self._frames) - 1 - self._at) / FPS

    @property
    def pose(self) -> Start:
        """Place and heading of the last frame that was added."""
        return self._decoder.pose

    def push(self, codes: Array, *, on_invalid: OnInvalid = "error") -> float:
        """Add windows of codes; returns the seconds that now wait.

        Args:
            codes: ``(windows, codes_per_window)``.
            on_invalid: as :meth:`MotionTokenizer.decode` has it.

        Raises:
            CodesError: they are none.
            InputError: more would wait than may.
        """
        with self._pushing:
            self.used = time.monotonic()
            waiting = self.queued_seconds * FPS
            more = self._window * (1 if np.ndim(codes) == 1 else len(codes))
            if waiting + more > self._most:
                raise InputError(
                    f"session {self.name}: {waiting / FPS:.1f} s wait and {more / FPS:.1f} s more "
                    f"come, at most {self._most / FPS:.0f} s may wait; push later"
                )
            motion = self._decoder.push(codes, on_invalid=on_invalid)
            for position, rotations in zip(motion.root_positions, motion.rotations, strict=True):
                if self._follower is not None:
                    q = self._follower.push(position, rotations)
                    frame = np.concatenate([q[:3], wxyz_from_xyzw(q[3:7]), q[7:]])
                else:
                    frame = np.concatenate([position, rotations.ravel()])
                with self._lock:
                    self._frames.append(frame)
            self.windows += more // self._window
        return self.queued_seconds

    def tick(self) -> BodyState | None:
        """The next state; None before the first codes."""
        with self._lock:
            if not self._frames:
                return None
            behind = int(self._at) - 1
            if behind > 0:
                del self._frames[:behind]
                self._at -= behind
            last = len(self._frames) - 1
            held = self._at >= last
            at = min(self._at, float(last))
            index = min(int(at), max(last - 1, 0))
            near = self._frames[max(index - 1, 0) : index + 3]
            offset = index - max(index - 1, 0)
            frame = self._tick
            self._tick += 1
            self._at = min(self._at + self._step, float(last))
        return self._between(np.stack(near), offset, at - index, held, frame)

    def _between(self, near: Array, index: int, part: float, held: bool, frame: int) -> BodyState:
        """State ``part`` of the way from ``near[index]`` to the frame behind it."""
        after = min(index + 1, len(near) - 1)
        a, b = near[index], near[after]
        mixed = a + part * (b - a)
        quats = 1 if self._follower is not None else 22
        pair = np.stack([a[3 : 3 + 4 * quats], b[3 : 3 + 4 * quats]]).reshape(2, quats, 4)
        first, second = rot.align_signs(pair)
        turned = rot.slerp(first, second, np.full(quats, part))
        if self._follower is None:
            return BodyState(frame, held, mixed[:3], turned[0], np.empty(0), np.empty(0), turned)
        velocity = np.zeros(len(a) - 7)
        if not held and len(near) > 1:
            # Central differences at both ends, mixed: velocities do not jump between frames.
            rates = FPS * np.gradient(near[:, 7:], axis=0)
            velocity = rates[index] + part * (rates[after] - rates[index])
        return BodyState(frame, held, mixed[:3], turned[0], mixed[7:], velocity, np.empty((0, 4)))
