"""Drawing sequences that come near target poses, window by window.

Each window is drawn a few times. The sequence continues from the draw that is nearest to the pose
in this window or, before that, to the way there. To a pose that comes soon many ways are drawn, for
their mean. Choosing codes anew (:mod:`motiontok.prior.planting`) then does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from bvh.motion import FPS
from motiontok.data import Start
from motiontok.data.kinematics import wrapped
from motiontok.prior.bridges import Departure, mean_departure
from motiontok.prior.model import Conditions
from motiontok.prior.planting import decoded_frames, require_temporal
from motiontok.prior.pose_goals import LONG, MEAN, PoseGoals, path_of
from motiontok.prior.sampling import SamplingOptions
from motiontok.prior.target_poses import TargetPose, check_poses, check_ways

if TYPE_CHECKING:
    from motiontok.methods.quantizers.temporal import Temporal
    from motiontok.prior.prior import TokenPrior

__all__ = ["Drawn", "draw_through"]

_CANDIDATES = 8
_WAYS = 32  # to a pose that comes soon
_LOOSE = 1.0  # tolerance (m/s, rad/s) of commands that lead there
_FACING = (1.5, 0.7)  # least s and m of a way on which the body faces its direction
_SLOWER = 0.9  # share of the limits that commands on the way may take


class Drawn(NamedTuple):
    """Sequences near poses, and what is known of the ways to each pose.

    Attributes:
        codes: ``(batch, windows, codes)``, including the past.
        departures: for each pose, mean departures of the ways to it in each row; None where no
            :data:`_WAYS` were drawn to it, as after a long gap.
    """

    codes: Tensor
    departures: list[list[Departure] | None]


def draw_through(
    prior: TokenPrior,
    past: Tensor,
    asked: Conditions,
    poses: Sequence[TargetPose],
    *,
    start: Start,
    options: SamplingOptions,
    generator: torch.Generator | None,
) -> Drawn:
    """Draw windows after a past, near the poses but not yet through them.

    Args:
        prior: draws.
        past: ``(batch, windows, codes)``, the same for all rows; may have no windows.
        asked: one row, of each window to draw; the way to the next pose gives missing commands.
        poses: to approach, in metres of the reference body.
        start: place and heading of frame 0.
        options: how to draw.
        generator: source of randomness.

    Raises:
        InputError: poses cannot be reached, or the tokenizer is not temporal.
    """
    method = require_temporal(prior.model.method)
    window, given = method.config.data.window, past.shape[1]
    windows = given + asked.commands.shape[1]
    check_poses(poses, (windows - given) * window / FPS, prefix=given > 0)
    ways = _Ways(method, past, start)
    check_ways(poses, Start(*ways.here[0].tolist()), prior.limits)
    schedule = _Schedule.of(poses, given * window, windows * window, window)
    departures: list[list[Departure] | None] = [None] * len(poses)
    for n in range(given, windows):
        close = schedule.gap(n) < LONG
        samples = 1 if ways.each > 1 else _WAYS if close else _CANDIDATES
        conditions, how = _towards(prior, asked, options, ways.here, schedule, n, given)
        draft = prior.draft(
            ways.codes, conditions, samples=samples, options=how, generator=generator
        )
        draft.write(prior.codes_per_window)
        ways.extend(draft.codes, samples)
        part = ways.decoded(schedule.parted(n))
        due = schedule.due(n)
        if close:
            for k in due:
                departures[k] = ways.departures(part, schedule.since[k], schedule.frames[k])
            if not due:
                ways.here = part.path[:, -1]
                continue
        ways.keep(part, _distance(method, ways, part, schedule, n))
    return Drawn(ways.codes, departures)


@dataclass(frozen=True, eq=False)
class _Schedule:
    """When the poses come.

    Attributes:
        poses: at rising times.
        frames: of the poses, from frame 0 on.
        since: frames from which the ways to the poses lead: the last one of the past, or 0, and
            those of the poses before.
        window: frames of a window.
    """

    poses: Sequence[TargetPose]
    frames: list[int]
    since: list[int]
    window: int

    @classmethod
    def of(cls, poses: Sequence[TargetPose], first: int, end: int, window: int) -> _Schedule:
        """The schedule of windows that fill the frames from ``first`` to ``end``."""
        frames = [pose.frame(first, end, FPS) for pose in poses]
        return cls(poses, frames, [max(first - 1, 0), *frames], window)

    def ahead(self, n: int) -> list[int]:
        """Poses in window ``n`` or after it."""
        return [k for k, frame in enumerate(self.frames) if frame >= n * self.window]

    def due(self, n: int) -> list[int]:
        """Poses in window ``n``."""
        return [k for k in self.ahead(n) if self.frames[k] < (n + 1) * self.window]

    def next_place(self, n: int) -> tuple[Start, int] | None:
        """The next place to be at, and its frame."""
        for k in self.ahead(n):
            place = self.poses[k].place
            if place is not None:
                return place, self.frames[k]
        return None

    def gap(self, n: int) -> int:
        """Frames of the whole way to the next pose; after the last pose, as many as a long one."""
        ahead = self.ahead(n)
        return self.frames[ahead[0]] - self.since[ahead[0]] if ahead else LONG

    def parted(self, n: int) -> int:
        """The window from which a row's sequences may differ: that of the last pose."""
        ahead = self.ahead(n)
        return self.since[ahead[0]] // self.window if ahead else n


