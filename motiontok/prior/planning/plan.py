"""From a task to a plan: check the task, search, and keep the plan only if it does the task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bvh import rotations as rot
from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.codes import Codes
from motiontok.data import Start, World
from motiontok.errors import InputError, PlanError
from motiontok.prior.planning.clearance import STANDING, check_discs
from motiontok.prior.planning.costs import (
    Cost,
    end_pose,
    no_go_disc,
    target_pose,
    track_path,
    track_velocity,
)
from motiontok.prior.planning.planner_interface import follow, pose_after, windows_of
from motiontok.prior.planning.search_planner import SearchPlanner
from motiontok.prior.planning.standing import STANDS, hold_end
from motiontok.prior.planning.targets import PathTarget, VelocityProfile
from motiontok.prior.planning.tracking import tracking_errors
from motiontok.prior.prior import TokenPrior
from motiontok.prior.target_poses import (
    TargetPose,
    check_poses,
    check_ways,
    pose_errors,
    unreached,
)
from motiontok.tokenizer import MotionTokenizer

__all__ = ["Plan", "Task", "make_plan"]

END_TOLERANCE = 0.25
"""Tolerances of an end pose, metres of the reference body, and rad."""

_LONGEST = 3600.0
_ROOM = (0.55, 0.75, 0.95)
"""Distances of the hips from a disc on the way around it, metres, wider in each attempt."""
_TURNING = 1.0  # rad/s; the turn at the end is given the time that it takes at this rate
_SETTLING = 1.5  # s; time given to come to rest
_OF_END = ("end_error_m", "end_heading_error_rad")


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """The task of a plan, in metres of :attr:`world`.

    Attributes:
        target: a path, or a velocity profile.
        world: in whose metres these are.
        seconds: length; by default the target's, plus time for coming to rest if there is an end
            pose.
        discs: ``(discs, 3)`` x, y and radius that no part of the body may enter.
        end: pose to reach and stand in.
        poses: up to four to go through, at rising times after the prefix.
        start: place and heading of frame 0.
        prefix: ``(windows, codes_per_window)`` with which the plan begins.
    """

    target: PathTarget | VelocityProfile
    world: World = field(default_factory=World)
    seconds: float | None = None
    discs: Array = field(default_factory=lambda: np.empty((0, 3)))
    end: Start | None = None
    poses: tuple[TargetPose, ...] = ()
    start: Start = field(default_factory=Start)
    prefix: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """The result of a search.

    Attributes:
        codes: of the plan, including the prefix, on the bones of the world's body.
        motion: decoded, without the prefix.
        target: the target that was followed: the path around discs, in metres of the world.
        errors: of :func:`~motiontok.prior.planning.tracking.tracking_errors`, and with
            poses the largest of ``pose_errors``, as ``pose_error_m``. For poses alone no errors
            of a path, which nobody gave.
        pose_errors: of each pose, by :func:`~motiontok.prior.target_poses.pose_errors`.
    """

    codes: Codes
    motion: Motion
    target: PathTarget | VelocityProfile
    errors: dict[str, float]
    pose_errors: Array


def make_plan(
    task: Task,
    prior: TokenPrior,
    tokenizer: MotionTokenizer,
    *,
    seed: int = 0,
    update: Callable[[int, int], object] | None = None,
    **search: Any,
) -> Plan:
    """Search for a plan that does a task.

    No joint, nor the flesh around it, enters a disc in any frame of the decoded motion. An end pose
    is missed by at most a quarter of a metre or radian, and held at the end. Joints are at most
    0.15 m off a target pose, on average. If the first plan misses, two more are searched for,
    farther from discs.

    Args:
        task: the task.
        prior: draws candidates.
        tokenizer: decodes.
        seed: of all draws.
        update: called with the number of windows planned and of all, in each attempt from 1 on.
        search: other options of :class:`SearchPlanner`.

    Raises:
        InputError: the task is impossible: a disc over the start, a waypoint or the end, a speed
            beyond the prior's limits, an end pose of a velocity profile, poses that cannot be
            reached.
        PlanError: no plan was found that does the task.
    """
    given = 0
    if task.prefix is not None and len(task.prefix):
        given = len(windows_of(task.prefix, tokenizer, "prefix"))
    target, discs, begin, frame0 = _inside(task, tokenizer, given)
    poses = [pose.inside(task.world) for pose in task.poses]
    check_ways(poses, begin, prior.limits)
    if task.seconds is not None:
        # Before a path through the poses is said to be too long.
        check_poses(poses, task.seconds, prefix=given > 0)
    _require(task, prior, target, discs, begin)
    wrong: list[str] = []
    for attempt, room in enumerate(_ROOM):
        way = target
        if isinstance(target, PathTarget) and len(discs):
            way = _around(target, discs, room)
            if (way.speeds() > prior.limits.upper[0]).any():
                raise PlanError("the way around no-go discs is too long for the times asked for")
        seconds = _length(task, way, begin)
        check_poses(poses, seconds, prefix=given > 0)
        planner = SearchPlanner(
            prior,
            tokenizer,
            _costs(way, discs, poses, ends=task.end is not None),
            steer=way.ways if isinstance(way, PathTarget) else way.steer,
            seed=seed + attempt,
            **search,
        )
        codes = follow(
            planner,
            tokenizer,
            seconds=seconds,
            start=frame0,
            prefix=task.prefix,
            update=_counted(update, tokenizer, seconds),
        )
        if poses:
            array = torch.from_numpy(codes.array.astype(np.int64))[None]
            led = prior.planted(array.to(prior.device), given=given, poses=poses, start=frame0)
            codes = replace(codes, array=led[0].cpu().numpy().astype(np.uint16))
        stands = task.end is not None or not poses
        if stands and isinstance(way, PathTarget) and seconds >= way.duration + STANDS:
            held = hold_end(
                codes.array.astype(np.int64),
                tokenizer,
                frames=codes.frames,
                start=frame0,
                given=given,
                path=way,
            )
            codes = replace(codes, array=held.astype(np.uint16))
        plan = _measured(task, tokenizer, codes, way, begin, given)
        wrong.append(_misses(plan, task))
        if not wrong[-1]:
            return plan
        if not len(discs) and task.end is None and not poses:
            break
    raise PlanError(
        f"no plan found in {len(wrong)} attempts: {'; '.join(dict.fromkeys(wrong))}; try more "
        "samples, another seed, a lower speed or more room"
    )


def _counted(
    update: Callable[[int, int], object] | None, tokenizer: MotionTokenizer, seconds: float
) -> Callable[[int], object] | None:
    if update is None:
        return None
    windows = math.ceil(round(seconds * tokenizer.fps) / tokenizer.frames_per_window)
    return lambda n: update(n, windows)


def _inside(
    task: Task, tokenizer: MotionTokenizer, given: int
) -> tuple[PathTarget | VelocityProfile, Array, Start, Start]:
    """Target, discs, the first pose and that of frame 0, in metres of the reference body."""
    world = task.world
    frame0 = begin = world.start_inside(task.start)
    if given:
        assert task.prefix is not None
        begin = pose_after(tokenizer, np.asarray(task.prefix), frame0, first=True)
    discs = world.inside(check_discs(task.discs))
    if isinstance(task.target, VelocityProfile):
        commands = world.commands_inside(task.target.commands)
        return VelocityProfile(task.target.times, commands), discs, begin, frame0
    path = task.target if task.end is None else task.target.arriving(task.end)
    points = world.inside(path.points)
    return replace(path, points=points), discs, begin, frame0


def _require(
    task: Task,
    prior: TokenPrior,
    target: PathTarget | VelocityProfile,
    discs: Array,
    begin: Start,
) -> None:
    """Refuse an impossible task before any search."""
    world = task.world
    if isinstance(target, VelocityProfile):
        if task.end is not None:
            raise InputError(
                "an end pose needs waypoints; a velocity profile leads to no given place"
            )
        rows = world.commands_outside(target.commands)
        prior.limits.require(rows, "velocity profile", world=world)
        places = {"the start": np.array([begin.x, begin.y])}
    else:
        for n, speed in enumerate(world.scale * target.speeds()):
            prior.limits.require(
                np.array([speed, 0.0, 0.0]), f"leg {n + 1} of the path", world=world
            )
        if not target.duration <= _LONGEST:
            raise InputError(
                f"the path takes {target.duration:.3g} s, at most {_LONGEST:.0f} are planned"
            )
        places = {"the start": np.array([begin.x, begin.y])}
        places |= {f"waypoint {n}": point for n, point in enumerate(target.points) if n}
        if task.end is not None:
            places["the end"] = target.points[-1]
    for name, place in places.items():
        for disc in discs:
            room = float(np.linalg.norm(place - disc[:2]) - disc[2])
            if room < STANDING:
                x, y, radius = world.scale * disc
                where = "inside" if room < 0.0 else "from the rim of"
                raise InputError(
                    f"{name} is {world.scale * abs(room):.2f} m {where} no-go disc {x:.3g} "
                    f"{y:.3g} {radius:.3g}; a standing body needs {world.scale * STANDING:.2f} m "
                    "to its rim"
                )


def _length(task: Task, target: PathTarget | VelocityProfile, begin: Start) -> float:
    """Length of the plan, seconds."""
    if task.seconds is not None:
        if task.end is not None and task.seconds < target.duration + STANDS:
            raise InputError(
                f"{task.seconds:.1f} s are too short: the way to the end pose takes "
                f"{target.duration:.1f} s, and it is held for {STANDS:g} s; give more time"
            )
        return task.seconds
    length = max(target.duration, 1.0)
    if isinstance(target, PathTarget) and task.end is not None:
        headings = target.headings(np.linspace(0.0, target.duration - 0.1, 50))
        known = headings[np.isfinite(headings)]
        last = known[-1] if len(known) else begin.yaw
        turn = abs(rot.wrapped(task.end.yaw - last))
        length += turn / _TURNING + _SETTLING + STANDS
    return length


def _around(path: PathTarget, discs: Array, room: float) -> PathTarget:
    """The path around discs, as far from them as its own points, and at most ``room``."""
    apart = np.linalg.norm(path.points[:, None] - discs[:, :2], axis=-1).min(axis=0)
    wider = np.minimum(discs[:, 2] + room, apart * (1.0 - 1e-6))
    return path.around(np.column_stack([discs[:, :2], wider]))


def _costs(
    target: PathTarget | VelocityProfile,
    discs: Array,
    poses: Sequence[TargetPose],
    *,
    ends: bool,
) -> list[Cost]:
    costs: list[Cost]
    if isinstance(target, VelocityProfile):
        costs = [track_velocity(target)]
    else:
        costs = [track_path(target)]
        if ends and target.facing is not None:
            x, y = target.points[-1]
            pose = Start(float(x), float(y), target.facing)
            costs.append(end_pose(pose, time=target.duration))
    costs += [target_pose(pose) for pose in poses]
    return costs + [no_go_disc(*map(float, disc)) for disc in discs]


def _measured(
    task: Task,
    tokenizer: MotionTokenizer,
    codes: Codes,
    way: PathTarget | VelocityProfile,
    begin: Start,
    given: int,
) -> Plan:
    """The plan in metres of its world, decoded and measured."""
    world = task.world
    codes = replace(codes, start=task.start, offsets=world.offsets)
    whole, frames = tokenizer.decode_codes(codes), given * tokenizer.frames_per_window
    motion = whole[frames:]
    target: PathTarget | VelocityProfile
    if isinstance(way, PathTarget):
        target = replace(way, points=world.scale * way.points)
    else:
        target = VelocityProfile(way.times, world.commands_outside(way.commands))
    start = world.start_outside(begin)
    errors = tracking_errors(motion, target, discs=check_discs(task.discs), start=start)
    if isinstance(target, PathTarget) and target.of_poses:
        asked = ["clearance_m", *(() if task.end is None else _OF_END)]
        errors = {name: errors[name] for name in asked if name in errors}
    missed = pose_errors(whole, task.poses, given=frames)
    if len(missed):
        errors["pose_error_m"] = float(missed.max())
    return Plan(codes, motion, target, errors, missed)


def _misses(plan: Plan, task: Task) -> str:
    """Misses of a plan, in words; empty if there are none."""
    errors, scale = plan.errors, task.world.scale
    if errors.get("clearance_m", 1.0) < 0.0:
        return f"the body comes {-errors['clearance_m']:.2f} m into a no-go disc"
    if task.end is not None:
        place, turn = errors["end_error_m"], errors["end_heading_error_rad"]
        if place > scale * END_TOLERANCE or turn > END_TOLERANCE:
            return f"the end pose is missed by {place:.2f} m and {turn:.2f} rad"
    return unreached(plan.pose_errors, task.poses, task.world)
