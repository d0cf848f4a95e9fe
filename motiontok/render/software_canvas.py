"""Drawing without OpenGL: a depth buffer in numpy, slower, for machines that have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.spatial import ConvexHull

from bvh.rotations import Array
from motiontok.render.actors import Actor, Part
from motiontok.render.cameras import View
from motiontok.render.lights import (
    AMBIENT_GROUND,
    AMBIENT_SKY,
    BACKGROUND,
    FLOOR_REACH,
    SHADOW,
    Studio,
    linear,
)

__all__ = ["SoftwareCanvas"]

_NEAR = 0.1
# Each pixel is the mean of four.
_SAMPLES = 2
# Pixels tested at once: bounds the memory that large triangles take.
_CHUNK = 2_000_000


class SoftwareCanvas:
    """The same pictures as :class:`motiontok.render.gl_canvas.GLCanvas`, with simpler shadows.

    Args:
        actors: everything that will be drawn.
        size: width and height of a picture in pixels.
    """

    def __init__(self, actors: Sequence[Actor], size: tuple[int, int]) -> None:
        self._size = size
        self._figures = [_Figure(a) for a in actors]

    def draw(self, poses: Mapping[int, Array], view: View) -> Array:
        """Draw some of the actors; see :meth:`motiontok.render.canvas.Canvas.draw`."""
        lens = _Lens(view, self._size[0] * _SAMPLES, self._size[1] * _SAMPLES)
        studio = Studio.around(view.studio)
        cast = [(self._figures[i], *self._figures[i].posed(p)) for i, p in poses.items()]
        solid = [c for c in cast if c[0].opacity >= 1.0]
        image = _floor(view, _Lens(view, *self._size), [c[0].split(c[1]) for c in solid], studio)
        image = image.repeat(_SAMPLES, 0).repeat(_SAMPLES, 1)
        depth = np.zeros(lens.size[0] * lens.size[1], dtype=np.float32)
        for figure, points, normals in solid:
            _paint(image, depth, figure, points, normals, lens, studio, view)
        for figure, points, normals in cast:
            if figure.opacity < 1.0:
                # A ghost hides its own far side, but nothing else.
                _paint(image, depth.copy(), figure, points, normals, lens, studio, view)
        encoded = np.sqrt(np.clip(image, 0.0, 1.0)) * 255.0 + 0.5
        return np.asarray(Image.fromarray(encoded.astype(np.uint8)).reduce(_SAMPLES))

    def close(self) -> None:
        """Nothing to free."""


class _Figure:
    """All parts of an actor in one array of vertices."""

    def __init__(self, actor: Actor) -> None:
        self._meshes = actor.meshes(fine=False)
        whole = Part.merge(self._meshes)
        self.faces = whole.faces.astype(np.int64)
        self.colors = linear(whole.colors).astype(np.float32)
        self.opacity = actor.opacity

    def posed(self, poses: Array) -> tuple[Array, Array]:
        """World positions and normals ``(vertices, 3)``."""
        pairs = list(zip(self._meshes, poses, strict=True))
        points = np.concatenate([p.vertices @ m[:3, :3].T + m[:3, 3] for p, m in pairs])
        normals = np.concatenate([p.normals @ m[:3, :3].T for p, m in pairs])
        return points.astype(np.float32), normals.astype(np.float32)

    def split(self, points: Array) -> list[Array]:
        """Vertices ``(vertices, 3)`` by part."""
        return np.split(points, np.cumsum([len(p.vertices) for p in self._meshes])[:-1])


class _Lens:
    """Perspective projection to pixels, y down."""

    def __init__(self, view: View, width: int, height: int) -> None:
        self.size = (width, height)
        self._view = view
        self.focal = 0.5 * height / np.tan(view.fov / 2)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixel coordinates ``(points, 2)`` and inverse depth ``(points,)``, 0 if too near."""
        camera = self._view.camera_from_world
        local = points @ camera[:3, :3].T + camera[:3, 3]
        ahead = -local[:, 2]
        inverse = np.where(ahead > _NEAR, 1.0 / np.maximum(ahead, _NEAR), 0.0)
        width, height = self.size
        x = 0.5 * width + self.focal * local[:, 0] * inverse
        y = 0.5 * height - self.focal * local[:, 1] * inverse
        return np.stack([x, y], axis=1), inverse

    def rays(self) -> Array:
        """World direction ``(height, width, 3)`` of every pixel, not normalised."""
        width, height = self.size
        x = (np.arange(width) + 0.5 - 0.5 * width) / self.focal
        y = (0.5 * height - np.arange(height) - 0.5) / self.focal
        axes = self._view.world_from_camera[:3, :3]
        out: Array = (
            x[None, :, None] * axes[:, 0] + y[:, None, None] * axes[:, 1] - axes[:, 2]
        ).astype(np.float32)
        return out