class _Part(NamedTuple):
    """The decoded windows of all sequences from the window on in which they part.

    Attributes:
        frames: ``(sequences, frames, features)``.
        path: ``(sequences, frames, 3)`` place (m) and heading (rad).
        origin: ``(sequences, 3)`` the same of the frame before, or of frame 0.
        first: frame of the sequence with which the part begins.
    """

    frames: Tensor
    path: Tensor
    origin: Tensor
    first: int


class _Ways:
    """Sequences being drawn: one for each row of the batch, or many while a pose is near.

    Args:
        method: decodes.
        past: ``(batch, windows, codes)`` that they continue; may have no windows.
        start: place and heading of frame 0.

    Attributes:
        codes: ``(sequences, windows, codes)`` so far, first all of the first row.
        each: sequences of each row.
        here: ``(sequences, 3)`` place and heading of the last frame.
    """

    def __init__(self, method: Temporal, past: Tensor, start: Start) -> None:
        self._method, self.codes, self.each = method, past, 1
        self._begin = torch.tensor([[start.x, start.y, start.yaw]], device=past.device)
        self._track = self._begin[:, None].expand(len(past), -1, -1)
        if past.shape[1]:
            frames = decoded_frames(method, past)
            self._track = path_of(method.error, frames, self._begin, first=True)
        self.here = self._track[:, -1]

    def extend(self, drawn: Tensor, samples: int) -> None:
        """Add a drawn window ``(sequences * samples, codes)``."""
        past = self.codes.repeat_interleave(samples, dim=0)
        self.codes = torch.cat([past, drawn[:, None]], dim=1)
        self.each *= samples

    def decoded(self, parted: int) -> _Part:
        """What follows the windows in which all sequences of a row are the same."""
        window = self._method.config.data.window
        context = min(parted, -(-self._method.reach // window))
        first = parted * window
        frames = decoded_frames(self._method, self.codes[:, parted - context :])
        frames = frames[:, context * window :]
        before = self._track[:, first - 1] if first else self._begin.expand(len(self._track), 3)
        origin = before.repeat_interleave(self.each, 0)
        path = path_of(self._method.error, frames, origin, first=not first)
        return _Part(frames, path, origin, first)

    def departures(self, part: _Part, since: int, until: int) -> list[Departure]:
        """Mean departures of each row's ways between two frames."""
        way = slice(since - part.first, until - part.first + 1)
        rows = zip(part.frames.split(self.each), part.path.split(self.each), strict=True)
        return [
            mean_departure(self._method.error, own[:, way], places[:, way.start])
            for own, places in rows
        ]

    def keep(self, part: _Part, cost: Tensor) -> None:
        """Go on from the sequence of the least cost ``(sequences,)`` in each row."""
        best = cost.view(-1, self.each).argmin(dim=1)
        rows = torch.arange(len(best), device=best.device) * self.each + best
        self.codes, self.each = self.codes[rows], 1
        self._track = torch.cat([self._track[:, : part.first], part.path[rows]], dim=1)
        self.here = self._track[:, -1]


def _towards(
    prior: TokenPrior,
    asked: Conditions,
    options: SamplingOptions,
    here: Tensor,
    schedule: _Schedule,
    n: int,
    given: int,
) -> tuple[Conditions, SamplingOptions]:
    """Conditions of the windows from ``given`` to ``n``, and how to draw window ``n``."""
    commands = asked.commands[:, : n - given + 1].repeat(len(here), 1, 1)
    target = schedule.next_place(n)
    if target is not None and not bool(commands[0, -1].isfinite().any()):
        place, frame = target
        commands[:, -1] = _way(prior, here, place, (frame - n * schedule.window + 1) / FPS)
        if schedule.gap(n) <= MEAN:
            options = replace(options, tolerance=max(options.tolerance, _LOOSE))
    labels = (label.expand(len(here)) for label in (asked.action, asked.style))
    return Conditions(commands, *labels), options


def _distance(method: Temporal, ways: _Ways, part: _Part, schedule: _Schedule, n: int) -> Tensor:
    """Square distance ``(sequences,)``, m2, from poses in window ``n``, or from the way there."""
    due, target = schedule.due(n), schedule.next_place(n)
    if due:
        poses, at = [schedule.poses[k] for k in due], [schedule.frames[k] - part.first for k in due]
        goals = PoseGoals(method.error, poses, at, part.origin, first=not part.first)
        return goals.missed(part.frames).sum(dim=1)
    if target is not None:
        return _off_the_way(
            ways.here, part.path[:, -1], target, n * schedule.window, schedule.window
        )
    return torch.zeros(len(part.path), device=part.path.device)


def _way(prior: TokenPrior, here: Tensor, place: Start, span: float) -> Tensor:
    """Commands ``(batch, 3)`` that lead to a place in ``span`` seconds."""
    there = here.new_tensor([place.x, place.y, place.yaw])
    x, y = (there[:2] - here[:, :2]).unbind(dim=1)
    far = torch.hypot(x, y)
    walks = (far > _FACING[1]) & (span > _FACING[0])
    facing = torch.where(walks, torch.atan2(y, x), there[2])
    turn = wrapped(facing - here[:, 2])
    # A body that faces its way turns within about a window; others turn all the way.
    soon = torch.where(walks, torch.full_like(far, min(span, 1.0)), torch.full_like(far, span))
    rate = turn / soon
    mean = here[:, 2] + 0.5 * turn
    forward = (mean.cos() * x + mean.sin() * y) / span
    left = (-mean.sin() * x + mean.cos() * y) / span
    found = torch.stack([forward, left, rate], dim=1)
    low, high = (
        _SLOWER * found.new_tensor(side) for side in (prior.limits.lower, prior.limits.upper)
    )
    return torch.minimum(torch.maximum(found, low), high)


def _off_the_way(
    here: Tensor, ends: Tensor, target: tuple[Start, int], first: int, window: int
) -> Tensor:
    """Square distance (m2) of candidates' ends from the way to a place at that time."""
    place, frame = target
    there = here.new_tensor([place.x, place.y])
    share = window / (frame - first + 1)
    wanted = here[:, :2] + share * (there - here[:, :2])
    each = wanted.repeat_interleave(len(ends) // len(here), dim=0)
    return (ends[:, :2] - each).square().sum(dim=1)
