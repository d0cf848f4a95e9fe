"""A robot that follows a stream of poses."""

from __future__ import annotations

import numpy as np
import pinocchio as pin

from bvh.errors import BVHError
from bvh.foot_contacts import SIDES
from bvh.rotations import Array
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, PARENTS, root_between_bodies
from motiontok.errors import RobotError
from motiontok.robots.contacts.ground import Planes
from motiontok.robots.contacts.online_contacts import LateContacts, SoleReader, Soles
from motiontok.robots.contacts.online_foot_lock import FootLock
from motiontok.robots.contacts.online_reach import AnkleReach
from motiontok.robots.contacts.online_resting import AboveGround
from motiontok.robots.kinematics.placements import Placements
from motiontok.robots.model.robot import Robot
from motiontok.robots.solver.lookahead import LookaheadSolver
from motiontok.robots.solver.online import OnlineSolver
from motiontok.robots.targets import TargetMaker

__all__ = ["Follower"]

_LATEST = 2.0  # s
_FARTHEST = 1e6  # m; as far as streams of codes go
_SHORTEST = 1e-6  # of a quaternion, and one over it the longest; lengths about 1 become 1
_XYZW = [1, 2, 3, 0]


class Follower:
    """A robot that follows a stream of canonical poses.

    ::

        follower = Follower(load_robot("g1"), offsets=motion.offsets)
        qpos = follower.push(root_position, rotations)

    Args:
        robot: see :func:`motiontok.robots.load_robot`.
        offsets: ``(22, 3)`` the subject's bones, metres; those of an adult, if not given.
        fps: frames per second of the stream.
        look_ahead: seconds, at most 2, by which the robot is late. Knowing the next frames makes it
            smooth. At least 7 frames, or 0: then the robot is not late, moves as abruptly as its
            speed limits allow, and uses its joints to the stop.
        ground: planes ``z = a x + b y + c`` to stand on, in metres of the person, as for
            :func:`~motiontok.robots.retarget`. If not given, standing feet show it: z = 0 until the
            first one stands, then level ground at its height, steps up or down from there, and the
            ramp walked on (:class:`~motiontok.robots.contacts.online_ground.GroundFinder`).

    Attributes:
        latency: delay of a result in frames; the robot waits for it in its first pose.

    Raises:
        RobotError: the rate is not positive, the look-ahead is impossible, the offsets have
            another shape or no legs, or ``ground`` is not planes.
    """

    def __init__(
        self,
        robot: Robot,
        *,
        offsets: Array | None = None,
        fps: float = 30.0,
        look_ahead: float = 0.0,
        ground: Planes | None = None,
    ) -> None:
        if not (np.isfinite(fps) and fps > 0):
            raise RobotError(f"fps must be positive, got {fps}")
        if not 0.0 <= look_ahead <= _LATEST:
            raise RobotError(f"look_ahead must be 0 to {_LATEST:g} s, got {look_ahead}")
        offsets = np.asarray(DEFAULT_OFFSETS if offsets is None else offsets, dtype=np.float64)
        if offsets.shape != (len(JOINTS), 3) or not np.isfinite(offsets).all():
            raise RobotError(f"offsets: expected finite numbers ({len(JOINTS)}, 3)")
        try:
            root_between_bodies(offsets, offsets)
        except BVHError as error:
            raise RobotError(f"offsets: {error}") from None
        self.robot = robot
        self.fps = fps
        self._skeleton = _Skeleton(offsets)
        self._maker = TargetMaker(robot.calibration, robot.map.weights, offsets)
        self._reader = SoleReader(offsets, fps, ground)
        self._lock = FootLock(robot.calibration, self._maker.scale, fps)
        self._reach = AnkleReach(robot.model, robot.calibration)
        self._above = AboveGround(robot.calibration, robot.outline)
        self._ahead: LookaheadSolver | None = None
        self.latency = 0
        if look_ahead:
            self._ahead = LookaheadSolver(robot, fps=fps, look_ahead=look_ahead)
            self.latency = self._ahead.latency
            self._late = LateContacts(fps, self._ahead.open_frames)
        self._solver = OnlineSolver(
            robot.model,
            robot.calibration.bodies,
            robot.calibration.translations,
            speed_limits=robot.speed_limits,
            fps=fps,
            outline=robot.outline,
            feet=[robot.calibration.bodies[robot.calibration.index(s + "Foot")] for s in SIDES],
            coupling=robot.coupling,
        )

    def reset(self) -> None:
        """Forget the stream; the next pose starts anew."""
        self._solver.reset()
        self._reader.reset()
        self._lock.reset()
        self._reach.reset()
        if self._ahead is not None:
            self._late.reset()
            self._ahead.reset()

    def push(self, root_position: Array, rotations: Array) -> Array:
        """Configuration ``(nq,)`` for the next pose, in Pinocchio's order.

        Args:
            root_position: ``(3,)`` of the hips in the world, metres.
            rotations: ``(22, 4)`` local unit quaternions (w, x, y, z), as of a Motion.

        Raises:
            BVHError: shapes disagree, a value is NaN or infinite, a quaternion is no rotation, or
                the place is beyond 1e6 m. The stream goes on with the next pose.
        """
        root_position = np.asarray(root_position, dtype=np.float64)
        rotations = np.asarray(rotations, dtype=np.float64)
        if root_position.shape != (3,) or rotations.shape != (len(JOINTS), 4):
            raise BVHError(
                f"pose: expected shapes (3,) and ({len(JOINTS)}, 4), got"
                f" {root_position.shape} and {rotations.shape}"
            )
        # What is not finite makes a sum so.
        if not np.isfinite(root_position.sum() + rotations.sum()):
            raise BVHError("pose: a value is not finite")
        if not np.abs(root_position).max() <= _FARTHEST:
            raise BVHError(f"pose: the root is beyond {_FARTHEST:.0e} m, where no body can be")
        lengths = np.sqrt(np.einsum("ij,ij->i", rotations, rotations))
        if not (lengths.min() > _SHORTEST and lengths.max() < 1.0 / _SHORTEST):
            joint = int(np.abs(np.log(lengths + 1e-300)).argmax())
            raise BVHError(
                f"pose: the quaternion of {JOINTS[joint]} has a length of {lengths[joint]:.3g}, "
                "expected 1"
            )
        rotations = rotations / lengths[:, None]
        placed = self._skeleton.place(root_position, rotations)
        targets = self._maker.make_one(placed, self.fps)
        self._reach.apply(targets.rotations[0])
        soles = self._reader.read(placed[:, 9:], placed[:, :9])
        targets = self._lock.apply(targets, soles)
        planes = None if soles.on_floor else self._planes(soles, targets.positions[0, 0])
        self._above.apply(targets, planes)
        if self._ahead is not None:
            late = self._late.push(soles)
            return self._ahead.step(targets, self._lock.standing, late, self._late.delay, planes)
        q, _ = self._solver.step(targets, planes)
        return q

    def _planes(self, soles: Soles, hips: Array) -> Array:
        """The robot's ground ``(3, 3)`` under left foot, right foot and the rest."""
        left, right = (np.array([a, b, self._maker.scale * c]) for a, b, c in soles.planes)
        at = np.array([*hips[:2], 1.0])
        return np.stack([left, right, left if left @ at < right @ at else right])


class _Skeleton:
    """Forward kinematics of one canonical pose, by Pinocchio: a tree of ball joints."""

    def __init__(self, offsets: Array) -> None:
        self._model = pin.Model()
        for joint, parent in enumerate(PARENTS):
            kind = pin.JointModelSpherical() if joint else pin.JointModelFreeFlyer()
            offset = offsets[joint] if joint else np.zeros(3)
            # Pinocchio's joint 0 is the world.
            self._model.addJoint(parent + 1, kind, pin.SE3(np.eye(3), offset), JOINTS[joint])
        self._data = self._model.createData()
        self._placements = Placements(self._data.oMi)
        self._rows = np.empty((len(JOINTS) + 1, 12))

    def place(self, root_position: Array, rotations: Array) -> Array:
        """Placements ``(22, 12)``, axes in the world and positions, of unit quaternions.

        They are valid until the next call.
        """
        q = np.concatenate([root_position, rotations[:, _XYZW].ravel()])
        pin.forwardKinematics(self._model, self._data, q)
        self._placements.read(self._rows)
        return self._rows[1:]
