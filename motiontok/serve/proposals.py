"""Samples and plans of a server's prior, also from a session's future pose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from motiontok.data import Start, World, start_of
from motiontok.errors import InputError, PlanError
from motiontok.serve.fields import (
    OPTIONS,
    POSES,
    codes_of,
    number,
    numbers,
    pop,
    poses_of,
    sampling,
    state_number,
    take,
    text,
    whole,
)
from motiontok.serve.sessions import Session
from motiontok.serve.shifts import Shift
from motiontok.tokenizer import MotionTokenizer

if TYPE_CHECKING:
    from motiontok.prior import TargetPose, TokenPrior

__all__ = ["Limits", "Proposals"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of clients' requests.

    Attributes:
        message_bytes: size of a request.
        windows: windows in a request, over the whole batch.
        samples: candidates of a plan in each step.
        discs: forbidden discs of a plan.
        sessions: open at once.
        clients: heard from within a minute.
        waiting: requests that wait, in all.
        queue_seconds: motion that waits in a session.
        idle_seconds: after which a session without pushes ends.
    """

    message_bytes: int = 8 * 2**20
    windows: int = 64
    samples: int = 64
    discs: int = 64
    sessions: int = 16
    clients: int = 64
    waiting: int = 64
    queue_seconds: float = 30.0
    idle_seconds: float = 120.0


