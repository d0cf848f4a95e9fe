"""Kinematics of many frames at once, on top of Pinocchio.

Pinocchio computes one frame's placements and its Jacobian; everything after that
works on stacked arrays. Stiffness and force of all tasks are collected per body as
spatial (6x6, 6) quantities at the world's origin, and the normal equations follow
from sums over subtrees, as the composite rigid body algorithm makes the mass matrix
(Featherstone 2008, ch. 6): no task's own Jacobian is ever formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pinocchio as pin

from bvh.rotations import Array
from motiontok.robots.placements import Placements, split

__all__ = ["Kinematics", "Linearization", "State"]


@dataclass(eq=False)
class State:
    """Placements and Jacobians of a batch of configurations.

    Attributes:
        jacobians: ``(frames, nv, 6)`` world twist (linear part at the world's
            origin, then angular) of each degree of freedom.
        rotations: ``(frames, bodies, 3, 3)`` world_from_body.
        positions: ``(frames, bodies, 3)`` of the bodies' origins.
    """

    jacobians: Array
    rotations: Array
    positions: Array


class Linearization:
    """A sum of tasks to second order around a state; tasks add themselves to it.

    Attributes:
        cost: ``(frames,)`` sum of squared weighted residuals.
        stiffness: ``(frames, bodies, 6, 6)`` of each body, about the world's origin.
        force: ``(frames, bodies, 6)`` that pulls towards lower cost.
        matrix: ``(frames, nv, nv)`` Gauss-Newton matrix of what couples several bodies.
        gradient: ``(frames, nv)`` descent direction of the same.
    """

    def __init__(self, stiffness: Array, nv: int) -> None:
        frames, bodies = stiffness.shape[:2]
        self.cost = np.zeros(frames)
        self.stiffness = stiffness
        self.force = np.zeros((frames, bodies, 6))
        self.matrix: Array | None = None
        self.gradient: Array | None = None
        self._shape = (frames, nv)

    def coupling(self) -> tuple[Array, Array]:
        """Matrix and gradient to add to, made when first needed."""
        if self.matrix is None or self.gradient is None:
            frames, nv = self._shape
            self.matrix, self.gradient = np.zeros((frames, nv, nv)), np.zeros((frames, nv))
        return self.matrix, self.gradient


class Kinematics:
    """Batched placements, Jacobians and normal equations of some bodies of a model.

    Args:
        model: Pinocchio model with a free-flyer root and revolute or prismatic joints.
        bodies: Pinocchio joint index of each body of interest, without repeats.

    Attributes:
        model: as given.
        bodies: as given.
        lower: ``(nv - 6,)`` lower joint limits.
        upper: ``(nv - 6,)`` upper joint limits.
    """

    def __init__(self, model: Any, bodies: Sequence[int]) -> None:
        self.model = model
        self.bodies = list(bodies)
        self.lower: Array = model.lowerPositionLimit[7:].copy()
        self.upper: Array = model.upperPositionLimit[7:].copy()
        self._data = model.createData()
        self._placements = Placements(self._data.oMi)
        self._scratch: dict[str, Array] = {}

        nv = model.nv
        joint_of = np.zeros(nv, dtype=int)
        for index in range(1, model.njoints):
            joint = model.joints[index]
            joint_of[joint.idx_v : joint.idx_v + joint.nv] = index
        supports = [set(model.supports[index].tolist()) for index in range(model.njoints)]
        self._subtree = np.array(
            [[float(joint_of[i] in supports[body]) for body in self.bodies] for i in range(nv)]
        )
        ancestor = np.array(
            [[float(joint_of[i] in supports[joint_of[j]]) for j in range(nv)] for i in range(nv)]
        )
        # Columns of one joint are each other's ancestors: count the pair once.
        self._ancestor = ancestor * np.where(joint_of[:, None] == joint_of, 0.5, 1.0)

    @property
    def nv(self) -> int:
        """Degrees of freedom, the root's six included."""
        return int(self.model.nv)

    def body_index(self, joint: int) -> int:
        """Position of a Pinocchio joint in :attr:`bodies`."""
        return self.bodies.index(joint)

    def evaluate(self, q: Array) -> State:
        """Placements and Jacobians at configurations ``q (frames, nq)``."""
        frames = len(q)
        jacobians = np.empty((frames, self.nv, 6))
        rows = self._memory("placements", frames, (self.model.njoints, 12))
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
        for frame in range(len(q)):
            out[frame] = pin.integrate(self.model, q[frame], step[frame])
        return out

    def blank(self, frames: int) -> Linearization:
        """An empty sum of tasks, valid until the next call."""
        stiffness = self._memory("stiffness", frames, (len(self.bodies), 6, 6))
        stiffness[...] = 0.0
        return Linearization(stiffness, self.nv)

    def subtree_of(self, body: int) -> Array:
        """``(nv,)`` 1 where a degree of freedom moves a body (a Pinocchio joint index)."""
        out: Array = self._subtree[:, self.body_index(body)]
        return out

    def normal_equations(
        self, jacobians: Array, system: Linearization, *, out: tuple[Array, Array] | None = None
    ) -> tuple[Array, Array]:
        """Gauss-Newton matrix ``(frames, nv, nv)`` and descent direction ``(frames, nv)``.

        Args:
            jacobians: ``(frames, nv, 6)``.
            system: tasks linearized at the same state.
            out: arrays for the two results.
        """
        frames, bodies = system.force.shape[:2]
        nv = self.nv
        matrix, gradient = out or (np.empty((frames, nv, nv)), np.empty((frames, nv)))
        composite = self._memory("composite", frames, (nv, 36))
        np.matmul(self._subtree, system.stiffness.reshape(frames, bodies, 36), out=composite)
        pulled = self._memory("pulled", frames, (nv, 6))
        np.einsum("fvij,fvj->fvi", composite.reshape(frames, nv, 6, 6), jacobians, out=pulled)
        half = self._memory("half", frames, (nv, nv))
        np.matmul(jacobians, pulled.swapaxes(1, 2), out=half)
        half *= self._ancestor
        np.add(half, half.swapaxes(1, 2), out=matrix)
        np.einsum("fvi,fvi->fv", jacobians, self._subtree @ system.force, out=gradient)
        if system.matrix is not None and system.gradient is not None:
            matrix += system.matrix
            gradient += system.gradient
        return matrix, gradient

    def _memory(self, name: str, frames: int, shape: tuple[int, ...]) -> Array:
        """Scratch memory; fresh pages for every call would cost more than the arithmetic."""
        held = self._scratch.get(name)
        if held is None or len(held) < frames:
            held = self._scratch[name] = np.empty((frames, *shape))
        return held[:frames]
