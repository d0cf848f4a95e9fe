"""A robot whose description has no shapes, as capsules along its kinematic tree."""

from __future__ import annotations

from typing import Any

import numpy as np

from bvh.rotations import Array
from motiontok.render.actors import Part
from motiontok.render.solids import BODY, JOINT, LEFT, RIGHT, hull_of_spheres

__all__ = ["stick_parts"]

# Thickness of a bone for its length, and its bounds in metres.
_SLENDERNESS, _THIN, _THICK = 0.13, 0.018, 0.05
# Nearer to the middle than this (metres), a body is neither left nor right.
_MIDDLE = 0.03


def stick_parts(model: Any) -> tuple[list[int], list[Part]]:
    """Capsules from every joint to the joints it carries.

    Args:
        model: Pinocchio model.

    Returns:
        Joint index of each body, and its part in that joint's frame.
    """
    import pinocchio as pin

    data = model.createData()
    pin.forwardKinematics(model, data, pin.neutral(model))
    children: dict[int, list[Array]] = {joint: [] for joint in range(1, model.njoints)}
    for joint in range(2, model.njoints):
        children[int(model.parents[joint])].append(
            np.asarray(model.jointPlacements[joint].translation)
        )
    origin, up = np.zeros(3), np.array([0.0, 0.0, 1.0])
    parts = []
    for joint, tips in children.items():
        side = float(data.oMi[joint].translation[1])
        tint = BODY if abs(side) < _MIDDLE else LEFT if side > 0 else RIGHT
        solids = [hull_of_spheres([(origin, 1.25 * _THIN)], JOINT, axis=up)]
        for tip in tips:
            length = float(np.linalg.norm(tip))
            radius = float(np.clip(_SLENDERNESS * length, _THIN, _THICK))
            if length > 1e-3:
                solids.append(
                    hull_of_spheres([(origin, radius), (tip, 0.8 * radius)], tint, axis=tip)
                )
        parts.append(Part.merge(solids))
    return list(children), parts
