"""Joints of a body of the SMPL family, by a user's own file of the body model.

SMPL (Loper et al. 2015, equations 8 and 10): a mean surface, ``v_template``, moves by
``shapedirs`` times betas, and ``J_regressor`` then gives the joints.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bvh.arrays import is_npz, numbers, open_npz, refuse_pickle
from bvh.errors import BVHError
from bvh.rotations import Array

__all__ = ["BodyModel", "read_body_model"]

_REGRESSOR = "J_regressor"
_SPARSE = ("data", "indices", "indptr", "row", "col", "shape", "format")
_EXPRESSIONS = {20: 10, 400: 300}
"""Shapes of SMPL-X, by its directions: the others are of expressions."""
_SMPLX = 55  # joints
_LARGEST = 3.0  # m from the origin: what is further off is in another unit


@dataclass(frozen=True, eq=False)
class BodyModel:
    """Joints of a body model and how they move with its shape.

    Attributes:
        name: of its file.
        mean: ``(joints, 3)`` with all betas zero, metres, X left, Y up, Z forward.
        shapes: ``(joints, 3, betas)`` movement of the joints with each beta.
        parents: of the joints; that of the first is -1.
    """

    name: str
    mean: Array
    shapes: Array
    parents: tuple[int, ...]

    def joints(self, betas: Array) -> Array:
        """Positions ``(joints, 3)`` of the T-pose, metres, by the betas that the model has."""
        count = min(len(betas), self.shapes.shape[-1])
        out: Array = self.mean + self.shapes[..., :count] @ betas[:count]
        return out


def read_body_model(path: str | os.PathLike[str]) -> BodyModel:
    """Read an ``.npz`` of SMPL, SMPL+H or SMPL-X, each file once.

    ``J_regressor`` is ``(joints, vertices)``, or sparse as SciPy has it: ``J_regressor_data``,
    ``J_regressor_indices``, ``J_regressor_indptr`` and ``J_regressor_shape``, with
    ``J_regressor_format`` ``csr`` where it is not ``csc``; or ``_data``, ``_row`` and ``_col``.

    Raises:
        BVHError: no such file, a pickle, an array of objects, missing or of another shape.
    """
    path = Path(path)
    try:
        status = path.stat()
    except OSError as error:
        raise BVHError(f"{path}: no body model ({error.strerror or error})") from None
    return _read(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, size: int, changed: int) -> BodyModel:
    refuse_pickle(path)
    if not is_npz(path):
        raise BVHError(f"{path}: a body model is read from an .npz; save its arrays with savez")
    with open_npz(path) as data:
        for name in ("v_template", "shapedirs", "kintree_table"):
            if name not in data:
                raise BVHError(f"no body model: lacks the array {name!r}")
        surface, shapes = numbers(data, "v_template"), numbers(data, "shapedirs")
        tree = numbers(data, "kintree_table")
        _check(surface, "v_template", ("vertices", 3))
        _check(shapes, "shapedirs", (len(surface), 3, "betas"))
        _check(tree, "kintree_table", (2, "joints"))
        regressor = _regressor(data, tree.shape[1], len(surface))
    if not np.abs(surface).max() < _LARGEST:
        raise BVHError(
            f"{path}: v_template reaches {np.abs(surface).max():.3g} m: it must be in metres"
        )
    if tree.shape[1] == _SMPLX:
        shapes = shapes[..., : _EXPRESSIONS.get(shapes.shape[-1], shapes.shape[-1])]
    # The root's parent is the largest number of 32 bits, or -1.
    ids = {int(joint): place for place, joint in enumerate(tree[1])}
    parents = (-1, *(ids.get(int(joint), -1) for joint in tree[0, 1:]))
    moved = np.einsum("jv,vcb->jcb", regressor, shapes, optimize=True)
    return BodyModel(path.name, regressor @ surface, moved, parents)


def _regressor(data: Mapping[str, Any], joints: int, vertices: int) -> Array:
    """The matrix ``(joints, vertices)``, whatever way it is stored."""
    if _REGRESSOR in data:
        dense = numbers(data, _REGRESSOR)
        _check(dense, _REGRESSOR, (joints, vertices))
        return dense
    parts = {key: f"{_REGRESSOR}_{key}" for key in _SPARSE if f"{_REGRESSOR}_{key}" in data}
    if not parts:
        raise BVHError(f"no body model: lacks the array {_REGRESSOR!r}")
    values = numbers(data, parts["data"]).ravel() if "data" in parts else np.zeros(0)
    if {"row", "col"} <= parts.keys():
        row, column = (numbers(data, parts[key]).astype(int).ravel() for key in ("row", "col"))
    elif {"indices", "indptr"} <= parts.keys():
        inner = numbers(data, parts["indices"]).astype(int).ravel()
        ends = numbers(data, parts["indptr"]).astype(int).ravel()
        by_row = "format" in parts and _word(data[parts["format"]]) == "csr"
        if len(ends) != (joints if by_row else vertices) + 1 or (np.diff(ends) < 0).any():
            raise BVHError(
                f"{parts['indptr']}: does not fit {joints} joints and {vertices} vertices"
            )
        outer = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        row, column = (outer, inner) if by_row else (inner, outer)
    else:
        raise BVHError(f"{_REGRESSOR} is sparse and has only {', '.join(parts.values())}")
    if not len(row) == len(column) == len(values):
        raise BVHError(f"{_REGRESSOR}: {len(values)} values at {len(row)} places")
    if len(row) and not (row.min() >= 0 and row.max() < joints
                         and column.min() >= 0 and column.max() < vertices):  # fmt: skip
        raise BVHError(f"{_REGRESSOR}: a place outside {joints} joints, {vertices} vertices")
    dense = np.zeros((joints, vertices))
    np.add.at(dense, (row, column), values)
    _check(dense, _REGRESSOR, (joints, vertices))
    return dense


def _check(value: Array, name: str, shape: tuple[int | str, ...]) -> None:
    fits = value.ndim == len(shape) and all(
        isinstance(wanted, str) or wanted == size
        for wanted, size in zip(shape, value.shape, strict=True)
    )
    if not fits or not value.size:
        raise BVHError(f"{name}: expected ({', '.join(map(str, shape))}), got {value.shape}")
    if not np.isfinite(value).all():
        raise BVHError(f"{name} holds a value that is not finite")


def _word(value: Any) -> str:
    text = np.asarray(value).reshape(-1)[0]
    return text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
