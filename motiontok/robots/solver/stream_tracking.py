"""Tracking cost of a few configurations by Pinocchio's own algorithms, for streams.

The cost is that of a chordal :class:`~motiontok.robots.solver.tasks.PoseTask`, which is for many
frames. To second order a target pulls its body like a spring, and the spring's stiffness has the
form of a body's inertia: the position weight is a mass at the tracked point, and the rotation
weight is a rotational inertia about it. So the Gauss-Newton matrix is the mass matrix of a robot
with these inertias (composite rigid body algorithm: Featherstone 2008, ch. 6), and its gradient the
static torque of the springs' forces.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pinocchio as pin

from bvh.rotations import Array
from motiontok.robots.kinematics import so3
from motiontok.robots.kinematics.kinematics import Kinematics, PlacedState
from motiontok.robots.kinematics.placements import Forces, Inertias, Placements
from motiontok.robots.solver.tasks import NormalEquations
from motiontok.robots.targets import Targets

__all__ = ["StreamTracking", "wanted_poses"]

_MOST = 3  # configurations at a time
_ROW = 14  # numbers of a wanted pose: rotation and position (3, 4), then their two weights


def wanted_poses(targets: Targets) -> Array:
    """Rows ``(tracked, 14)`` of one frame's targets, as :class:`StreamTracking` takes them."""
    out = np.empty((len(targets.bodies), _ROW))
    poses = out[:, :12].reshape(-1, 3, 4)
    # Of a body's attitude, not of the frame's.
    poses[..., :3] = targets.rotations[0] @ targets.local_rotations.swapaxes(1, 2)
    poses[..., 3] = targets.positions[0]
    np.multiply(targets.position_weights[0], targets.position_weights[0], out=out[:, 12])
    np.multiply(targets.rotation_weights[0], targets.rotation_weights[0], out=out[:, 13])
    return out


class StreamTracking:
    """Linearizes the tracking cost of at most three configurations.

    Args:
        kinematics: of all bodies of interest, the tracked ones first.
        local_positions: ``(tracked, 3)`` of the tracked points in their bodies, metres.
    """

    def __init__(self, kinematics: Kinematics, local_positions: Array) -> None:
        self._kinematics = kinematics
        model = self._model = pin.Model(kinematics.model)
        model.gravity = pin.Motion.Zero()
        model.armature = np.zeros(model.nv)
        for joint in range(model.njoints):
            model.inertias[joint] = pin.Inertia.Zero()
        self._data = model.createData()
        self._forces = pin.StdVec_Force([pin.Force.Zero() for _ in range(model.njoints)])
        self._place = Placements(self._data.oMi)
        tracked = kinematics.bodies[: len(local_positions)]
        self._springs = Inertias(model.inertias, tracked)
        self._pulls = Forces(self._forces, tracked)
        self._bodies = np.array(kinematics.bodies)
        self._tracked = len(tracked)
        self._local = so3.wrapped(np.tile(local_positions.T, _MOST))

    def linearize(self, q: Array, wanted: Sequence[Array]) -> tuple[NormalEquations, PlacedState]:
        """Cost of configurations to second order, of all degrees of freedom, and their state.

        Args:
            q: ``(n or more, nq)``; of those beyond the first n only the state is computed.
            wanted: of the first n, see :func:`wanted_poses`.
        """
        q = self._kinematics.expand(q)
        state = self.evaluate(q)
        count, tracked = len(wanted), self._tracked
        rows = np.array(wanted)
        poses = rows[..., :12].reshape(count, tracked, 3, 4)
        poses[..., 3] -= state.positions[:count, :tracked]
        seen = state.rows[:count, :tracked, :3] @ poses
        # All in the bodies' own axes; components first, NumPy runs along frames and bodies.
        parts = _PARTS @ seen.reshape(-1, 12).T
        mass, spin = np.ascontiguousarray(rows[..., 12:].reshape(-1, 2).T)
        local = self._local[:, : count * tracked]
        gap = parts[_GAP] - local
        turn, cosine = parts[_TURN], parts[_COSINE] - 0.5
        force = mass * gap
        cost = (force[:3] * gap[:3]).sum(0)
        cost += spin * (2.0 - 2.0 * cosine)
        pull = np.empty((6, count * tracked))
        pull[:3] = force[:3]
        np.add(so3.cross(local, force), spin * turn, out=pull[3:])
        np.negative(pull, out=pull)  # what holds the springs
        springs = np.empty((10, count * tracked))
        springs[0], springs[1:4] = mass, local[:3]
        # Along the turn a chord gives way: see so3.chord_between.
        along = (-0.5 * spin) / np.maximum(1.0 + cosine, 1e-6)
        np.multiply(parts[_FIRST], parts[_SECOND], out=springs[4:])
        springs[4:] *= along
        springs[4:7] += spin
        model, data, forces = self._model, self._data, self._forces
        matrix = np.empty((count, model.nv, model.nv))
        gradient = np.empty((count, model.nv))
        for k in range(count):
            part = slice(k * tracked, (k + 1) * tracked)
            self._springs.write(springs[:, part])
            self._pulls.write(pull[:, part])
            matrix[k] = pin.crba(model, data, q[k])
            gradient[k] = pin.computeStaticTorque(model, data, q[k], forces)
        return NormalEquations(cost.reshape(count, tracked).sum(1), matrix, gradient), state

    def evaluate(self, q: Array) -> PlacedState:
        """State at configurations ``(n, model.nq)`` of all joints; its arrays are views."""
        model, data = self._model, self._data
        jacobians = np.empty((len(q), model.nv, 6))
        rows = np.empty((len(q), model.njoints, 12))
        for k in range(len(q)):
            jacobians[k] = pin.computeJointJacobians(model, data, q[k]).T
            self._place.read(rows[k])
        placed = rows.take(self._bodies, axis=1).reshape(len(q), -1, 4, 3)
        turned = placed[..., :3, :].swapaxes(2, 3)
        return PlacedState(jacobians, turned, placed[..., 3, :], placed)


_GAP, _TURN, _COSINE = slice(0, 5), slice(5, 8), 8
_FIRST, _SECOND = slice(9, 15), slice(15, 21)


def _parts() -> Array:
    """``(21, 12)`` from ``R^T [T, x]`` to what the cost is made of.

    These are the gap x (wrapped, see so3), the turn's axis times its sine, half the trace, and the
    axis' components as rows and as columns of a symmetric matrix (xx, yy, zz, xy, xz, yz).
    """
    gap, turn, half = np.zeros((3, 3, 4)), np.zeros((3, 3, 4)), np.zeros((3, 4))
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        gap[axis, axis, 3] = 1.0
        turn[axis, second, first], turn[axis, first, second] = 0.5, -0.5
        half[axis, axis] = 0.5
    rows, columns = turn[[0, 1, 2, 0, 0, 1]], turn[[0, 1, 2, 1, 2, 2]]
    return np.concatenate([gap[[0, 1, 2, 0, 1]], turn, half[None], rows, columns]).reshape(21, 12)


_PARTS = _parts()
