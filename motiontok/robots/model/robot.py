"""Robots: a description, a map and their calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from bvh.rotations import Array
from bvh.skeleton import JOINTS
from motiontok.errors import MissingDependencyError, RobotError
from motiontok.paths import config_dir
from motiontok.robots.model.maps import DEFAULT_WEIGHTS, RobotMap, available, read_map

try:
    import pinocchio as pin
except ImportError as error:
    raise MissingDependencyError(
        f"robots need Pinocchio ({error}); run: pip install 'motiontok[robot]'"
    ) from None

from motiontok.robots.limits.self_collision import SelfCollision
from motiontok.robots.model.calibration import Calibration, calibrate
from motiontok.robots.model.find_urdf import find_description
from motiontok.robots.model.geometry import load_geometry, stick_figure
from motiontok.robots.model.match_map import OPTIONAL, fitting_map
from motiontok.robots.model.mimic_joints import Coupling
from motiontok.robots.model.outline import Outline, outline_of, soles_of
from motiontok.robots.model.propose_map import Proposal, propose_map
from motiontok.robots.model.urdf import Description, foot_shapes, open_description

__all__ = ["Robot", "build_robot", "check_robot", "load_robot", "require_known"]

# What a joint turns at most where its description states no velocity limit.
DEFAULT_SPEED = 30.0
# Points that a body keeps above the ground, at most.
_OUTLINE = 40
_THICK = 0.02  # m that a foot's shape may reach below its sole


@dataclass(frozen=True, eq=False)
class Robot:
    """A robot that can follow canonical motion.

    Attributes:
        name: of the map, or the description's file name.
        urdf: path of the description.
        model: Pinocchio model: free-flyer root, then one angle per joint.
        map: which frame follows which canonical joint.
        calibration: the robot seen as a canonical skeleton.
        tree: the corrected description.
        remarks: changes to it, one line each.
        coupling: of joints that follow others; None if none does.
        lost: links without a shape of their own, and their missing meshes.
    """

    name: str
    urdf: Path
    model: Any
    map: RobotMap
    calibration: Calibration
    tree: ElementTree.Element
    remarks: tuple[str, ...] = ()
    coupling: Coupling | None = None
    lost: Mapping[str, str] = field(default_factory=dict)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Actuated joints in configuration order, without the root."""
        return tuple(self.model.names)[2:]

    @property
    def lower(self) -> Array:
        """Lower joint limits ``(joints,)``, rad or m."""
        return np.asarray(self.model.lowerPositionLimit[7:])

    @property
    def upper(self) -> Array:
        """Upper joint limits ``(joints,)``, rad or m."""
        return np.asarray(self.model.upperPositionLimit[7:])

    @property
    def sliding(self) -> Array:
        """Which joints ``(joints,)`` slide instead of turning."""
        kinds = [joint.shortname() for joint in self.model.joints.tolist()[2:]]
        return np.array([kind.startswith("JointModelP") for kind in kinds], dtype=bool)

    @property
    def speed_limits(self) -> Array:
        """Joint speed limits ``(joints,)``, rad/s; 30 rad/s where none is stated."""
        limits = np.asarray(self.model.velocityLimit[6:])
        return np.where((limits > 0) & (limits < 1e3), limits, DEFAULT_SPEED)

    @cached_property
    def collision(self) -> Any:
        """Pinocchio geometry model of the collision shapes, with boxes for missing ones.

        Raises:
            RobotError: a mesh cannot be read.
        """
        return load_geometry(self.model, self.urdf, self.tree, kind="collision")

    @cached_property
    def visual(self) -> Any:
        """Pinocchio geometry model of the visual shapes; rods where there are none at all.

        Raises:
            RobotError: a mesh cannot be read.
        """
        shapes = load_geometry(self.model, self.urdf, self.tree, kind="visual")
        return shapes if len(shapes.geometryObjects) else stick_figure(self.model)

    @cached_property
    def self_collision(self) -> SelfCollision:
        """Distances between the robot's own bodies, without those that lack a shape.

        Raises:
            RobotError: a mesh cannot be read.
        """
        shapes = self.collision
        if self.lost:
            shapes = shapes.copy()
            frames = [self.model.frames[g.parentFrame].name for g in shapes.geometryObjects]
            for shape, frame in zip(self.collision.geometryObjects, frames, strict=True):
                if frame in self.lost:
                    shapes.removeGeometryObject(shape.name)
        return SelfCollision(self.model, shapes, self.coupling)

    @property
    def measures_self_collision(self) -> bool:
        """Every link has its shape, and there are some: overlaps of bodies can be measured."""
        return not self.lost and len(self.collision.geometryObjects) > 0

    @cached_property
    def outline(self) -> Outline:
        """Points that must stay above the ground.

        They are corners of the soles, and of every body that has a collision shape.
        """
        around, soles = outline_of(self.collision, directions=_OUTLINE), soles_of(self.calibration)
        bodies = np.concatenate([soles.bodies, around.bodies])
        points = np.concatenate([soles.points, around.points])
        # A shape that reaches below the soles of the zero pose is a placeholder.
        data = self.model.createData()
        pin.forwardKinematics(self.model, data, pin.neutral(self.model))
        heights = np.array(
            [data.oMi[int(b)].act(p)[2] for b, p in zip(bodies, points, strict=True)]
        )
        low = heights < heights[: len(soles.bodies)].min() - _THICK
        keep = ~np.isin(bodies, np.unique(bodies[low]))
        keep[: len(soles.bodies)] = True
        return Outline(bodies[keep], points[keep])


