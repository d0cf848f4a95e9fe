"""The server's operations, a method each: arguments checked, results plain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data import World, offsets_of, start_of
from motiontok.errors import InputError
from motiontok.serve.fields import (
    codes_of,
    numbers,
    on_invalid,
    pop,
    state_number,
    take,
    whole,
)
from motiontok.serve.proposals import Limits, Proposals
from motiontok.serve.sessions import Session
from motiontok.serve.wire import VERSION
from motiontok.tokenizer import MotionTokenizer

if TYPE_CHECKING:
    from motiontok.prior import TokenPrior
    from motiontok.robots import Robot

__all__ = ["Handlers", "Limits", "NoSession"]


class NoSession(InputError):  # noqa: N818 - clients are told this word
    """The session does not exist, or not any more."""


class Handlers:
    """Answers requests; safe to call from several threads.

    Args:
        tokenizer: encodes and decodes.
        prior: samples and plans; without one these are refused.
        robot: that sessions move, if any.
        rate: states a second.
        limits: what may be asked for.
        topic: of all states; by default each session has its own.
    """

    def __init__(
        self,
        tokenizer: MotionTokenizer,
        *,
        prior: TokenPrior | None,
        robot: Robot | None,
        rate: float,
        limits: Limits,
        topic: str | None = None,
    ) -> None:
        self.tokenizer, self.prior, self.robot = tokenizer, prior, robot
        self.rate, self.limits, self.topic = rate, limits, topic
        self.sessions: dict[str, Session] = {}
        self.world = World()
        if robot is not None:
            from motiontok.robots import body_like

            self.world = World(body_like(robot), robot.name)
        self._lock = threading.Lock()
        proposals = Proposals(tokenizer, prior, self.world, limits, self._session)
        self.quick: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "info": self.info,
            "encode": self.encode,
            "decode": self.decode,
            "open": self.open,
            "push": self.push,
            "replace": self.replace,
            "clear": self.clear,
            "measured": self.measured,
            "close": self.close,
        }
        self.slow: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "sample": proposals.sample,
            "plan": proposals.plan,
        }

    def info(self, request: dict[str, Any]) -> dict[str, Any]:
        """Versions, sizes, labels, limits."""
        take(request)
        t, prior = self.tokenizer, self.prior
        return {
            "protocol": VERSION,
            "fingerprint": t.fingerprint,
            "vocab_size": t.vocab_size,
            "codes_per_window": t.codes_per_window,
            "frames_per_window": t.frames_per_window,
            "fps": t.fps,
            "licence": t.licence,
            "rate": self.rate,
            "world": self.world.name,
            "scale": self.world.scale,
            "command_limits": None if prior is None else prior.limits.in_world(self.world),
            "robot": None if self.robot is None else self.robot.name,
            "joint_names": [] if self.robot is None else list(self.robot.joint_names),
            "labels": [] if prior is None else list(prior.actions),
            "styles": [] if prior is None else list(prior.styles),
            "sessions": len(self.sessions),
            "limits": dict(vars(self.limits)),
        }

    def encode(self, request: dict[str, Any]) -> dict[str, Any]:
        """Poses to codes."""
        positions, rotations, offsets = take(
            request, root_positions=(None, 3), rotations=(None, 22, 4), offsets=(22, 3)
        )
        if positions is None or rotations is None:
            raise InputError("encode needs root_positions and rotations")
        most = self.limits.windows * self.tokenizer.frames_per_window
        if not 0 < len(positions) <= most:
            raise InputError(f"encode takes 1 to {most} frames, got {len(positions)}")
        motion = Motion(
            positions, rotations, self.world.offsets if offsets is None else offsets_of(offsets)
        )
        codes = self.tokenizer.encode_to_codes(motion)
        return {
            "codes": codes.array,
            "frames": codes.frames,
            "start": numbers(codes.start),
            "fingerprint": codes.fingerprint,
        }

    def decode(self, request: dict[str, Any]) -> dict[str, Any]:
        """Codes to poses."""
        options = pop(request, "frames", "on_invalid", "first")
        codes, start, offsets = take(request, codes=(None, None), start=(3,), offsets=(22, 3))
        motion = self.tokenizer.decode(
            codes_of(codes, self.limits.windows),
            start=start_of(start),
            offsets=self.world.offsets if offsets is None else offsets,
            frames=None if options["frames"] is None else whole(options, "frames"),
            on_invalid=on_invalid(options),
            first=None if options["first"] is None else whole(options, "first"),
        )
        return {
            "root_positions": motion.root_positions.astype(np.float32),
            "rotations": motion.rotations.astype(np.float32),
            "fps": motion.fps,
        }

    def open(self, request: dict[str, Any]) -> dict[str, Any]:
        """Begin a session, or return to one."""
        given = pop(request, "session", "resume", "first")
        start, offsets = take(request, start=(3,), offsets=(22, 3))
        name = self._name(given)
        with self._lock:
            session = self.sessions.get(name)
            if session is not None and not given["resume"]:
                raise InputError(f"session {name!r} is open; choose another name, or resume it")
            if session is None and len(self.sessions) >= self.limits.sessions:
                raise InputError(
                    f"{len(self.sessions)} sessions are open already, the most allowed"
                )
            resumed = session is not None
            if session is None:
                session = Session(
                    name,
                    self.tokenizer,
                    robot=self.robot,
                    start=start_of(start),
                    offsets=self._bones(offsets),
                    first=None if given["first"] is None else whole(given, "first"),
                    rate=self.rate,
                    most_seconds=self.limits.queue_seconds,
                )
                self.sessions[name] = session
        return {
            "topic": self.topic or f"state.{name}",
            "resumed": resumed,
            "windows": session.windows,
            "queued_seconds": session.queued_seconds,
            "pose": numbers(session.pose),
            "frame": session.frame,
        }

    def push(self, request: dict[str, Any]) -> dict[str, Any]:
        """Codes to play."""
        given = pop(request, "session", "on_invalid")
        (codes,) = take(request, codes=(None, None))
        session = self._session(given)
        queued = session.push(codes_of(codes, self.limits.windows), on_invalid=on_invalid(given))
        return {"queued_seconds": queued, **_stands(session)}

    def replace(self, request: dict[str, Any]) -> dict[str, Any]:
        """Codes to play instead of the waiting ones."""
        given = pop(request, "session", "on_invalid", "from_frame")
        codes, past = take(request, codes=(None, None), past=(None, None))
        session, most = self._session(given), self.limits.windows
        number = session.replace(
            codes_of(codes, most),
            past=None if past is None else codes_of(past, most),
            from_frame=state_number(given, "from_frame"),
            on_invalid=on_invalid(given),
        )
        queued = session.queued_seconds
        return {"from_frame": number, "queued_seconds": queued, **_stands(session)}

    def clear(self, request: dict[str, Any]) -> dict[str, Any]:
        """Slow down to a stand and forget the waiting motion."""
        given = pop(request, "session", "from_frame")
        take(request)
        session = self._session(given)
        queued = session.clear(state_number(given, "from_frame"))
        return {"queued_seconds": queued, **_stands(session)}

    def measured(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take the robot's pose, to which later motion is anchored."""
        given = pop(request, "session", "frame")
        position, quaternion = take(request, root_pos=(3,), root_quat=(4,))
        if position is None or quaternion is None:
            raise InputError("measured needs root_pos and root_quat")
        session = self._session(given)
        pose = session.measured(position, quaternion, state_number(given, "frame"))
        return {"pose": numbers(pose), "frame": session.frame}

    def close(self, request: dict[str, Any]) -> dict[str, Any]:
        """End a session."""
        given = pop(request, "session")
        take(request)
        session = self._session(given)
        with self._lock:
            self.sessions.pop(session.name, None)
        return {}

    def playing(self) -> list[Session]:
        """Open sessions; those idle for long are ended."""
        now = time.monotonic()
        with self._lock:
            for name, session in list(self.sessions.items()):
                if now - session.used > self.limits.idle_seconds and not session.queued_seconds:
                    del self.sessions[name]
            return list(self.sessions.values())

    def _bones(self, offsets: Array | None) -> Array:
        """Bones of a session; with a robot, with its legs, so that metres are the robot's."""
        if offsets is None:
            return self.world.offsets
        bones = offsets_of(offsets)
        if self.robot is None:
            return bones
        return self.world.scale / World(bones).scale * bones

    def _name(self, given: dict[str, Any]) -> str:
        name = given["session"]
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 64:
            raise InputError("session must be a name of 1 to 64 characters")
        return name

    def _session(self, given: dict[str, Any]) -> Session:
        session = self.sessions.get(self._name(given))
        if session is None:
            raise NoSession(f"no session {given['session']!r}: open it first")
        return session


def _stands(session: Session) -> dict[str, Any]:
    """State of a session for most replies."""
    return {
        "windows": session.windows,
        "pose": numbers(session.pose),
        "frame": session.frame,
    }
