"""Mesh files that a description names: found, or replaced by boxes of the links' mass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from bvh.rotations import Array

__all__ = ["find_mesh", "settle_meshes"]

_KINDS = ("visual", "collision")


def find_mesh(urdf: Path, name: str) -> Path | None:
    """Path of a mesh that a description calls ``name``; None if it is not found.

    A path is taken from the description's folder. For ``package://NAME/rest`` the folder NAME may
    lie beside or above the description, or be the description's folder under another name.
    """
    if name.startswith(("package://", "model://")):
        name = name.partition("://")[2].lstrip("/")
    name = name.removeprefix("file://")
    folders = list(urdf.resolve().parents)
    rest = Path(*Path(name).parts[1:]) if len(Path(name).parts) > 1 else Path(name)
    places = [folders[0] / name]  # of an absolute path, that path
    places += [folder / name for folder in folders[1:]]
    places += [folder / rest for folder in folders[:2]]
    return next((place for place in places if place.is_file()), None)


def settle_meshes(tree: ElementTree.Element, urdf: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Give each mesh of a description its full path, and remove missing ones.

    A link without any shape left gets the box with its mass and inertia, so that it still has a
    size: it is drawn, soles are measured, and bodies stay above the floor.

    Args:
        tree: the description, which is changed.
        urdf: its path.

    Returns:
        The links whose shape is such a box, or missing, with the missing mesh; and a remark, if
        there are any.
    """
    lost: dict[str, str] = {}
    missing: set[str] = set()
    total: set[str] = set()
    for link in tree.findall("link"):
        names = {}
        for kind in _KINDS:
            for shape in link.findall(kind):
                mesh = shape.find("geometry/mesh")
                if mesh is None:
                    continue
                name = mesh.get("filename", "")
                total.add(name)
                path = find_mesh(urdf, name)
                if path is not None:
                    mesh.set("filename", str(path))
                else:
                    link.remove(shape)
                    names[kind] = name
        missing.update(names.values())
        bare = [kind for kind in _KINDS if names and link.find(kind) is None]
        if "collision" in bare:
            lost[str(link.get("name"))] = next(iter(names.values()))
        for kind in bare:
            box = _box(link, kind)
            if box is not None:
                link.append(box)
    if not missing:
        return {}, ()
    remark = (
        f"{len(missing)} of {len(total)} meshes are missing ({min(missing)}); their links are "
        "drawn and kept above the floor as boxes of their mass, and may run into other links"
    )
    return lost, (remark,)


def _box(link: ElementTree.Element, kind: str) -> ElementTree.Element | None:
    """The solid box with a link's mass and inertia, as a shape; None if it states neither.

    A box of sides a, b, c has inertia m (b^2 + c^2) / 12 about the axis along a, and so on.
    """
    try:
        placement = _numbers(link, "inertial/origin", ("xyz", "rpy"))
        mass = _numbers(link, "inertial/mass", ("value",))[0]
        xx, xy, xz, yy, yz, zz = _numbers(
            link, "inertial/inertia", ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
        )
    except (ValueError, IndexError):
        return None
    if not mass > 0.0:
        return None
    about = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    spread = (0.5 * np.trace(about) * np.eye(3) - about) / mass  # the mean of x x^T
    # Along the link's own axes: those are a foot's length, width and height.
    sides = np.sqrt(12.0 * np.maximum(np.diag(_turned(spread, placement[3:])), 0.0))
    if not (np.isfinite(sides).all() and (sides > 0.0).all()):
        return None
    shape = ElementTree.Element(kind)
    ElementTree.SubElement(shape, "origin", xyz=_text(placement[:3]))
    geometry = ElementTree.SubElement(shape, "geometry")
    ElementTree.SubElement(geometry, "box", size=_text(sides))
    return shape


def _numbers(link: ElementTree.Element, path: str, names: Sequence[str]) -> list[float]:
    element = link.find(path)
    if element is None:
        if path.endswith("origin"):
            return [0.0] * 6
        raise ValueError(path)
    default = "0 0 0" if path.endswith("origin") else "0"
    return [float(word) for name in names for word in element.get(name, default).split()]


def _turned(matrix: Array, rpy: Sequence[float]) -> Array:
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy), np.sin(rpy)
    turn = np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
    out: Array = turn @ matrix @ turn.T
    return out


def _text(values: Sequence[float] | Array) -> str:
    return " ".join(f"{value:.9g}" for value in values)
