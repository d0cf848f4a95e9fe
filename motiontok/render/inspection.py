"""A pose before and after normalising, side by side, with the axes of every joint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bvh.atomic_write import atomic_path
from bvh.rotations import Array, to_matrix
from motiontok.errors import InputError, MissingDependencyError, RenderError

if TYPE_CHECKING:
    from bvh import Clip, Motion, Report

__all__ = ["draw_pose"]

_LEFT, _RIGHT, _MIDDLE = "#d55e00", "#0072b2", "#333333"
_LINES = 5  # of what was assumed, in a picture
_AXES = ("#cc3333", "#339933", "#3355cc")


def draw_pose(clip: Clip, motion: Motion, report: Report, out: Path, *, frame: int = 0) -> None:
    """Draw one pose of a clip in its file's axes and in canonical ones.

    Args:
        clip: as read.
        motion: normalised.
        report: of the normalisation.
        out: picture, its format by its suffix.
        frame: which frame of ``clip``.

    Raises:
        InputError: no such frame, or no such picture format.
        MissingDependencyError: matplotlib is not installed.
        RenderError: the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError:
        raise MissingDependencyError(
            "drawing a pose needs matplotlib: pip install 'motiontok[render]'"
        ) from None
    if not 0 <= frame < clip.frames:
        raise InputError(f"--frame {frame}: {clip.name} has frames 0 to {clip.frames - 1}")
    figure = Figure(figsize=(13, 5.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    known = sorted({*canvas.get_supported_filetypes()} & {"png", "jpg", "jpeg", "svg", "pdf"})
    if out.suffix.lower().lstrip(".") not in known:
        raise InputError(f"{out}: pictures end in {', '.join('.' + k for k in known)}")
    panels = list(figure.subplots(1, 4))
    figure.suptitle("\n".join(_assumed(clip, report, frame)), fontsize=10, parse_math=False)
    _draw_source(panels[:2], clip, report, frame)
    _draw_canonical(panels[2:], motion, min(round(frame * motion.fps / clip.fps), len(motion) - 1))
    handles = [
        Line2D([], [], color=color, linewidth=3 if wide else 1, label=label)
        for color, label, wide in (
            (_LEFT, "left", True),
            (_RIGHT, "right", True),
            (_MIDDLE, "other", True),
            *((color, f"joint's {axis}", False) for color, axis in zip(_AXES, "XYZ", strict=True)),
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
    try:
        with atomic_path(out) as temporary:
            figure.savefig(temporary, dpi=110)
    except OSError as error:
        raise RenderError(f"{out}: cannot write the picture ({error.strerror})") from None


def _assumed(clip: Clip, report: Report, frame: int) -> list[str]:
    """Lines on the interpretation of the file, and assumptions."""
    lines = [
        f"{clip.name}, frame {frame} ({report.family}): up {report.up}, {report.unit} of "
        f"{report.scale:.4g} m, {clip.fps:.4g} frames/s, {report.height:.2f} m tall, floor "
        f"{report.floor:+.2f} m",
        *report.problems[:_LINES],
    ]
    if more := len(report.problems[_LINES:]):
        lines.append(f"and {more} more")
    return lines


def _draw_source(panels: list[Any], clip: Clip, report: Report, frame: int) -> None:
    """The file's own world: its axes, its unit, its joint axes."""
    turns, points = clip.global_transforms()
    sides = {name: joint[:4] for joint, name in report.joints.items()}
    colors: list[str] = []
    for name, parent in zip(clip.names, clip.parents, strict=True):
        # Fingers and twist joints take the colour of the limb they are on.
        own = {"Left": _LEFT, "Righ": _RIGHT}.get(sides.get(name, ""), _MIDDLE)
        colors.append(own if name in sides or parent < 0 else colors[parent])
    up = "xyz".index(report.up[-1])
    flat = [axis for axis in range(3) if axis != up]
    for panel, across in zip(panels, flat, strict=True):
        _draw(
            panel, points[frame], turns[frame], clip.parents, colors, (across, up), 1 / report.scale
        )
        panel.set_title(f"as in the file, {report.unit}", fontsize=10)
        panel.set_xlabel("XYZ"[across])
        panel.set_ylabel("XYZ"[up])


def _draw_canonical(panels: list[Any], motion: Motion, frame: int) -> None:
    """Metres, X forward, Y left, Z up."""
    from bvh.skeleton import JOINTS, PARENTS

    turns, points = motion.global_transforms()
    colors = [
        _LEFT if j.startswith("Left") else _RIGHT if j.startswith("Right") else _MIDDLE
        for j in JOINTS
    ]
    for panel, (across, label) in zip(panels, ((1, "Y (left)"), (0, "X (forward)")), strict=True):
        panel.axhline(0.0, color="#999999", linewidth=0.8)
        _draw(panel, points[frame], turns[frame], PARENTS, colors, (across, 2), 1.0)
        panel.set_title("normalised, m", fontsize=10)
        panel.set_xlabel(label)
        panel.set_ylabel("Z (up)")


def _draw(
    panel: Any,
    points: Array,
    turns: Array,
    parents: tuple[int, ...],
    colors: list[str],
    plane: tuple[int, int],
    metre: float,
) -> None:
    """Bones and joint axes ``(joints, 3)``, ``(joints, 4)`` seen along the third axis."""
    for joint, parent in enumerate(parents):
        # A bone from a dummy root at the origin would only squeeze the figure.
        if parent > 0 or (parent == 0 and parents.count(0) > 1):
            ends = points[[parent, joint]][:, plane]
            panel.plot(*ends.T, color=colors[joint], linewidth=2.5, solid_capstyle="round")
    for matrix, point in zip(to_matrix(turns), points, strict=True):
        for axis, color in enumerate(_AXES):
            ends = np.stack([point, point + 0.06 * metre * matrix[:, axis]])[:, plane]
            panel.plot(*ends.T, color=color, linewidth=1)
    panel.set_aspect("equal", adjustable="datalim")
    panel.grid(alpha=0.25)
