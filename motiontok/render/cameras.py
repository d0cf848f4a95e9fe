"""Cameras: where each stands and where it looks, as a function of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np

from bvh.rotations import Array
from motiontok.errors import RenderError
from motiontok.render.actors import Actor
from motiontok.render.framing import figure_points, needs

__all__ = ["CAMERAS", "CameraKind", "CameraPath", "View", "heading_of"]

CameraKind = Literal["follow", "fixed", "orbit"]
CAMERAS: tuple[CameraKind, ...] = get_args(CameraKind)

_FOV = np.radians(30.0)
_SIDE = np.radians(38.0)
_ELEVATION = np.radians(11.0)
_ORBIT_SECONDS = 14.0
# A follow camera that copies every step makes the floor shake instead of the figure.
_SMOOTHING_SECONDS = 0.45
# No body moves so fast: a glitch of capture, or clips joined end to end. Cameras jump with it.
_CUT_SPEED, _CUT = 30.0, 1.0  # m/s, m
# Figures are looked at so often, to keep them in the picture; of long clips less often.
_KEY_SECONDS = 0.1
_MOST_KEYS = 1000


@dataclass(frozen=True, eq=False)
class View:
    """A camera at one instant.

    Attributes:
        world_from_camera: ``(4, 4)``; the camera looks along its -Z, +Y is up.
        fov: vertical field of view, radians.
        target: ``(3,)`` the point looked at.
        span: metres around the target where figures are and shadows fall.
        studio: yaw (rad) from which the lights are set up.
    """

    world_from_camera: Array
    fov: float
    target: Array
    span: float
    studio: float

    @property
    def camera_from_world(self) -> Array:
        """``(4, 4)`` inverse of :attr:`world_from_camera`."""
        out: Array = np.linalg.inv(self.world_from_camera)
        return out


class CameraPath:
    """The view of some actors over time.

    Args:
        kind: ``"follow"`` keeps the figures in the middle, ``"fixed"`` stands still and
            sees the whole clip, ``"orbit"`` follows while it circles.
        actors: the figures to frame, at least one.
        aspect: width over height of the picture.
        below: share of the picture's height, at its lower edge, where no figure should be.
        above: the same at its upper edge.
        heading: yaw (rad) from which to measure the camera's side; by default that
            which the first actor mostly faces. Panels that share it can be compared.

    Raises:
        RenderError: the kind is unknown.
    """

    def __init__(
        self,
        kind: CameraKind,
        actors: Sequence[Actor],
        *,
        aspect: float,
        below: float = 0.0,
        above: float = 0.0,
        heading: float | None = None,
    ) -> None:
        if kind not in CAMERAS:
            raise RenderError(f"no camera {kind!r}; choose from {', '.join(CAMERAS)}")
        self._kind = kind
        self._fps = max(a.fps for a in actors)
        duration = max(len(a) / a.fps for a in actors)
        times = np.arange(max(1, round(duration * self._fps))) / self._fps
        roots = np.stack([_sample(a, times) for a in actors])
        height = max(a.height for a in actors)
        paths = roots[..., :3, 3]
        spread = np.linalg.norm(paths - paths.mean(0), axis=-1).max()
        self._yaw = (heading_of(actors[0]) if heading is None else heading) + _SIDE
        tangent = np.tan(_FOV / 2)
        # Head room for raised arms above, arm span plus room at the sides.
        tall, wide = 0.63 * height, 0.56 * height + spread
        self._distance = max(tall / tangent, wide / (tangent * aspect))
        self._span = 1.25 * height + spread
        self._cuts = np.array([], dtype=int)
        if kind == "fixed":
            low, high = paths.min((0, 1)), paths.max((0, 1))
            center = 0.5 * (low + high)
            # Coordinates towards the camera and to its right.
            forward = np.array([np.cos(self._yaw), np.sin(self._yaw)])
            right = np.array([-forward[1], forward[0]])
            offset = paths[..., :2] - center[:2]
            near, aside = offset @ forward, np.abs(offset @ right)
            # Looking down, what is nearer also lies lower in the picture.
            up = tall + np.abs(near) * np.sin(_ELEVATION)
            needed = np.maximum(up / tangent, (wide + aside) / (tangent * aspect)) + near
            self._distance = float(needed.max())
            self._span = 1.25 * height + float(np.linalg.norm(high - low)) / 2
            self._targets = np.broadcast_to(center, (len(times), 3)).copy()
            self._targets[:, 2] = 0.5 * height
        else:
            middle = paths.mean(0)
            self._cuts = _jumps(middle, self._fps)
            pieces = np.split(middle, self._cuts)
            sigma = _SMOOTHING_SECONDS * self._fps
            self._targets = np.concatenate([_smooth(piece, sigma) for piece in pieces])
            # Crouches and hops stay in the picture without moving it; stairs do move it.
            rise = self._targets[:, 2] - 0.5 * height
            self._targets[:, 2] = 0.5 * height + rise - np.clip(rise, -0.45 * height, 0.2 * height)
        if any(len(a.meshes(fine=False)) for a in actors):
            slopes = np.array([tangent * aspect, tangent])
            self._keep_in_picture(actors, duration, slopes, below, above)

    def _keep_in_picture(
        self,
        actors: Sequence[Actor],
        duration: float,
        slopes: Array,
        below: float,
        above: float,
    ) -> None:
        """Move targets, and the camera back, until nothing of a figure is cut off.

        Bodies that lie, kneel, jump or hang are not where a standing one is.
        """
        from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

        keys = min(_MOST_KEYS, max(2, round(duration / _KEY_SECONDS)))
        times = np.linspace(0.0, max(duration - 1.0 / self._fps, 0.0), keys)
        frames = times * self._fps
        numbers = np.arange(len(self._targets))
        targets = np.stack([np.interp(frames, numbers, at) for at in self._targets.T], axis=1)
        yaws = self._yaw_at(times)
        points = figure_points(actors, times)
        # Shifts that hold for the seconds around are smooth, and still enough when averaged.
        near = min(keys, round(_SMOOTHING_SECONDS * (keys - 1) / max(times[-1], 1e-3)))
        borders = np.unique(np.searchsorted(frames, self._cuts))
        borders = borders[(borders > 0) & (borders < keys)]

        def between_cuts(smooth: Callable[..., Array], values: Array, *how: float) -> Array:
            pieces = np.split(values, borders)
            return np.concatenate([smooth(p, *how, axis=0, mode="nearest") for p in pieces])

        for _ in range(3):
            found = needs(
                points,
                targets,
                yaws,
                elevation=_ELEVATION,
                distance=self._distance,
                slopes=slopes,
                below=below,
                above=above,
            )
            around = 2 * keys if self._kind == "fixed" else 2 * near + 1
            low = between_cuts(maximum_filter1d, found.low, around)
            high = between_cuts(minimum_filter1d, found.high, around)
            room = 2.0 * slopes * [1.0, 1.0 - below - above]
            lack = float(((low - high) / room).max())
            if lack <= 1e-9:
                break
            self._distance += lack
        shifts = np.where(low > high, (low + high) / 2.0, np.clip(0.0, low, high))
        if near and self._kind != "fixed":
            shifts = between_cuts(partial(gaussian_filter1d, truncate=3.0), shifts, near / 3.0)
        aside, rise = (np.interp(numbers, frames, shift) for shift in shifts.T)
        yaws = self._yaw_at(numbers / self._fps)
        shift = np.stack([-np.sin(yaws) * aside, np.cos(yaws) * aside, rise], axis=1)
        self._targets = self._targets + shift

    def _yaw_at(self, times: Array) -> Array:
        turning = self._kind == "orbit"
        return self._yaw + turning * 2 * np.pi * times / _ORBIT_SECONDS

    def at(self, time: float) -> View:
        """The view at a time in seconds."""
        frame = float(np.clip(time * self._fps, 0, len(self._targets) - 1))
        before = int(frame)
        after, part = min(before + 1, len(self._targets) - 1), frame - before
        target = (1.0 - part) * self._targets[before] + part * self._targets[after]
        yaw = float(self._yaw_at(np.asarray(time)))
        back = np.array(
            [
                np.cos(yaw) * np.cos(_ELEVATION),
                np.sin(yaw) * np.cos(_ELEVATION),
                np.sin(_ELEVATION),
            ]
        )
        right = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
        pose = np.eye(4)
        pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(back, right), back
        pose[:3, 3] = target + self._distance * back
        return View(
            world_from_camera=pose, fov=_FOV, target=target, span=self._span, studio=self._yaw
        )


def _sample(actor: Actor, times: Array) -> Array:
    """Root poses ``(times, 4, 4)`` at given seconds."""
    frames = np.clip(np.round(times * actor.fps).astype(int), 0, len(actor) - 1)
    out: Array = actor.roots()[frames]
    return out


def _jumps(path: Array, fps: float) -> Array:
    """The first frames after a jump of a path ``(frames, 3)``, metres."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    out: Array = 1 + np.flatnonzero((steps * fps > _CUT_SPEED) & (steps > _CUT))
    return out


def _smooth(path: Array, sigma: float) -> Array:
    from scipy.ndimage import gaussian_filter1d

    out: Array = gaussian_filter1d(path, sigma, axis=0, mode="nearest")
    return out


def heading_of(actor: Actor) -> float:
    """The direction (yaw, rad) a figure mostly faces; that of its start if it turns around."""
    forward = actor.roots()[:, :2, 0]
    forward = forward / np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)
    mean = forward.mean(0)
    chosen = mean if np.linalg.norm(mean) > 0.35 else forward[0]
    return float(np.arctan2(chosen[1], chosen[0]))
