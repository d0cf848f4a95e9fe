"""Inverse kinematics of a whole trajectory.

Keys are solved independently and connected into one continuous path
(:mod:`~motiontok.robots.solver.branches`). From there tracking, contacts, floor, joint limits,
self-collision and jerk are one problem (:mod:`~motiontok.robots.solver.banded_gauss_newton`). A
tracker would feel later frame-by-frame corrections as jerk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bvh.rotations import Array, from_matrix
from motiontok.progress import Progress
from motiontok.robots.contacts.held_contacts import Hold
from motiontok.robots.files.trajectory import xyzw_from_wxyz
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.limits.joint_limits import limit_speed
from motiontok.robots.limits.self_collision import SelfCollision
from motiontok.robots.limits.self_collision_task import WATCHED, Separation
from motiontok.robots.limits.smoothness import MovementCost, Smoothness
from motiontok.robots.model.mimic_joints import Coupling
from motiontok.robots.model.outline import Outline
from motiontok.robots.solver.banded_gauss_newton import refine, windows
from motiontok.robots.solver.branches import solve_ik_branches
from motiontok.robots.solver.tasks import FloorTask, PoseTask, Task
from motiontok.robots.targets import Targets

__all__ = ["FLOOR_WEIGHT", "neutral_start", "solve_trajectory"]

FLOOR_WEIGHT = 1500.0  # per metre below ground
# A little stiffer than one frame at a time, since steps end a little before the smoothest path.
_SMOOTH = Smoothness(joint=21.0, base=880.0)
_WINDOW = 6144  # frames refined together
_DEEP = 2e-3  # m; frames whose bodies overlap by more are not done
_SUNK = 6e-3  # m; nor are those with a body so deep in the ground
_GIVEN = 1e-3  # rad or m by which a soft margin or ground has given way
_AROUND = 128  # frames on each side that a window sees and leaves to its neighbours


class _Round(NamedTuple):
    """Steps for what still moves, between two looks at what does and at bodies that come close.

    Attributes:
        steps: Gauss-Newton steps.
        done: rad or m; a frame that the last step moved less is done, unless it is where
            weights have a share only.
        floor, inside: shares of the weights of the ground and of joints in their margins.
        apart: factor of the weight of bodies in each other.
        worth: share of its cost that a step must promise a stretch to be worth another.
    """

    steps: int = 3
    done: float = 0.1
    floor: float = 1.0
    inside: float = 1.0
    apart: float = 1.0
    worth: float = 1e-2


# Where ground and margins are as stiff as they are meant to be from the first step on, steps
# can only creep along them: these penalties come to their weight in the second round (Courant
# 1943). The rounds after it are for frames far from done, where people fold up; there bodies that
# stay in each other weigh more and more, until they part.
_ROUNDS = (
    _Round(steps=4, worth=3e-2, done=3e-3, floor=0.2, inside=0.3),
    _Round(steps=4, worth=5e-3),
    _Round(apart=1.5),
    _Round(apart=2.0),
    _Round(apart=3.0, done=np.inf),
    *(5 * [_Round(apart=4.0, done=np.inf)]),
)


def solve_trajectory(
    model: object,
    targets: Targets,
    *,
    speed_limits: Array,
    holds: Sequence[Hold] = (),
    outline: Outline | None = None,
    planes: Array | None = None,
    collision: SelfCollision | None = None,
    coupling: Coupling | None = None,
    progress: Progress | None = None,
) -> Array:
    """Configurations ``(frames, nq)`` that follow targets within joint and speed limits.

    Args:
        model: Pinocchio model.
        targets: of every frame.
        speed_limits: ``(joints,)`` rad/s.
        holds: points to hold, of every frame.
        outline: points that must stay above the ground; none, if not given.
        planes: ``(frames, bodies, 3)`` the ground under each of the outline's bodies,
            ascending, see :class:`~motiontok.robots.solver.tasks.FloorTask`; z = 0, if not given.
        collision: finds bodies to keep apart; none, if not given.
        coupling: of joints that follow others.
        progress: called with the number of frames done.
    """
    others: set[int] = set()
    if outline is not None:
        others |= set(outline.bodies.tolist())
    if collision is not None:
        others |= {int(g.parentJoint) for g in collision.geometry.geometryObjects}
    bodies = [*targets.bodies, *sorted(others - set(targets.bodies))]
    kinematics = Kinematics(model, bodies, coupling)
    if coupling is not None:
        speed_limits = coupling.speeds(speed_limits)
    pose = PoseTask(kinematics, targets, chordal=True)
    floor = None
    if outline is not None:
        floor = FloorTask(kinematics, outline, weight=FLOOR_WEIGHT, planes=planes)
    movement = MovementCost(_SMOOTH, kinematics.lower, kinematics.upper, speed_limits, targets.fps)

    tracked = kinematics.of(targets.bodies)
    start = neutral_start(tracked, targets)
    q = solve_ik_branches(tracked, targets, start, movement.bounds)
    out = np.empty_like(q)
    for first in range(0, len(q), _WINDOW):
        last = min(first + _WINDOW, len(q))
        window = slice(max(first - _AROUND, 0), last + _AROUND)
        refined = _refined(
            kinematics,
            pose[window],
            None if floor is None else floor[window],
            q[window],
            movement,
            [hold[window] for hold in holds],
            None if collision is None else collision.simplified,
        )
        out[first:last] = refined[first - window.start :][: last - first]
        if progress is not None:
            progress(last)
    out[:, 7:] = limit_speed(out[:, 7:], speed_limits / targets.fps)
    return kinematics.expand(out)


def neutral_start(kinematics: Kinematics, targets: Targets) -> Array:
    """Neutral joints, hips at their target: ``(frames, nq)``."""
    q = np.zeros((len(targets), kinematics.nq))
    q[:, 6] = 1.0
    q[:, 7:] = np.clip(0.0, kinematics.lower, kinematics.upper)
    # The hips are the base, or hang on it.
    state, hips = kinematics.evaluate(q[:1]), kinematics.body_index(targets.bodies[0])
    place, at = state.rotations[0, hips], state.positions[0, hips]
    rotation = targets.rotations[:, 0] @ (place @ targets.local_rotations[0]).T
    q[:, :3] = targets.positions[:, 0] - rotation @ (at + place @ targets.local_positions[0])
    q[:, 3:7] = xyzw_from_wxyz(from_matrix(rotation))
    return q


def _refined(
    kinematics: Kinematics,
    pose: PoseTask,
    floor: FloorTask | None,
    q: Array,
    movement: MovementCost,
    holds: Sequence[Hold],
    collision: SelfCollision | None,
) -> Array:
    """A window refined, with repeated searches for close bodies."""
    q = q.copy()
    moving, damping = np.ones(len(q), dtype=bool), np.zeros(len(q))
    for now in _ROUNDS:
        frames, frozen = windows(moving)
        if not len(frames):
            break
        own: list[Task] = [pose[frames]]
        if floor is not None:
            own.append(floor[frames].softened(now.floor))
        apart = None
        if collision is not None:
            near = collision.near(q[frames], margin=WATCHED)
            if len(near):
                apart = Separation(kinematics, near, q[frames], share=now.apart)
        extra = damping[frames]
        q[frames], size = refine(
            kinematics,
            own,
            q[frames],
            movement.softened(now.inside),
            holds=[hold[frames] for hold in holds],
            apart=apart,
            iterations=now.steps,
            worth=now.worth,
            frozen=frozen,
            damping=extra,
        )
        damping[frames] = extra
        moving[:] = False
        moving[frames] = size > now.done
        if now.floor < 1.0 or now.inside < 1.0:
            still = np.flatnonzero(~moving)
            moving[still] = _gives(kinematics, floor, q[still], movement, still)
            frames = np.flatnonzero(~moving)
        elif floor is not None:
            moving[frames] |= _sunk(kinematics, floor, q[frames], frames)
        if collision is not None and len(frames):
            moving[frames[collision.near(q[frames]).deepest(len(frames)) > _DEEP]] = True
    return q


def _sunk(kinematics: Kinematics, floor: FloorTask, q: Array, at: Array) -> Array:
    """Frames ``(n,)`` of configurations ``q (n, nq)`` whose last step ended in the ground.

    A step knows nothing of points above the ground, and the last one is taken without looking.
    """
    return np.asarray(floor[at].cost(kinematics.evaluate(q)) > (FLOOR_WEIGHT * _SUNK) ** 2)


def _gives(
    kinematics: Kinematics, floor: FloorTask | None, q: Array, movement: MovementCost, at: Array
) -> Array:
    """Frames ``(n,)`` of configurations ``q (n, nq)`` that are in the ground or in a margin."""
    low, high = movement.bounds
    inside = (q[:, 7:] < low - _GIVEN) | (q[:, 7:] > high + _GIVEN)
    out: Array = np.asarray(inside.any(axis=1))
    if floor is not None and len(q):
        out |= floor[at].cost(kinematics.evaluate(q)) > (FLOOR_WEIGHT * _GIVEN) ** 2
    return out
