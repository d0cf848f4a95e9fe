"""A film: actors, panels, camera and captions, one picture a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw
from typing_extensions import override

from bvh.closing import Closing
from bvh.rotations import Array
from motiontok.errors import RenderError
from motiontok.render.actors import Actor, moment
from motiontok.render.cameras import CameraKind, CameraPath, heading_of
from motiontok.render.canvas import open_canvas
from motiontok.render.overlay import (
    RULE,
    TokenTrack,
    caption,
    caption_height,
    footer,
    footer_height,
)

__all__ = ["LAYOUTS", "Film", "Layout", "check_size"]

Layout = Literal["panels", "overlay"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

_LARGEST = 8192


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size if a picture can have it.

    Raises:
        RenderError: a side is under 32 or over 8192 pixels.
    """
    width, height = size
    if not (32 <= width <= _LARGEST and 32 <= height <= _LARGEST):
        raise RenderError(
            f"a picture of {width}x{height} pixels: both sides must be from 32 to {_LARGEST}"
        )
    return int(width), int(height)


class Film(Closing):
    """Pictures of actors over time; use as a context manager.

    Args:
        actors: figures; each has its own panel, or all share one.
        size: width and height of the whole picture in pixels.
        fps: pictures per second of motion.
        camera: ``"follow"``, ``"fixed"`` or ``"orbit"``.
        layout: ``"panels"`` side by side, or ``"overlay"`` in one.
        labels: captions, one an actor; the actors' own by default.
        tokens: token windows to show.
        text: write captions, frame and time into the picture.
        since: seconds of the clip before the first picture, from which frame numbers, times and
            token windows go on.

    Attributes:
        size: of a picture, pixels.
        fps: pictures per second.
        duration: seconds, of the longest actor.
        since: seconds of the clip before the first picture.
        captions: one a panel.

    Raises:
        RenderError: no actors, an empty actor, or impossible options.
    """

    def __init__(
        self,
        actors: Sequence[Actor],
        *,
        size: tuple[int, int],
        fps: float,
        camera: CameraKind = "follow",
        layout: Layout = "panels",
        labels: Sequence[str] | None = None,
        tokens: TokenTrack | None = None,
        text: bool = True,
        since: float = 0.0,
    ) -> None:
        if not actors:
            raise RenderError("nothing to draw: no actors")
        for actor in actors:
            if not len(actor):
                raise RenderError(f"{actor.label}: no frames to draw")
        if layout not in LAYOUTS:
            raise RenderError(f"no layout {layout!r}; choose from {', '.join(LAYOUTS)}")
        if not (np.isfinite(fps) and 0 < fps <= 1000):
            raise RenderError(f"fps must be between 0 and 1000, got {fps:g}")
        names = [a.label for a in actors] if labels is None else list(labels)
        if len(names) != len(actors):
            raise RenderError(f"{len(names)} labels for {len(actors)} actors")
        self.size = check_size(size)
        self.fps = float(fps)
        self.duration = max(len(a) / a.fps for a in actors)
        self.since = float(since)
        self._actors = list(actors)
        self._tokens = tokens
        self._text = text
        # The first actor tells frame numbers: it is the source.
        self._clock = actors[0].fps
        self._frames = max(1, round(self.duration * self._clock))
        self._first = round(self.since * self._clock)
        groups = [[i] for i in range(len(actors))] if layout == "panels" else [range(len(actors))]
        width, height = self.size
        panel = width // len(groups)
        if panel < 32:
            raise RenderError(f"{len(groups)} panels do not fit into {width} pixels")
        self._panel = (panel, height)
        self._groups = [list(g) for g in groups]
        self.captions = ["  +  ".join(names[i] for i in g) for g in self._groups]
        self._scale = max(0.6, min(height / 480, panel / 320, 3.0))
        look = {"aspect": panel / height, "heading": heading_of(actors[0])}
        if text:
            look["below"] = footer_height(self.size, tokens, self._scale) / height
            look["above"] = caption_height(self._scale) / height
        self._paths = [CameraPath(camera, [actors[i] for i in g], **look) for g in self._groups]
        self._canvas = open_canvas(self._actors, self._panel)

    @override
    def close(self) -> None:
        """Let go of the canvas."""
        self._canvas.close()

    def __len__(self) -> int:
        """Number of pictures."""
        return max(1, round(self.duration * self.fps))

    def picture(self, index: int) -> Array:
        """The picture of an index: ``(height, width, 3)`` uint8."""
        return self.at(index / self.fps)

    def at(self, time: float) -> Array:
        """The picture at a time of the film in seconds: ``(height, width, 3)`` uint8."""
        width, height = self.size
        image = np.empty((height, width, 3), dtype=np.uint8)
        panel = self._panel[0]
        for k, (group, path) in enumerate(zip(self._groups, self._paths, strict=True)):
            shown = {i: self._actors[i].poses(moment(self._actors[i], time)) for i in group}
            image[:, k * panel : (k + 1) * panel] = self._canvas.draw(shown, path.at(time))
            if k:
                image[:, k * panel] = RULE
        # A width that the panels do not divide leaves a few columns.
        used = panel * len(self._groups)
        image[:, used:] = image[:, used - 1 : used]
        return self._annotated(image, time) if self._text else image

    def frame(self, time: float) -> int:
        """The clip's frame, from 0, shown at a time of the film: by the first actor's clock."""
        return self._first + min(int(time * self._clock + 1e-6), self._frames - 1)

    def _annotated(self, image: Array, time: float) -> Array:
        picture = Image.fromarray(image)
        pen = ImageDraw.Draw(picture)
        panel, scale = self._panel[0], self._scale
        for k, name in enumerate(self.captions):
            caption(pen, name, (k * panel, 0), scale, width=panel)
        footer(
            pen,
            self.size,
            frame=self.frame(time),
            frames=range(self._first, self._first + self._frames),
            fps=self._clock,
            tokens=self._tokens,
            scale=scale,
        )
        return np.asarray(picture)
