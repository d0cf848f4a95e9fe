"""A robot's visual shapes as few triangles, computed once and kept in a cache folder."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from bvh.atomic_write import atomic_path
from bvh.rotations import Array
from motiontok.errors import MissingDependencyError, RenderError
from motiontok.render.actors import Part
from motiontok.render.sticks import stick_parts

if TYPE_CHECKING:
    from motiontok.robots import Robot

__all__ = ["cache_dir", "robot_parts"]

# Raised whenever the triangles made from the same files change.
_VERSION = 5
# Triangles a mesh keeps: some for its details, the rest by its size (per metre).
_FINE, _COARSE = (100, 2000.0), (100, 1000.0)
# From 0 (careful) to 10 (fast); above 4 fingers and thin shells tear.
_AGGRESSION = 3
# CAD exports tear along seams that are this close, in digits of a metre.
_WELD_DIGITS = 4
# What resists because its surface is no manifold is snapped to a grid of this pitch.
_SNAP = 0.003
# Edges sharper than this stay edges, in radians.
_CREASE = np.radians(38.0)


def cache_dir() -> Path:
    """Folder for results that can be recomputed: ``$XDG_CACHE_HOME/motiontok`` or its default."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home()))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "motiontok"


def robot_parts(robot: Robot, *, fine: bool = True) -> tuple[list[int], list[Part]]:
    """The visual shapes of a robot, one part a moving body; capsules if it has none.

    Args:
        robot: the robot.
        fine: with more triangles.

    Returns:
        Pinocchio joint index of each body, and its part in that joint's frame.

    Raises:
        RenderError: a shape is of a kind that cannot be drawn.
        RobotError: a mesh cannot be read.
        MissingDependencyError: a package is missing.
    """
    key = hashlib.blake2b(
        f"{_VERSION} {fine}".encode() + ElementTree.tostring(robot.tree),
        digest_size=12,
    ).hexdigest()
    stored = cache_dir() / "meshes" / f"{robot.urdf.stem}-{key}.npz"
    found = _load(stored)
    if found is not None:
        return found
    bodies: dict[int, list[Part]] = {}
    for shape in robot.visual.geometryObjects:
        bodies.setdefault(int(shape.parentJoint), []).append(_shape_part(shape, fine))
    if not bodies:
        return stick_parts(robot.model)
    order = sorted(bodies)
    parts = [Part.merge(bodies[b]) for b in order]
    files = sorted({s.meshPath for s in robot.visual.geometryObjects if _is_file(s.meshPath)})
    _save(stored, order, parts, files)
    return order, parts


def _is_file(path: str) -> bool:
    # Pinocchio writes the kind of a primitive (BOX, SPHERE, ...) where a mesh has its path.
    return bool(path) and Path(path).is_file()


def _shape_part(shape: Any, fine: bool) -> Part:
    mesh = _simplified(_read(shape), fine)
    mesh.apply_transform(shape.placement.homogeneous)
    mesh = _creased(mesh)
    rgba = np.asarray(shape.meshColor, dtype=float)
    return Part(
        vertices=np.asarray(mesh.vertices, dtype=np.float32),
        normals=np.asarray(mesh.vertex_normals, dtype=np.float32),
        faces=np.asarray(mesh.faces, dtype=np.int32),
        colors=np.tile(rgba[:3].astype(np.float32), (len(mesh.vertices), 1)),
    )


