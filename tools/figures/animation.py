"""The README's animation: a clip, its tokens, and a robot that does what they say.

    python tools/figures/animation.py --out docs/images/tokens.gif

Needs the robot and render extras. All three parts show the same moment: the source, the 64 tokens
of the window it is in, and the motion decoded from all tokens on the robot.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from example import Example, take_the_whole_way
from PIL import Image, ImageDraw

from bvh.atomic_write import atomic_path
from bvh.rotations import Array
from motiontok.render import Actor, MannequinActor, RobotActor
from motiontok.render.film import Film
from motiontok.render.overlay import INK, RULE, font, token_color

GROUND = (237, 239, 243)
SIZE = (800, 400)
SIDE = 276  # pixels; the rest is for tokens
FPS = 25.0  # GIF counts in hundredths of a second: 4 of them a picture
COLORS = 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/tokens.gif"))
    given = parser.parse_args()
    example = take_the_whole_way(windows=4, seed=0)
    pictures = [Image.fromarray(picture) for picture in _pictures(example)]
    palette = _montage(pictures).quantize(COLORS, kmeans=2)
    # One palette and no dithering: what stands still stays the same, and costs nothing.
    first, *rest = (p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures)
    with atomic_path(given.out) as temporary:
        first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=round(1000 / FPS),
            loop=0,
        )


def _pictures(example: Example) -> Iterator[Array]:
    trajectory = example.trajectory
    actors: list[Actor] = [
        MannequinActor(example.source),
        RobotActor(example.robot, trajectory.qpos, fps=trajectory.fps),
    ]
    with Film(actors, size=(2 * SIDE, SIZE[1]), fps=FPS, camera="fixed", text=False) as film:
        for number in range(len(film)):
            figures = film.picture(number)
            picture = Image.new("RGB", SIZE, GROUND)
            picture.paste(Image.fromarray(figures[:, :SIDE]), (0, 0))
            picture.paste(Image.fromarray(figures[:, SIDE + 1 :]), (SIZE[0] - SIDE + 1, 0))
            _write(picture, example, film.frame(number / FPS))
            yield np.asarray(picture)


def _write(picture: Image.Image, example: Example, frame: int) -> None:
    """Captions, and the tokens of the window that a frame is in, between the figures."""
    pen = ImageDraw.Draw(picture)
    tokenizer = example.tokenizer
    codes = example.codes.array
    window = frame // tokenizer.frames_per_window
    left, right = SIDE + 10, SIZE[0] - SIDE - 10
    for x, text in (
        (14, "source"),
        (left, f"tokens, {tokenizer.bits_per_second:.0f} bits/s"),
        (right + 24, "robot, from the tokens"),
    ):
        pen.text((x, 12), text, fill=INK, font=font(17))
    for x in (SIDE, SIZE[0] - SIDE):
        pen.line((x, 0, x, SIZE[1]), fill=RULE)

    size, cell, top = tokenizer.vocab_size, (right - left) // 8, 52
    for place, code in enumerate(codes[window]):
        x, y = left + place % 8 * cell, top + place // 8 * cell
        pen.rectangle((x, y, x + cell - 2, y + cell - 2), fill=_shade(int(code), size))
        middle = (x + cell / 2 - 1, y + cell / 2 - 1)
        pen.text(middle, str(code), fill=INK, font=font(10), anchor="mm")

    # All windows, the present one under the needle.
    small = (right - left - 12) // len(codes)
    top += 8 * cell + 34
    pen.text((left, top - 22), f"window {window + 1} of {len(codes)}", fill=INK, font=font(13))
    dot = (small - 6) // 8
    for other, row in enumerate(codes):
        for place, code in enumerate(row):
            x, y = left + other * (small + 4) + place % 8 * dot, top + place // 8 * dot
            color = _shade(int(code), size, 0.7 if other == window else 0.25)
            pen.rectangle((x, y, x + dot - 1, y + dot - 1), fill=color)
    whole = (frame + 0.5) / tokenizer.frames_per_window
    needle = left + int(whole) * (small + 4) + (whole % 1) * 8 * dot
    pen.rectangle((needle - 1, top - 4, needle + 1, top + 8 * dot + 4), fill=INK)


def _shade(code: int, size: int, strength: float = 0.4) -> tuple[int, ...]:
    """A token's colour, mixed with white."""
    return tuple(round(strength * c + (1 - strength) * 255) for c in token_color(code, size))


def _montage(pictures: list[Image.Image], count: int = 8) -> Image.Image:
    """Some of the pictures under each other, for a palette that has the colours of all."""
    chosen = pictures[:: max(1, len(pictures) // count)]
    out = Image.new("RGB", (SIZE[0], SIZE[1] * len(chosen)))
    for row, picture in enumerate(chosen):
        out.paste(picture, (0, row * SIZE[1]))
    return out


if __name__ == "__main__":
    main()
