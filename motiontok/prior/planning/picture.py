"""A plan seen from above, or over time, beside its task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bvh import rotations as rot
from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data import Start
from motiontok.plotting import new_figure, save_figure
from motiontok.prior.planning.targets import PathTarget, VelocityProfile
from motiontok.prior.planning.tracking import commands_by_second, distances_to
from motiontok.prior.target_poses import TargetPose

__all__ = ["plot_plan"]

_ASKED, _DONE, _POSE = "0.55", "#2b7bba", "#7b3294"


def plot_plan(
    motion: Motion,
    target: PathTarget | VelocityProfile,
    out: Path,
    *,
    waypoints: Array | None = None,
    poses: Sequence[TargetPose] = (),
    discs: Sequence[tuple[float, float, float]] = (),
    end: tuple[float, float, float] | None = None,
) -> None:
    """Draw a decoded plan to a ``.png``, ``.svg`` or ``.pdf``.

    On the left is its way from above, with the heading at each second. On the right is the distance
    from the path's place at each time; for a profile, velocities and yaw rate, as means of a
    second, beside the commanded ones. Poses alone ask for no path: there is no right.

    Args:
        motion: that began at time 0.
        target: of the task.
        out: file.
        waypoints: ``(points, 2)`` of the task, m, by default the target's; others of its points
            are of detours.
        poses: of the task, in the same metres; those of no place are marked where the plan is then.
        discs: x, y and radius (m) of forbidden discs.
        end: x, y (m) and heading (rad) of the end pose.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    alone = isinstance(target, PathTarget) and target.of_poses
    figure = new_figure(6 if alone else 11, 5, doing="drawing the plan")
    ratios = (1.0,) if alone else (1.2, 1.0)
    left, *rest = figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
    times = np.arange(len(motion)) / motion.fps
    if isinstance(target, PathTarget) and not alone:
        _asked(left, target, target.points if waypoints is None else waypoints)
    _from_above(left, motion, times)
    _poses(left, motion, poses)
    angle = np.linspace(0.0, 2.0 * np.pi, 60)
    for n, (x, y, radius) in enumerate(discs):
        ring = x + radius * np.cos(angle), y + radius * np.sin(angle)
        left.fill(*ring, color="#c0392b", alpha=0.3, label="_" if n else "no-go")
    if end is not None:
        x, y, yaw = end
        arrow = {"color": "#c0392b", "scale": 12, "pivot": "tip", "width": 0.008}
        left.quiver(x, y, np.cos(yaw), np.sin(yaw), label="asked end", **arrow)
    left.margins(0.12)
    left.set_aspect("equal", adjustable="datalim")
    left.set(xlabel="x, m", ylabel="y, m", title="from above, heading at each second")
    for right in rest:
        if isinstance(target, PathTarget):
            right.plot(times, distances_to(motion, target), color=_DONE)
            title = "distance to where the path is at that time"
            right.set(ylabel="m", title=title, ylim=(0, None))
        else:
            _over_time(right, motion, target, times)
        right.set(xlabel="s")
    for axes in (left, *rest):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    save_figure(figure, out)


def _asked(axes: Any, path: PathTarget, waypoints: Array) -> None:
    axes.plot(*path.points.T, color=_ASKED, ls="--", label="path")
    axes.plot(*waypoints.T, color=_ASKED, ls="", marker="o", ms=6, label="waypoints")


def _poses(axes: Any, motion: Motion, poses: Sequence[TargetPose]) -> None:
    places = []
    for pose in poses:
        at = pose.frame(0, len(motion), motion.fps)
        places.append(pose.place or Start.of(motion[at : at + 1]))
    if not places:
        return
    x, y, yaw = np.array([[place.x, place.y, place.yaw] for place in places]).T
    axes.plot(x, y, color=_POSE, ls="", marker="s", ms=7, mfc="none", label="poses")
    axes.quiver(x, y, np.cos(yaw), np.sin(yaw), color=_POSE, scale=10, width=0.008)
    for pose, place in zip(poses, places, strict=True):
        # To its right: who walks through a pose comes from behind.
        beside = 16.0 * np.array([np.sin(place.yaw), -np.cos(place.yaw)])
        axes.annotate(
            f"{pose.time:g} s",
            (place.x, place.y),
            xytext=beside,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
            color=_POSE,
        )


def _from_above(axes: Any, motion: Motion, times: np.ndarray) -> None:
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