def _rasterize(
    xy: Array, inverse: Array, faces: Array, depth: Array, size: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Which triangle is seen in which pixel.

    Args:
        xy: ``(vertices, 2)`` pixel coordinates.
        inverse: ``(vertices,)`` inverse depths, 0 for what is behind the camera.
        faces: ``(faces, 3)``.
        depth: ``(pixels,)`` inverse depth drawn so far; updated.
        size: width and height.

    Returns:
        Pixels ``(n,)`` that changed, the face ``(n,)`` in each, and its corners'
        weights ``(n, 3)``, perspective included.
    """
    width, height = size
    a, b, c = xy[faces[:, 0]], xy[faces[:, 1]], xy[faces[:, 2]]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.ceil(np.minimum(np.minimum(a, b), c) - 0.5).astype(np.int64)
    high = np.floor(np.maximum(np.maximum(a, b), c) - 0.5).astype(np.int64)
    low = np.maximum(low, 0)
    high = np.minimum(high, [width - 1, height - 1])
    extent = high - low + 1
    # Pixel rows point down, so what faces the camera turns clockwise: a negative area.
    keep = (area < 0) & (extent > 0).all(1) & (inverse[faces] > 0).all(1)
    chosen = np.flatnonzero(keep)
    counts = extent[chosen].prod(1)
    found: list[tuple[Array, Array, Array, Array]] = []
    starts = np.searchsorted(np.cumsum(counts), np.arange(0, counts.sum(), _CHUNK), "left")
    for begin, end in pairwise([*starts, len(chosen)]):
        f = np.repeat(chosen[begin:end], counts[begin:end])
        first = np.repeat(np.cumsum(counts[begin:end]) - counts[begin:end], counts[begin:end])
        k = np.arange(len(f)) - first
        x = low[f, 0] + k % extent[f, 0]
        y = low[f, 1] + k // extent[f, 0]
        px, py = x + 0.5, y + 0.5
        wb = ((px - a[f, 0]) * (c[f, 1] - a[f, 1]) - (py - a[f, 1]) * (c[f, 0] - a[f, 0])) / area[f]
        wc = ((b[f, 0] - a[f, 0]) * (py - a[f, 1]) - (b[f, 1] - a[f, 1]) * (px - a[f, 0])) / area[f]
        inside = (wb >= 0) & (wc >= 0) & (wb + wc <= 1)
        f, wb, wc = f[inside], wb[inside], wc[inside]
        pixel = (y * width + x)[inside]
        weights = np.stack([1.0 - wb - wc, wb, wc], axis=1) * inverse[faces[f]]
        near = weights.sum(1).astype(np.float32)
        np.maximum.at(depth, pixel, near)
        found.append((pixel, f, weights / near[:, None], near))
    if not found:
        none = np.zeros(0, dtype=np.int64)
        return none, none, np.zeros((0, 3))
    pixel, f, weights, near = (np.concatenate(part) for part in zip(*found, strict=True))
    seen = near >= depth[pixel]
    return pixel[seen], f[seen], weights[seen]


def _shade(normals: Array, points: Array, albedo: Array, studio: Studio, view: View) -> Array:
    """Linear colours ``(n, 3)``: the arithmetic of ``figure.frag`` without shadows."""
    to_eye = view.world_from_camera[:3, 3] - points
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    sun = np.maximum(normals @ studio.key, 0.0)[:, None]
    sky = 0.5 + 0.5 * normals[:, 2:]
    light = AMBIENT_GROUND + (AMBIENT_SKY - AMBIENT_GROUND) * sky + studio.key_color * sun
    light = light + studio.fill_color * np.maximum(normals @ studio.fill, 0.0)[:, None]
    edge = 1.0 - np.maximum(np.sum(normals * to_eye, axis=1, keepdims=True), 0.0)
    rim = edge**3 * np.maximum(normals @ studio.rim, 0.0)[:, None]
    out: Array = albedo * light + studio.rim_color * rim
    return out


def _paint(
    image: Array,
    depth: Array,
    figure: _Figure,
    points: Array,
    normals: Array,
    lens: _Lens,
    studio: Studio,
    view: View,
) -> None:
    """Draw a figure into a linear image ``(height, width, 3)`` where it is nearest."""
    pixels, faces, weights = _rasterize(*lens.project(points), figure.faces, depth, lens.size)
    corners = figure.faces[faces]
    n = np.einsum("fk,fkc->fc", weights, normals[corners])
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)
    p = np.einsum("fk,fkc->fc", weights, points[corners])
    color = _shade(n, p, figure.colors[corners[:, 0]], studio, view)
    flat = image.reshape(-1, 3)
    flat[pixels] += figure.opacity * (color - flat[pixels])


def _floor(view: View, lens: _Lens, clouds: Sequence[Sequence[Array]], studio: Studio) -> Array:
    """Linear picture ``(height, width, 3)`` of the floor: ``floor.frag`` in numpy."""
    background = linear(BACKGROUND).astype(np.float32)
    width, height = lens.size
    image = np.tile(background, (height, width, 1))
    eye = view.world_from_camera[:3, 3]
    rays = lens.rays()
    below = rays[..., 2] < -1e-4
    ray = rays[below]
    far = -eye[2] / ray[:, 2]
    ground = eye[:2] + ray[:, :2] * far[:, None]
    # A pixel's footprint on the floor: across the ray, and stretched along it.
    pixel = far / lens.focal
    stretch = np.linalg.norm(ray, axis=1) / -ray[:, 2]
    along = ray[:, :2] / np.maximum(np.linalg.norm(ray[:, :2], axis=1, keepdims=True), 1e-9)
    footprint = (pixel * (1.0 + stretch * np.abs(along).T)).T
    cells = np.floor(ground).sum(1) % 2
    blur = np.clip(1.0 - 1.5 * footprint.max(1), 0.0, 1.0)
    light = 0.985 - 0.03 * cells * blur
    light *= 1.0 - 0.16 * _lines(ground, footprint, 0.012)
    light *= 1.0 - 0.06 * _lines(2 * ground, 2 * footprint, 0.014)
    shadow = _shadow(lens, clouds, studio)[below]
    light *= 1.0 - (1.0 - SHADOW) * shadow
    away = np.linalg.norm(ground - view.target[:2], axis=1) / (FLOOR_REACH + view.span)
    fade = np.clip(1.0 - away**2, 0.0, 1.0)
    image[below] = background * (1.0 + fade * (light - 1.0))[:, None]
    return image


def _lines(points: Array, footprint: Array, thickness: float) -> Array:
    """How much of each pixel a unit grid's lines cover (box filter)."""
    w = np.maximum(footprint, 1e-4) + thickness
    a, b = points + 0.5 * w, points - 0.5 * w
    covered = np.floor(a) + np.minimum((a % 1.0) / thickness, 1.0)
    covered -= np.floor(b) + np.minimum((b % 1.0) / thickness, 1.0)
    covered *= thickness / w
    out: Array = 1.0 - (1.0 - covered[:, 0]) * (1.0 - covered[:, 1])
    return out


def _shadow(lens: _Lens, clouds: Sequence[Sequence[Array]], studio: Studio) -> Array:
    """How dark (0 to 1) the floor is in every pixel ``(height, width)``."""
    picture = Image.new("L", lens.size)
    pen = ImageDraw.Draw(picture)
    for cloud in clouds:
        for points in cloud:
            spots = points - studio.key * (points[:, 2:] / studio.key[2])
            outline, inverse = lens.project(spots)
            if (inverse > 0).all():
                corners = outline[ConvexHull(outline, qhull_options="QJ").vertices]
                pen.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    radius = 0.006 * lens.size[1]
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255.0
