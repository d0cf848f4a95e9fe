"""Robots that follow canonical motion: models, retarget maps, inverse kinematics.

::

    robot = load_robot("g1")
    trajectory = retarget(motion, robot)
    trajectory.save("robot.npz")

    follower = Follower(robot, offsets=motion.offsets)  # one frame at a time
    qpos = follower.push(root_position, rotations)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from motiontok.robots.files.trajectory import Trajectory
from motiontok.robots.model.maps import available

if TYPE_CHECKING:
    from motiontok.robots.batch import retarget_all, retarget_and_evaluate_all
    from motiontok.robots.follower import Follower
    from motiontok.robots.model.robot import Robot, load_robot
    from motiontok.robots.motions import motion_of
    from motiontok.robots.reports.report import Report, evaluate
    from motiontok.robots.retargeting import body_like, retarget, sized_like

__all__ = [
    "Follower",
    "Report",
    "Robot",
    "Trajectory",
    "available",
    "body_like",
    "evaluate",
    "load_robot",
    "motion_of",
    "retarget",
    "retarget_all",
    "retarget_and_evaluate_all",
    "sized_like",
]

# These import Pinocchio; listing robots and reading trajectories must not need it.
_LAZY = {
    "Follower": "motiontok.robots.follower",
    "Report": "motiontok.robots.reports.report",
    "Robot": "motiontok.robots.model.robot",
    "body_like": "motiontok.robots.retargeting",
    "evaluate": "motiontok.robots.reports.report",
    "load_robot": "motiontok.robots.model.robot",
    "motion_of": "motiontok.robots.motions",
    "retarget": "motiontok.robots.retargeting",
    "retarget_all": "motiontok.robots.batch",
    "retarget_and_evaluate_all": "motiontok.robots.batch",
    "sized_like": "motiontok.robots.retargeting",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