def load_robot(name_or_urdf: str | Path, *, map: str | Path | None = None) -> Robot:
    """Load a robot and calibrate it.

    Args:
        name_or_urdf: a shipped robot (see :func:`available`) or a path to a URDF file.
        map: path of a retarget map (TOML). By default a URDF file gets the shipped map that fits
            it, or one from its names and its geometry, if that is beyond doubt.

    Raises:
        RobotError: no such robot, description, map, mesh, frame or joint.
        MissingDependencyError: example-robot-data is not installed.
    """
    require_known(name_or_urdf)
    text, path = str(name_or_urdf), Path(name_or_urdf)
    if text in available():
        chosen = read_map(Path(map) if map else _shipped(text))
        return build_robot(text, find_description(chosen), chosen)
    return build_robot(path.stem, path, None if map is None else read_map(Path(map)))


def require_known(name_or_urdf: str | Path) -> None:
    """Make sure that a robot is shipped, or is a file, without opening it.

    Raises:
        RobotError: it is neither.
    """
    text, path = str(name_or_urdf), Path(name_or_urdf)
    if text in available():
        return
    if path.suffix.lower() not in (".urdf", ".xml") and not path.exists():
        raise RobotError(
            f"no robot {text!r}; choose from {', '.join(available())}, or give a .urdf file"
        )
    if not path.is_file():
        raise RobotError(f"{path}: no such robot description")


def build_robot(name: str, urdf: Path, map: RobotMap | None) -> Robot:
    """A robot from a description and a map, which is found if it is not given."""
    description = open_description(urdf)
    remarks = description.remarks
    if map is None:
        map, remark = _found_map(description)
        remarks = (*remarks, remark)
    shapes = None if map.sole is not None else foot_shapes(description, map.follow)
    calibration = calibrate(description.model, map, shapes, description.coupling)
    return _robot(name, description, map, calibration, remarks)


def check_robot(urdf: Path) -> tuple[Robot, Proposal, str | None]:
    """A robot with the map of its names and geometry, and the shipped map that fits it, if any.

    Raises:
        RobotError: the description cannot be used, or is no humanoid's.
    """
    description = open_description(urdf)
    proposal = propose_map(description)
    robot = _robot(urdf.stem, description, proposal.map, proposal.calibration, description.remarks)
    fitting = fitting_map(description.model, _shipped_maps())
    return robot, proposal, None if fitting is None else fitting[0].name


def _robot(
    name: str,
    description: Description,
    map: RobotMap,
    calibration: Calibration,
    remarks: tuple[str, ...],
) -> Robot:
    return Robot(
        name=name,
        urdf=description.urdf,
        model=description.model,
        map=map,
        calibration=calibration,
        tree=description.tree,
        remarks=remarks,
        coupling=description.coupling,
        lost=description.lost,
    )


def _shipped_maps() -> Iterator[RobotMap]:
    return (read_map(_shipped(name)) for name in available())


def _shipped(name: str) -> Path:
    return config_dir() / "robots" / f"{name}.toml"


def _found_map(description: Description) -> tuple[RobotMap, str]:
    """The shipped map that fits, else the one from names and geometry; and a remark."""
    fitting = fitting_map(description.model, _shipped_maps())
    if fitting is not None:
        return _with_more(description, *fitting)
    proposal = propose_map(description)
    if proposal.doubts:
        raise RobotError(
            f"{description.urdf}: no shipped map fits, and the one found by names and geometry is "
            f"in doubt ({proposal.doubts[0]}); look at it: motiontok robots --check "
            f"{description.urdf}"
        )
    return proposal.map, (
        "no shipped map fits, so links were matched to joints by names and geometry; "
        "`motiontok robots --check` shows how"
    )


def _with_more(description: Description, map: RobotMap, remark: str) -> tuple[RobotMap, str]:
    """A shipped map with a variant's additional hands, head or waist."""
    try:
        proposal = propose_map(description)
    except RobotError:
        return map, remark
    more = {
        joint: frame
        for joint, frame in proposal.map.follow.items()
        if joint in OPTIONAL
        and joint not in map.follow
        and not any(doubt.startswith(joint) for doubt in proposal.doubts)
    }
    if not more or proposal.map.follow["LeftFoot"] != map.follow["LeftFoot"]:
        return map, remark
    both = {**map.follow, **more}
    follow = {joint: both[joint] for joint in JOINTS if joint in both}
    weights = {joint: map.weights.get(joint, DEFAULT_WEIGHTS[joint]) for joint in follow}
    added = ", ".join(f"{joint} with {frame}" for joint, frame in more.items())
    return replace(map, follow=follow, weights=weights), f"{remark}; besides, {added}"
