"""Drawing sequences that come near target poses, window by window.

Each window is drawn a few times. The sequence continues from the draw that is nearest to the pose
in this window or, before that, to the way there. Choosing codes anew
(:mod:`motiontok.prior.planting`) then does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bvh.motion import FPS
from motiontok.data import Start
from motiontok.data.kinematics import wrapped
from motiontok.prior.model import Conditions
from motiontok.prior.planting import decoded_frames, require_temporal
from motiontok.prior.pose_goals import PoseGoals, path_of
from motiontok.prior.sampling import SamplingOptions
from motiontok.prior.target_poses import TargetPose, check_poses, check_ways

if TYPE_CHECKING:
    from motiontok.prior.prior import TokenPrior

__all__ = ["draw_through"]

_CANDIDATES = 8
_FACING = (1.5, 0.7)  # least s and m of a way on which the body faces its direction
_SLOWER = 0.9  # share of the limits that commands on the way may take


def draw_through(
    prior: TokenPrior,
    past: Tensor,
    asked: Conditions,
    poses: Sequence[TargetPose],
    *,
    start: Start,
    options: SamplingOptions,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw windows after a past, near the poses but not yet through them.

    Args:
        prior: draws.
        past: ``(batch, windows, codes)``, the same for all rows; may have no windows.
        asked: one row, of each window to draw; the way to the next pose gives missing commands.
        poses: to approach, in metres of the reference body.
        start: place and heading of frame 0.
        options: how to draw.
        generator: source of randomness.

    Returns:
        ``(batch, windows, codes)``, including the past.

    Raises:
        InputError: poses cannot be reached, or the tokenizer is not temporal.
    """
    method = require_temporal(prior.model.method)
    window = method.config.data.window
    batch, given = past.shape[:2]
    windows = given + asked.commands.shape[1]
    check_poses(poses, (windows - given) * window / FPS, prefix=given > 0)
    begin = torch.tensor([[start.x, start.y, start.yaw]], device=past.device)
    here = begin.expand(batch, 3)
    if given:
        here = path_of(method.error, decoded_frames(method, past), begin, first=True)[:, -1]
    check_ways(poses, Start(*here[0].tolist()), prior.limits)
    frames = [pose.frame(given * window, windows * window, FPS) for pose in poses]
    for n in range(given, windows):
        ahead = [(p, f) for p, f in zip(poses, frames, strict=True) if f >= n * window]
        commands = asked.commands[:, : n - given + 1].expand(batch, -1, -1).clone()
        placed = [(p, f) for p, f in ahead if p.place is not None]
        if placed and not bool(commands[0, -1].isfinite().any()):
            pose, frame = placed[0]
            assert pose.place is not None
            commands[:, -1] = _way(prior, here, pose.place, (frame - n * window + 1) / FPS)
        draft = prior.draft(
            past,
            Conditions(commands, asked.action.expand(batch), asked.style.expand(batch)),
            samples=_CANDIDATES,
            options=options,
            generator=generator,
        )
        draft.write(prior.codes_per_window)
        each = past.repeat_interleave(_CANDIDATES, dim=0)
        grown = torch.cat([each, draft.codes[:, None]], dim=1)
        decoded = decoded_frames(method, grown)
        path = path_of(method.error, decoded, begin, first=True)
        cost = torch.zeros(len(grown), device=past.device)
        now = [(p, f) for p, f in ahead if f < (n + 1) * window]
        if now:
            goals = PoseGoals(
                method.error, [p for p, _ in now], [f for _, f in now], begin, first=True
            )
            cost = goals.missed(decoded).sum(dim=1)
        elif placed:
            cost = _off_the_way(here, path[:, -1], placed[0], n * window, window)
        best = cost.view(batch, _CANDIDATES).argmin(dim=1)
        rows = torch.arange(batch, device=past.device) * _CANDIDATES + best
        past, here = grown[rows], path[rows, -1]
    return past


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
