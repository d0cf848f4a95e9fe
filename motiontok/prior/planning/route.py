"""The shortest way around discs: straight pieces between points around them."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from bvh.rotations import Array
from motiontok.errors import PlanError

__all__ = ["route"]

_CORNERS = 24


def route(begin: Array, end: Array, discs: Array) -> Array:
    """Points ``(points, 2)`` of the shortest way from one place to another outside of discs.

    A visibility graph (Lozano-Perez and Wesley 1979) over corners of a polygon around each disc,
    whose sides just touch it.

    Args:
        begin, end: ``(2,)``, outside of all.
        discs: ``(discs, 3)`` x, y and radius.

    Raises:
        PlanError: discs surround one of them.
    """
    direct = np.stack([begin, end])
    if not _crosses(begin, end, discs).any():
        return direct
    angle = 2.0 * math.pi * np.arange(_CORNERS) / _CORNERS
    reach = discs[:, None, 2:] / math.cos(math.pi / _CORNERS) * (1.0 + 1e-6)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    corners = (discs[:, None, :2] + reach * ring).reshape(-1, 2)
    outside = np.linalg.norm(corners[:, None] - discs[:, :2], axis=-1) >= discs[:, 2]
    nodes = np.concatenate([direct, corners[outside.all(axis=1)]])
    lengths = np.linalg.norm(nodes[:, None] - nodes, axis=-1)
    for n, node in enumerate(nodes):
        lengths[n, _crosses(node, nodes, discs).any(axis=-1)] = 0.0  # no edge
    _, before = dijkstra(csr_matrix(lengths), indices=0, return_predecessors=True)
    way = [1]
    while way[-1] != 0:
        if before[way[-1]] < 0:
            (a, b), (c, d) = begin, end
            raise PlanError(
                f"no-go discs leave no way from {a:.3g} {b:.3g} to {c:.3g} {d:.3g} that a body "
                "fits through"
            )
        way.append(int(before[way[-1]]))
    return np.asarray(nodes[way[::-1]])


def _crosses(begin: Array, ends: Array, discs: Array) -> Array:
    """Whether segments from a point to ``(..., 2)`` enter each disc ``(..., discs)``."""
    step = ends - begin
    square = np.maximum((step**2).sum(axis=-1), 1e-18)[..., None]
    to_center = discs[:, :2] - begin
    along = np.clip((step[..., None, :] * to_center).sum(axis=-1) / square, 0.0, 1.0)
    apart = np.linalg.norm(along[..., None] * step[..., None, :] - to_center, axis=-1)
    return np.asarray(apart < discs[:, 2] * (1.0 - 1e-9))
