"""What a server can be asked: one method an operation, arguments checked, results plain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bvh.motion import Motion
from motiontok.data import Start, offsets_of, start_of
from motiontok.errors import InputError
from motiontok.serve.fields import OPTIONS, number, on_invalid, pop, sampling, take, text, whole
from motiontok.serve.sessions import Session
from motiontok.serve.wire import VERSION
from motiontok.tokenizer import MotionTokenizer

if TYPE_CHECKING:
    from motiontok.prior import TokenPrior
    from motiontok.robots import Robot

__all__ = ["Handlers", "Limits", "NoSession"]


class NoSession(InputError):
    """The session does not exist, or not any more."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server lets its clients ask for.

    Attributes:
        message_bytes: size of a request.
        windows: windows in a request, over the whole batch.
        samples: candidates of a plan in each step.
        sessions: open at once.
        clients: heard from within a minute.
        waiting: requests that wait, in all.
        queue_seconds: motion that waits in a session.
        idle_seconds: after which a session without pushes ends.
    """

    message_bytes: int = 8 * 2**20
    windows: int = 64
    samples: int = 64
    sessions: int = 16
    clients: int = 64
    waiting: int = 64
    queue_seconds: float = 30.0
    idle_seconds: float = 120.0


class Handlers:
    """Answers requests; safe to call from several threads.

    Args:
        tokenizer: encodes and decodes.
        prior: samples and plans; without one these are refused.
        robot: that sessions move, if any.
        rate: states a second.
        limits: what may be asked for.
        topic: of all states; of each session its own if not given.
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
        self._lock = threading.Lock()
        self.quick: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "info": self.info,
            "encode": self.encode,
            "decode": self.decode,
            "open": self.open,
            "push": self.push,
            "close": self.close,
        }
        self.slow: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "sample": self.sample,
            "plan": self.plan,
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
            positions, rotations, self.tokenizer.offsets if offsets is None else offsets_of(offsets)
        )
        codes = self.tokenizer.encode_to_codes(motion)
        return {
            "codes": codes.array,
            "frames": codes.frames,
            "start": _numbers(codes.start),
            "fingerprint": codes.fingerprint,
        }

    def decode(self, request: dict[str, Any]) -> dict[str, Any]:
        """Codes to poses."""
        options = pop(request, "frames", "on_invalid", "first")
        codes, start, offsets = take(request, codes=(None, None), start=(3,), offsets=(22, 3))
        motion = self.tokenizer.decode(
            self._codes(codes),
            start=start_of(start),
            offsets=offsets,
            frames=None if options["frames"] is None else whole(options, "frames"),
            on_invalid=on_invalid(options),
            first=None if options["first"] is None else whole(options, "first"),
        )
        return {
            "root_positions": motion.root_positions.astype(np.float32),
            "rotations": motion.rotations.astype(np.float32),
            "fps": motion.fps,
        }

    def sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Codes drawn from the prior."""
        prior = self._prior()
        given = pop(request, "windows", "batch", "label", "style", "seed", *OPTIONS)
        velocity, yaw_rate, prefix = take(
            request, velocity=None, yaw_rate=None, prefix=(None, None)
        )
        windows, batch = whole(given, "windows", 1), whole(given, "batch", 1)
        if not 0 < windows * batch <= self.limits.windows:
            raise InputError(
                f"windows times batch must be 1 to {self.limits.windows}, got {windows * batch}"
            )
        codes = prior.sample(
            windows,
            batch=batch,
            velocity=velocity,
            yaw_rate=yaw_rate,
            label=text(given, "label"),
            style=text(given, "style"),
            prefix=None if prefix is None else self._codes(prefix),
            options=sampling(given),
            seed=whole(given, "seed", 0),
        )
        return {"codes": codes.astype(np.uint16), "fingerprint": prior.fingerprint}

    def plan(self, request: dict[str, Any]) -> dict[str, Any]:
        """Codes along a path or a velocity profile."""
        from motiontok.prior import planning as p

        prior = self._prior()
        given = pop(
            request, "seconds", "speed", "label", "style", "seed", "samples", "horizon", "beam",
            *OPTIONS,
        )  # fmt: skip
        waypoints, profile, no_go, start, prefix = take(
            request,
            waypoints=(None, 2),
            profile=(None, 4),
            no_go=(None, 3),
            start=(3,),
            prefix=(None, None),
        )
        target: p.PathTarget | p.VelocityProfile
        if (waypoints is None) == (profile is None) or not len(
            waypoints if profile is None else profile
        ):
            raise InputError("plan needs either waypoints (points, 2) or a profile (rows, 4)")
        pose = start_of(start)
        if profile is None:
            speed = number(given, "speed", 1.0)
            if not speed > 0:
                raise InputError(f"speed must be positive, got {speed}")
            target = p.PathTarget.through(waypoints, speed=speed, start=pose)
            costs = [p.track_path(target)]
        else:
            if (np.diff(profile[:, 0]) <= 0).any():
                raise InputError("profile: times must ascend")
            target = p.VelocityProfile(profile[:, 0], profile[:, 1:])
            costs = [p.track_velocity(target)]
        costs += [p.no_go_disc(*map(float, disc)) for disc in (() if no_go is None else no_go)]
        seconds = number(given, "seconds", max(target.duration, 1.0))
        most = self.limits.windows * self.tokenizer.frames_per_window / self.tokenizer.fps
        if not 0 < seconds <= most:
            raise InputError(f"seconds must be above 0 and at most {most:.0f}, got {seconds}")
        asked = (k for k in ("samples", "horizon", "beam") if given[k] is not None)
        search = {name: whole(given, name) for name in asked}
        for name, bound in (("samples", self.limits.samples), ("horizon", 4), ("beam", 16)):
            if search.get(name, 0) > bound:
                raise InputError(f"{name} must be at most {bound}, got {search[name]}")
        planner = p.SearchPlanner(
            prior,
            self.tokenizer,
            costs,
            steer=target.steer,
            label=text(given, "label"),
            style=text(given, "style"),
            options=sampling(given),
            seed=whole(given, "seed", 0),
            **search,
        )
        codes = p.follow(
            planner,
            self.tokenizer,
            seconds=seconds,
            start=pose,
            prefix=None if prefix is None else self._codes(prefix),
        )
        return {"codes": codes.array, "frames": codes.frames, "fingerprint": codes.fingerprint}

    def open(self, request: dict[str, Any]) -> dict[str, Any]:
        """Begin a session, or come back to one."""
        given = pop(request, "session", "resume", "first")
        start, offsets = take(request, start=(3,), offsets=(22, 3))
        name = self._name(given)
        with self._lock:
            session = self.sessions.get(name)
            if session is not None and not given["resume"]:
                raise InputError(f"session {name!r} is open; choose another name, or resume it")
            if session is None and len(self.sessions) >= self.limits.sessions:
                raise InputError(f"{len(self.sessions)} sessions are open, at most so many may be")
            resumed = session is not None
            if session is None:
                session = Session(
                    name,
                    self.tokenizer,
                    robot=self.robot,
                    start=start_of(start),
                    offsets=offsets,
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
            "pose": _numbers(session.pose),
        }

    def push(self, request: dict[str, Any]) -> dict[str, Any]:
        """Codes to play."""
        given = pop(request, "session", "on_invalid")
        (codes,) = take(request, codes=(None, None))
        session = self._session(given)
        queued = session.push(self._codes(codes), on_invalid=on_invalid(given))
        return {
            "queued_seconds": queued,
            "windows": session.windows,
            "pose": _numbers(session.pose),
        }

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

    def _codes(self, codes: NDArray[Any] | None) -> NDArray[Any]:
        if codes is None:
            raise InputError("codes are missing")
        if codes.dtype.kind not in "ui":
            raise InputError(f"codes: expected integers, got {codes.dtype}")
        if len(codes) > self.limits.windows:
            raise InputError(f"at most {self.limits.windows} windows, got {len(codes)}")
        return codes

    def _prior(self) -> TokenPrior:
        if self.prior is None:
            raise InputError("this server has no prior: start it with --prior")
        return self.prior

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


def _numbers(pose: Start) -> list[float]:
    return [pose.x, pose.y, pose.yaw]
