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
    since: float = 0.0,
    progress: Progress | None = None,
) -> Path:
    """Write a video of one or more actors, in real time.

    Ctrl-C (``KeyboardInterrupt``) ends the film where it is: once a picture is drawn, the file
    has the pictures so far when the exception is raised on.

    Args:
        actors: figures, side by side (or overlaid); the first is the clock of the
            frame numbers shown.
        path: ``.mp4`` or ``.gif``; replaced only when the video is complete, or interrupted.
        size: width and height in pixels of the whole picture (odd sides of an mp4 are
            rounded up, H.264 needs even ones). By default 640x480, or 400x480 a panel.
        fps: pictures per second; the actors' own by default (at most 25 for gif).
        camera: ``"follow"``, ``"fixed"`` or ``"orbit"``.
        layout: ``"panels"`` or ``"overlay"``.
        labels: captions, one an actor.
        tokens: token windows to show.
        since: seconds of the clip before the actors' first frame, from which the frame numbers,
            times and windows shown go on.
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
    drawn, stopped = 0, None
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
            since=since,
        ) as film,
        VideoWriter(temporary, size=film.size, fps=fps) as video,
    ):
        try:
            for index in range(len(film)):
                video.add(film.picture(index))
                drawn = index + 1
                if progress is not None:
                    progress(drawn, len(film))
        except KeyboardInterrupt as error:
            if not drawn:
                raise
            stopped = error
    if stopped is not None:
        raise stopped
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
    since: float = 0.0,
) -> Path:
    """Write one picture (``.png`` or ``.jpg``) of the actors, ``time`` seconds into their motion.

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
            since=since,
        ) as film,
    ):
        Image.fromarray(film.at(time)).save(temporary)
    return path


def _default_size(panels: int) -> tuple[int, int]:
    return (640 if panels <= 1 else 400 * panels, _HEIGHT)
