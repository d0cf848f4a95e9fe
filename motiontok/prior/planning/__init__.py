"""Planning over codes: plans that keep to their task, and their parts."""

from motiontok.prior.planning.costs import (
    Cost,
    Rollout,
    end_pose,
    no_go_disc,
    target_pose,
    track_path,
    track_velocity,
)
from motiontok.prior.planning.picture import plot_plan
from motiontok.prior.planning.plan import Plan, Task, make_plan
from motiontok.prior.planning.planner_interface import Planner, State, follow
from motiontok.prior.planning.search_planner import SearchPlanner
from motiontok.prior.planning.targets import PathTarget, VelocityProfile
from motiontok.prior.planning.tracking import tracking_errors

__all__ = [
    "Cost",
    "PathTarget",
    "Plan",
    "Planner",
    "Rollout",
    "SearchPlanner",
    "State",
    "Task",
    "VelocityProfile",
    "end_pose",
    "follow",
    "make_plan",
    "no_go_disc",
    "plot_plan",
    "target_pose",
    "track_path",
    "track_velocity",
    "tracking_errors",
]
