"""The metres of a command's places and speeds: a named robot's, or a person's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from motiontok.errors import PlanError

if TYPE_CHECKING:
    from bvh.motion import Motion
    from bvh.rotations import Array
    from motiontok.data import World
    from motiontok.robots import Robot, Trajectory

__all__ = ["put_on_robot", "world_of"]


def world_of(robot_name: str | None) -> tuple[Robot | None, World]:
    """The robot of that name, if one is named, and its metres."""
    from motiontok.data import World

    if robot_name is None:
        return None, World()
    from motiontok.robots import body_like, load_robot

    robot = load_robot(robot_name)
    return robot, World(body_like(robot), robot.name)


def put_on_robot(
    motion: Motion, robot: Robot, discs: Array | None = None
) -> tuple[Trajectory, float | None]:
    """The robot's trajectory, and how near its joints come to a disc (m), if there are any.

    Raises:
        PlanError: the robot would be in one.
    """
    from motiontok.data import World
    from motiontok.prior.planning.clearance import FLESH, clearance
    from motiontok.robots import retarget
    from motiontok.robots.retargeting import joint_places

    trajectory = retarget(motion, robot)
    if discs is None or not len(discs):
        return trajectory, None
    points = joint_places(robot, trajectory.qpos)[..., :2]
    flesh = FLESH * World(motion.offsets).scale
    nearest = float(clearance(points, discs, flesh=flesh).min())
    if nearest < 0.0:
        raise PlanError(
            f"the plan keeps clear, but {robot.name} comes {-nearest:.2f} m into a no-go disc; "
            "try another --seed or a larger disc"
        )
    return trajectory, nearest
