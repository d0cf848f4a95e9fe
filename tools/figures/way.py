"""The figure at the head of docs/architecture.md: a clip's way through motiontok, in real arrays.

    python tools/figures/way.py --out docs/images/way.png

Needs the robot and render extras. The ground is opaque, so that it reads on light and dark pages.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from example import Example, take_the_whole_way

import bvh
from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data.features import COLUMNS, from_motion
from motiontok.data.windows import accumulate
from motiontok.plotting import new_figure, save_figure
from motiontok.render import Actor, MannequinActor, RobotActor
from motiontok.render.cameras import heading_of
from motiontok.render.film import Film
from motiontok.render.overlay import token_color

INK, FAINT, GROUND, RULE = "#343a42", "#667080", "#f6f7f9", "#cdd2d8"
LEFT, RIGHT, MIDDLE = "#e8752a", "#2f86d6", "#5b6470"
FRAME = 88  # of the clip, in its third window
FILE_RATE = 60  # frames/s
NAMED = {  # joints with their names beside them, metres to the right and up
    "Head": (0.1, 0.02),
    "LeftForeArm": (0.06, 0.03),
    "RightHand": (0.0, -0.1),
    "Hips": (-0.12, 0.0),
    "LeftLeg": (0.07, 0.0),
    "LeftToe": (0.08, 0.0),
}
BANDS = (  # of features: names of columns, and what a reader calls them
    (("yaw_rate", "velocity", "height", "tilt"), "root, 10", 2.2),
    (("rotations",), "rotations, 126", 5.0),
    (("positions",), "positions, 63", 4.0),
    (("contacts",), "contacts, 4", 1.3),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/way.png"))
    given = parser.parse_args()
    example = take_the_whole_way(windows=4, seed=0)

    figure = new_figure(8.0, 5.9, doing="drawing the figure")
    figure.set_layout_engine("none")
    figure.set_facecolor(GROUND)
    panels = [_panel(figure, number) for number in range(6)]
    _file(panels[0], example)
    _canonical(panels[1], example)
    _features(figure, panels[2], example)
    _codes(panels[3], example)
    person, robot = _pictures(example)
    _picture(panels[4], person, "5  decoded", "motion from codes, on the same bones")
    _picture(panels[5], robot, "6  robot", "joint angles of a Unitree G1")
    _arrows(figure)
    save_figure(figure, given.out, dpi=200, facecolor=GROUND)


def _panel(figure: Any, number: int) -> Any:
    row, column = divmod(number, 3)
    axes = figure.add_axes((0.025 + 0.335 * column, 0.535 - 0.505 * row, 0.28, 0.375))
    axes.set_axis_off()
    return axes


def _title(axes: Any, title: str, below: str) -> None:
    at: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom"}
    axes.text(0.0, 1.105, title, fontsize=12, color=INK, weight="bold", **at)
    axes.text(0.0, 1.025, below, fontsize=8.5, color=FAINT, **at)


def _word(
    axes: Any,
    at: tuple[float, float],
    text: str,
    color: str,
    *,
    ha: str = "center",
    size: float = 8,
) -> None:
    """A word at a place in shares of the panel."""
    axes.text(*at, text, fontsize=size, color=color, ha=ha, va="center", transform=axes.transAxes)


def _sticks(axes: Any, points: Array, parents: tuple[int, ...], names: tuple[str, ...]) -> None:
    """A pose ``(joints, 2)`` as bones and joints, the left orange and the right blue."""
    for joint, parent in enumerate(parents):
        side = {"Left": LEFT, "Righ": RIGHT}.get(names[joint][:4], MIDDLE)
        if parent >= 0:
            axes.plot(*points[[parent, joint]].T, color=side, lw=2.4, solid_capstyle="round")
        axes.plot(*points[joint], "o", color=side, ms=3.2)
    axes.set_aspect("equal")


def _file(axes: Any, example: Example) -> None:
    """The clip as a BVH file has it: text, and its joints in its own axes."""
    _title(axes, "1  clip", f"BVH: {FILE_RATE} frames/s, cm, Y up")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.bvh"
        bvh.write(example.source.resampled(FILE_RATE).to_clip(), path)
        lines = path.read_text(encoding="utf-8").splitlines()
        clip = bvh.read(path)
    frames = next(k for k, line in enumerate(lines) if line.startswith("MOTION"))
    shown = [*lines[:8], "  …", *lines[frames : frames + 5]]
    text = "\n".join(_cut(line.replace("\t", "  ")) for line in shown)
    axes.text(
        0.0, 0.99, text, fontsize=7.0, family="monospace", color=MIDDLE, va="top",
        transform=axes.transAxes, linespacing=1.5,
    )  # fmt: skip
    # The file's X, Y and Z are left, up and forward of the world.
    world_from_file = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    points = 0.01 * clip.global_positions()[FRAME * FILE_RATE // 30] @ world_from_file.T
    inner = axes.inset_axes((0.56, -0.02, 0.5, 1.02))
    inner.set_axis_off()
    screen = _screen(example.source)
    _sticks(inner, points @ screen, clip.parents, clip.names)
    _upward(inner, points @ screen, "Y")


def _cut(line: str, width: int = 21) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"


def _canonical(axes: Any, example: Example) -> None:
    """The pose on the one skeleton that all clips are brought to."""
    _title(axes, "2  canonical pose", "22 joints, 30 frames/s, m, Z up")
    screen = _screen(example.source)
    seen = example.source.global_positions()[FRAME] @ screen
    _sticks(axes, seen, bvh.PARENTS, bvh.JOINTS)
    for name, (right, up) in NAMED.items():
        at = seen[bvh.JOINTS.index(name)] + np.array([right, up])
        beside = "center" if not right else "left" if right > 0 else "right"
        axes.text(*at, name, fontsize=8, color=FAINT, ha=beside, va="center")
    _upward(axes, seen, "Z")
    axes.margins(y=0.08)


def _screen(motion: Motion) -> Array:
    """``(3, 2)`` from the world's axes to a picture's, seen as the rendered panels are."""
    yaw = heading_of(MannequinActor(motion)) + np.radians(38)
    low = np.radians(11)
    right = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    up = np.array([-np.cos(yaw) * np.sin(low), -np.sin(yaw) * np.sin(low), np.cos(low)])
    return np.stack([right, up], axis=1)


def _upward(axes: Any, seen: Array, name: str) -> None:
    """An arrow beside a figure's feet: which axis is up."""
    foot = np.array([seen[:, 0].min() + 0.05, seen[:, 1].min() + 0.05])
    style = {"arrowstyle": "-|>", "color": FAINT, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", foot + np.array([0.0, 0.35]), foot, arrowprops=style)
    axes.text(foot[0], foot[1] + 0.42, name, fontsize=9, color=FAINT, ha="center", va="center")


def _features(figure: Any, axes: Any, example: Example) -> None:
    """The window of features that holds the pose, standardised."""
    length = example.tokenizer.frames_per_window
    _title(axes, "3  window of features", f"{length} frames of 203 numbers")
    first = FRAME // length * length
    window = torch.tensor(from_motion(example.source)[None, first : first + length])
    rows = example.tokenizer.statistics.standardize(accumulate(window.float()))[0].numpy()
    whole, top = sum(weight for *_, weight in BANDS) + 0.35 * (len(BANDS) - 1), 1.0
    for names, label, weight in BANDS:
        height = weight / whole
        band = axes.inset_axes((0.0, top - height, 0.66, height))
        columns = np.concatenate([rows[:, COLUMNS[name]] for name in names], axis=1)
        # Groups differ in scale by their weights; each is drawn up to its own largest values.
        most = float(np.quantile(np.abs(columns), 0.98))
        band.imshow(
            columns.T, aspect="auto", cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest"
        )
        band.set_xticks([])
        band.set_yticks([])
        for side in band.spines.values():
            side.set_color(RULE)
        band.axvline(FRAME - first, color=INK, lw=1.0)
        _word(axes, (0.69, top - height / 2), label, INK, ha="left", size=8.5)
        top -= height + 0.35 / whole
    _word(axes, (0.33, -0.07), "time →", FAINT)


def _codes(axes: Any, example: Example) -> None:
    """The window's codes, row by row."""
    window = FRAME // example.tokenizer.frames_per_window
    codes = example.codes.array[window]
    size = example.tokenizer.vocab_size
    _title(
        axes,
        "4  codes",
        f"{len(codes)} of {size:,} values: {example.tokenizer.bits_per_second:.0f} bits/s",
    )
    small: Any = {"fontsize": 7.5, "va": "center"}
    for place, code in enumerate(codes):
        row, column = divmod(place, 8)
        shade = np.array(token_color(int(code), size)) / 255
        axes.add_patch(_square(column, -row, 0.35 * shade + 0.65))
        axes.text(column + 0.46, 0.46 - row, str(code), color=INK, ha="center", **small)
    axes.set_xlim(0, 8)
    axes.set_ylim(-7.1, 1)
    _word(axes, (0.5, -0.05), "coarse → fine, row by row", FAINT)


def _square(x: float, y: float, color: Array) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), 0.92, 0.92, facecolor=tuple(color), edgecolor="none")


def _pictures(example: Example) -> tuple[Array, Array]:
    """The decoded body and the robot at the moment that is shown."""
    trajectory = example.trajectory
    actors: list[Actor] = [
        MannequinActor(example.decoded),
        RobotActor(example.robot, trajectory.qpos, fps=trajectory.fps),
    ]
    with Film(actors, size=(1040, 500), fps=30.0, text=False) as film:
        picture = film.at(FRAME / 30)
    return picture[:, :519], picture[:, 521:]


def _picture(axes: Any, picture: Array, title: str, below: str) -> None:
    _title(axes, title, below)
    axes.imshow(picture, aspect="auto")


def _arrows(figure: Any) -> None:
    """From panel to panel, and from the end of the first row to the second's beginning."""
    from matplotlib.patches import FancyArrowPatch

    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 13, "color": INK, "lw": 1.4}
    steps = [((x, y), (x + 0.034, y)) for y in (0.72, 0.215) for x in (0.3155, 0.6505)]
    for start, end in steps:
        figure.add_artist(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **style))


if __name__ == "__main__":
    main()
