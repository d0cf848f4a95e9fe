"""Shapes of a robot: collision geometry, and points and sizes derived from it."""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import coal
import numpy as np
import pinocchio as pin
from scipy.spatial import ConvexHull, QhullError

from bvh.rotations import Array
from motiontok.errors import RobotError
from motiontok.robots.model.parser_output import parser_output

__all__ = ["load_geometry", "points_of", "simplified_hull", "stick_figure"]

_SMALL, _LARGE = 0.2, 20.0  # m; times the robot


def load_geometry(
    model: Any, urdf: Path, tree: ElementTree.Element, *, kind: str, links: Collection[str] = ()
) -> Any:
    """Pinocchio geometry model of a robot.

    Args:
        model: kinematic model built from the same description.
        urdf: path of the description, for messages.
        tree: the corrected description, with full paths of meshes.
        kind: ``"collision"`` or ``"visual"``.
        links: only these links' shapes; all, if empty.

    Raises:
        RobotError: a mesh cannot be read, or is far larger than the robot.
    """
    tree = copy.deepcopy(tree)
    for link in tree.iter("link"):
        if links and link.get("name") not in links:
            for shape in link.findall(kind):
                link.remove(shape)
    which = getattr(pin.GeometryType, kind.upper())
    try:
        with parser_output():  # It has said all that when the model was built.
            found = pin.buildGeomFromUrdfString(
                model, ElementTree.tostring(tree, encoding="unicode"), which
            )
    except (ValueError, RuntimeError) as error:
        raise RobotError(f"{urdf}: {' '.join(str(error).split())}") from None
    _check_sizes(model, found, urdf)
    return found


def _check_sizes(model: Any, geometry: Any, urdf: Path) -> None:
    """Refuse meshes in millimetres: drawn, they hide the robot; as collisions, they fill it."""
    data = model.createData()
    pin.forwardKinematics(model, data, pin.neutral(model))
    joints = np.array([placement.translation for placement in data.oMi][1:])
    size = max(float(np.ptp(joints, axis=0).max()), _SMALL)
    for shape in geometry.geometryObjects:
        if not shape.meshPath or not hasattr(shape.geometry, "computeLocalAABB"):
            continue
        shape.geometry.computeLocalAABB()
        radius = float(shape.geometry.aabb_radius)
        if radius > _LARGE * size:
            raise RobotError(
                f"{urdf}: {Path(shape.meshPath).name} of {shape.name} is {2 * radius:.3g} m large, "
                f"the robot {size:.2g} m: is the mesh in millimetres? then give it "
                'scale="0.001 0.001 0.001"'
            )


def stick_figure(model: Any, *, radius: float = 0.02) -> Any:
    """A geometry model of rods from every joint to the next ones, for robots without shapes."""
    out = pin.GeometryModel()
    for joint in range(2, model.njoints):
        parent = int(model.parents[joint])
        bone = model.jointPlacements[joint].translation
        length = float(np.linalg.norm(bone))
        if length < 2 * radius:
            continue
        turn = pin.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), bone).matrix()
        rod = pin.GeometryObject(
            f"{model.names[parent]}-{model.names[joint]}",
            parent,
            pin.SE3(turn, bone / 2),
            coal.Capsule(radius, length),
        )
        rod.meshColor = np.array([0.55, 0.58, 0.62, 1.0])
        out.addGeometryObject(rod)
    return out


def points_of(shape: Any) -> Array:
    """Points ``(points, 3)`` whose convex hull is (nearly) a geometry object's shape.

    They are in the object's own frame, metres.
    """
    geometry = shape.geometry
    kind = type(geometry).__name__
    if kind == "Sphere":
        return float(geometry.radius) * _directions()
    if kind == "Box":
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
        return signs * np.asarray(geometry.halfSide)
    if kind in ("Cylinder", "Capsule", "Cone"):
        circle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        ring = float(geometry.radius) * np.stack(
            [np.cos(circle), np.sin(circle), np.zeros_like(circle)], axis=-1
        )
        half = np.array([0.0, 0.0, float(geometry.halfLength)])
        if kind == "Capsule":
            ball = float(geometry.radius) * _directions()
            return np.concatenate([ball + half, ball - half])
        return np.concatenate([ring + half, ring - half])
    if kind == "Ellipsoid":
        return _directions() * np.asarray(geometry.radii)
    if hasattr(geometry, "vertices"):
        return np.array(geometry.vertices()).reshape(-1, 3)
    if hasattr(geometry, "points"):
        return np.array(geometry.points()).reshape(-1, 3)
    raise RobotError(f"collision shape {kind} is not supported")


def _directions() -> Array:
    """Unit vectors spread over the sphere, the six axis directions among them."""
    grid = np.array(np.meshgrid([-1, 0, 1], [-1, 0, 1], [-1, 0, 1])).reshape(3, -1).T
    grid = grid[np.any(grid != 0, axis=1)].astype(float)
    out: Array = grid / np.linalg.norm(grid, axis=1, keepdims=True)
    return out


def simplified_hull(points: Array, tolerance: float) -> Array:
    """Some of ``points (n, 3)``, whose hull no other is more than ``tolerance`` metres outside.

    The farthest points beyond each face are taken until none is (the idea of Quickhull: Barber,
    Dobkin and Huhdanpaa 1996).
    """
    kept = np.unique(np.concatenate([points.argmin(axis=0), points.argmax(axis=0)]))
    while True:
        try:
            faces = ConvexHull(points[kept]).equations
        except QhullError:  # flat as yet, or for good
            if len(kept) == len(points):
                return points
            kept = np.union1d(kept, np.linspace(0, len(points) - 1, 2 * len(kept)).astype(int))
            continue
        beyond = points @ faces[:, :3].T + faces[:, 3]
        farthest = beyond.argmax(axis=0)
        more = farthest[beyond[farthest, np.arange(len(faces))] > tolerance]
        if not len(more):
            return points[kept]
        kept = np.union1d(kept, more)
