"""Inverse kinematics of a stream that looks a little ahead: smooth, at a stated delay.

The newest targets get one step a frame. At a weighted mean of the results around a frame, its
costs, contacts and floor are evaluated again. From these the frame is smoothed with a fixed lag
(:mod:`~motiontok.robots.solver.fixed_lag_smoother`), which uses most of the look-ahead.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from operator import mul

import numpy as np

from bvh.foot_contacts import SIDES
from bvh.rotations import Array
from motiontok.data.easing import smoothstep
from motiontok.robots.contacts.offline_foot_lock import standing_points
from motiontok.robots.contacts.online_headings import HeldHeadings
from motiontok.robots.kinematics.kinematics import Kinematics, PlacedState
from motiontok.robots.kinematics.so3 import skew
from motiontok.robots.limits.joint_limits import limit_margins
from motiontok.robots.limits.online_self_collision import OnlineSelfCollision
from motiontok.robots.limits.smoothness import REACH, MovementCost, Smoothness
from motiontok.robots.model.robot import Robot
from motiontok.robots.solver.fixed_lag_smoother import FixedLagSmoother, Points
from motiontok.robots.solver.ground_task import GroundTask
from motiontok.robots.solver.online import GROUND_WEIGHT, OnlineSolver
from motiontok.robots.solver.stream_tracking import StreamTracking, wanted_poses
from motiontok.robots.solver.tasks import NormalEquations
from motiontok.robots.targets import Targets

__all__ = ["LookaheadSolver"]

_MEAN = 0.4  # share of the look-ahead that the mean takes
_GROUND_WEIGHT = 600.0  # per metre that the due frame is below ground
_SHALLOW = 0.007  # m that a body may be below ground before the whole robot is raised
_RAMP = 2  # frames on each side in which it is raised
_FEW = 1  # pairs of bodies looked at in a frame that has time for the rival
_FLOOR = np.zeros((3, 3))  # the plane z = 0 under each foot and the rest
_CROSS = np.concatenate([-skew(axis) for axis in np.eye(3)]).reshape(3, 9)
_BLUR = 10.0  # weight of squared third differences in the mean, at 30 frames per second


class _Blur:
    """Weighted means of a stream of configurations, a lag late (Whittaker 1923).

    Args:
        lag: frames.
        fps: frames per second.
    """

    def __init__(self, lag: int, fps: float) -> None:
        self.lag = lag
        count = 2 * lag + 1
        third = np.diff(np.eye(count), n=REACH, axis=0)
        heavy = _BLUR * (fps / 30.0) ** (2 * REACH)
        self._weights = np.linalg.inv(np.eye(count) + heavy * third.T @ third)[lag]
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._seen: Array | None = None
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether the last mean was of the frame ``lag`` before the newest."""
        return self._count > self.lag

    def push(self, q: Array) -> Array:
        """The mean ``(nq,)`` around the frame ``lag`` before the newest, ``q (nq,)``."""
        if self._seen is None:
            self._seen = np.repeat(q[None], len(self._weights), axis=0)
        if q[3:7] @ self._seen[-1, 3:7] < 0.0:
            q = q.copy()
            q[3:7] *= -1.0
        self._seen[:-1] = self._seen[1:]
        self._seen[-1] = q
        self._count += 1
        out: Array = self._weights @ self._seen
        out[3:7] /= np.sqrt(out[3:7] @ out[3:7])
        return out


class _Lift:
    """Raises a robot smoothly where it would be too deep in the ground.

    The largest of nearby depths, averaged over as many frames, is nowhere below the depths.

    Args:
        ramp: frames on each side that are near.
    """

    def __init__(self, ramp: int) -> None:
        self.ahead = 2 * ramp
        self._weights = [math.comb(self.ahead, k) / 2**self.ahead for k in range(self.ahead + 1)]
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._depths: deque[float] = deque([0.0] * (self.ahead + 1), maxlen=self.ahead + 1)
        self._largest: deque[float] = deque([0.0] * (self.ahead + 1), maxlen=self.ahead + 1)

    def push(self, depth: float) -> float:
        """Lift (m) of a frame, given the depth of the one that is ``ahead`` later."""
        self._depths.append(depth)
        self._largest.append(max(self._depths))
        return sum(map(mul, self._weights, self._largest))


@dataclass(eq=False)
class _Waiting:
    """State of a frame that waits for smoothing."""

    wanted: Array
    standing: Array
    planes: Array | None