class Proposals:
    """Answers requests for the prior.

    Args:
        tokenizer: decodes.
        prior: samples and plans; without one both are refused.
        world: in whose metres requests and replies are.
        limits: of requests.
        session: finds a session by a request's fields.
    """

    def __init__(
        self,
        tokenizer: MotionTokenizer,
        prior: TokenPrior | None,
        world: World,
        limits: Limits,
        session: Callable[[dict[str, Any]], Session],
    ) -> None:
        self._tokenizer, self._given, self._world = tokenizer, prior, world
        self._limits, self._session = limits, session

    def sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Codes drawn from the prior."""
        prior, world = self._prior(), self._world
        given = pop(
            request, "windows", "batch", "label", "style", "seed", "session", "from_frame", *OPTIONS
        )
        velocity, yaw_rate, prefix, *posed = take(
            request, velocity=None, yaw_rate=None, prefix=(None, None), **POSES
        )
        windows, batch = whole(given, "windows", 1), whole(given, "batch", 1)
        if not 0 < windows * batch <= self._limits.windows:
            raise InputError(
                f"windows times batch must be 1 to {self._limits.windows}, got {windows * batch}"
            )
        pose, past, anchor = self._anchor(given, prefix)
        through = poses_of(posed, world)
        frame0 = self._before(past, pose) if anchor and past is not None else pose
        inside = None if velocity is None else world.inside(velocity)
        asked = prior.conditions(windows, velocity=inside, yaw_rate=yaw_rate).commands[0]
        wanted = world.commands_outside(asked.cpu().numpy())
        prior.limits.require(wanted, "the command", world=world)
        told: dict[str, Any] = {
            "batch": batch,
            "velocity": inside,
            "yaw_rate": yaw_rate,
            "label": text(given, "label"),
            "style": text(given, "style"),
            "prefix": past,
            "options": sampling(given),
            "seed": whole(given, "seed", 0),
        }
        codes = prior.sample(
            windows,
            **told,
            poses=[one.inside(world) for one in through],
            start=world.start_inside(frame0),
        )
        if not through:
            wanted = world.commands_outside(prior.commands(windows, **told))
        return {
            "codes": codes.astype(np.uint16),
            "fingerprint": prior.fingerprint,
            **self._does(codes, wanted),
            **self._reached(codes, past, frame0, through),
            **self._metres(),
            **anchor,
        }

    def plan(self, request: dict[str, Any]) -> dict[str, Any]:
        """Codes along a path or a velocity profile."""
        from motiontok.prior import planning as p

        prior = self._prior()
        given = pop(
            request, "seconds", "speed", "label", "style", "seed", "samples", "horizon", "beam",
            "session", "from_frame", *OPTIONS,
        )  # fmt: skip
        waypoints, profile, no_go, end, start, prefix, *posed = take(
            request,
            waypoints=(None, 2),
            profile=(None, 4),
            no_go=(None, 3),
            end=(3,),
            start=(3,),
            prefix=(None, None),
            **POSES,
        )
        through = poses_of(posed, self._world)
        ways = [way for way in (waypoints, profile) if way is not None]
        if len(ways) > 1 or not (through if not ways else len(ways[0])):
            raise InputError(
                "plan needs either waypoints (points, 2) or a profile (rows, 4), or poses alone"
            )
        if no_go is not None and len(no_go) > self._limits.discs:
            raise InputError(f"at most {self._limits.discs} no-go discs, got {len(no_go)}")
        if start is not None and given["session"] is not None:
            raise InputError(
                "a plan for a session starts where the session will be; leave out start"
            )
        pose, past, anchor = self._anchor(given, prefix)
        frame0 = begin = start_of(start)
        if anchor:
            frame0 = begin = pose
            if past is not None:
                frame0 = self._before(past, pose)
        elif past is not None:
            begin = self._after(past, frame0)
        target: p.PathTarget | p.VelocityProfile
        if not ways:
            target = p.PathTarget.through_poses(through, start=begin)
        elif profile is None:
            speed = number(given, "speed", 1.0)
            if not speed > 0:
                raise InputError(f"speed must be positive, got {speed}")
            target = p.PathTarget.through(waypoints, speed=speed, start=begin)
        else:
            if (np.diff(profile[:, 0]) <= 0).any():
                raise InputError("profile: times must ascend")
            target = p.VelocityProfile(profile[:, 0], profile[:, 1:])
        most = self._limits.windows * self._tokenizer.frames_per_window / self._tokenizer.fps
        seconds = None if given["seconds"] is None else number(given, "seconds", 0.0)
        if not 0 < (target.duration if seconds is None else seconds) <= most:
            raise InputError(
                f"seconds must be above 0 and at most {most:.0f}, got {seconds or target.duration}"
            )
        asked = (k for k in ("samples", "horizon", "beam") if given[k] is not None)
        search: dict[str, Any] = {name: whole(given, name) for name in asked}
        for name, bound in (("samples", self._limits.samples), ("horizon", 4), ("beam", 16)):
            if search.get(name, 0) > bound:
                raise InputError(f"{name} must be at most {bound}, got {search[name]}")
        task = p.Task(
            target=target,
            world=self._world,
            seconds=seconds,
            discs=np.empty((0, 3)) if no_go is None else no_go,
            end=None if end is None else start_of(end),
            poses=through,
            start=frame0,
            prefix=past,
        )
        plan = p.make_plan(
            task,
            prior,
            self._tokenizer,
            label=text(given, "label"),
            style=text(given, "style"),
            options=sampling(given),
            seed=whole(given, "seed", 0),
            **search,
        )
        codes, frames = plan.codes.array, plan.codes.frames
        if anchor and past is not None:
            codes, frames = codes[len(past) :], len(plan.motion)
        return {
            "codes": codes,
            "frames": frames,
            "fingerprint": plan.codes.fingerprint,
            "errors": plan.errors,
            **({"pose_error_m": plan.pose_errors} if through else {}),
            **self._metres(),
            **anchor,
        }

    def _metres(self) -> dict[str, Any]:
        return {"world": self._world.name, "scale": self._world.scale}

    def _does(self, codes: NDArray[Any], asked: NDArray[Any]) -> dict[str, Any]:
        """Velocity and yaw rate of samples ``(batch, windows, codes)``, commands and errors."""
        from motiontok.prior.tokens import commands_done

        done, missed = commands_done(self._tokenizer, codes, asked, self._world)
        told = {"commands": asked} if np.isfinite(asked).all() else {}
        return {"velocity": done[:, :2], "yaw_rate": done[:, 2], **told, **missed}

    def _reached(
        self,
        codes: NDArray[Any],
        past: NDArray[Any] | None,
        frame0: Start,
        poses: Sequence[TargetPose],
    ) -> dict[str, Any]:
        """Distances of samples ``(batch, windows, codes)`` from poses.

        Raises:
            PlanError: one misses a pose.
        """
        from motiontok.prior.target_poses import pose_errors, unreached

        if not poses:
            return {}
        rows, given = [], 0 if past is None else len(past)
        for one in codes:
            whole = one if past is None else np.concatenate([past.astype(np.int64), one])
            motion = self._tokenizer.decode(whole, start=frame0, offsets=self._world.offsets)
            rows.append(pose_errors(motion, poses, given=given * self._tokenizer.frames_per_window))
            if wrong := unreached(rows[-1], poses, self._world):
                raise PlanError(f"{wrong}; try another seed or more time")
        return {"pose_error_m": np.stack(rows)}

    def _anchor(
        self, given: dict[str, Any], prefix: NDArray[Any] | None
    ) -> tuple[Start, NDArray[Any] | None, dict[str, Any]]:
        """The start of a request: a pose, codes, and their fields of the reply."""
        number = state_number(given, "from_frame")
        if given["session"] is None:
            if number is not None:
                raise InputError("from_frame needs a session; name one")
            most = self._limits.windows
            return Start(), None if prefix is None else codes_of(prefix, most), {}
        if prefix is not None:
            raise InputError("a session continues its own motion; leave out prefix")
        pose, past, number = self._session(given).anchored(number)
        said: dict[str, Any] = {"from_frame": number, "start": numbers(pose)}
        if past is not None:
            said["past"] = past.astype(np.uint16)
        return pose, past, said

    def _after(self, past: NDArray[Any], frame0: Start) -> Start:
        """Pose after codes whose frame 0 stands there."""
        from motiontok.prior.planning.planner_interface import pose_after, windows_of

        codes = windows_of(past, self._tokenizer, "prefix")
        inside = pose_after(self._tokenizer, codes, self._world.start_inside(frame0), first=True)
        return self._world.start_outside(inside)

    def _before(self, past: NDArray[Any], pose: Start) -> Start:
        """Pose of frame 0 of codes that end at one."""
        return Shift.between(self._after(past, Start()), pose).of_pose(Start())

    def _prior(self) -> TokenPrior:
        if self._given is None:
            raise InputError("this server has no prior: start it with --prior")
        return self._given
