"""Self-collision: distances between a robot's own bodies.

Shapes are the convex hulls of the description's collision shapes. Bounding capsules, and
planes between shapes across the shortest way from capsule to capsule, are tested for all
frames at once and leave few pairs for coal's exact distance.
"""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import coal
import numpy as np
import pinocchio as pin

from bvh.rotations import Array
from motiontok.robots.kinematics.placements import Placements
from motiontok.robots.limits.support_table import SupportTable
from motiontok.robots.model.geometry import points_of, simplified_hull
from motiontok.robots.model.mimic_joints import Coupling

__all__ = ["ClosePairs", "SelfCollision"]

_CLOSE = 0.02  # m
_TOLERANCE = 3e-4  # m; hulls that keep bodies apart may be smaller
_BATCH = 128  # frames looked at together
_ROUND = 0.12  # of its radius that a round shape may reach beyond the points that span it


@dataclass(frozen=True, eq=False)
class ClosePairs:
    """Pairs of bodies that are close or overlap.

    Attributes:
        frames: ``(n,)`` frame index.
        bodies: ``(n, 2)`` Pinocchio joint indices.
        distances: ``(n,)`` signed distance, negative where they overlap, metres.
        points: ``(n, 2, 3)`` world witness point on each body.
        normals: ``(n, 3)`` unit direction in which the first must move to part them.
    """

    frames: Array
    bodies: Array
    distances: Array
    points: Array
    normals: Array

    def __len__(self) -> int:
        return len(self.frames)

    def deepest(self, frames: int) -> Array:
        """Deepest overlap of each of ``frames`` frames, metres; 0 where there is none."""
        out = np.zeros(frames)
        np.maximum.at(out, self.frames, np.maximum(-self.distances, 0.0))
        return out


