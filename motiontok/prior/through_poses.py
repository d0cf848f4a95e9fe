"""Drawing sequences that come near target poses, window by window.

Each window is drawn a few times. The sequence continues from the draw that is nearest to the pose
in this window or, before that, to the way there. To a pose that comes soon many ways are drawn, for
their mean. Choosing codes anew (:mod:`motiontok.prior.planting`) then does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
    window = method.config.data.window
    before = -(-method.reach // window)
    batch, given = past.shape[:2]
    windows = given + asked.commands.shape[1]
    check_poses(poses, (windows - given) * window / FPS, prefix=given > 0)
    begin = torch.tensor([[start.x, start.y, start.yaw]], device=past.device)
    track = begin[:, None].expand(batch, -1, -1)
    if given:
        track = path_of(method.error, decoded_frames(method, past), begin, first=True)
    check_ways(poses, Start(*track[0, -1].tolist()), prior.limits)
    frames = [pose.frame(given * window, windows * window, FPS) for pose in poses]
    since = [max(given * window - 1, 0), *frames]
    departures: list[list[Departure] | None] = [None] * len(poses)
    here, each = track[:, -1], 1  # sequences of each row of the batch
    for n in range(given, windows):
        ahead = [k for k, frame in enumerate(frames) if frame >= n * window]
        placed = [k for k in ahead if poses[k].place is not None]
        now = [k for k in ahead if frames[k] < (n + 1) * window]
        gap = frames[ahead[0]] - since[ahead[0]] if ahead else LONG
        draws = 1 if each > 1 else _CANDIDATES if gap >= LONG else _WAYS
        each *= draws
        commands = asked.commands[:, : n - given + 1].repeat(len(past), 1, 1)
        how = options
        if placed and not bool(commands[0, -1].isfinite().any()):
            place = poses[placed[0]].place
            assert place is not None
            commands[:, -1] = _way(prior, here, place, (frames[placed[0]] - n * window + 1) / FPS)
            if gap <= MEAN:
                how = replace(options, tolerance=max(options.tolerance, _LOOSE))
        labels = (label.expand(len(past)) for label in (asked.action, asked.style))
        draft = prior.draft(
            past, Conditions(commands, *labels), samples=draws, options=how, generator=generator
        )
        draft.write(prior.codes_per_window)
        past = torch.cat([past.repeat_interleave(draws, dim=0), draft.codes[:, None]], dim=1)
        # Up to the last pose all sequences of a row are the same.
        parted = since[ahead[0]] // window if ahead else n
        context, cut = min(parted, before), parted * window
        decoded = decoded_frames(method, past[:, parted - context :])[:, context * window :]
        origin = (track[:, cut - 1] if cut else begin.expand(batch, 3)).repeat_interleave(each, 0)
        path = path_of(method.error, decoded, origin, first=not cut)
        if gap < LONG:
            for k in now:
                ways = slice(since[k] - cut, frames[k] - cut + 1)
                departures[k] = [
                    mean_departure(method.error, own[:, ways], places[:, ways.start])
                    for own, places in zip(decoded.split(each), path.split(each), strict=True)
                ]
            if not now:
                here = path[:, -1]
                continue
        cost = torch.zeros(len(past), device=past.device)
        if now:
            posed, at = [poses[k] for k in now], [frames[k] - cut for k in now]
            goals = PoseGoals(method.error, posed, at, origin, first=not cut)
            cost = goals.missed(decoded).sum(dim=1)
        elif placed:
            target = poses[placed[0]], frames[placed[0]]
            cost = _off_the_way(here, path[:, -1], target, n * window, window)
        best = cost.view(batch, each).argmin(dim=1)
        rows = torch.arange(batch, device=past.device) * each + best
        past, each = past[rows], 1
        track = torch.cat([track[:, :cut], path[rows]], dim=1)
        here = track[:, -1]
    return Drawn(past, departures)


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
    here: Tensor, ends: Tensor, target: tuple[TargetPose, int], first: int, window: int
) -> Tensor:
    """Square distance (m2) of candidates' ends from the way to a pose at that time."""
    pose, frame = target
    assert pose.place is not None
    there = here.new_tensor([pose.place.x, pose.place.y])
    share = window / (frame - first + 1)
    wanted = here[:, :2] + share * (there - here[:, :2])
    each = wanted.repeat_interleave(len(ends) // len(here), dim=0)
    return (ends[:, :2] - each).square().sum(dim=1)
