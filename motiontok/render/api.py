"""Files out of actors: a video or a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from motiontok.render.actors import Actor
from motiontok.render.cameras import CameraKind
from motiontok.render.film import Film, Layout, check_size
from motiontok.render.output import PICTURES, Progress, check_suffix, writing
from motiontok.render.overlay import TokenTrack
from motiontok.render.video import VIDEO_SUFFIXES, VideoWriter

__all__ = ["render_image", "render_video"]

_HEIGHT = 480


def render_video(
    actors: Sequence[Actor],
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    camera: CameraKind = "follow",
    layout: Layout = "panels",
    labels: Sequence[str] | None = None,
    tokens: TokenTrack | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a video of one or more actors, in real time.

    Args:
        actors: figures, side by side (or overlaid); the first is the clock of the
            frame numbers shown.
        path: ``.mp4`` or ``.gif``; replaced only when the video is complete.
        size: width and height in pixels of the whole picture (odd sides of an mp4 are
            rounded up, H.264 needs even ones). By default 640x480, or 400x480 a panel.
        fps: pictures per second; the actors' own by default (at most 25 for gif).
        camera: ``"follow"``, ``"fixed"`` or ``"orbit"``.
        layout: ``"panels"`` or ``"overlay"``.
        labels: captions, one an actor.
        tokens: token windows to show.
        progress: called after every picture.

    Returns:
        The path written.

    Raises:
        RenderError: nothing to draw, an unknown suffix or an impossible option.
        MissingDependencyError: a package is missing.
        OSError: the file cannot be written.
    """
    path = Path(path)
    check_suffix(path, VIDEO_SUFFIXES)
    if fps is None:
        fps = max((a.fps for a in actors), default=30.0)
        if path.suffix.lower() == ".gif":
            fps = min(fps, 25.0)
    width, height = check_size(size or _default_size(len(actors) if layout == "panels" else 1))
    if path.suffix.lower() == ".mp4":
        width, height = width + width % 2, height + height % 2
    with (
        writing(path) as temporary,
        Film(
            actors,
            size=(width, height),
            fps=fps,
            camera=camera,
            layout=layout,
            labels=labels,
            tokens=tokens,
        ) as film,
        VideoWriter(temporary, size=film.size, fps=fps) as video,
    ):
        for index in range(len(film)):
            video.add(film.picture(index))
            if progress is not None:
                progress(index + 1, len(film))
    return path


def render_image(
    actors: Sequence[Actor],
    path: str | os.PathLike[str],
    *,
    time: float = 0.0,
    size: tuple[int, int] | None = None,
    camera: CameraKind = "follow",
    layout: Layout = "panels",
    labels: Sequence[str] | None = None,
    tokens: TokenTrack | None = None,
    text: bool = True,
) -> Path:
    """Write one picture (``.png`` or ``.jpg``) of the actors at ``time`` seconds.

    The other arguments are those of :func:`render_video`.

    Raises:
        RenderError: nothing to draw, an unknown suffix or an impossible option.
    """
    path = Path(path)
    check_suffix(path, PICTURES)
    with (
        writing(path) as temporary,
        Film(
            actors,
            size=size or _default_size(len(actors) if layout == "panels" else 1),
            fps=max((a.fps for a in actors), default=30.0),
            camera=camera,
            layout=layout,
            labels=labels,
            tokens=tokens,
            text=text,
        ) as film,
    ):
        Image.fromarray(film.at(time)).save(temporary)
    return path


def _default_size(panels: int) -> tuple[int, int]:
    return (640 if panels <= 1 else 400 * panels, _HEIGHT)
