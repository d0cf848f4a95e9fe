"""A mannequin on the canonical skeleton: needs a motion and no robot package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array, align_signs, slerp, to_matrix
from bvh.skeleton import JOINTS
from motiontok.errors import RenderError
from motiontok.render.actors import Part
from motiontok.render.solids import BODY, JOINT, LEFT, RIGHT, VISOR, Color, hull_of_spheres

__all__ = ["MannequinActor"]

Sphere = tuple[Sequence[float] | Array, float]

# Radii below are those of an adult of this height (hips to head joint and both legs).
_REFERENCE = 1.55
# Centres along the visor, which bends around the head.
_FACE = [(0.028 + 0.062 * np.cos(a), 0.062 * np.sin(a)) for a in np.radians([-52, -26, 0, 26, 52])]


class MannequinActor:
    """A :class:`bvh.Motion` drawn as a jointed mannequin.

    Args:
        motion: the motion, at least one frame.
        label: caption; the motion's source name if not given.
        opacity: 1 is solid; less is a ghost.

    Raises:
        RenderError: the motion has no frames.
    """

    def __init__(self, motion: Motion, *, label: str | None = None, opacity: float = 1.0) -> None:
        if not len(motion):
            raise RenderError(f"{motion.source.name}: the motion has no frames to draw")
        self.label = motion.source.name if label is None else label
        self.fps = motion.fps
        self.opacity = opacity
        self._offsets = motion.offsets
        rest = _rest_positions(motion.offsets)
        self.height = float(np.ptp(rest[:, 2])) + 0.22
        self._motion = motion
        self._poses = _placements(motion)

    def __len__(self) -> int:
        return len(self._poses)

    def meshes(self, *, fine: bool = True) -> list[Part]:
        """One part a canonical joint."""
        scale = float(np.clip((self.height - 0.22) / _REFERENCE, 0.3, 3.0))
        return [Part.merge(_shape(name, self._offsets, scale, fine)) for name in JOINTS]

    def poses(self, frame: float) -> Array:
        """``(22, 4, 4)`` world_from_joint of a frame, or of a moment between two."""
        before = int(frame)
        part = frame - before
        if not part:
            out: Array = self._poses[before]
            return out
        motion, after = self._motion, before + 1
        hips = (1.0 - part) * motion.root_positions[before] + part * motion.root_positions[after]
        start, end = align_signs(motion.rotations[[before, after]])
        between = Motion(hips[None], slerp(start, end, part)[None], motion.offsets)
        return _placements(between)[0]

    def roots(self) -> Array:
        """``(frames, 4, 4)`` world_from_hips."""
        out: Array = self._poses[:, 0]
        return out


def _placements(motion: Motion) -> Array:
    """``(frames, 22, 4, 4)`` world_from_joint."""
    rotations, positions = motion.global_transforms()
    out = np.zeros((len(motion), len(JOINTS), 4, 4))
    out[..., :3, :3], out[..., :3, 3], out[..., 3, 3] = to_matrix(rotations), positions, 1.0
    return out


def _rest_positions(offsets: Array) -> Array:
    """Joint positions ``(22, 3)`` of the T-pose with the hips at the origin."""
    from bvh.skeleton import PARENTS

    out = np.zeros_like(offsets)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            out[joint] = out[parent] + offsets[joint]
    return out


def _shape(name: str, offsets: Array, scale: float, fine: bool) -> list[Part]:
    """The solids of one joint, in its frame (parallel to the world in the T-pose)."""

    def to(child: str) -> Array:
        out: Array = offsets[JOINTS.index(child)]
        return out

    def hull(color: Color, *spheres: Sphere, axis: Array | None = None) -> Part:
        solids = [(np.asarray(c, dtype=float), r * scale) for c, r in spheres]
        if axis is None:
            axis = solids[-1][0] - solids[0][0]
        return hull_of_spheres(solids, color, axis=axis, fine=fine)

    side = name.removeprefix("Left").removeprefix("Right")
    left = name.startswith("Left")
    tint = LEFT if left else RIGHT
    prefix = "Left" if left else "Right"
    out = 1.0 if left else -1.0
    s = scale
    if name == "Hips":
        l_hip, r_hip = to("LeftUpLeg"), to("RightUpLeg")
        top = 0.6 * to("Spine")
        return [
            hull(
                BODY,
                (0.72 * l_hip + [0, 0, 0.015 * s], 0.082),
                (0.72 * r_hip + [0, 0, 0.015 * s], 0.082),
                (top + [0, 0.04 * s, 0], 0.085),
                (top + [0, -0.04 * s, 0], 0.085),
            ),
        ]
    if name == "Spine":
        tip = to("Spine1")
        return [hull(JOINT, ([0, 0.035 * s, 0], 0.088), ([0, -0.035 * s, 0], 0.088), (tip, 0.08))]
    if name == "Spine1":
        tip = to("Spine2")
        return [
            hull(
                BODY,
                ([0, 0.045 * s, 0.02 * s], 0.088),
                ([0, -0.045 * s, 0.02 * s], 0.088),
                (tip + [0, 0.05 * s, -0.01 * s], 0.095),
                (tip + [0, -0.05 * s, -0.01 * s], 0.095),
            )
        ]
    if name == "Spine2":
        neck = to("Neck")
        high = neck * 0.72
        wide = 0.085 * s
        return [
            hull(
                BODY,
                ([0.01 * s, 0.055 * s, 0.03 * s], 0.1),
                ([0.01 * s, -0.055 * s, 0.03 * s], 0.1),
                (high + [0.0, wide, -0.02 * s], 0.085),
                (high + [0.0, -wide, -0.02 * s], 0.085),
                (high, 0.07),
            )
        ]
    if name == "Neck":
        return [hull(JOINT, ([0, 0, -0.02 * s], 0.05), (to("Head"), 0.045))]
    if name == "Head":
        return [
            hull(
                BODY,
                ([0.05 * s, 0, -0.005 * s], 0.042),
                ([0.0, 0, 0.1 * s], 0.084),
                ([0.028 * s, 0, 0.105 * s], 0.08),
            ),
            hull(VISOR, *(([x * s, y * s, 0.095 * s], 0.026) for x, y in _FACE)),
        ]
    if side == "Shoulder":
        arm = to(prefix + "Arm")
        return [hull(BODY, (0.3 * arm, 0.055), (0.75 * arm, 0.05))]
    if side == "Arm":
        tip = to(prefix + "ForeArm")
        return [
            hull(JOINT, ([0, 0, 0], 0.056), axis=tip),
            hull(tint, (0.14 * tip, 0.049), (tip, 0.038)),
        ]
    if side == "ForeArm":
        tip = to(prefix + "Hand")
        return [
            hull(JOINT, ([0, 0, 0], 0.043), axis=tip),
            hull(tint, (0.13 * tip, 0.038), (tip, 0.028)),
        ]
    if side == "Hand":
        y = out * s
        return [
            hull(JOINT, ([0, 0, 0], 0.03)),
            hull(
                tint,
                ([0, 0.02 * y, 0], 0.024),
                ([0.026 * s, 0.075 * y, 0], 0.017),
                ([-0.026 * s, 0.075 * y, 0], 0.017),
                ([0.012 * s, 0.155 * y, -0.004 * s], 0.012),
                ([-0.014 * s, 0.15 * y, -0.004 * s], 0.012),
            ),
            hull(tint, ([0.025 * s, 0.04 * y, 0], 0.014), ([0.06 * s, 0.08 * y, 0], 0.011)),
        ]
    if side == "UpLeg":
        tip = to(prefix + "Leg")
        return [
            hull(JOINT, ([0, 0, 0], 0.08), axis=tip),
            hull(tint, (0.11 * tip, 0.074), (tip, 0.05)),
        ]
    if side == "Leg":
        tip = to(prefix + "Foot")
        return [
            hull(JOINT, ([0, 0, 0], 0.056), axis=tip),
            hull(tint, (0.1 * tip, 0.048), (0.33 * tip, 0.051), (tip, 0.034)),
        ]
    toe = to(prefix + "Toe") if side == "Foot" else np.zeros(3)
    if side == "Foot":
        flat = np.array([0.0, 0.0, toe[2]])
        return [
            hull(JOINT, ([0, 0, 0], 0.04)),
            hull(
                tint,
                ([0, 0, 0], 0.037),
                (flat + [-0.05 * s, 0.012 * s, 0], 0.026),
                (flat + [-0.05 * s, -0.012 * s, 0], 0.026),
                (toe + [0, 0.024 * s, 0], 0.024),
                (toe + [0, -0.024 * s, 0], 0.024),
            ),
        ]
    return [
        hull(
            tint,
            ([0, 0.024 * s, 0], 0.024),
            ([0, -0.024 * s, 0], 0.024),
            ([0.055 * s, 0.016 * s, -0.004 * s], 0.02),
            ([0.055 * s, -0.016 * s, -0.004 * s], 0.02),
        )
    ]
