"""Text over a picture: captions, frame, time, and the token strip."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import ImageDraw, ImageFont

from bvh.rotations import Array
from motiontok.errors import RenderError

__all__ = [
    "FAINT",
    "RULE",
    "TokenTrack",
    "caption",
    "caption_height",
    "font",
    "footer",
    "footer_height",
    "token_color",
]

INK = (52, 58, 66)
FAINT = (98, 106, 116)
RULE = (214, 218, 223)
_RAIL = (203, 208, 214)
_LIT = (42, 48, 56)


@dataclass(frozen=True, eq=False)
class TokenTrack:
    """The tokens a motion was decoded from, shown below the picture.

    Attributes:
        frames_per_window: frames a window of tokens covers.
        codes: ``(windows, codes_per_window)`` integers; None shows window numbers only.
        vocab_size: number of different tokens; by default the largest code plus one.
        first_frame: of the clip, with which the first window begins.

    Raises:
        RenderError: the window is empty or the codes have another shape.
    """

    frames_per_window: int
    codes: Array | None = None
    vocab_size: int | None = None
    first_frame: int = 0

    def __post_init__(self) -> None:
        if self.frames_per_window < 1:
            raise RenderError(f"frames_per_window must be positive, got {self.frames_per_window}")
        if self.codes is not None and np.ndim(self.codes) != 2:
            raise RenderError(
                f"codes must have shape (windows, codes_per_window), got {np.shape(self.codes)}"
            )

    def window(self, frame: int) -> int:
        """The window a frame belongs to."""
        return (frame - self.first_frame) // self.frames_per_window


@lru_cache(maxsize=16)
def font(size: int) -> Any:
    """Pillow's built-in scalable font."""
    return ImageFont.load_default(size=size)


def caption(
    pen: ImageDraw.ImageDraw, text: str, origin: tuple[int, int], scale: float, *, width: int
) -> None:
    """Write a panel's name at its upper left corner, shortened to the panel's width."""
    size = _caption_size(scale)
    face = font(size)
    # The middle goes first: names of clips differ at their ends.
    whole, keep = text, len(text)
    while keep > 2 and pen.textlength(text, font=face) > width - 2 * size:
        keep -= 1
        text = whole[: (keep + 1) // 2] + "…" + whole[len(whole) - keep // 2 :]
    pen.text((origin[0] + size, origin[1] + round(0.8 * size)), text, fill=INK, font=face)


def caption_height(scale: float) -> int:
    """Pixels at the upper edge of a picture that :func:`caption` writes on."""
    return 2 * _caption_size(scale)


def _caption_size(scale: float) -> int:
    return max(9, round(17 * scale))


def footer_height(size: tuple[int, int], tokens: TokenTrack | None, scale: float) -> int:
    """Pixels at the lower edge of a picture that :func:`footer` draws on."""
    margin, text, rail = _footer_sizes(scale)
    above = 0
    if tokens is not None and tokens.codes is not None:
        above = _strip_height(tokens.codes, size[0] - 2 * margin, scale)
    return margin + rail + above + round(1.6 * text)


def _footer_sizes(scale: float) -> tuple[int, int, int]:
    """Margin, text and timeline, pixels."""
    return max(6, round(14 * scale)), max(8, round(12 * scale)), max(2, round(3 * scale))


def footer(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    *,
    frame: int,
    frames: range,
    fps: float,
    tokens: TokenTrack | None,
    scale: float,
) -> None:
    """Write frame and time, and draw the timeline with its windows and tokens.

    ``frame`` and ``frames``, which the timeline spans, are counted from the clip's start.
    """
    width, height = size
    margin, text, rail = _footer_sizes(scale)
    y = height - margin - rail
    inner = width - 2 * margin
    parts = [f"frame {frame + 1}/{frames.stop}", f"{frame / fps:.2f} s"]
    if tokens is None:
        pen.rectangle((margin, y, margin + inner, y + rail), fill=_RAIL)
        done = margin + round(inner * (frame + 1 - frames.start) / len(frames))
        pen.rectangle((margin, y, done, y + rail), fill=FAINT)
    else:
        windows = range(tokens.window(frames.start), tokens.window(frames.stop - 1) + 1)
        now = tokens.window(frame)
        parts.append(f"window {now + 1}/{windows.stop}")
        gap = 1 if inner / len(windows) > 4 else 0
        for index in windows:
            begin, end = (
                (tokens.first_frame + (index + k) * tokens.frames_per_window - frames.start)
                / len(frames)
                for k in (0, 1)
            )
            left = margin + inner * max(begin, 0.0)
            right = margin + inner * min(end, 1.0) - gap
            pen.rectangle(
                (left, y, max(left, right), y + rail), fill=_LIT if index == now else _RAIL
            )
        x = margin + round(inner * (frame + 0.5 - frames.start) / len(frames))
        pen.rectangle((x - 1, y - rail, x + 1, y + 2 * rail), fill=INK)
        if tokens.codes is not None and now < len(tokens.codes):
            _strip(pen, tokens, now, (margin, y - round(6 * scale)), inner, scale)
            y -= _strip_height(tokens.codes, inner, scale)
    pen.text((margin, y - round(1.6 * text)), "   ".join(parts), fill=FAINT, font=font(text))


def _cell(codes: Array, width: int, scale: float) -> float:
    """Width of a token's cell, pixels."""
    return float(min(width / codes.shape[-1], 14 * scale))


def _cell_height(codes: Array, width: int, scale: float) -> int:
    return max(4, round(_cell(codes, width, scale)))


def _strip_height(codes: Array, width: int, scale: float) -> int:
    return _cell_height(codes, width, scale) + round(10 * scale)


def _strip(
    pen: ImageDraw.ImageDraw,
    tokens: TokenTrack,
    window: int,
    bottom_left: tuple[int, int],
    width: int,
    scale: float,
) -> None:
    """Draw one coloured cell a token of the window."""
    assert tokens.codes is not None
    codes = tokens.codes[window]
    size = tokens.vocab_size or int(tokens.codes.max()) + 1
    cell, height = _cell(codes, width, scale), _cell_height(codes, width, scale)
    x, y = bottom_left
    gap = 1 if cell > 4 else 0
    for index, code in enumerate(codes):
        left = x + index * cell
        pen.rectangle(
            (round(left), y - height, round(left + cell) - 1 - gap, y),
            fill=token_color(int(code), size),
        )


@lru_cache(maxsize=4096)
def token_color(code: int, vocab_size: int) -> tuple[int, int, int]:
    """The colour (RGB, 0 to 255) that stands for a token."""
    # Neighbouring codes need not look alike; steps of the golden ratio spread the hues.
    hue = (code * 0.61803398875) % 1.0
    light = 0.42 + 0.3 * (code / max(1, vocab_size - 1))
    red, green, blue = colorsys.hls_to_rgb(hue, light, 0.5)
    return round(255 * red), round(255 * green), round(255 * blue)
