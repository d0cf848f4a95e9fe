"""Inverse kinematics of a whole trajectory.

Keys are solved independently and connected into one continuous path
(:mod:`~motiontok.robots.solver.branches`). From there tracking, contacts, floor, joint limits,
self-collision and jerk are one problem (:mod:`~motiontok.robots.solver.refinement`). A tracker
would feel later frame-by-frame corrections as jerk.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bvh.rotations import Array, from_matrix
from motiontok.progress import Progress
from motiontok.robots.contacts.held_contacts import Hold
from motiontok.robots.files.trajectory import xyzw_from_wxyz
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.limits.self_collision import SelfCollision
from motiontok.robots.limits.self_collision_task import WATCHED, SeparationTask
from motiontok.robots.limits.smoothness import MovementCost, Smoothness
from motiontok.robots.model.mimic_joints import Coupling
from motiontok.robots.model.outline import Outline
from motiontok.robots.solver.branches import solve_ik_branches
from motiontok.robots.solver.refinement import limit_speed, refine, windows
from motiontok.robots.solver.tasks import FloorTask, PoseTask, Task
from motiontok.robots.targets import Targets

__all__ = ["FLOOR_WEIGHT", "neutral_start", "solve_trajectory"]

FLOOR_WEIGHT = 1500.0  # per metre below ground
_WINDOW = 4096  # frames refined together
_AROUND = 128  # frames on each side that a window sees and leaves to its neighbours
_ROUNDS = 3  # looks at what still moves, and at bodies that come close
_STILL = 6e-3  # rad or m: a frame that a step moves less is done
_MORE = 7  # rounds for those that are far from done after these, where people fold up
_FAR = 0.1  # rad or m that a step moves these
_STEPS = 3  # between two looks


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
    tasks: list[Task] = [PoseTask(kinematics, targets, chordal=True)]
    if outline is not None:
        tasks.append(FloorTask(kinematics, outline, weight=FLOOR_WEIGHT, planes=planes))
    movement = MovementCost(
        Smoothness(), kinematics.lower, kinematics.upper, speed_limits, targets.fps
    )

    tracked = Kinematics(model, targets.bodies, coupling)
    start = neutral_start(tracked, targets)
    q = solve_ik_branches(tracked, targets, start, movement.bounds)
    out = np.empty_like(q)
    for first in range(0, len(q), _WINDOW):
        last = min(first + _WINDOW, len(q))
        window = slice(max(first - _AROUND, 0), last + _AROUND)
        refined = _refined(
            kinematics,
            [task[window] for task in tasks],
            q[window],
            movement,
            [hold[window] for hold in holds],
            collision,
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
    tasks: Sequence[Task],
    q: Array,
    movement: MovementCost,
    holds: Sequence[Hold],
    collision: SelfCollision | None,
) -> Array:
    """A window refined, with repeated searches for close bodies."""
    q = q.copy()
    moving, damping = np.ones(len(q), dtype=bool), np.zeros(len(q))
    for count in range(1, _ROUNDS + _MORE + 1):
        frames, frozen = windows(moving)
        if not len(frames):
            break
        own = [task[frames] for task in tasks]
        if collision is not None:
            near = collision.near(q[frames], margin=WATCHED)
            if len(near):
                own.append(SeparationTask(kinematics, near, q[frames]))
        extra = damping[frames]
        q[frames], size = refine(
            kinematics,
            own,
            q[frames],
            movement,
            holds=[hold[frames] for hold in holds],
            iterations=_STEPS,
            frozen=frozen,
            damping=extra,
        )
        damping[frames] = extra
        moving[:] = False
        moving[frames] = size > (_STILL if count < _ROUNDS else _FAR)
    return q
