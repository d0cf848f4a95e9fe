"""Robots that follow canonical motion: models, retarget maps, inverse kinematics.

::

    robot = load_robot("g1")
    trajectory = retarget(motion, robot)
    trajectory.save("robot.npz")

    follower = Follower(robot, offsets=motion.offsets)  # one frame at a time
    qpos = follower.push(root_position, rotations)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from motiontok.lazy_imports import lazy_names
from motiontok.robots.files.trajectory import Trajectory
from motiontok.robots.files.trajectory_io import reading
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
    "reading",
    "retarget",
    "retarget_all",
    "retarget_and_evaluate_all",
    "sized_like",
]

# These import Pinocchio; listing robots and reading trajectories must not need it.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "batch": ("retarget_all", "retarget_and_evaluate_all"),
        "follower": ("Follower",),
        "model.robot": ("Robot", "load_robot"),
        "motions": ("motion_of",),
        "reports.report": ("Report", "evaluate"),
        "retargeting": ("body_like", "retarget", "sized_like"),
    },
)
