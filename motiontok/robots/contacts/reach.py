"""Targets of feet within reach of a robot's ankles.

A person's ankle points the foot, and turns it in and out, further than a robot's. A target out of
reach pulls shin, thigh and hips along, since soles have large weights: a kneeling robot would twist
its legs to lay its insteps down. So a foot's target becomes the nearest attitude that the ankle
reaches from the shin's target.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pinocchio as pin

from bvh import rotations as quaternions
from bvh.foot_contacts import SIDES
from bvh.rotations import Array, to_matrix
from motiontok.data.easing import smoothstep
from motiontok.robots.kinematics import so3
from motiontok.robots.kinematics.so3 import skew
from motiontok.robots.limits.joint_limits import limit_margins
from motiontok.robots.model.calibration import Calibration
from motiontok.robots.targets import Targets

__all__ = ["LIES", "STANDS", "Chain", "axis_of", "lying", "reached_feet", "within_reach"]

_SWEEPS = 4  # over the joints of an ankle, which nearly do not depend on each other
STANDS, LIES = 0.7, 0.2  # upward part of shins: feet below the one are as they are
# rad beyond the robot's ankle: a person's foot is up to 1.1; captures have feet turned backwards.
_BEYOND = 1.1, 1.5
_MARGIN = 0.03  # of a joint's range that is kept free


def within_reach(targets: Targets, model: Any, calibration: Calibration) -> Targets:
    """Targets whose feet are turned as far from the shins as the robot's ankles allow.

    Args:
        targets: of a motion, from :func:`~motiontok.robots.targets.make_targets`.
        model: Pinocchio model.
        calibration: of the robot.
    """
    rotations = targets.rotations.copy()
    near = reached_feet(targets, model, calibration)
    for k, side in enumerate(SIDES):
        foot, shin = (calibration.index(side + part) for part in ("Foot", "Leg"))
        turn, beyond = so3.log(near[:, k] @ rotations[:, foot].swapaxes(-1, -2))
        # Feet below upright shins are as they are, unless no ankle could turn them so.
        broken = smoothstep((beyond - _BEYOND[0]) / (_BEYOND[1] - _BEYOND[0]))
        share = np.maximum(lying(rotations[:, shin, 2, 2]), broken)
        some = np.flatnonzero(share)
        turn = turn[some] * share[some, None]
        rotations[some, foot] = to_matrix(quaternions.exp(turn)) @ rotations[some, foot]
    return replace(targets, rotations=rotations)


def reached_feet(targets: Targets, model: Any, calibration: Calibration) -> Array:
    """Attitudes ``(frames, 2, 3, 3)`` of feet that ankles reach from the shins' targets.

    They are the nearest to the feet's targets.
    """
    out = []
    for side in SIDES:
        foot, shin = (calibration.index(side + part) for part in ("Foot", "Leg"))
        upper = targets.rotations[:, shin] @ targets.local_rotations[shin].T
        lower = targets.rotations[:, foot] @ targets.local_rotations[foot].T
        ankle = Chain(model, targets.bodies[shin], targets.bodies[foot])
        near = upper @ ankle.nearest(upper.swapaxes(-1, -2) @ lower)
        out.append(near @ targets.local_rotations[foot])
    return np.stack(out, axis=1)


def lying(upward: Array) -> Array:
    """How much shins lie, 0 to 1, by the upward parts of their axes."""
    return smoothstep((STANDS - upward) / (STANDS - LIES))


class Chain:
    """Hinges from one body out to another.

    Args:
        model: Pinocchio model.
        inner, outer: Pinocchio joint indices.

    Attributes:
        placed: of each hinge, its turn ``(3, 3)`` at an angle of 0 in the body before.
        axes: ``(3,)`` of each hinge.
        lower, upper: ``(hinges,)`` rad; a margin is kept free.
    """

    def __init__(self, model: Any, inner: int, outer: int) -> None:
        above = model.supports[outer].tolist()
        joints = above[above.index(inner) + 1 :]
        self.placed = [model.jointPlacements[j].rotation for j in joints]
        self.axes = [axis_of(model, j) for j in joints]
        where = [model.joints[j].idx_q for j in joints]
        lower, upper = model.lowerPositionLimit[where], model.upperPositionLimit[where]
        margin = limit_margins(lower, upper, _MARGIN)
        self.lower, self.upper = lower + margin, upper - margin

    def nearest(self, wanted: Array) -> Array:
        """The rotations ``(frames, 3, 3)`` within reach that are nearest to ``wanted``.

        Joint by joint: with the others held, the trace of the rotation to the wanted one is
        a sine of the joint's angle (Wang and Chen 1991, cyclic coordinate descent).
        """
        # Each hinge's placement and turn, and what is constant, cosine and sine in its turn.
        hinges = [np.repeat(placed[None], len(wanted), axis=0) for placed in self.placed]
        parts = [_turn_parts(axis) for axis in self.axes]
        back = wanted.swapaxes(-1, -2)
        for _ in range(_SWEEPS):
            for i, (still, cosine, sine) in enumerate(parts):
                rest = back
                for hinge in hinges[:i]:
                    rest = rest @ hinge
                rest = rest @ self.placed[i]
                for hinge in hinges[:i:-1]:
                    rest = hinge @ rest
                # The trace of rest times a turn is linear in the turn's cosine and sine.
                flat = rest.swapaxes(-1, -2).reshape(-1, 9)
                best = np.arctan2(flat @ sine.ravel(), flat @ cosine.ravel())
                low, high = self.lower[i], self.upper[i]
                nearer = np.where(np.cos(low - best) > np.cos(high - best), low, high)
                angle = np.where((best >= low) & (best <= high), best, nearer)[:, None, None]
                turn = still + np.cos(angle) * cosine + np.sin(angle) * sine
                hinges[i] = self.placed[i] @ turn
        out = np.broadcast_to(np.eye(3), wanted.shape)
        for hinge in hinges:
            out = out @ hinge
        return np.asarray(out)


def _turn_parts(axis: Array) -> tuple[Array, Array, Array]:
    """A, B and C ``(3, 3)`` of a turn ``A + B cos(angle) + C sin(angle)`` (Rodrigues 1840)."""
    along = np.outer(axis, axis)
    return along, np.eye(3) - along, skew(axis)


def axis_of(model: Any, joint: int) -> Array:
    """Unit axis ``(3,)`` of a hinge in its own frame; zeros of a joint that slides."""
    made = model.joints[joint].createData()
    model.joints[joint].calc(made, pin.neutral(model))
    out: Array = np.asarray(made.S).reshape(6, -1)[3:, 0]
    return out