class LookaheadSolver:
    """Follows targets smoothly, each frame once later ones are known.

    Args:
        robot: see :func:`motiontok.robots.load_robot`.
        fps: frames per second of the stream.
        look_ahead: seconds; at least 7 frames.

    Attributes:
        latency: frames between a target and its result.
        open_frames: frames after which contacts of a frame may still be told.
    """

    def __init__(self, robot: Robot, *, fps: float, look_ahead: float) -> None:
        tracked, outline = robot.calibration.bodies, robot.outline
        coupling, speeds = robot.coupling, robot.speed_limits
        others = set(outline.bodies.tolist()) - set(tracked)
        kinematics = self._kinematics = Kinematics(
            robot.model, [*tracked, *sorted(others)], coupling
        )
        self._tracking = StreamTracking(kinematics, robot.calibration.translations)
        feet = [tracked[robot.calibration.index(side + "Foot")] for side in SIDES]
        self._floor = GroundTask(kinematics, outline, feet=feet)
        limits = kinematics.lower, kinematics.upper
        free = speeds if coupling is None else coupling.speeds(speeds)
        movement = MovementCost(Smoothness(), *limits, free, fps)
        self._reach = free / fps
        self._newest = OnlineSolver(
            robot.model,
            tracked,
            robot.calibration.translations,
            speed_limits=speeds,
            fps=fps,
            outline=outline,
            coupling=coupling,
            bounds=movement.bounds,
        )
        self._apart: OnlineSelfCollision | None = None
        if robot.measures_self_collision:
            self._apart = OnlineSelfCollision(robot.self_collision.simplified, kinematics)
        self._bounds = movement.bounds
        third = limit_margins(*limits, movement.weights.margin / 3.0)
        self._room = np.maximum(third, 1e-9)
        self.latency = max(round(look_ahead * fps), 2 * REACH + 1)
        first = max(round(_MEAN * (self.latency - 1)), REACH)
        self._blur = _Blur(first, fps)
        self.open_frames = first + 1
        self._fine = FixedLagSmoother(movement, *limits, self.latency - 1 - first)
        self._lift = _Lift(max(1, min(_RAMP, (self.latency - 3 - first) // 2)))
        points = standing_points(robot.calibration)
        self._bodies = [kinematics.body_index(body) for body, _ in points]
        self._points = np.array([[*point, 1.0] for _, point in points])[:, None]
        self._moves = np.zeros((len(points), 3, 6))
        self._moves[..., :3] = np.eye(3)
        self._feet = [tracked.index(body) for body in feet]
        self._headings = HeldHeadings(self._points[1::2, 0, :3] - self._points[::2, 0, :3])
        self._columns = np.eye(6, kinematics.columns)
        self._rows = len(points), 3, kinematics.columns
        self._moving = np.stack([kinematics.subtree_of(body) for body, _ in points])[:, None]
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the next frame starts anew."""
        self._newest.reset()
        self._blur.reset()
        self._fine.reset()
        self._lift.reset()
        self._headings.reset()
        if self._apart is not None:
            self._apart.reset()
        # From the frame that comes next in the second smoother to the newest.
        self._waiting: deque[_Waiting] = deque(maxlen=self._blur.lag + 2)
        # From the oldest frame of the smoother to its newest.
        self._passed: deque[_Waiting] = deque(maxlen=self.latency - self._blur.lag)
        self._ready: Array | None = None
        self._first: Array | None = None
        self._last: Array | None = None
        self._coming: Array | None = None

    def step(
        self,
        targets: Targets,
        standing: Array,
        before: Array,
        delay: int,
        planes: Array | None = None,
    ) -> Array:
        """Configuration ``(nq,)`` of the due frame.

        Until one is due it is the first one's: at first as it is without looking ahead, then
        eased into what later frames make of it.

        Args:
            targets: of the newest frame.
            standing: ``(points,)`` heels and toes that stand in it, as far as known.
            before: ``(points,)`` those that stood ``delay`` frames before.
            delay: frames, at most :attr:`open_frames`.
            planes: ``(3, 3)`` the ground under left foot, right foot and the rest of the newest
                frame, see :class:`~motiontok.robots.solver.ground_task.GroundTask`; None is
                z = 0.
        """
        newest = self._newest
        aims = wanted_poses(targets)
        newest.begin(targets, aims, busy=self._apart is not None and self._apart.looked > _FEW)
        self._waiting.append(_Waiting(aims, standing, planes))
        if len(self._waiting) > delay:
            self._waiting[-1 - delay].standing = before
        q = [*newest.moving]
        moving = len(q)
        seen = [self._waiting[-1]] * moving
        ready = self._ready is not None
        if self._ready is not None:
            q.append(self._ready)
            seen.append(self._waiting[0])
        wanted = [w.wanted for w in seen]
        if self._coming is not None:
            q.append(self._coming)
            seen.append(self._passed[min(self._lift.ahead + 1, len(self._passed) - 1)])
        whole, state = self._tracking.linearize(np.array(q), wanted)
        lowest = self._floor.on(_stacked(seen)).add(
            state, whole, weights=[GROUND_WEIGHT] * moving + [_GROUND_WEIGHT]
        )
        if ready and self._apart is not None:
            found = self._apart.overlapping(self._kinematics.expand(q[moving]), state, moving)
            if found is not None:
                self._apart.add(found, state, whole, moving)
        matrix, gradient = self._kinematics.free_equations(whole.matrix, whole.gradient)
        model = NormalEquations(whole.cost, matrix, gradient)
        rough = self._blur.push(newest.advance(model[:moving]))
        if self._first is None:
            self._first = rough
        out = self._first.copy()
        if ready:
            due = self._waiting[0]
            points = self._seen(state, moving, q[moving][:3], due)
            self._passed.append(due)
            lift = 0.0
            if self._coming is not None:
                lift = self._lift.push(-min(0.0, _SHALLOW + lowest))
            # A frame later it is looked at as well.
            out, self._coming = self._fine.push(
                q[moving],
                state.jacobians[moving, :3, :3].T.copy(),
                matrix[moving],
                gradient[moving],
                points,
                self._lift.ahead + 1,
            )
            out[2] += lift
            share = len(self._passed) / (self.latency - self._blur.lag)
            if share < 1.0:
                out = _between(self._first, out, float(smoothstep(share)))
        self._ready = rough if self._blur.full else None
        out[7:] = self._inside(out[7:])
        if self._last is not None:
            last = self._last[7:]
            out[7:] = np.minimum(np.maximum(out[7:], last - self._reach), last + self._reach)
        self._last = out
        return self._kinematics.expand(out).copy()

    def _inside(self, joints: Array) -> Array:
        """Joint values; those in a margin are squeezed into a third of it, without a kink."""
        low, high = self._bounds
        within = np.minimum(np.maximum(joints, low), high)
        over = joints - within
        if not over.any():
            return within
        squeezed = np.expm1(-np.abs(over) / self._room)
        squeezed *= self._room
        within += np.copysign(squeezed, over)
        return within

    def _seen(self, state: PlacedState, row: int, base: Array, due: _Waiting) -> Points:
        places = (self._points @ state.rows[row, self._bodies])[:, 0]
        # A point at p moves at v + w x p = v - [p] w.
        self._moves[..., 3:] = (places @ _CROSS).reshape(-1, 3, 3)
        # The base's own movements are those along and about the world's axes.
        columns = self._columns
        columns[:, 6:] = state.jacobians[row, 6:].T
        columns[:3, 3:6] = (base @ -_CROSS).reshape(3, 3)
        rows = (self._moves.reshape(-1, 6) @ columns).reshape(self._rows)
        rows *= self._moving
        shifts = None
        # A held foot turns about its toe.
        feet = due.wanted.take(self._feet, axis=0)[:, :12].reshape(-1, 3, 4)[..., :3]
        for side, turn in enumerate(self._headings.push(feet, due.standing.tolist())):
            if turn:
                if shifts is None:
                    shifts = np.zeros((len(places), 3))
                heel, toe = 2 * side, 2 * side + 1
                x, y, z = (places[heel] - places[toe]).tolist()
                a, b, _ = (0.0, 0.0, 0.0) if due.planes is None else due.planes[side].tolist()
                # About the ground's normal (-a, -b, 1).
                shifts[heel] = [turn * (-b * z - y), turn * (x + a * z), turn * (b * x - a * y)]
        return Points(places, self._kinematics.free(rows), due.standing, shifts)


def _between(first: Array, second: Array, share: float) -> Array:
    """Configuration ``(nq,)`` that is a share of the way from one to another one near it."""
    if first[3:7] @ second[3:7] < 0.0:
        second = second.copy()
        second[3:7] *= -1.0
    out: Array = first + share * (second - first)
    out[3:7] /= np.sqrt(out[3:7] @ out[3:7])
    return out


def _stacked(frames: list[_Waiting]) -> Array | None:
    """Planes ``(frames, 3, 3)`` under some frames; None if all are on z = 0."""
    if all(frame.planes is None for frame in frames):
        return None
    return np.array([_FLOOR if frame.planes is None else frame.planes for frame in frames])
