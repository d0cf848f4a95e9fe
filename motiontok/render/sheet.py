"""Contact sheets: a clip at one glance."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from bvh.rotations import Array
from motiontok.errors import RenderError
from motiontok.render.actors import Actor
from motiontok.render.cameras import CameraKind
from motiontok.render.film import Film, Layout, check_size
from motiontok.render.output import PICTURES, Progress, check_suffix, writing
from motiontok.render.overlay import FAINT, RULE, TokenTrack, caption, font

__all__ = ["render_sheet"]

_CELL = (200, 260)


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
    since: float = 0.0,
    progress: Progress | None = None,
) -> Path:
    """Write a contact sheet: evenly spaced moments of the clip, time to the right.

    Several actors (with ``layout="panels"``) share the columns, one row an actor under
    the other, so that a column shows the same instant.

    Args:
        actors: figures.
        path: ``.png`` or ``.jpg``.
        size: width and height in pixels of the whole sheet; by default cells of 200x260.
        columns: moments in a row; 8 by default (6 for one panel).
        rows: rows of moments; 1 by default (2 for one panel).
        camera: as for :func:`motiontok.render.render_video`.
        layout: as for :func:`motiontok.render.render_video`.
        labels: captions, one an actor.
        tokens: token windows, numbered beside the times.
        since: seconds of the clip before the actors' first frame, from which times go on.
        progress: called after every moment.

    Returns:
        The path written.

    Raises:
        RenderError: nothing to draw, an unknown suffix or an impossible option.
    """
    path = Path(path)
    check_suffix(path, PICTURES)
    bands = len(actors) if layout == "panels" else 1
    columns = columns or (6 if bands <= 1 else 8)
    rows = rows or (2 if bands <= 1 else 1)
    if columns < 1 or rows < 1:
        raise RenderError(f"a sheet needs at least one column and row, got {columns}x{rows}")
    lines = rows * max(1, bands)
    width, height = check_size(size or (_CELL[0] * columns, _CELL[1] * lines))
    cell = (width // columns, height // lines)
    if min(cell) < 32:
        raise RenderError(f"{columns}x{lines} cells do not fit into {width}x{height} pixels")
    with (
        writing(path) as temporary,
        Film(
            actors,
            size=(cell[0] * max(1, bands), cell[1]),
            fps=30.0,
            camera=camera,
            layout=layout,
            labels=labels,
            text=False,
            since=since,
        ) as film,
    ):
        moments = rows * columns
        # The middle of equal parts: neither the first nor the last frame says much.
        times = [(k + 0.5) / moments * film.duration for k in range(moments)]
        sheet = np.full((height, width, 3), 255, dtype=np.uint8)
        for k, time in enumerate(times):
            picture = film.at(time)
            for band in range(bands):
                x, y = _corner(k, band, columns, bands, cell)
                tile = sheet[y : y + cell[1], x : x + cell[0]]
                tile[:] = picture[:, band * cell[0] : (band + 1) * cell[0]]
                tile[:, 0] = tile[0] = RULE
            if progress is not None:
                progress(k + 1, moments)
        _annotated(sheet, film, times, columns, bands, cell, tokens).save(temporary)
    return path


def _corner(
    moment: int, band: int, columns: int, bands: int, cell: tuple[int, int]
) -> tuple[int, int]:
    """Upper left pixel of a cell."""
    return (moment % columns) * cell[0], (band + bands * (moment // columns)) * cell[1]


def _annotated(
    sheet: Array,
    film: Film,
    times: Sequence[float],
    columns: int,
    bands: int,
    cell: tuple[int, int],
    tokens: TokenTrack | None,
) -> Image.Image:
    """The sheet with the actors' names at the left and times below each column."""
    picture = Image.fromarray(sheet)
    pen = ImageDraw.Draw(picture)
    scale = max(0.6, min(cell) / 240)
    small = font(max(11, round(14 * scale)))
    for k, time in enumerate(times):
        x, y = _corner(k, bands - 1, columns, bands, cell)
        stamp = f"{film.since + time:.2f} s"
        if tokens is not None:
            stamp += f"   window {tokens.window(film.frame(time)) + 1}"
        corner = (x + round(10 * scale), y + cell[1] - round(20 * scale))
        pen.text(corner, stamp, fill=FAINT, font=small)
    for band, name in enumerate(film.captions):
        origin = _corner(0, band, columns, bands, cell)
        caption(pen, name, origin, 0.85 * scale, width=columns * cell[0])
    return picture
