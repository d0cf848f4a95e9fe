"""Errors, speeds and contacts of a robot's trajectory over time, as a picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bvh.foot_contacts import SIDES, runs
from motiontok.plotting import new_figure, save_figure
from motiontok.robots.reports.report import Measurement

__all__ = ["plot_measurement"]

_COLORS = ("#d95f0e", "#2b7bba")


def plot_measurement(
    measurement: Measurement, path: str | os.PathLike[str], *, title: str = ""
) -> None:
    """Draw a measurement over time to a ``.png``, ``.svg`` or ``.pdf``.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(11, 8.5, doing="plotting")
    m = measurement
    frames = len(m.costs)
    time = np.arange(frames) / m.fps
    axes = figure.subplots(5, 1, sharex=True)
    figure.suptitle(title, fontsize=11)

    axes[0].fill_between(time, 100 * m.distances.max(axis=1), color="#dddddd", label="worst joint")
    axes[0].plot(time, 100 * m.distances.mean(axis=1), color="black", lw=1, label="mean")
    axes[0].set_ylabel("position\nerror, cm")
    axes[1].fill_between(
        time, np.degrees(m.angles.max(axis=1)), color="#dddddd", label="worst body"
    )
    axes[1].plot(time, np.degrees(m.angles.mean(axis=1)), color="black", lw=1, label="mean")
    axes[1].set_ylabel("rotation\nerror, deg")
    if len(m.speeds):
        load = 100 * (m.speeds / m.speed_limits).max(axis=1)
        passed = np.arange(1, len(load) + 1) / m.written_fps
        axes[2].plot(passed, load, color="black", lw=1, label="fastest joint")
    axes[2].axhline(100, color="#c0392b", lw=0.8, ls="--")
    axes[2].set_ylabel("joint speed,\n% of limit")
    for side, color in enumerate(_COLORS):
        name = SIDES[side].lower()
        height = 100 * m.corners[:, side, :, 2].min(axis=1)
        axes[3].plot(time, height, color=color, lw=1, label=f"{name} sole")
        standing = m.contacts.heels[:, side] | m.contacts.toes[:, side]
        for start, end in runs(standing):
            axes[3].axvspan(
                time[start], time[end - 1], ymin=0.93 - 0.07 * side, ymax=0.99 - 0.07 * side,
                color=color, lw=0,
            )  # fmt: skip
    axes[3].axhline(0, color="#888888", lw=0.8)
    axes[3].set_ylabel("lowest corner, cm\n(bars: contact)")
    if m.overlaps is not None:
        axes[4].plot(time, 1000 * m.overlaps, color="black", lw=1, label="two bodies overlap")
    axes[4].plot(time, 1000 * m.foot_depths, color="#c0392b", lw=1, label="sole below ground")
    axes[4].plot(time, 1000 * m.foot_hovers, color="#2b7bba", lw=1, label="standing foot hovers")
    axes[4].set_ylabel("depth or\nheight, mm")
    axes[4].set_xlabel("seconds")
    for panel in axes:
        panel.grid(alpha=0.3)
        panel.margins(x=0)
        corner = "center right" if panel is axes[3] else "upper right"
        if panel.get_legend_handles_labels()[0]:  # one frame has no speeds
            panel.legend(fontsize=8, loc=corner, ncols=2)
    for panel in (axes[0], axes[1], axes[2], axes[4]):
        panel.set_ylim(bottom=0)
    save_figure(figure, Path(path))
