"""Rigs known by the shape of their pelvis, for any direction of their axes.

Only the pitch of a pelvis cannot be seen from its joints: rigs place the hip joints and the spine
freely before or behind the pelvis joint. The shape itself, up to rotation and scale, survives every
re-rigging, so it identifies the rig.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.rotations import Array

__all__ = ["SHAPES", "Shape", "recognize"]


@dataclass(frozen=True)
class Shape:
    """A rig's sagittal pelvis: forward and up coordinates in hip widths.

    Attributes:
        name: rig.
        hips: middle of the hip joints from the pelvis joint, (forward, up).
        spine: first spine joint from the pelvis joint, (forward, up).
        foot: drop of the toe from the ankle of a flat foot (rad below horizontal).
    """

    name: str
    hips: tuple[float, float]
    spine: tuple[float, float]
    foot: float


SHAPES: tuple[Shape, ...] = (
    # LAFAN1: hip joints 1.86 cm before, first spine joint 2.60 cm behind the pelvis joint.
    Shape("lafan1", (0.08806, 0.00490), (-0.12342, 0.32716), 0.33),
    Shape("bandai-namco", (0.0, -0.16945), (0.0, 1.21617), 0.692),
)
_TOLERANCE = 0.02  # hip widths


def recognize(hips: Array, spine: Array) -> tuple[Shape, float] | None:
    """Find the rig whose pelvis has this shape.

    Args:
        hips: (2,) middle of the hip joints, hip widths, in any sagittal axes.
        spine: (2,) first spine joint, likewise.

    Returns:
        The shape, and the angle (rad) by which the given axes are turned from
        (forward, up) axes; None if the shape is unknown.
    """
    given = np.array([complex(*hips), complex(*spine)])
    if abs(given[1]) < _TOLERANCE:
        return None
    for shape in SHAPES:
        known = np.array([complex(*shape.hips), complex(*shape.spine)])
        turn = np.vdot(known, given)
        turn /= max(abs(turn), 1e-12)
        if np.abs(given - turn * known).max() < _TOLERANCE:
            return shape, float(np.angle(turn))
    return None
