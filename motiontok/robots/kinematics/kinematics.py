"""Kinematics of many frames at once, on top of Pinocchio.

Pinocchio computes one frame's placements and its Jacobian; everything after that
works on stacked arrays. Stiffness and force of all tasks are collected per body as
spatial (6x6, 6) quantities at the world's origin, and the normal equations follow
from sums over subtrees, as the composite rigid body algorithm makes the mass matrix
(Featherstone 2008, ch. 6): no task's own Jacobian is ever formed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pinocchio as pin
from numpy.typing import DTypeLike

from bvh.rotations import Array
from motiontok.robots.kinematics.placements import Placements, split
from motiontok.robots.model.mimic_joints import Coupling

__all__ = ["Kinematics", "Linearization", "PlacedState", "State"]


@dataclass(eq=False)
class State:
    """Placements and Jacobians of a batch of configurations.

    Attributes:
        jacobians: ``(frames, columns, 6)`` world twist (linear part at the world's
            origin, then angular) of each degree of freedom, coupled joints' too.
        rotations: ``(frames, bodies, 3, 3)`` world_from_body.
        positions: ``(frames, bodies, 3)`` of the bodies' origins.
    """

    jacobians: Array
    rotations: Array
    positions: Array


@dataclass(eq=False)
class PlacedState(State):
    """A state whose rotations and positions are views of one array.

    Attributes:
        rows: ``(frames, bodies, 4, 3)`` a body's axes in the world, then its origin: of a point
            ``(x, y, z, 1)`` in the body its place is ``point @ rows``.
    """

    rows: Array


class Linearization:
    """A sum of tasks to second order around a state; tasks add themselves to it.

    Attributes:
        cost: ``(frames,)`` sum of squared weighted residuals.
        stiffness: ``(frames, bodies, 6, 6)`` of each body, about the world's origin.
        force: ``(frames, bodies, 6)`` that pulls towards lower cost.
        matrix: ``(frames, columns, columns)`` Gauss-Newton matrix of tasks that couple several
            bodies.
        gradient: ``(frames, columns)`` descent direction of the same.
        touched: indices of the bodies whose stiffness or force is not all zero.
    """

    def __init__(self, stiffness: Array, columns: int) -> None:
        frames, bodies = stiffness.shape[:2]
        self.cost = np.zeros(frames)
        self.stiffness = stiffness
        self.force = np.zeros((frames, bodies, 6))
        self.touched: set[int] = set()
        self.matrix: Array | None = None
        self.gradient: Array | None = None
        self._shape = (frames, columns)

    def coupling(self) -> tuple[Array, Array]:
        """Matrix and gradient to add to, made when first needed."""
        if self.matrix is None or self.gradient is None:
            frames, columns = self._shape
            self.matrix = np.zeros((frames, columns, columns))
            self.gradient = np.zeros((frames, columns))
        return self.matrix, self.gradient


class Kinematics:
    """Batched placements, Jacobians and normal equations of some bodies of a model.

    Args:
        model: Pinocchio model with a free-flyer root and revolute or prismatic joints.
        bodies: Pinocchio joint index of each body of interest, without repeats.
        coupling: of joints that follow others. Configurations, steps, limits and normal equations
            are then of the free joints.

    Attributes:
        model: as given.
        bodies: as given.
        coupling: as given.
        lower: ``(nv - 6,)`` lower joint limits.
        upper: ``(nv - 6,)`` upper joint limits.
        columns: degrees of freedom of the model, including coupled joints.
        nv: degrees of freedom, including the root's six.
    """

    def __init__(self, model: Any, bodies: Sequence[int], coupling: Coupling | None = None) -> None:
        self.model = model
        self.bodies = list(bodies)
        self.coupling = coupling
        own = model.lowerPositionLimit[7:], model.upperPositionLimit[7:]
        lower, upper = own if coupling is None else (coupling.lower, coupling.upper)
        self.lower: Array = lower.copy()
        self.upper: Array = upper.copy()
        self.columns = int(model.nv)
        self.nv = 6 + len(self.lower)
        self._tangent = None if coupling is None else coupling.tangent()
        self._data = model.createData()
        self._placements = Placements(self._data.oMi)
        self._scratch: dict[tuple[str, DTypeLike], Array] = {}

        nv = model.nv
        joint_of = np.zeros(nv, dtype=int)
        for index in range(1, model.njoints):
            joint = model.joints[index]
            joint_of[joint.idx_v : joint.idx_v + joint.nv] = index
        moves = np.zeros((model.njoints, model.njoints))  # whether a joint moves a body
        for body in range(model.njoints):
            moves[model.supports[body].tolist(), body] = 1.0
        # Row by row in memory, as products want them.
        self._subtree = np.ascontiguousarray(moves[joint_of][:, self.bodies])
        # Columns of one joint are each other's ancestors: count the pair once.
        once = np.where(joint_of[:, None] == joint_of, 0.5, 1.0)
        self._ancestor = np.ascontiguousarray(moves[joint_of][:, joint_of] * once)

    def of(self, bodies: Sequence[int]) -> Kinematics:
        """The same of some of the bodies alone. Both use the same memory of Pinocchio's."""
        out = copy.copy(self)
        out.bodies, out._scratch = list(bodies), {}
        columns = [self.body_index(body) for body in bodies]
        out._subtree = np.ascontiguousarray(self._subtree[:, columns])
        return out

    @property
    def nq(self) -> int:
        """Numbers of a configuration."""
        return 7 + len(self.lower)

    def expand(self, q: Array) -> Array:
        """Configurations ``(frames, model.nq)`` of all joints, of ``q (frames, nq)``."""
        return q if self.coupling is None else self.coupling.expand(q)

    def free(self, rows: Array) -> Array:
        """Rows ``(..., nv)`` of the free degrees of freedom, of ``rows (..., columns)``."""
        return rows if self._tangent is None else np.asarray(rows @ self._tangent)

    def free_equations(self, matrix: Array, gradient: Array) -> tuple[Array, Array]:
        """Normal equations ``(frames, nv, ...)`` of free joints, of those of all ``columns``."""
        if self._tangent is None:
            return matrix, gradient
        return self._tangent.T @ matrix @ self._tangent, gradient @ self._tangent

    def body_index(self, joint: int) -> int:
        """Position of a Pinocchio joint in :attr:`bodies`."""
        return self.bodies.index(joint)

    def evaluate(self, q: Array) -> State:
        """Placements and Jacobians at configurations ``q (frames, nq)``."""
        frames = len(q)
        q = self.expand(q)
        jacobians = np.empty((frames, self.columns, 6))
        rows = self.memory("placements", frames, (self.model.njoints, 12))
        model, data, read = self.model, self._data, self._placements.read
        compute = pin.computeJointJacobians
        for frame in range(frames):
            jacobians[frame] = compute(model, data, q[frame]).T
            read(rows[frame])
        rotations, positions = split(rows[:, self.bodies])
        return State(jacobians, rotations, positions)

    def integrate(self, q: Array, step: Array) -> Array:
        """Configurations after tangent steps ``(frames, nv)`` (root in its own frame)."""
        out = np.empty_like(q)
        if self._tangent is not None:
            # Only the root's place is on a manifold.
            whole, moved = self.expand(q), step @ self._tangent.T
            for frame in range(len(q)):
                out[frame, :7] = pin.integrate(self.model, whole[frame], moved[frame])[:7]
            out[:, 7:] = q[:, 7:] + step[:, 6:]
            return out
        for frame in range(len(q)):
            out[frame] = pin.integrate(self.model, q[frame], step[frame])
        return out

    def blank(self, frames: int) -> Linearization:
        """An empty sum of tasks, valid until the next call."""
        stiffness = self.memory("stiffness", frames, (len(self.bodies), 6, 6))
        stiffness[...] = 0.0
        return Linearization(stiffness, self.columns)

    def subtree_of(self, body: int) -> Array:
        """``(columns,)`` 1 where a degree of freedom moves a body (a Pinocchio joint index)."""
        out: Array = self._subtree[:, self.body_index(body)]
        return out

    def normal_equations(
        self, jacobians: Array, system: Linearization, *, out: tuple[Array, Array] | None = None
    ) -> tuple[Array, Array]:
        """Gauss-Newton matrix ``(frames, nv, nv)`` and descent direction ``(frames, nv)``.

        Args:
            jacobians: ``(frames, columns, 6)``.
            system: tasks linearized at the same state.
            out: arrays for the two results.
        """
        frames, nv = len(system.force), self.columns
        # A slice is a view; to leave out untouched bodies before the last would be a copy.
        bodies = slice(0, max(system.touched, default=-1) + 1)
        subtree, force = self._subtree[:, bodies], system.force[:, bodies]
        stiffness = system.stiffness[:, bodies].reshape(frames, -1, 36)
        whole = None if self._tangent is not None else out
        matrix, gradient = whole or (np.empty((frames, nv, nv)), np.empty((frames, nv)))
        composite = self.memory("composite", frames, (nv, 36))
        np.matmul(subtree, stiffness, out=composite)
        pulled = self.memory("pulled", frames, (nv, 6))
        np.einsum("fvij,fvj->fvi", composite.reshape(frames, nv, 6, 6), jacobians, out=pulled)
        half = self.memory("half", frames, (nv, nv))
        np.matmul(jacobians, pulled.swapaxes(1, 2), out=half)
        half *= self._ancestor
        np.add(half, half.swapaxes(1, 2), out=matrix)
        np.einsum("fvi,fvi->fv", jacobians, subtree @ force, out=gradient)
        if system.matrix is not None and system.gradient is not None:
            matrix += system.matrix
            gradient += system.gradient
        if self._tangent is not None:
            matrix, gradient = self.free_equations(matrix, gradient)
            if out is not None:
                out[0][...], out[1][...] = matrix, gradient
        return matrix, gradient

    def memory(
        self, name: str, frames: int, shape: tuple[int, ...], kind: DTypeLike = np.float64
    ) -> Array:
        """Scratch memory; fresh pages for every call would cost more than the arithmetic."""
        key = name, kind
        held = self._scratch.get(key)
        if held is None or len(held) < frames:
            held = self._scratch[key] = np.empty((frames, *shape), dtype=kind)
        return held[:frames]
