"""A picture of a robot's map, in its zero pose and in the T-pose."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pinocchio as pin
from scipy.spatial import ConvexHull, QhullError

from bvh.rotations import Array
from motiontok.plotting import new_figure, save_figure
from motiontok.robots.model.geometry import points_of
from motiontok.robots.model.robot import Robot
from motiontok.robots.retargeting import retarget, t_pose

__all__ = ["SUFFIXES", "draw_portrait"]

_COLORS = {"Left": "#d55e00", "Right": "#0072b2", "": "#333333"}
_WIDE = 52  # letters
SUFFIXES = (".png", ".svg", ".pdf")


def draw_portrait(robot: Robot, doubts: Sequence[str], path: Path) -> None:
    """Draw a robot from the front and from its right, with numbers where joints are.

    Args:
        robot: calibrated.
        doubts: lines to write beside it.
        path: its ending is one of :data:`SUFFIXES`.

    Raises:
        RobotError: a mesh cannot be read.
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(15, 5.2, doing="drawing a robot")
    panels = figure.subplots(1, 5, width_ratios=[1, 0.8, 1.4, 0.8, 1.5])
    posed = retarget(t_pose(), robot).qpos[0]
    neutral = pin.neutral(robot.model)
    for k, (title, q) in enumerate((("zero pose", neutral), ("T-pose", posed))):
        for panel, view, axis in ((panels[2 * k], "front", 1), (panels[2 * k + 1], "right", 0)):
            _draw(panel, robot, q, axis)
            panel.set_title(f"{title}, from the {view}", fontsize=10)
            panel.set_aspect("equal")
            panel.tick_params(labelsize=7)
    _write(panels[4], robot, doubts)
    figure.suptitle(f"{robot.name}: left orange, right blue", fontsize=11)
    save_figure(figure, path)


def _draw(panel: Any, robot: Robot, q: Array, axis: int) -> None:
    model, calibration = robot.model, robot.calibration
    data = model.createData()
    pin.forwardKinematics(model, data, q)
    joints = dict(zip(calibration.joints, range(len(calibration.joints)), strict=True))
    centers = np.array(
        [
            data.oMi[body].act(point)
            for body, point in zip(calibration.bodies, calibration.translations, strict=True)
        ]
    )
    # The robot faces +X, whatever its description does.
    left = centers[joints["LeftUpLeg"]] - centers[joints["RightUpLeg"]]
    left = left[:2] / np.linalg.norm(left[:2])
    turn = np.array([[left[1], -left[0], 0.0], [left[0], left[1], 0.0], [0.0, 0.0, 1.0]])

    def seen(points: Array) -> Array:
        out: Array = (points @ turn.T)[:, [axis, 2]]
        return out

    for shape in robot.visual.geometryObjects:
        place = data.oMi[shape.parentJoint] * shape.placement
        outline = _outline(seen(points_of(shape) @ place.rotation.T + place.translation))
        panel.fill(*outline.T, color="#d9d9d9", alpha=0.6, lw=0)
    for joint, k in joints.items():
        parent = calibration.parents[k]
        side = next(s for s in _COLORS if joint.startswith(s))
        ends = seen(centers[[k, parent if parent >= 0 else k]])
        panel.plot(*ends.T, color=_COLORS[side], lw=2)
    for foot, sole in calibration.soles.items():
        k = joints[foot]
        local = sole.corners[[0, 1, 3, 2, 0]] @ calibration.rotations[k].T
        place = data.oMi[calibration.bodies[k]]
        corners = (local + calibration.translations[k]) @ place.rotation.T + place.translation
        panel.plot(*seen(corners).T, color="#2ca02c", lw=1.5)
    for joint, k in joints.items():
        side = next(s for s in _COLORS if joint.startswith(s))
        # From the side, the right half hides the left one.
        if axis == 1 or side != "Left":
            at = seen(centers[[k]])[0]
            dot = {"boxstyle": "circle,pad=0.15", "fc": _COLORS[side], "lw": 0}
            panel.text(*at, str(k + 1), fontsize=7, color="white", ha="center", va="center",
                       bbox=dot)  # fmt: skip


def _outline(points: Array) -> Array:
    try:
        out: Array = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        return points
    return out


def _write(panel: Any, robot: Robot, doubts: Sequence[str]) -> None:
    panel.axis("off")
    lines = [
        f"{k + 1:>2} {joint:<13}{robot.map.follow[joint]}"
        for k, joint in enumerate(robot.calibration.joints)
    ]
    lines += ["", "in doubt:" if doubts else "nothing in doubt; soles green"]
    for doubt in doubts:
        lines += textwrap.wrap(f"- {doubt}", _WIDE, subsequent_indent="  ")
    panel.text(0, 1, "\n".join(lines), fontsize=8, family="monospace", va="top",
               transform=panel.transAxes, parse_math=False)  # fmt: skip