def _read(shape: Any) -> Any:
    """A trimesh of a Pinocchio geometry object, in the object's frame and in metres."""
    try:
        import trimesh
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "drawing robots needs the package trimesh: pip install 'motiontok[render]'"
        ) from None

    geometry = shape.geometry
    kind = type(geometry).__name__
    create = trimesh.creation
    if kind == "Box":
        return create.box(extents=2 * np.asarray(geometry.halfSide).ravel())
    if kind == "Sphere":
        return create.icosphere(subdivisions=3, radius=geometry.radius)
    if kind == "Cylinder":
        return create.cylinder(radius=geometry.radius, height=2 * geometry.halfLength, sections=32)
    if kind == "Capsule":
        mesh = create.capsule(radius=geometry.radius, height=2 * geometry.halfLength)
        # Pinocchio's capsule is centred on its frame, trimesh's stands on it.
        if mesh.bounds[0][2] > -geometry.halfLength:
            mesh.apply_translation([0, 0, -geometry.halfLength])
        return mesh
    vertices, faces = _triangles(geometry)
    if not len(faces):
        raise RenderError(f"{shape.name}: cannot draw a shape of kind {kind}")
    if np.prod(shape.meshScale) < 0:
        # A mirroring scale turns triangles inside out.
        faces = faces[:, ::-1]
    return trimesh.Trimesh(vertices=vertices, faces=faces, process=False)


def _triangles(geometry: Any) -> tuple[Array, Array]:
    """Vertices and faces of a coal mesh, which holds every format Pinocchio can read."""
    if not hasattr(geometry, "tri_indices"):
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=int)
    faces = np.empty((geometry.num_tris, 3), dtype=np.int64)
    for index in range(len(faces)):
        triangle = geometry.tri_indices(index)
        faces[index] = triangle[0], triangle[1], triangle[2]
    return np.array(geometry.vertices()).reshape(-1, 3), faces


def _simplified(mesh: Any, fine: bool) -> Any:
    least, per_metre = _FINE if fine else _COARSE
    mesh = _welded(mesh)
    target = int(least + per_metre * np.sqrt(mesh.area))
    mesh = _decimated(mesh, target)
    if not fine and len(mesh.faces) > 1.3 * target:
        mesh.vertices = np.round(mesh.vertices / _SNAP) * _SNAP
        mesh = _decimated(_welded(mesh), target)
    return mesh


def _welded(mesh: Any) -> Any:
    mesh.merge_vertices(digits_vertex=_WELD_DIGITS)
    mesh.update_faces(mesh.nondegenerate_faces() & mesh.unique_faces())
    return mesh


def _decimated(mesh: Any, target: int) -> Any:
    if len(mesh.faces) <= target:
        return mesh
    try:
        return mesh.simplify_quadric_decimation(face_count=target, aggression=_AGGRESSION)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"drawing robots needs the package {(error.name or 'fast_simplification')}: "
            "pip install 'motiontok[render]'"
        ) from None


def _creased(mesh: Any) -> Any:
    import trimesh

    return trimesh.graph.smooth_shade(mesh, angle=_CREASE)


def _save(path: Path, order: Sequence[int], parts: Sequence[Part], files: Sequence[str]) -> None:
    arrays: dict[str, Array] = {
        "bodies": np.array(order),
        "files": np.array(files, dtype=np.str_),
        "stamps": np.array([_stamp(f) for f in files], dtype=np.int64).reshape(-1, 2),
    }
    for index, part in enumerate(parts):
        for field in ("vertices", "normals", "faces", "colors"):
            arrays[f"{field}_{index}"] = getattr(part, field)
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError:
        # A cache that cannot be written costs seconds the next time, not the picture.
        pass


def _load(path: Path) -> tuple[list[int], list[Part]] | None:
    """Parts that :func:`_save` stored; None if absent, damaged, or older than a mesh file."""
    try:
        with np.load(path, allow_pickle=False) as data:
            stamps = [list(_stamp(f)) for f in data["files"].tolist()]
            if stamps != data["stamps"].tolist():
                return None
            order = [int(b) for b in data["bodies"]]
            fields = ("vertices", "normals", "faces", "colors")
            parts = [Part(*(data[f"{f}_{i}"] for f in fields)) for i in range(len(order))]
            return order, parts
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _stamp(file: str) -> tuple[int, int]:
    status = os.stat(file)
    return status.st_size, status.st_mtime_ns