class SelfCollision:
    """Distances between the bodies of one robot.

    Pairs that touch by construction do not count: bodies joined by one joint, those
    joined by two that are close in the zero pose, and those that overlap in the zero or
    in the middle pose.

    Args:
        model: Pinocchio model.
        geometry: its collision geometry model.
        coupling: of joints that follow others.
    """

    def __init__(self, model: Any, geometry: Any, coupling: Coupling | None = None) -> None:
        self.model = model
        self.coupling = coupling
        self.geometry = _convex(geometry)
        self._data = model.createData()
        points = [points_of(g) for g in self.geometry.geometryObjects]
        capsules = [_capsule(p) for p in points]
        ends = np.array([c[:2] for c in capsules]).reshape(-1, 2, 3)
        self._radii = np.array([c[2] for c in capsules])
        self._middles, self._halves = ends.mean(axis=1), 0.5 * (ends[:, 1] - ends[:, 0])
        self._table = SupportTable(
            [p - m for p, m in zip(points, self._middles, strict=True)],
            np.array([_ROUND * float(getattr(g.geometry, "radius", 0.0))
                      for g in self.geometry.geometryObjects]),
        )  # fmt: skip
        self.pairs = self._possible_pairs()
        bodies = [int(g.parentJoint) for g in self.geometry.geometryObjects]
        self._bodies = [(bodies[i], bodies[j]) for i, j in self.pairs.tolist()]
        self._place_in(self.geometry)

    def _place_in(self, geometry: Any) -> None:
        """Take a geometry model with shapes of these numbers and places."""
        self.geometry = geometry
        geometry.removeAllCollisionPairs()
        for first, second in self.pairs:
            geometry.addCollisionPair(pin.CollisionPair(int(first), int(second)))
        self._allocate()

    def _allocate(self) -> None:
        """Placements, and what finds distances, of its own."""
        self._data = self.model.createData()
        self._placements = pin.GeometryData(self.geometry)
        _guess_from_boxes(self._placements)
        self._margin = 0.0
        self._rows = Placements(self._placements.oMg)
        self._lock = threading.Lock()

    @cached_property
    def simplified(self) -> SelfCollision:
        """The same with hulls of fewer points, up to 0.3 mm inside the shapes': a third quicker."""
        out = copy.copy(self)
        # What bounds the shapes bounds what is inside them.
        out._place_in(_simplified(self.geometry, _TOLERANCE))
        return out

    def separate(self) -> SelfCollision:
        """The same, placed on its own: streams of one robot may go on in several threads."""
        out = copy.copy(self)
        out._allocate()
        return out

    def near(self, q: Array, *, margin: float = 0.0) -> ClosePairs:
        """Pairs closer than ``margin`` (m) in configurations ``q``, of all joints or free ones.

        Safe to call from several threads, which take turns.
        """
        if not len(self.pairs):
            return _collect([])
        if self.coupling is not None and q.shape[1] != self.model.nq:
            q = self.coupling.expand(q)
        found: list[tuple[Any, ...]] = []
        with self._lock:
            if margin != self._margin:
                for request in self._placements.collisionRequests:
                    request.security_margin = margin
                self._margin = margin
            for start in range(0, len(q), _BATCH):
                found += self._search(q[start : start + _BATCH], margin, start)
        return _collect(found)

    @property
    def capsules(self) -> tuple[Array, Array, Array]:
        """Middles and half vectors ``(shapes, 3)`` in the shapes' axes, and radii ``(shapes,)``."""
        return self._middles, self._halves, self._radii

    def place(self, q: Array) -> None:
        """Place all shapes at a configuration ``(model.nq,)``."""
        self._place(q)

    def look_at(self, pair: int) -> Any:
        """coal's distance of one of :attr:`pairs` where it was last placed.

        Its normal points from the first shape to the second.
        """
        return pin.computeDistance(self.geometry, self._placements, pair)

    def _search(self, q: Array, margin: float, start: int) -> list[tuple[Any, ...]]:
        rows = np.empty((len(q), len(self.geometry.geometryObjects), 12))
        for frame in range(len(q)):
            self._place(q[frame])
            self._rows.read(rows[frame])
        frames, pairs = self._candidates(rows, margin)
        found = []
        at = -1
        hit: dict[int, int] = {}  # pair -> the last frame in which it was close
        for frame, pair in zip(frames.tolist(), pairs.tolist(), strict=True):
            if frame != at:
                self._place(q[frame])
                at = frame
            # The yes-or-no question is quicker than the distance, and mostly answered by no, but
            # what was close stays close.
            likely = hit.get(pair) == frame - 1
            if likely or pin.computeCollision(self.geometry, self._placements, pair):
                result = pin.computeDistance(self.geometry, self._placements, pair)
                if result.min_distance < margin:
                    hit[pair] = frame
                    found.append(
                        (
                            start + frame,
                            *self._bodies[pair],
                            result.min_distance,
                            result.getNearestPoint1().copy(),
                            result.getNearestPoint2().copy(),
                            # coal's normal points from the first shape to the second.
                            -result.normal,
                        )
                    )
        return found

    def _place(self, q: Array) -> None:
        pin.updateGeometryPlacements(self.model, self._data, self.geometry, self._placements, q)

    def _candidates(self, rows: Array, margin: float) -> tuple[Array, Array]:
        """Frame and pair indices that may come closer than ``margin``.

        Args:
            rows: ``(frames, shapes, 12)`` placements.
            margin: metres.
        """
        # Components first, then shapes, then frames: NumPy runs along the last.
        placed = np.ascontiguousarray(rows.transpose(2, 1, 0))
        middles = placed[9:] + _turned(placed, self._middles)
        halves = _turned(placed, self._halves)
        first, second = self.pairs.T
        radii = (self._radii[first] + self._radii[second] + margin)[:, None]
        lengths = np.linalg.norm(self._halves, axis=-1)
        # Single precision is plenty for a bound, and half the memory.
        centered = (middles - middles[:, :1]).astype(np.float32)
        limit = (radii[:, 0] + lengths[first] + lengths[second] + 1e-4) ** 2
        gap = centered.take(first, axis=1)
        gap -= centered.take(second, axis=1)
        gap *= gap
        near = np.flatnonzero(gap.sum(0) < limit.astype(np.float32)[:, None])
        pairs, frames = np.divmod(near, len(rows))
        one, two = first[pairs], second[pairs]
        at = (
            values.reshape(3, -1).take(shapes * len(rows) + frames, axis=1)
            for shapes in (one, two)
            for values in (middles, halves)
        )
        m1, h1, m2, h2 = at
        gap = _between_segments(m1, h1, m2, h2)
        distance = np.sqrt((gap * gap).sum(0))
        close = np.flatnonzero(distance < radii[pairs, 0])
        pairs, frames, one, two = pairs[close], frames[close], one[close], two[close]
        # Bodies are as far apart as a plane's two sides, whichever the plane's direction.
        way = gap[:, close] / np.maximum(distance[close], 1e-9)
        room = (way * (m1 - m2)[:, close]).sum(0)
        for shapes, towards in ((one, -way), (two, way)):
            turns = rows[frames, shapes, :9].reshape(-1, 3, 3)  # its rows are the shape's axes
            room -= self._table.reach(shapes, (turns @ towards.T[..., None])[..., 0])
        close = np.flatnonzero(room < margin)
        pairs, frames = pairs[close], frames[close]
        order = np.argsort(frames, kind="stable")
        return frames[order], pairs[order]

    def _possible_pairs(self) -> Array:
        shapes = self.geometry.geometryObjects
        pairs = [
            (i, j)
            for i in range(len(shapes))
            for j in range(i + 1, len(shapes))
            if self._joints_between(shapes[i].parentJoint, shapes[j].parentJoint) > 1
        ]
        lower, upper = self.model.lowerPositionLimit[7:], self.model.upperPositionLimit[7:]
        touching = set()
        for joints, reach in ((np.clip(0.0, lower, upper), _CLOSE), (0.5 * (lower + upper), 0.0)):
            q = pin.neutral(self.model)
            q[7:] = joints
            if self.coupling is not None:
                q = self.coupling.expand(self.coupling.reduce(q))
            pin.forwardKinematics(self.model, self._data, q)
            placed = [self._data.oMi[g.parentJoint] * g.placement for g in shapes]
            for i, j in pairs:
                joined = self._joints_between(shapes[i].parentJoint, shapes[j].parentJoint) == 2
                if _distance(shapes, placed, i, j) < (reach if joined else 0.0):
                    touching.add((i, j))
        return np.array([p for p in pairs if p not in touching], dtype=int).reshape(-1, 2)

    def _joints_between(self, first: int, second: int) -> int:
        one, two = (set(self.model.supports[b].tolist()) for b in (first, second))
        return len(one ^ two)


