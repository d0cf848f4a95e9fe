"""Quality figures of a robot's trajectory: tracking errors and violations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from bvh.foot_contacts import Contacts
from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.errors import RobotError
from motiontok.robots.contacts.ground import Ground, Planes, find_ground, heights_above
from motiontok.robots.contacts.offline_foot_lock import standing_feet
from motiontok.robots.files.trajectory import Trajectory
from motiontok.robots.kinematics import so3
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.limits.joint_limits import limit_margins
from motiontok.robots.model.outline import outline_of
from motiontok.robots.model.robot import Robot
from motiontok.robots.reports.feet import slides, sole_corners, tilts
from motiontok.robots.solver.tasks import BATCH, PoseTask
from motiontok.robots.targets import leg_length, make_targets

__all__ = ["Measurement", "Report", "evaluate", "measure"]

_NEAR = 0.02  # of a joint's range
_DIRECTIONS = 200
_LARGEST = (
    "position_error_max",
    "cost_max",
    "limit_violation",
    "joint_speed_max",
    "foot_depth",
    "foot_hover",
    "body_depth",
    "self_penetration",
)


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
        joint_speed_max: largest joint speed between two frames, rad/s, at the rate of what is
            written.
        speed_violations: share of these frames with a joint above its speed limit.
        foot_slide: mean horizontal speed of the robot's standing toes and heels, m/s.
        foot_slide_source: the same of the motion's, scaled to the robot, m/s.
        foot_tilt: mean angle of soles that stand on heel and toe to the ground, rad.
        foot_depth: deepest corner of a sole below the ground, m.
        deep_frames: share of frames with a sole deeper than 5 mm.
        foot_hover: highest standing heel or toe above the ground, m.
        hovering_frames: share of frames with one higher than 2 cm.
        body_depth: deepest point of any body below the ground, m.
        buried_frames: share of frames with some body deeper than 10 mm.
        self_penetration: deepest overlap of two of the robot's bodies, m; None if it is not
            measured, since meshes are missing.
        colliding_frames: share of frames with an overlap deeper than 1 mm, or None.
        near_limit: share of frames with some joint within 2 % of its range of a limit.
        root_jerk: mean size of the third derivative of the base's position, m/s^3.
        root_jerk_source: the same of the motion's hips, scaled to the robot.
        joint_jerk: mean size of the third derivative of a joint, rad/s^3.
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
    foot_tilt: float
    foot_depth: float
    deep_frames: float
    foot_hover: float
    hovering_frames: float
    body_depth: float
    buried_frames: float
    self_penetration: float | None
    colliding_frames: float | None
    near_limit: float
    root_jerk: float
    root_jerk_source: float
    joint_jerk: float

    @classmethod
    def of_many(cls, reports: Sequence[Report], frames: Sequence[int]) -> Report:
        """The figures of several trajectories together.

        Args:
            reports: one per trajectory, at least one.
            frames: of each trajectory, the weights of means and shares; maxima are those of all.

        What is not measured in one of them is not measured in all.
        """
        figures: dict[str, Any] = {}
        for field in fields(cls):
            values = [getattr(report, field.name) for report in reports]
            largest = field.name in _LARGEST
            figures[field.name] = (
                None
                if None in values
                else float(max(values) if largest else np.average(values, weights=frames))
            )
        return cls(**figures)

    def to_dict(self) -> dict[str, float | None]:
        """The figures by name, SI units; None for what is not measured."""
        return asdict(self)

    def table(self) -> str:
        """The figures as lines of text, in everyday units."""
        overlap = "not measured, no meshes"
        if self.self_penetration is not None and self.colliding_frames is not None:
            overlap = (
                f"{1000 * self.self_penetration:.1f} mm at most,"
                f" {100 * self.colliding_frames:.1f} % of frames deeper than 1 mm"
            )
        rows = (
            ("position error", f"{100 * self.position_error:.2f} cm mean,"
                               f" {100 * self.position_error_max:.1f} cm max"),
            ("rotation error", f"{np.degrees(self.rotation_error):.1f} deg mean"),
            ("cost", f"{self.cost:.1f} mean, {self.cost_max:.1f} max"),
            ("joint limits", f"{self.limit_violation:.4f} rad over,"
                             f" {100 * self.at_limit:.0f} % of frames at a limit,"
                             f" {100 * self.near_limit:.0f} % within 2 % of the range"),
            ("joint speed", f"{self.joint_speed_max:.1f} rad/s max,"
                            f" {100 * self.speed_violations:.1f} % of frames too fast"),
            ("standing feet", f"{100 * self.foot_slide:.1f} cm/s slide"
                                      f" (source {100 * self.foot_slide_source:.1f}),"
                              f" {np.degrees(self.foot_tilt):.1f} deg tilt"),
            ("soles", f"{1000 * self.foot_depth:.1f} mm below ground at most,"
                      f" {100 * self.deep_frames:.1f} % of frames deeper than 5 mm"),
            ("hovering", f"{1000 * self.foot_hover:.1f} mm between a standing heel or toe and"
                         f" ground, {100 * self.hovering_frames:.1f} % of frames over 2 cm"),
            ("bodies", f"{1000 * self.body_depth:.1f} mm below ground at most,"
                       f" {100 * self.buried_frames:.1f} % of frames deeper than 10 mm"),
            ("jerk", f"{self.root_jerk:.0f} m/s3 base (source {self.root_jerk_source:.0f}),"
                     f" {self.joint_jerk:.0f} rad/s3 joints"),
            ("self-collision", overlap),
        )  # fmt: skip
        return "\n".join(f"{name:<16}{text}" for name, text in rows)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The figures of a :class:`Report`, frame by frame.

    Attributes:
        joints: followed canonical joints.
        fps: frames per second.
        distances: ``(frames, joints)`` of the joint centres from their targets, m.
        angles: ``(frames, joints)`` between bodies and their targets, rad.
        costs: ``(frames,)`` weighted cost.
        excess: ``(frames,)`` largest excess over a joint limit, rad.
        at_limit: ``(frames,)`` some joint is at its limit.
        speeds: ``(frames - 1, robot joints)`` between neighbouring frames of what is written,
            rad/s.
        written_fps: frames per second of that.
        speed_limits: ``(robot joints,)`` rad/s.
        corners: ``(frames, 2, 4, 3)`` of the left and right sole, m.
        heights: ``(frames, 2, 4)`` of these above the ground, m.
        contacts: standing heels and toes of the motion.
        slides: speeds (m/s) of standing points between neighbouring frames, the robot's
            and the motion's scaled to the robot.
        tilts: ``(n,)`` angles (rad) to the ground of soles that stand on heel and toe.
        overlaps: ``(frames,)`` deepest overlap of two bodies, m; None if not measured.
        depths: ``(frames,)`` deepest point of any body below the ground, m.
        near_limit: ``(frames,)`` some joint is within 2 % of its range of a limit.
        root_jerks: sizes (m/s^3) of the base's third differences, and of the motion's
            hips, scaled to the robot.
        joint_jerks: ``(frames - 3, robot joints)`` rad/s^3.
    """

    joints: tuple[str, ...]
    fps: float
    distances: Array
    angles: Array
    costs: Array
    excess: Array
    at_limit: Array
    speeds: Array
    written_fps: float
    speed_limits: Array
    corners: Array
    heights: Array
    contacts: Contacts
    slides: tuple[Array, Array]
    tilts: Array
    overlaps: Array | None
    depths: Array
    near_limit: Array
    root_jerks: tuple[Array, Array]
    joint_jerks: Array

    @property
    def foot_depths(self) -> Array:
        """``(frames,)`` deepest corner of a sole below the ground, m."""
        out: Array = np.maximum(-self.heights.min(axis=(1, 2)), 0.0)
        return out

    @property
    def foot_hovers(self) -> Array:
        """``(frames,)`` highest standing heel or toe above the ground, m; 0 if none stands."""
        ends = self.heights.reshape(len(self.heights), 4, 2).min(axis=2)
        out: Array = np.where(self.contacts.ends, np.maximum(ends, 0.0), 0.0).max(axis=1)
        return out

    def report(self) -> Report:
        """The figures of the whole trajectory."""
        own, source = self.slides
        fast = self.speeds > self.speed_limits + 1e-6
        return Report(
            position_error=float(self.distances.mean()),
            position_error_max=float(self.distances.max()),
            rotation_error=float(self.angles.mean()),
            cost=float(self.costs.mean()),
            cost_max=float(self.costs.max()),
            limit_violation=float(self.excess.max()),
            at_limit=float(self.at_limit.mean()),
            joint_speed_max=float(self.speeds.max(initial=0.0)),
            speed_violations=float(fast.any(axis=1).mean()) if len(fast) else 0.0,
            foot_slide=_mean(own),
            foot_slide_source=_mean(source),
            foot_tilt=_mean(self.tilts),
            foot_depth=float(self.foot_depths.max()),
            deep_frames=float((self.foot_depths > 0.005).mean()),
            foot_hover=float(self.foot_hovers.max()),
            hovering_frames=float((self.foot_hovers > 0.02).mean()),
            self_penetration=None if self.overlaps is None else float(self.overlaps.max()),
            body_depth=float(self.depths.max()),
            buried_frames=float((self.depths > 0.01).mean()),
            colliding_frames=(
                None if self.overlaps is None else float((self.overlaps > 0.001).mean())
            ),
            near_limit=float(self.near_limit.mean()),
            root_jerk=_mean(self.root_jerks[0]),
            root_jerk_source=_mean(self.root_jerks[1]),
            joint_jerk=_mean(self.joint_jerks),
        )


