"""Robots: a description, a map and their calibration."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from bvh.rotations import Array
from motiontok.errors import MissingDependencyError, RobotError
from motiontok.paths import config_dir
from motiontok.robots.maps import RobotMap, available, read_map

try:
    import pinocchio as pin
except ImportError as error:
    raise MissingDependencyError(
        f"robots need Pinocchio ({error}); run: pip install 'motiontok[robot]'"
    ) from None

from motiontok.robots.calibration import Calibration, calibrate
from motiontok.robots.collision import SelfCollision
from motiontok.robots.coupling import Coupling, read_coupling
from motiontok.robots.description import read_description
from motiontok.robots.geometry import load_geometry, stick_figure
from motiontok.robots.outline import Outline, outline_of, soles_of

__all__ = ["Robot", "load_robot"]

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
        tree: the description as it was understood.
        remarks: what was done to it, one line each.
        coupling: of joints that follow others; None if none does.
    """

    name: str
    urdf: Path
    model: Any
    map: RobotMap
    calibration: Calibration
    tree: ElementTree.Element
    remarks: tuple[str, ...] = ()
    coupling: Coupling | None = None

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Actuated joints in configuration order, the root excluded."""
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
    def speed_limits(self) -> Array:
        """Joint speed limits ``(joints,)``, rad/s; 30 rad/s where none is stated."""
        limits = np.asarray(self.model.velocityLimit[6:])
        return np.where((limits > 0) & (limits < 1e3), limits, DEFAULT_SPEED)

    @cached_property
    def collision(self) -> Any:
        """Pinocchio geometry model of the collision shapes.

        Raises:
            RobotError: a mesh is missing.
        """
        return load_geometry(self.model, self.urdf, self.tree, kind="collision")

    @cached_property
    def visual(self) -> Any:
        """Pinocchio geometry model of the visual shapes; rods where there are none at all.

        Raises:
            RobotError: a mesh is missing.
        """
        shapes = load_geometry(self.model, self.urdf, self.tree, kind="visual")
        return shapes if len(shapes.geometryObjects) else stick_figure(self.model)

    @cached_property
    def self_collision(self) -> SelfCollision:
        """Distances between the robot's own bodies.

        Raises:
            RobotError: a mesh is missing.
        """
        return SelfCollision(self.model, self.collision, self.coupling)

    @cached_property
    def outline(self) -> Outline:
        """Points that must stay above the ground: corners of the soles, and of every body
        that has a collision shape."""
        try:
            shapes = self.collision
        except RobotError:  # without its meshes a robot still has soles
            shapes = pin.GeometryModel()
        around, soles = outline_of(shapes, directions=_OUTLINE), soles_of(self.calibration)
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
        map: path of a retarget map (TOML); needed with a URDF file.

    Raises:
        RobotError: no such robot, description, map, mesh, frame or joint.
        MissingDependencyError: example-robot-data is not installed.
    """
    text = str(name_or_urdf)
    if text in available():
        chosen = read_map(Path(map) if map else config_dir() / "robots" / f"{text}.toml")
        return _build(text, _find_description(chosen), chosen)
    path = Path(name_or_urdf)
    if path.suffix.lower() not in (".urdf", ".xml") and not path.exists():
        raise RobotError(
            f"no robot {text!r}; choose from {', '.join(available())}, or give a .urdf file"
        )
    if not path.is_file():
        raise RobotError(f"{path}: no such robot description")
    if map is None:
        raise RobotError(
            f"{path}: a robot description needs a map of its frames (--map map.toml);"
            f" copy one from {config_dir() / 'robots'}"
        )
    return _build(path.stem, path, read_map(Path(map)))


def _build(name: str, urdf: Path, map: RobotMap) -> Robot:
    tree, remarks = read_description(urdf)
    try:
        model = pin.buildModelFromXML(
            ElementTree.tostring(tree, encoding="unicode"), pin.JointModelFreeFlyer()
        )
    except (ValueError, RuntimeError) as error:
        raise RobotError(f"{urdf}: {' '.join(str(error).split())}") from None
    missing = [f for f in map.follow.values() if not model.existFrame(f)]
    feet = [] if missing else _foot_links(model, map)
    geometry = None
    if feet and map.sole is None:
        for kind in ("collision", "visual"):
            geometry = load_geometry(model, urdf, tree, kind=kind, links=feet)
            bodies = {g.parentJoint for g in geometry.geometryObjects}
            if len(bodies) == 2:
                break
    limits = model.lowerPositionLimit[7:], model.upperPositionLimit[7:]
    coupling = read_coupling(tree, tuple(model.names)[2:], *limits, str(urdf))
    calibration = calibrate(model, map, geometry, coupling)
    return Robot(name, urdf, model, map, calibration, tree, remarks, coupling)


def _foot_links(model: Any, map: RobotMap) -> list[str]:
    feet = {
        int(model.frames[model.getFrameId(map.follow[j])].parentJoint)
        for j in ("LeftFoot", "RightFoot")
    }
    return [f.name for f in model.frames if f.parentJoint in feet and f.type == pin.FrameType.BODY]


def _find_description(map: RobotMap) -> Path:
    if not map.urdf:
        raise RobotError(f"{map.path or map.name}: no urdf stated")
    candidates = [Path(map.urdf)] if Path(map.urdf).is_absolute() else []
    if map.path is not None:
        candidates.append(map.path.parent / map.urdf)
    shares = [Path(p) / "cmeel.prefix" / "share" for p in sys.path]
    shares += [Path(sys.prefix) / "share"]
    folders = [s / "example-robot-data" / "robots" for s in shares]
    candidates += [f / map.urdf for f in folders]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not any(f.is_dir() for f in folders):
        raise MissingDependencyError(
            f"{map.name} needs the package example-robot-data; run: pip install 'motiontok[robot]'"
        )
    raise RobotError(f"{map.path or map.name}: robot description {map.urdf} not found")
