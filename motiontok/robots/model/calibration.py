"""Find a robot's own canonical skeleton: joint centres, bones, hinges, soles.

Every followed body gets a frame that would be parallel to the world (X forward, Y
left, Z up) if the robot stood in the canonical T-pose, at the centre of the joint
the body hangs on. A canonical rotation is then directly that frame's target, and the vectors
between the centres are the robot's bones. So maps need neither scales nor offsets.

The frame of a limb follows from its bone (along the arm or leg) and its hinge (elbow
or knee axis), so the T-pose itself need not be reachable. Trunk, head and feet keep their attitude
in the zero (or stated) pose.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pinocchio as pin

from bvh.rotations import Array
from bvh.skeleton import JOINTS, PARENTS
from motiontok.errors import RobotError
from motiontok.robots.model.frames import body_of_frame, find_frame
from motiontok.robots.model.geometry import points_of
from motiontok.robots.model.maps import RobotMap, SoleSize
from motiontok.robots.model.mimic_joints import Coupling

__all__ = ["Calibration", "Sole", "calibrate"]

_SOLE_THICKNESS = 0.006
_BESIDE = 0.0175  # of a bone: a degree
_TIP = 0.01  # m from the elbow: a forearm without a wrist points to where its mass is


@dataclass(frozen=True)
class Sole:
    """The part of a foot that touches the ground.

    Attributes:
        corners: ``(4, 3)`` heel right, heel left, toe right, toe left, in the foot's
            calibrated frame (X forward, Z up, origin at the ankle's centre), metres.
    """

    corners: Array

    @property
    def heel(self) -> Array:
        """Middle of the rear edge ``(3,)``."""
        out: Array = self.corners[:2].mean(axis=0)
        return out

    @property
    def toe(self) -> Array:
        """Middle of the front edge ``(3,)``."""
        out: Array = self.corners[2:].mean(axis=0)
        return out


@dataclass(frozen=True)
class Calibration:
    """A robot seen as a canonical skeleton.

    Attributes:
        joints: followed canonical joints, parents first.
        parents: index into ``joints`` of each one's nearest followed ancestor, -1 for Hips.
        bodies: Pinocchio joint index of the body that follows each of them.
        rotations: ``(joints, 3, 3)`` body_from_calibrated of each.
        translations: ``(joints, 3)`` joint centre in the body's frame, metres.
        centers: ``(joints, 3)`` joint centres in the T-pose, standing on z = 0 facing +X.
        soles: canonical joint (``LeftFoot``, ``RightFoot``) -> sole.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    bodies: tuple[int, ...]
    rotations: Array
    translations: Array
    centers: Array
    soles: Mapping[str, Sole]

    def index(self, joint: str) -> int:
        """Position of a canonical joint in :attr:`joints`."""
        return self.joints.index(joint)

    @property
    def leg_length(self) -> float:
        """Height of the hip joints above the sole in the T-pose, metres."""
        hips = [self.index("LeftUpLeg"), self.index("RightUpLeg")]
        return float(self.centers[hips, 2].mean())


@dataclass(frozen=True)
class _Limb:
    """Two bones and the hinge between them; directions hold in the T-pose."""

    upper: str
    lower: str
    end: str
    bone: tuple[float, float, float]
    hinge: tuple[float, float, float]


# A hinge points so that a positive turn about it flexes the limb.
_LIMBS = (
    _Limb("LeftUpLeg", "LeftLeg", "LeftFoot", (0, 0, -1), (0, 1, 0)),
    _Limb("RightUpLeg", "RightLeg", "RightFoot", (0, 0, -1), (0, 1, 0)),
    _Limb("LeftArm", "LeftForeArm", "LeftHand", (0, 1, 0), (0, 0, -1)),
    _Limb("RightArm", "RightForeArm", "RightHand", (0, -1, 0), (0, 0, 1)),
)


def calibrate(
    model: Any, map: RobotMap, foot_geometry: Any | None, coupling: Coupling | None = None
) -> Calibration:
    """Calibrate a robot against the canonical T-pose.

    Args:
        model: Pinocchio model.
        map: which frame follows which joint.
        foot_geometry: Pinocchio geometry model that holds the feet's shapes.
        coupling: of joints that follow others.

    Raises:
        RobotError: an unknown frame or joint, two joints on one body, a body that no joint moves,
            or a foot without geometry and without ``[sole]``.
    """
    where = str(map.path or map.name)
    joints = tuple(map.follow)
    bodies = tuple(_body(model, map, joint) for joint in joints)
    parents = _parents(map, joints, bodies)
    data = model.createData()
    start = _start(model, map)
    if coupling is not None:
        start = coupling.expand(coupling.reduce(start))
    pin.forwardKinematics(model, data, start)
    world = {
        joint: _joint_center(model, data, map, joint, body, bodies[parent] if parent >= 0 else 1)
        for joint, body, parent in zip(joints, bodies, parents, strict=True)
    }
    body_of = dict(zip(joints, bodies, strict=True))
    # Rows are the T-pose's axes seen from the world of the zero pose.
    upright = _upright(where, world)
    attitude = dict.fromkeys(joints, upright)
    for limb in _LIMBS:
        if limb.upper not in attitude or limb.lower not in attitude:
            continue
        ends = dict(world)
        if limb.end not in ends:
            tip = _middle_of_mass(model, data, body_of[limb.lower])
            if np.linalg.norm(tip - world[limb.lower]) < _TIP:
                continue
            ends[limb.end] = tip
        axis = _hinge(model, data, limb, body_of, ends, upright)
        for joint, end in ((limb.upper, limb.lower), (limb.lower, limb.end)):
            bone = ends[end] - ends[joint]
            beside = float(bone @ axis)
            if limb.end.endswith("Foot") and abs(beside) > _BESIDE * np.linalg.norm(bone):
                # A knee may hang beside the hip: the leg is upright where its hinge is level.
                bone = bone - beside * axis
            attitude[joint] = _frame(limb.bone, limb.hinge) @ _frame(bone, axis).T
        if limb.end in attitude and limb.end.endswith("Hand"):
            attitude[limb.end] = attitude[limb.lower]

    centers: dict[str, Array] = {}
    for joint, parent in zip(joints, parents, strict=True):
        if parent < 0:
            centers[joint] = np.zeros(3)
        else:
            above = joints[parent]
            centers[joint] = centers[above] + attitude[above] @ (world[joint] - world[above])
    soles = {
        foot: _sole(data, map, body_of[foot], world[foot], attitude[foot], foot, foot_geometry)
        for foot in ("LeftFoot", "RightFoot")
    }
    ground = np.mean([centers[f][2] + s.corners[:, 2].min() for f, s in soles.items()])
    return Calibration(
        joints=joints,
        parents=parents,
        bodies=bodies,
        rotations=np.array([data.oMi[body_of[j]].rotation.T @ attitude[j].T for j in joints]),
        translations=np.array([data.oMi[body_of[j]].actInv(world[j]) for j in joints]),
        centers=np.array([centers[j] for j in joints]) - np.array([0.0, 0.0, ground]),
        soles=soles,
    )


def _start(model: Any, map: RobotMap) -> Array:
    start: Array = pin.neutral(model)
    for name, angle in map.pose.items():
        if not model.existJointName(name) or name == "root_joint":
            raise RobotError(f"{map.path or map.name}: [pose] names unknown joint {name!r}")
        start[model.joints[model.getJointId(name)].idx_q] = angle
    return start


def _body(model: Any, map: RobotMap, joint: str) -> int:
    name = map.follow[joint]
    where = map.path or map.name
    body = body_of_frame(model, name)
    if body is None:
        frames = [f.name for f in model.frames]
        close = difflib.get_close_matches(name, frames, n=3, cutoff=0.4) or frames[:12]
        raise RobotError(f"{where}: the robot has no frame {name!r}; nearest: {', '.join(close)}")
    if body == 0:
        raise RobotError(f"{where}: frame {name!r} ({joint}) is fixed to the world")
    if joint != "Hips" and body == 1 == body_of_frame(model, map.follow["Hips"]):
        raise RobotError(
            f"{where}: frame {name!r} ({joint}) is fixed to the robot's base: no joint moves it"
        )
    return body


def _parents(map: RobotMap, joints: tuple[str, ...], bodies: tuple[int, ...]) -> tuple[int, ...]:
    out = []
    for joint in joints:
        index = PARENTS[JOINTS.index(joint)]
        while index >= 0 and JOINTS[index] not in joints:
            index = PARENTS[index]
        out.append(joints.index(JOINTS[index]) if index >= 0 else -1)
    for k, body in enumerate(bodies):
        if body in bodies[:k]:
            other = joints[bodies.index(body)]
            raise RobotError(
                f"{map.path or map.name}: {map.follow[joints[k]]!r} ({joints[k]}) and"
                f" {map.follow[other]!r} ({other}) are one rigid body"
            )
    return tuple(out)


def _joint_center(
    model: Any, data: Any, map: RobotMap, joint: str, body: int, parent: int
) -> Array:
    """Point nearest to the axes of the joints between a body and its followed parent."""
    frame = find_frame(model, map.follow[joint])
    assert frame is not None, "looked up before"
    origin: Array = data.oMi[body].act(frame.placement.translation)
    if joint == "Hips":
        return origin
    chain = _chain(model, body, parent)
    if chain is None and parent == body_of_frame(model, map.follow["Hips"]) and "Leg" not in joint:
        # Robots whose base is the chest have their hips below it: chest and arms hang the
        # other way round.
        one, two = (set(model.supports[b].tolist()) for b in (body, parent))
        chain = sorted(one ^ two)
    if chain is None:
        raise RobotError(
            f"{map.path or map.name}: {map.follow[joint]!r} ({joint}) does not hang on the frame"
            " that follows its parent joint"
        )
    # The frame's own origin, weighted little, decides where the axes leave it open.
    little = 1e-3
    matrix, vector = little * np.eye(3), little * origin
    for index in chain:
        axis = _axis(model, data, index)
        if axis is not None:
            across = np.eye(3) - np.outer(axis, axis)
            matrix += across
            vector += across @ data.oMi[index].translation
    out: Array = np.linalg.solve(matrix, vector)
    return out


def _chain(model: Any, body: int, parent: int) -> list[int] | None:
    """Joints from a body up to a parent body, without it; None if the body does not hang there."""
    out = []
    while body != parent:
        if body <= 1:
            return None
        out.append(body)
        body = int(model.parents[body])
    return out


def _middle_of_mass(model: Any, data: Any, body: int) -> Array:
    out: Array = data.oMi[body].act(model.inertias[body].lever)
    return out


def _axis(model: Any, data: Any, index: int) -> Array | None:
    """World axis ``(3,)`` of a hinge; None for a joint that slides."""
    joint = model.joints[index].createData()
    model.joints[index].calc(joint, pin.neutral(model))
    angular: Array = data.oMi[index].rotation @ np.asarray(joint.S).reshape(6, -1)[3:, 0]
    return angular if np.linalg.norm(angular) > 0.5 else None


def _upright(where: str, world: Mapping[str, Array]) -> Array:
    """Rotation ``(3, 3)`` about the vertical that makes the robot face +X."""
    left = world["LeftUpLeg"] - world["RightUpLeg"]
    size = float(np.hypot(left[0], left[1]))
    if size < 1e-3:
        raise RobotError(f"{where}: left and right hip joints coincide")
    y, x = left[1] / size, left[0] / size
    return np.array([[y, -x, 0.0], [x, y, 0.0], [0.0, 0.0, 1.0]])


def _hinge(
    model: Any,
    data: Any,
    limb: _Limb,
    body_of: Mapping[str, int],
    world: Mapping[str, Array],
    upright: Array,
) -> Array:
    """World axis about which a positive turn flexes the limb, in the zero pose."""
    upper, lower = world[limb.lower] - world[limb.upper], world[limb.end] - world[limb.lower]
    chain = _chain(model, body_of[limb.lower], body_of[limb.upper]) or []
    axes = [(i, a) for i in chain if (a := _axis(model, data, i)) is not None]
    if not axes:
        raise RobotError(f"no hinge between {limb.upper} and {limb.lower}")
    index, axis = min(axes, key=lambda pair: abs(pair[1] @ upper) + abs(pair[1] @ lower))
    if limb.end.endswith("Foot"):
        # Legs hang down in the zero pose of every humanoid, so the side is known.
        return axis if (upright @ axis)[1] > 0 else -axis
    # Which way an arm flexes shows in how far the joint turns from straight.
    flat = [v - axis * (axis @ v) for v in (lower, upper)]
    straight = np.arctan2(axis @ np.cross(flat[0], flat[1]), flat[0] @ flat[1])
    joint = model.joints[index].idx_q
    room_up = model.upperPositionLimit[joint] - straight
    room_down = straight - model.lowerPositionLimit[joint]
    if abs(room_up - room_down) > 0.3:
        return axis if room_up > room_down else -axis
    forward = upright @ np.cross(axis, lower)
    return axis if forward[0] >= 0 else -axis


def _frame(bone: Any, hinge: Any) -> Array:
    """Orthonormal columns: along the bone, across, along the hinge as far as possible."""
    x = np.asarray(bone, dtype=float) / np.linalg.norm(bone)
    z = np.asarray(hinge, dtype=float)
    z = z - x * (x @ z)
    z = z / np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z], axis=1)


