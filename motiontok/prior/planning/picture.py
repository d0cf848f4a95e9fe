"""A plan seen from above, or over time, beside its task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bvh import rotations as rot
from bvh.motion import Motion
from motiontok.plotting import new_figure, save_figure
from motiontok.prior.planning.targets import PathTarget, VelocityProfile
from motiontok.prior.planning.tracking import commands_by_second, distances_to

__all__ = ["plot_plan"]

_ASKED, _DONE = "0.55", "#2b7bba"


def plot_plan(
    motion: Motion,
    target: PathTarget | VelocityProfile,
    out: Path,
    *,
    discs: Sequence[tuple[float, float, float]] = (),
    end: tuple[float, float, float] | None = None,
) -> None:
    """Draw a decoded plan to a ``.png``, ``.svg`` or ``.pdf``.

    On the left is its way from above, with the heading at each second. On the right is the distance
    from the path's place at each time; for a profile, velocities and yaw rate, as means of a
    second, beside the commanded ones.

    Args:
        motion: that began at time 0.
        target: of the task.
        out: file.
        discs: x, y and radius (m) of forbidden discs.
        end: x, y (m) and heading (rad) of the end pose.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(11, 5, doing="drawing the plan")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1.0))
    times = np.arange(len(motion)) / motion.fps
    _from_above(left, motion, target, times)
    for x, y, radius in discs:
        angle = np.linspace(0.0, 2.0 * np.pi, 60)
        left.fill(
            x + radius * np.cos(angle), y + radius * np.sin(angle), color="#c0392b", alpha=0.3
        )
    if end is not None:
        x, y, yaw = end
        arrow = {"color": "#c0392b", "scale": 12, "pivot": "tip", "width": 0.008}
        left.quiver(x, y, np.cos(yaw), np.sin(yaw), label="asked end", **arrow)
    left.margins(0.12)
    left.set_aspect("equal", adjustable="datalim")
    left.set(xlabel="x, m", ylabel="y, m", title="from above, heading at each second")
    if isinstance(target, PathTarget):
        right.plot(times, distances_to(motion, target), color=_DONE)
        right.set(ylabel="m", title="distance to where the path is at that time", ylim=(0, None))
    else:
        _over_time(right, motion, target, times)
    right.set(xlabel="s")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    save_figure(figure, out)


def _from_above(
    axes: Any, motion: Motion, target: PathTarget | VelocityProfile, times: np.ndarray
) -> None:
    if isinstance(target, PathTarget):
        axes.plot(*target.points.T, color=_ASKED, ls="--", marker="o", ms=4, label="asked")
    x, y = motion.root_positions[:, :2].T
    axes.plot(x, y, color=_DONE, label="planned")
    seconds = np.searchsorted(times, np.arange(0.0, times[-1] + 1e-6))
    yaw = rot.yaw_of(motion.rotations[seconds, 0])
    axes.quiver(
        x[seconds], y[seconds], np.cos(yaw), np.sin(yaw), color=_DONE, scale=16, width=0.006
    )


def _over_time(axes: Any, motion: Motion, target: VelocityProfile, times: np.ndarray) -> None:
    seconds, done = commands_by_second(motion)
    asked = target.at(times)
    names = ("forward, m/s", "left, m/s", "yaw rate, rad/s")
    for n, (name, color) in enumerate(zip(names, (_DONE, "#d95f0e", "#31a354"), strict=True)):
        axes.plot(times, asked[:, n], color=color, ls="--", lw=1)
        axes.plot(seconds.mean(axis=1), done[:, n], color=color, marker="o", ms=3, label=name)
    axes.set_title("asked (dashed) and planned, means of a second")
