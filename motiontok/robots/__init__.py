"""Robots that follow canonical motion: models, retarget maps, inverse kinematics.

::

    robot = load_robot("g1")
    trajectory = retarget(motion, robot)
    trajectory.save("robot.npz")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from motiontok.robots.maps import available
from motiontok.robots.trajectory import Trajectory

if TYPE_CHECKING:
    from motiontok.robots.model import Robot, load_robot
    from motiontok.robots.retargeting import retarget

__all__ = ["Robot", "Trajectory", "available", "load_robot", "retarget"]

# These import Pinocchio; listing robots and reading trajectories must not need it.
_LAZY = {
    "Robot": "motiontok.robots.model",
    "load_robot": "motiontok.robots.model",
    "retarget": "motiontok.robots.retargeting",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