def evaluate(
    trajectory: Trajectory,
    motion: Motion,
    robot: Robot,
    *,
    ground: Planes | None = None,
    written: Trajectory | None = None,
) -> Report:
    """Quality figures of a trajectory, see :func:`measure`."""
    return measure(trajectory, motion, robot, ground=ground, written=written).report()


def measure(
    trajectory: Trajectory,
    motion: Motion,
    robot: Robot,
    *,
    ground: Planes | None = None,
    written: Trajectory | None = None,
) -> Measurement:
    """Measure a trajectory against its original motion, at the motion's rate.

    Between two frames of 30 a second, splines through them are faster than their mean speed. So
    joint speeds are those of what is written.

    Args:
        trajectory: the robot's.
        motion: the original.
        robot: the trajectory's.
        ground: as for :func:`~motiontok.robots.retarget`.
        written: the trajectory at the rate at which it is written; itself, if not given.

    Raises:
        RobotError: it belongs to another robot, has another length or rate, or ``ground`` is not
            planes.
    """
    if trajectory.joint_names != robot.joint_names:
        raise RobotError(f"the trajectory is of {trajectory.robot!r}, not of {robot.name!r}")
    if len(trajectory) != len(motion) or trajectory.fps != motion.fps:
        raise RobotError(
            f"the trajectory has {len(trajectory)} frames at {trajectory.fps:g} fps,"
            f" the motion {len(motion)} at {motion.fps:g}"
        )
    written = trajectory if written is None else written
    targets = make_targets(motion, robot.calibration, robot.map.weights)
    kinematics = Kinematics(robot.model, targets.bodies)
    state = kinematics.evaluate(trajectory.qpos)
    task = PoseTask(kinematics, targets)
    rotations, positions = task.poses(state)
    joints, lower, upper = trajectory.joints, robot.lower, robot.upper
    under = find_ground(motion, ground)
    corners = sole_corners(robot, kinematics, state)
    contacts = standing_feet(motion, targets, robot.model, robot.calibration, under.feet)
    under = under.scaled(robot.calibration.leg_length / leg_length(motion.offsets))
    return Measurement(
        joints=robot.calibration.joints,
        fps=motion.fps,
        distances=np.linalg.norm(positions - targets.positions, axis=-1),
        angles=so3.log(targets.rotations @ rotations.swapaxes(-1, -2))[1],
        costs=task.cost(state),
        excess=np.maximum(np.maximum(lower - joints, joints - upper).max(axis=1), 0.0),
        at_limit=(np.minimum(joints - lower, upper - joints) < 1e-3).any(axis=1),
        speeds=np.abs(np.diff(written.joints, axis=0)) * written.fps,
        written_fps=written.fps,
        speed_limits=robot.speed_limits,
        corners=corners,
        heights=heights_above(under.feet[:, :, None], corners),
        contacts=contacts,
        slides=slides(motion, robot, corners, contacts),
        tilts=tilts(corners, contacts, under.feet),
        overlaps=(
            robot.self_collision.near(trajectory.qpos).deepest(len(motion))
            if robot.measures_self_collision
            else None
        ),
        depths=body_depths(robot, trajectory.qpos, under),
        near_limit=(
            np.minimum(joints - lower, upper - joints) < limit_margins(lower, upper, _NEAR)
        ).any(axis=1),
        root_jerks=_root_jerks(trajectory, motion, robot),
        joint_jerks=np.abs(np.diff(joints, n=3, axis=0)) * motion.fps**3,
    )


