"""A session: codes go in window by window, states come out at a steady rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bvh import rotations as rot
from bvh.motion import FPS, Motion
from bvh.rotations import Array
from bvh.skeleton import JOINTS
from motiontok.data import Start
from motiontok.data.easing import smoothstep
from motiontok.errors import InputError
from motiontok.robots.files.trajectory import wxyz_from_xyzw
from motiontok.serve.playback import BLENDING, Frame, Playback
from motiontok.serve.shifts import Shift
from motiontok.tokenizer import MotionTokenizer
from motiontok.tokens.checks import OnInvalid

if TYPE_CHECKING:
    from motiontok.robots import Robot

__all__ = ["BodyState", "Session"]

_PAST = 2
"""Played windows from which a plan can continue."""

_AHEAD = 8
"""Frames to solve before a replacement is entered."""

_FAR = 1.0
"""Metres and rad beyond which a measured pose is no correction."""


@dataclass(frozen=True, eq=False)
class BodyState:
    """The published state, 50 times a second.

    Attributes:
        frame: counts states of a session from 0.
        held: no frames were left, and the body stands.
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
        start: first place and heading, in metres of the moving body.
        offsets: ``(22, 3)`` its bones, metres; with a robot, those of a person with its legs.
        first: number of first codes of each window, if not all.
        rate: states a second.
        most_seconds: longest motion that may wait.
    """

    def __init__(
        self,
        name: str,
        tokenizer: MotionTokenizer,
        *,
        robot: Robot | None,
        start: Start,
        offsets: Array,
        rate: float,
        most_seconds: float,
        first: int | None = None,
    ) -> None:
        self.name = name
        self.windows = 0
        self.used = time.monotonic()
        self._tokenizer, self._offsets, self._first = tokenizer, offsets, first
        self._decoder = tokenizer.stream_decoder(start=start, offsets=offsets, first=first)
        self._window = tokenizer.frames_per_window
        self._follower = None
        if robot is not None:
            from motiontok.robots import Follower

            self._follower = Follower(robot, offsets=offsets)
        self._playback = Playback(
            quats=len(JOINTS) if robot is None else 1,
            rate=rate,
            speeds=None if robot is None else robot.speed_limits,
            kept=_PAST * self._window,
        )
        self._most = most_seconds * FPS
        # Decoded motion is moved by the first, and gradually by the second too.
        self._shift, self._correction = Shift(), Shift()
        self._pivot: Start | None = None  # where the body was when the correction began
        self._ramped = 0  # frames since then
        self._corrected = (0, Shift())  # the first corrected frame, and the shift
        self._broken = False  # whether codes that come begin anew
        # Codes are decoded in the order in which they come, also by several workers.
        self._pushing = threading.Lock()

    @property
    def queued_seconds(self) -> float:
        """Length of the waiting motion."""
        return self._playback.waiting / FPS

    @property
    def frame(self) -> int:
        """Number of the next state."""
        return self._playback.number

    @property
    def pose(self) -> Start:
        """Place and heading where the next codes begin."""
        return self._correction.of_pose(self._shift.of_pose(self._decoder.pose))

    def push(self, codes: Array, *, on_invalid: OnInvalid = "error") -> float:
        """Add windows of codes; returns the seconds that now wait.

        Args:
            codes: ``(windows, codes_per_window)``.
            on_invalid: as :meth:`MotionTokenizer.decode` has it.

        Raises:
            CodesError: they are none.
            InputError: too much motion would wait.
        """
        with self._pushing:
            self.used = time.monotonic()
            count = self._require_room(codes, self._playback.waiting)
            motion = self._decoder.push(codes, on_invalid=on_invalid)
            frames = self._frames(motion, self._playback.end)
            if self._broken and len(motion):
                self._broken = False
                self._join(self._playback.end - 1, frames)
            for frame in frames:
                self._playback.append(frame)
            self.windows += count
        return self.queued_seconds

    def replace(
        self,
        codes: Array,
        *,
        past: Array | None,
        from_frame: int | None,
        on_invalid: OnInvalid = "error",
    ) -> int:
        """Play these codes from a state on, instead of the waiting ones; returns its number.

        Args:
            codes: ``(windows, codes_per_window)``.
            past: ``(windows, codes_per_window)`` before them, played by that state.
            from_frame: number of the state; the next one by default.
            on_invalid: as :meth:`MotionTokenizer.decode` has it.

        Raises:
            CodesError: they are none.
            InputError: the state is past, or too much motion would wait.
        """
        with self._pushing:
            self.used = time.monotonic()
            index, number = self._playback.index_at(from_frame)
            count = self._require_room(codes, 0.0)
            decoder = self._tokenizer.stream_decoder(offsets=self._offsets, first=self._first)
            done = 0 if past is None else len(past)
            whole = codes if past is None or not done else np.concatenate([past, codes])
            motion = decoder.push(whole, on_invalid=on_invalid)[max(done * self._window - 1, 0) :]
            if not len(motion):
                raise InputError("no frame of these codes is final yet: send another window too")
            self._decoder, self._broken = decoder, False
            self._shift = Shift.between(Start.of(motion), self._anchored(index))
            self._corrected = (index, self._correction)
            self._correction, self._pivot = Shift(), None
            if self._follower is not None:
                self._follower.reset()
            frames = self._frames(motion, index)
            try:
                self._join(index, frames)
            except InputError:
                self._restart()
                raise
            for frame in frames:
                self._playback.append(frame)
            self.windows += count
        return number

    def clear(self, from_frame: int | None) -> float:
        """Slow to a stand after a state and forget the waiting motion; returns the seconds left.

        Raises:
            InputError: the state is past.
        """
        with self._pushing:
            self.used = time.monotonic()
            index, _ = self._playback.index_at(from_frame)
            self._playback.stop(index)
            self._restart()
        return self.queued_seconds

    def measured(self, root_pos: Array, root_quat: Array, frame: int | None) -> Start:
        """Take the robot's pose in a state, to which later motion is anchored.

        Args:
            root_pos: ``(3,)`` of the base, or the human's hips, m.
            root_quat: ``(4,)`` (w, x, y, z).
            frame: number of the state; the last one by default.

        Returns:
            Place and heading where the next codes begin.

        Raises:
            InputError: no pose, one too far away for a correction, or a state too long ago.
        """
        if root_pos[2] < 0.0:
            raise InputError(f"root_pos: {root_pos[2]:.2f} m high is under the floor")
        if not 0.5 < np.linalg.norm(root_quat) < 2.0:
            raise InputError("root_quat: a unit quaternion (w, x, y, z) expected")
        with self._pushing:
            self.used = time.monotonic()
            at, row = self._playback.shown(frame)
            was = Start(float(row[0]), float(row[1]), float(rot.yaw_of(row[3:7])))
            unit = root_quat / np.linalg.norm(root_quat)
            found = Start(float(root_pos[0]), float(root_pos[1]), float(rot.yaw_of(unit)))
            off = Shift.between(was, found)
            apart = float(np.hypot(found.x - was.x, found.y - was.y))
            if apart > _FAR or abs(off.yaw) > _FAR:
                raise InputError(
                    f"the measured pose is {apart:.2f} m and {abs(off.yaw):.2f} rad from where the "
                    f"body was to be; beyond {_FAR:g} close the session and open it there"
                )
            since, already = self._corrected
            if self._pivot is not None:
                already = self._correction.part(_share(self._ramped), self._pivot)
                self._shift, self._pivot = already.after(self._shift), None
            # States from before the last correction do not show it.
            self._correction = off.after(already.back()) if at < since + BLENDING else off
            return self.pose

    def anchored(self, from_frame: int | None) -> tuple[Start, Array | None, int]:
        """The start of a plan: the pose at a state, codes until there, and its number.

        Args:
            from_frame: number of the state; the next one by default.

        Returns:
            Place and heading as measured; ``(windows, codes_per_window)`` of the motion until then,
            None if that is less than a window; the state's number.

        Raises:
            InputError: the state is past, or nothing plays yet.
        """
        with self._pushing:
            index, number = self._playback.index_at(from_frame)
            bodies = self._playback.bodies(index, _PAST * self._window)
            pose = self._anchored(index)
        whole = len(bodies) // self._window * self._window
        if not whole:
            return pose, None, number
        rows = bodies[-whole:]
        motion = Motion(rows[:, :3], rows[:, 3:].reshape(whole, -1, 4), self._offsets)
        codes = self._tokenizer.encode(motion)
        assert isinstance(codes, np.ndarray)
        return pose, codes, number

    def tick(self) -> BodyState | None:
        """The next state; None before the first codes."""
        now = self._playback.tick()
        if now is None:
            return None
        row = now.row
        if self._follower is None:
            turned = row[3:].reshape(-1, 4)
            return BodyState(now.number, now.held, row[:3], turned[0], _NONE, _NONE, turned)
        joints, rates = row[7:], now.rates[7:]
        return BodyState(now.number, now.held, row[:3], row[3:7], joints, rates, np.empty((0, 4)))

    def _require_room(self, codes: Array, waiting: float) -> int:
        """Number of these windows, if they may wait too."""
        count = 1 if np.ndim(codes) == 1 else len(codes)
        more = self._window * count
        if waiting + more > self._most:
            raise InputError(
                f"session {self.name}: {waiting / FPS:.1f} s wait and {more / FPS:.1f} s more "
                f"would; at most {self._most / FPS:.0f} s may wait, push later"
            )
        return count

    def _anchored(self, index: int) -> Start:
        """The body's pose in a frame, as measured."""
        return self._correction.of_pose(_pose_of(self._playback.bodies(index, 1)[0]))

    def _restart(self) -> None:
        """Begin anew with the next codes, at the end of the waiting motion."""
        end = self._playback.bodies(self._playback.end - 1, 1)[0]
        self._decoder = self._tokenizer.stream_decoder(
            start=_pose_of(end), offsets=self._offsets, first=self._first
        )
        self._shift, self._broken = Shift(), True
        if self._follower is not None:
            self._follower.reset()

    def _join(self, index: int, frames: Iterator[Frame]) -> None:
        """Enter the first frames, which play while the others are solved."""
        first: list[Frame] = []
        for frame in frames:
            first.append(frame)
            if len(first) >= self._playback.late(index) + _AHEAD:
                break
        self._playback.join(index, first)

    def _frames(self, motion: Motion, index: int) -> Iterator[Frame]:
        """Frames from one on, ready to play: on the robot, and the body's pose."""
        poses = zip(motion.root_positions, motion.rotations, strict=True)
        for place, (position, turned) in enumerate(poses, start=index):
            body = np.concatenate([position, turned.ravel()])
            row = body
            if self._follower is not None:
                q = self._follower.push(position, turned)
                row = np.concatenate([q[:3], wxyz_from_xyzw(q[3:7]), q[7:]])
            shift = self._shifted(body, place)
            yield Frame(shift.of_row(row), shift.of_row(body))

    def _shifted(self, body: Array, index: int) -> Shift:
        """Shift of the next frame; a correction takes half a second."""
        if self._correction == Shift():
            return self._shift
        if self._pivot is None:
            self._pivot, self._ramped = self._shift.of_pose(_pose_of(body)), 0
            self._corrected = (index, self._correction)
        self._ramped += 1
        shift = self._correction.part(_share(self._ramped), self._pivot).after(self._shift)
        if self._ramped > BLENDING:
            self._shift, self._correction, self._pivot = shift, Shift(), None
        return shift


_NONE = np.empty(0)


def _pose_of(body: Array) -> Start:
    return Start(float(body[0]), float(body[1]), float(rot.yaw_of(body[3:7])))


def _share(frames: int) -> float:
    """Share of a correction after so many frames."""
    return float(smoothstep(frames / (BLENDING + 1)))