def _guess_from_boxes(placements: Any) -> None:
    """Start each search between the middles of the shapes' boxes, a third less work.

    Guesses kept between calls would make results depend on earlier ones.
    """
    with warnings.catch_warnings():
        # coal's other setting, which is to replace this one, does not turn it off yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        for requests in (placements.collisionRequests, placements.distanceRequests):
            for request in requests:
                request.enable_cached_gjk_guess = False
                request.gjk_initial_guess = coal.GJKInitialGuess.BoundingVolumeGuess


def _convex(geometry: Any) -> Any:
    """A copy of a geometry model whose meshes are replaced by their convex hulls."""
    geometry = copy.copy(geometry)
    for shape in geometry.geometryObjects:
        if isinstance(shape.geometry, coal.BVHModelBase):
            shape.geometry.buildConvexHull(True, "Qt")
            shape.geometry = shape.geometry.convex
        shape.geometry.computeLocalAABB()
    return geometry


def _simplified(geometry: Any, tolerance: float) -> Any:
    """A copy of a geometry model whose hulls have fewer points."""
    geometry = copy.copy(geometry)
    for shape in geometry.geometryObjects:
        if isinstance(shape.geometry, coal.ConvexBase):
            points = coal.StdVec_Vec3s()
            points.extend(list(simplified_hull(points_of(shape), tolerance)))
            shape.geometry = coal.Convex.convexHull(points, True, "Qt")
            shape.geometry.computeLocalAABB()
    return geometry


def _capsule(points: Array) -> tuple[Array, Array, float]:
    """Ends and radius of a capsule that holds ``points (points, 3)``."""
    center = points.mean(axis=0)
    axis = np.linalg.svd(points - center, full_matrices=False)[2][0]
    along = (points - center) @ axis
    across = points - center - along[:, None] * axis
    middle = center + 0.5 * (along.min() + along.max()) * axis
    along = along - 0.5 * (along.min() + along.max())
    radial = np.linalg.norm(across, axis=1)
    radius = float(radial.max())
    half = float(np.max(np.abs(along) - np.sqrt(np.maximum(radius**2 - radial**2, 0.0))))
    half = max(half, 0.0)
    return middle - half * axis, middle + half * axis, radius


def _turned(placed: Array, vectors: Array) -> Array:
    """Vectors ``(shapes, 3)`` turned by placements ``(12, shapes, frames)``, components first."""
    x, y, z = vectors.T[..., None]
    out: Array = placed[:3] * x
    out += placed[3:6] * y
    out += placed[6:9] * z
    return out


def _between_segments(m1: Array, h1: Array, m2: Array, h2: Array) -> Array:
    """The shortest ways ``(3, n)`` between segments, from the second to the first.

    They are given by middles and half vectors ``(3, n)``. Ericson, Real-Time Collision
    Detection (2005), section 5.1.9.
    """
    r = m1 - m2
    a, e, b = (h1 * h1).sum(0), (h2 * h2).sum(0), (h1 * h2).sum(0)
    c, f = (h1 * r).sum(0), (h2 * r).sum(0)
    tiny = 1e-12
    denominator = a * e - b * b
    s = np.where(denominator > tiny, (b * f - c * e) / np.maximum(denominator, tiny), 0.0)
    s = np.clip(s, -1.0, 1.0)
    t = np.clip((b * s + f) / np.maximum(e, tiny), -1.0, 1.0)
    s = np.clip((b * t - c) / np.maximum(a, tiny), -1.0, 1.0)
    out: Array = r + s * h1 - t * h2
    return out


def _distance(shapes: Any, placed: Sequence[Any], i: int, j: int) -> float:
    first, second = (coal.Transform3s(placed[k].rotation, placed[k].translation) for k in (i, j))
    return float(
        coal.distance(
            shapes[i].geometry,
            first,
            shapes[j].geometry,
            second,
            coal.DistanceRequest(),
            coal.DistanceResult(),
        )
    )


def _collect(found: Sequence[tuple[Any, ...]]) -> ClosePairs:
    return ClosePairs(
        frames=np.array([f[0] for f in found], dtype=int),
        bodies=np.array([f[1:3] for f in found], dtype=int).reshape(-1, 2),
        distances=np.array([f[3] for f in found], dtype=float),
        points=np.array([f[4:6] for f in found], dtype=float).reshape(-1, 2, 3),
        normals=np.array([f[6] for f in found], dtype=float).reshape(-1, 3),
    )