def _sole(
    data: Any,
    map: RobotMap,
    body: int,
    ankle: Array,
    attitude: Array,
    foot: str,
    geometry: Any | None,
) -> Sole:
    if map.sole is not None:
        return _stated_sole(map.sole)
    points = []
    for shape in geometry.geometryObjects if geometry is not None else ():
        if shape.parentJoint == body:
            placement = data.oMi[body] * shape.placement
            cloud = points_of(shape) @ placement.rotation.T + placement.translation
            points.append((cloud - ankle) @ attitude.T)
    if not points:
        raise RobotError(
            f"{map.path or map.name}: {map.follow[foot]!r} ({foot}) has no collision or visual"
            " geometry to find its sole from; state [sole] heel, toe, width and height"
        )
    cloud = np.concatenate(points)
    low = cloud[:, 2].min()
    touching = cloud[cloud[:, 2] < low + _SOLE_THICKNESS]
    (back, right), (front, left) = touching[:, :2].min(axis=0), touching[:, :2].max(axis=0)
    return Sole(_corners(back, front, right, left, low))


def _stated_sole(size: SoleSize) -> Sole:
    half = size.width / 2
    return Sole(_corners(size.heel, size.toe, -half, half, -size.height))


def _corners(back: float, front: float, right: float, left: float, z: float) -> Array:
    return np.array([[back, right, z], [back, left, z], [front, right, z], [front, left, z]])
