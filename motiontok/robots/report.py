"""How well a robot's trajectory follows a motion, and what it violates."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import JOINTS
from motiontok.errors import RobotError
from motiontok.robots import so3
from motiontok.robots.contacts import SIDES, Contacts, find_contacts
from motiontok.robots.kinematics import Kinematics, State
from motiontok.robots.model import Robot
from motiontok.robots.targets import leg_length, make_targets
from motiontok.robots.tasks import PoseTask
from motiontok.robots.trajectory import Trajectory

__all__ = ["Report", "evaluate"]


@dataclass(frozen=True)
class Report:
    """Quality figures of one trajectory.

    Attributes:
        position_error: mean distance of followed joint centres from their targets, m.
        position_error_max: the largest, m.
        rotation_error: mean angle between followed bodies and their targets, rad.
        cost: mean weighted cost of a frame.
        cost_max: of the worst frame.
        limit_violation: largest excess over a joint limit, rad.
        at_limit: share of frames with some joint at its limit.
        joint_speed_max: largest joint speed between two frames, rad/s.
        speed_violations: share of frames with a joint above its speed limit.
        foot_slide: mean horizontal speed of the robot's standing toes and heels, m/s.
        foot_slide_source: the same of the motion's, scaled to the robot, m/s.
        foot_depth: deepest corner of a sole below the ground, m.
        deep_frames: share of frames with a sole deeper than 5 mm.
        self_penetration: deepest overlap of two of the robot's bodies, m.
        colliding_frames: share of frames with an overlap deeper than 1 mm.
    """

    position_error: float
    position_error_max: float
    rotation_error: float
    cost: float
    cost_max: float
    limit_violation: float
    at_limit: float
    joint_speed_max: float
    speed_violations: float
    foot_slide: float
    foot_slide_source: float
    foot_depth: float
    deep_frames: float
    self_penetration: float
    colliding_frames: float

    def to_dict(self) -> dict[str, float]:
        """The figures by name, SI units."""
        return asdict(self)

    def table(self) -> str:
        """The figures as lines of text, in the units that people think in."""
        rows = (
            ("position error", f"{100 * self.position_error:.2f} cm mean,"
                               f" {100 * self.position_error_max:.1f} cm max"),
            ("rotation error", f"{np.degrees(self.rotation_error):.1f} deg mean"),
            ("cost", f"{self.cost:.1f} mean, {self.cost_max:.1f} max"),
            ("joint limits", f"{self.limit_violation:.4f} rad over,"
                             f" {100 * self.at_limit:.0f} % of frames at a limit"),
            ("joint speed", f"{self.joint_speed_max:.1f} rad/s max,"
                            f" {100 * self.speed_violations:.1f} % of frames too fast"),
            ("standing feet", f"{100 * self.foot_slide:.1f} cm/s slide"
                              f" (source {100 * self.foot_slide_source:.1f})"),
            ("soles", f"{1000 * self.foot_depth:.1f} mm below ground at most,"
                      f" {100 * self.deep_frames:.1f} % of frames deeper than 5 mm"),
            ("self-collision", f"{1000 * self.self_penetration:.1f} mm at most,"
                               f" {100 * self.colliding_frames:.1f} % of frames deeper than 1 mm"),
        )  # fmt: skip
        return "\n".join(f"{name:<16}{text}" for name, text in rows)


def evaluate(trajectory: Trajectory, motion: Motion, robot: Robot) -> Report:
    """Measure a trajectory against the motion it came from, at the motion's rate.

    Raises:
        RobotError: it belongs to another robot, or has another length or rate.
    """
    if trajectory.joint_names != robot.joint_names:
        raise RobotError(f"the trajectory is of {trajectory.robot!r}, not of {robot.name!r}")
    if len(trajectory) != len(motion) or trajectory.fps != motion.fps:
        raise RobotError(
            f"the trajectory has {len(trajectory)} frames at {trajectory.fps:g} fps,"
            f" the motion {len(motion)} at {motion.fps:g}"
        )
    targets = make_targets(motion, robot.calibration, robot.map.weights)
    kinematics = Kinematics(robot.model, targets.bodies)
    state = kinematics.evaluate(trajectory.qpos)
    task = PoseTask(kinematics, targets)
    rotations, positions = task.poses(state)
    distance = np.linalg.norm(positions - targets.positions, axis=-1)
    angle = so3.log(targets.rotations @ rotations.swapaxes(-1, -2))[1]
    cost = task.cost(state)

    joints, lower, upper = trajectory.joints, robot.lower, robot.upper
    excess = np.maximum(np.maximum(lower - joints, joints - upper), 0.0)
    near = np.minimum(joints - lower, upper - joints) < 1e-3
    speed = np.abs(np.diff(joints, axis=0)) * motion.fps if len(motion) > 1 else 0 * joints
    corners = sole_corners(robot, kinematics, state)
    depth = np.maximum(-corners[..., 2].min(axis=(1, 2)), 0.0)
    overlap = robot.self_collision.near(trajectory.qpos).deepest(len(motion))
    own, source = _slide(motion, robot, corners, find_contacts(motion))
    return Report(
        position_error=float(distance.mean()),
        position_error_max=float(distance.max()),
        rotation_error=float(angle.mean()),
        cost=float(cost.mean()),
        cost_max=float(cost.max()),
        limit_violation=float(excess.max()),
        at_limit=float(near.any(axis=1).mean()),
        joint_speed_max=float(speed.max()),
        speed_violations=float((speed > robot.speed_limits + 1e-6).any(axis=1).mean()),
        foot_slide=own,
        foot_slide_source=source,
        foot_depth=float(depth.max()),
        deep_frames=float((depth > 0.005).mean()),
        self_penetration=float(overlap.max()),
        colliding_frames=float((overlap > 0.001).mean()),
    )


def sole_corners(robot: Robot, kinematics: Kinematics, state: State) -> Array:
    """World positions ``(frames, 2, 4, 3)`` of the corners of the left and right sole."""
    calibration = robot.calibration
    out = []
    for side in SIDES:
        k = calibration.index(side + "Foot")
        body = kinematics.body_index(calibration.bodies[k])
        local = calibration.soles[side + "Foot"].corners @ calibration.rotations[k].T
        local = local + calibration.translations[k]
        turned = np.einsum("tij,cj->tci", state.rotations[:, body], local)
        out.append(state.positions[:, None, body] + turned)
    return np.stack(out, axis=1)


def _slide(motion: Motion, robot: Robot, corners: Array, contacts: Contacts) -> tuple[float, float]:
    """Mean horizontal speeds (m/s) of standing points: the robot's, the motion's scaled."""
    if len(motion) < 2:
        return 0.0, 0.0
    human = motion.global_positions() * robot.calibration.leg_length / leg_length(motion.offsets)
    own_speeds, source_speeds = [], []
    for side, name in enumerate(SIDES):
        for mask, joint, pair in (
            (contacts.heels[:, side], "Foot", slice(0, 2)),
            (contacts.toes[:, side], "Toe", slice(2, 4)),
        ):
            # Between two frames that both stand.
            both = mask[1:] & mask[:-1]
            point = corners[:, side, pair].mean(axis=1)
            source = human[:, JOINTS.index(name + joint)]
            own_speeds.append(_planar_speed(point, motion.fps)[both])
            source_speeds.append(_planar_speed(source, motion.fps)[both])
    own, source = np.concatenate(own_speeds), np.concatenate(source_speeds)
    return (float(own.mean()), float(source.mean())) if own.size else (0.0, 0.0)


def _planar_speed(points: Array, fps: float) -> Array:
    return np.asarray(np.linalg.norm(np.diff(points[:, :2], axis=0), axis=-1) * fps)
