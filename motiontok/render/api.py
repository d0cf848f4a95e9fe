"""Files out of actors: a video, a contact sheet, a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from bvh.files import atomic_path
from bvh.rotations import Array
from motiontok.errors import RenderError
from motiontok.render.actors import Actor
from motiontok.render.cameras import CameraKind
from motiontok.render.film import Film, Layout, check_size
from motiontok.render.overlay import FAINT, TokenTrack, caption, font
from motiontok.render.video import VIDEO_SUFFIXES, VideoWriter

__all__ = ["Progress", "render_image", "render_sheet", "render_video"]

Progress = Callable[[int, int], None]
"""Called with pictures done and pictures in all."""

_PICTURES = (".png", ".jpg", ".jpeg")
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
    _check_suffix(path, VIDEO_SUFFIXES)
    if fps is None:
        fps = max((a.fps for a in actors), default=30.0)
        if path.suffix.lower() == ".gif":
            fps = min(fps, 25.0)
    width, height = check_size(size or _default_size(len(actors) if layout == "panels" else 1))
    if path.suffix.lower() == ".mp4":
        width, height = width + width % 2, height + height % 2
    with (
        Film(
            actors,
            size=(width, height),
            fps=fps,
            camera=camera,
            layout=layout,
            labels=labels,
            tokens=tokens,
        ) as film,
        atomic_path(path) as temporary,
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
    _check_suffix(path, _PICTURES)
    with Film(
        actors,
        size=size or _default_size(len(actors) if layout == "panels" else 1),
        fps=max((a.fps for a in actors), default=30.0),
        camera=camera,
        layout=layout,
        labels=labels,
        tokens=tokens,
        text=text,
    ) as film:
        picture = film.at(time)
    _save(picture, path)
    return path


def render_sheet(
    actors: Sequence[Actor],
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    columns: int | None = None,
    rows: int | None = None,
    camera: CameraKind = "follow",
    layout: Layout = "panels",
    labels: Sequence[str] | None = None,
    tokens: TokenTrack | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a contact sheet: evenly spaced moments of the clip, time to the right.

    Several actors (with ``layout="panels"``) share the columns, one row an actor under
    the other, so that a column shows the same instant.

    Args:
        actors: figures.
        path: ``.png`` or ``.jpg``.
        size: width and height in pixels of the whole sheet; by default cells of 200x260.
        columns: moments in a row; 8 by default (6 for one actor).
        rows: rows of moments; 1 by default (2 for one actor).
        camera: as for :func:`render_video`.
        layout: as for :func:`render_video`.
        labels: captions, one an actor.
        tokens: token windows, numbered beside the times.
        progress: called after every cell.

    Returns:
        The path written.

    Raises:
        RenderError: nothing to draw, an unknown suffix or an impossible option.
    """
    path = Path(path)
    _check_suffix(path, _PICTURES)
    if not actors:
        raise RenderError("nothing to draw: no actors")
    names = [a.label for a in actors] if labels is None else list(labels)
    if len(names) != len(actors):
        raise RenderError(f"{len(names)} labels for {len(actors)} actors")
    bands = [[a] for a in actors] if layout == "panels" else [list(actors)]
    titles = names if layout == "panels" else ["  +  ".join(names)]
    if columns is None:
        columns = 6 if len(bands) == 1 else 8
    if rows is None:
        rows = 2 if len(bands) == 1 else 1
    if columns < 1 or rows < 1:
        raise RenderError(f"a sheet needs at least one column and row, got {columns}x{rows}")
    grid_rows = rows * len(bands)
    width, height = check_size(size or (200 * columns, 260 * grid_rows))
    cell = (width // columns, height // grid_rows)
    if min(cell) < 32:
        raise RenderError(f"{columns}x{grid_rows} cells do not fit into {width}x{height} pixels")
    clock = actors[0].fps
    frames = max(len(a) for a in actors)
    moments = rows * columns
    duration = max(len(a) / a.fps for a in actors)
    # The middle of equal parts: neither the first nor the last frame says much.
    times = [(k + 0.5) / moments * duration for k in range(moments)]
    sheet = np.full((height, width, 3), 255, dtype=np.uint8)
    scale = max(0.6, min(cell[0], cell[1]) / 240)
    done = 0
    for band, members in enumerate(bands):
        with Film(
            members, size=cell, fps=clock, camera=camera, layout="overlay", text=False
        ) as film:
            for k, time in enumerate(times):
                row, column = band + len(bands) * (k // columns), k % columns
                y, x = row * cell[1], column * cell[0]
                sheet[y : y + cell[1], x : x + cell[0]] = film.at(time)
                sheet[y : y + cell[1], x + cell[0] - 1] = 222
                sheet[y + cell[1] - 1, x : x + cell[0]] = 222
                done += 1
                if progress is not None:
                    progress(done, moments * len(bands))
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    small = font(max(8, round(11 * scale)))
    for k, time in enumerate(times):
        stamp = f"{time:.2f} s"
        if tokens is not None:
            stamp += f"  window {tokens.window(min(int(time * clock), frames - 1)) + 1}"
        for band in range(len(bands)):
            row, column = band + len(bands) * (k // columns), k % columns
            x, y = column * cell[0], row * cell[1]
            if column == 0:
                caption(draw, titles[band], (x, y), 0.85 * scale)
            if band == len(bands) - 1:
                draw.text(
                    (x + round(10 * scale), y + cell[1] - round(20 * scale)),
                    stamp,
                    fill=FAINT,
                    font=small,
                )
    _save(np.asarray(picture), path)
    return path


def _default_size(panels: int) -> tuple[int, int]:
    return (640 if panels <= 1 else 400 * panels, _HEIGHT)


def _check_suffix(path: Path, suffixes: Sequence[str]) -> None:
    if path.suffix.lower() not in suffixes:
        raise RenderError(
            f"{path}: cannot write {path.suffix or 'a file without suffix'} here; "
            f"choose from {', '.join(suffixes)}"
        )


def _save(picture: Array, path: Path) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary)