def body_depths(robot: Robot, q: Array, ground: Ground) -> Array:
    """Deepest point of any body below the ground ``(frames,)``, metres."""
    shapes = robot.collision if robot.lost else robot.self_collision.geometry
    outline = outline_of(shapes, directions=_DIRECTIONS)
    bodies = np.unique(outline.bodies).tolist()
    kinematics = Kinematics(robot.model, bodies)
    depths, planes = np.zeros(len(q)), ground.under(robot, bodies)
    for start in range(0, len(q), BATCH):
        some = slice(start, start + BATCH)
        state = kinematics.evaluate(q[some])
        for k, body in enumerate(bodies):
            under, part = planes[some, k], depths[some]
            up = state.rotations[:, k, 2] - (under[:, None, :2] @ state.rotations[:, k, :2])[:, 0]
            heights = up @ outline.of(body).T
            heights += heights_above(under, state.positions[:, k])[:, None]
            np.maximum(part, -heights.min(axis=1), out=part)
    return depths


def _root_jerks(trajectory: Trajectory, motion: Motion, robot: Robot) -> tuple[Array, Array]:
    scale = robot.calibration.leg_length / leg_length(motion.offsets)
    own, source = (
        np.linalg.norm(np.diff(path, n=3, axis=0), axis=-1) * motion.fps**3
        for path in (trajectory.qpos[:, :3], scale * motion.root_positions)
    )
    return own, source


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else 0.0
