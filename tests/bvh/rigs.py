"""Skeletons of the common families, joint by joint, to put motion on.

Each row is (name, parent, offset, canonical joint whose rotation it takes). Offsets
are in the family's unit, Y up, in the T-pose of the family; sizes are those of
typical files, rounded. ``"<"`` means: turns with its parent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bvh import JOINTS, Clip, Motion
from bvh import rotations as rot

Row = tuple[str, str | None, tuple[float, float, float], str]

_SIDES = (("Left", "L", 1), ("Right", "R", -1))
_CHANNELS = ("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation")


def _both(make: Callable[[str, str, int], list[Row]]) -> list[Row]:
    return [row for word, letter, x in _SIDES for row in make(word, letter, x)]


CMU: list[Row] = [
    ("Hips", None, (0, 0, 0), "Hips"),
    *_both(lambda w, s, x: [
        (f"{s}HipJoint", "Hips", (0, 0, 0), "<"),
        (f"{w}UpLeg", f"{s}HipJoint", (1.8 * x, -1.74, 0.85), f"{w}UpLeg"),
        (f"{w}Leg", f"{w}UpLeg", (2.4 * x, -6.6, 0), f"{w}Leg"),
        (f"{w}Foot", f"{w}Leg", (2.5 * x, -6.9, 0), f"{w}Foot"),
        (f"{w}ToeBase", f"{w}Foot", (0.18 * x, -0.5, 1.98), f"{w}Toe"),
    ]),
    ("LowerBack", "Hips", (0, 0, 0), "Spine"),
    ("Spine", "LowerBack", (0, 2.24, -0.04), "Spine1"),
    ("Spine1", "Spine", (0.05, 2.19, -0.19), "Spine2"),
    ("Neck", "Spine1", (0, 0, 0), "Neck"),
    ("Neck1", "Neck", (-0.1, 1.43, 0.27), "<"),
    ("Head", "Neck1", (0.1, 1.46, -0.32), "Head"),
    *_both(lambda w, s, x: [
        (f"{w}Shoulder", "Spine1", (0, 0, 0), f"{w}Shoulder"),
        (f"{w}Arm", f"{w}Shoulder", (3.25 * x, 0.9, 0.1), f"{w}Arm"),
        (f"{w}ForeArm", f"{w}Arm", (5.1 * x, 0, 0), f"{w}ForeArm"),
        (f"{w}Hand", f"{w}ForeArm", (3.36 * x, 0, 0), f"{w}Hand"),
        (f"{w}FingerBase", f"{w}Hand", (0, 0, 0), "<"),
        (f"{w}HandIndex1", f"{w}FingerBase", (0.7 * x, 0, 0), "<"),
        (f"{s}Thumb", f"{w}Hand", (0, 0, 0), "<"),
    ]),
]  # fmt: skip
"""CMU's motions as cgspeed converted them: units of 1/0.45 inch, no bone to the neck."""

XSENS: list[Row] = [
    ("Hips", None, (0, 0, 0), "Hips"),
    ("Chest", "Hips", (0, 10.1, 0), "Spine"),
    ("Chest2", "Chest", (0, 11.1, 0), "Spine1"),
    ("Chest3", "Chest2", (0, 10, 0), "<"),
    ("Chest4", "Chest3", (0, 10, 0), "Spine2"),
    ("Neck", "Chest4", (0, 14.1, 0), "Neck"),
    ("Head", "Neck", (0, 9.3, 0), "Head"),
    *_both(lambda w, _, x: [
        (f"{w}Collar", "Chest4", (3.1 * x, 7.9, 0), f"{w}Shoulder"),
        (f"{w}Shoulder", f"{w}Collar", (14.4 * x, 0, 0), f"{w}Arm"),
        (f"{w}Elbow", f"{w}Shoulder", (30.8 * x, 0, 0), f"{w}ForeArm"),
        (f"{w}Wrist", f"{w}Elbow", (25.2 * x, 0, 0), f"{w}Hand"),
        (f"{w}Hip", "Hips", (8.2 * x, 0, 0), f"{w}UpLeg"),
        (f"{w}Knee", f"{w}Hip", (0, -42.5, 0), f"{w}Leg"),
        (f"{w}Ankle", f"{w}Knee", (0, -41.5, 0), f"{w}Foot"),
        (f"{w}Toe", f"{w}Ankle", (0, -7.4, 16.7), f"{w}Toe"),
    ]),
]  # fmt: skip
"""Xsens and 100STYLE: centimetres, four chest joints."""

MIXAMO: list[Row] = [
    ("mixamorig:Hips", None, (0, 0, 0), "Hips"),
    ("mixamorig:Spine", "mixamorig:Hips", (0, 9.9, -1.2), "Spine"),
    ("mixamorig:Spine1", "mixamorig:Spine", (0, 11.7, 0), "Spine1"),
    ("mixamorig:Spine2", "mixamorig:Spine1", (0, 13.4, 0), "Spine2"),
    ("mixamorig:Neck", "mixamorig:Spine2", (0, 15.0, 0), "Neck"),
    ("mixamorig:Head", "mixamorig:Neck", (0, 10.3, 3.1), "Head"),
    ("mixamorig:HeadTop_End", "mixamorig:Head", (0, 18.5, 6.6), "<"),
    *_both(lambda w, _, x: [
        (f"mixamorig:{w}Shoulder", "mixamorig:Spine2", (6.1 * x, 9.1, -0.2), f"{w}Shoulder"),
        (f"mixamorig:{w}Arm", f"mixamorig:{w}Shoulder", (12.9 * x, 0, 0), f"{w}Arm"),
        (f"mixamorig:{w}ForeArm", f"mixamorig:{w}Arm", (27.4 * x, 0, 0), f"{w}ForeArm"),
        (f"mixamorig:{w}Hand", f"mixamorig:{w}ForeArm", (27.6 * x, 0, 0), f"{w}Hand"),
        (f"mixamorig:{w}HandThumb1", f"mixamorig:{w}Hand", (2.7 * x, -0.8, 2.5), "<"),
        (f"mixamorig:{w}HandIndex1", f"mixamorig:{w}Hand", (9.1 * x, 0, 2.8), "<"),
        (f"mixamorig:{w}HandIndex2", f"mixamorig:{w}HandIndex1", (3.7 * x, 0, 0), "<"),
        (f"mixamorig:{w}UpLeg", "mixamorig:Hips", (9.1 * x, -6.6, -0.1), f"{w}UpLeg"),
        (f"mixamorig:{w}Leg", f"mixamorig:{w}UpLeg", (0, -40.6, 0), f"{w}Leg"),
        (f"mixamorig:{w}Foot", f"mixamorig:{w}Leg", (0, -42.1, 0), f"{w}Foot"),
        (f"mixamorig:{w}ToeBase", f"mixamorig:{w}Foot", (0, -10.4, 15.7), f"{w}Toe"),
        (f"mixamorig:{w}Toe_End", f"mixamorig:{w}ToeBase", (0, 0, 10.0), "<"),
    ]),
]  # fmt: skip
"""Mixamo with its prefix, fingers and end joints."""

NEURON: list[Row] = [
    ("Hips", None, (0, 0, 0), "Hips"),
    ("Spine", "Hips", (0, 13, 0), "Spine"),
    ("Spine1", "Spine", (0, 11, 0), "Spine1"),
    ("Spine2", "Spine1", (0, 11, 0), "<"),
    ("Spine3", "Spine2", (0, 11, 0), "Spine2"),
    ("Neck", "Spine3", (0, 12, 0), "Neck"),
    ("Head", "Neck", (0, 9, 0), "Head"),
    *_both(lambda w, _, x: [
        (f"{w}Shoulder", "Spine3", (3 * x, 8, 0), f"{w}Shoulder"),
        (f"{w}Arm", f"{w}Shoulder", (14 * x, 0, 0), f"{w}Arm"),
        (f"{w}ForeArm", f"{w}Arm", (28 * x, 0, 0), f"{w}ForeArm"),
        (f"{w}Hand", f"{w}ForeArm", (26 * x, 0, 0), f"{w}Hand"),
        (f"{w}HandThumb1", f"{w}Hand", (3 * x, 0, 3), "<"),
        (f"{w}InHandIndex", f"{w}Hand", (4 * x, 0, 2), "<"),
        (f"{w}UpLeg", "Hips", (10 * x, 0, 0), f"{w}UpLeg"),
        (f"{w}Leg", f"{w}UpLeg", (0, -45, 0), f"{w}Leg"),
        (f"{w}Foot", f"{w}Leg", (0, -42, 0), f"{w}Foot"),
    ]),
]  # fmt: skip
"""Perception Neuron: four spine joints, no toes but an End Site."""

ROKOKO: list[Row] = [
    ("Hips", None, (0, 0, 0), "Hips"),
    ("Spine1", "Hips", (0, 10, 0), "Spine"),
    ("Spine2", "Spine1", (0, 10, 0), "Spine1"),
    ("Spine3", "Spine2", (0, 10, 0), "<"),
    ("Spine4", "Spine3", (0, 10, 0), "Spine2"),
    ("Neck", "Spine4", (0, 18, 0), "Neck"),
    ("Head", "Neck", (0, 10, 0), "Head"),
    *_both(lambda w, _, x: [
        (f"{w}Shoulder", "Spine4", (3 * x, 13, 0), f"{w}Shoulder"),
        (f"{w}Arm", f"{w}Shoulder", (14 * x, 0, 0), f"{w}Arm"),
        (f"{w}ForeArm", f"{w}Arm", (29 * x, 0, 0), f"{w}ForeArm"),
        (f"{w}Hand", f"{w}ForeArm", (26 * x, 0, 0), f"{w}Hand"),
        (f"{w}Thigh", "Hips", (9 * x, -4, 0), f"{w}UpLeg"),
        (f"{w}Shin", f"{w}Thigh", (0, -44, 0), f"{w}Leg"),
        (f"{w}Foot", f"{w}Shin", (0, -42, 0), f"{w}Foot"),
        (f"{w}Toe", f"{w}Foot", (0, -6, 15), f"{w}Toe"),
    ]),
]  # fmt: skip
"""Rokoko."""

SMPL: list[Row] = [
    ("Pelvis", None, (0, 0, 0), "Hips"),
    ("Spine1", "Pelvis", (0, 0.11, -0.03), "Spine"),
    ("Spine2", "Spine1", (0, 0.135, 0.02), "Spine1"),
    ("Spine3", "Spine2", (0, 0.055, 0.0), "Spine2"),
    ("Neck", "Spine3", (0, 0.21, -0.03), "Neck"),
    ("Head", "Neck", (0, 0.09, 0.05), "Head"),
    *_both(lambda _, s, x: [
        (f"{s}_Collar", "Spine3", (0.08 * x, 0.12, -0.02), f"{_}Shoulder"),
        (f"{s}_Shoulder", f"{s}_Collar", (0.11 * x, 0.03, -0.01), f"{_}Arm"),
        (f"{s}_Elbow", f"{s}_Shoulder", (0.26 * x, -0.01, -0.02), f"{_}ForeArm"),
        (f"{s}_Wrist", f"{s}_Elbow", (0.25 * x, 0.01, 0), f"{_}Hand"),
        (f"{s}_Hand", f"{s}_Wrist", (0.08 * x, -0.01, -0.01), "<"),
        (f"{s}_Hip", "Pelvis", (0.07 * x, -0.09, -0.01), f"{_}UpLeg"),
        (f"{s}_Knee", f"{s}_Hip", (0.03 * x, -0.37, 0), f"{_}Leg"),
        (f"{s}_Ankle", f"{s}_Knee", (-0.01 * x, -0.40, -0.04), f"{_}Foot"),
        (f"{s}_Foot", f"{s}_Ankle", (0.04 * x, -0.06, 0.12), f"{_}Toe"),
    ]),
]  # fmt: skip
"""SMPL's joints: metres, a pelvis whose spine joint lies behind, bones off the axes."""

RIGS: dict[str, tuple[list[Row], str]] = {
    "cmu": (CMU, "cmu"),
    "xsens": (XSENS, "cm"),
    "mixamo": (MIXAMO, "cm"),
    "perception-neuron": (NEURON, "cm"),
    "rokoko": (ROKOKO, "cm"),
    "smpl": (SMPL, "m"),
}
"""Family -> skeleton and unit."""


def put_on(rig: list[Row], motion: Motion, metre: float) -> Clip:
    """The rotations of ``motion`` on another skeleton, ``metre`` of its units long per metre."""
    turns = motion.global_transforms()[0][..., [0, 2, 3, 1]]
    names = [row[0] for row in rig]
    parents = [-1 if row[1] is None else names.index(row[1]) for row in rig]
    offsets = np.array([row[2] for row in rig], dtype=float)
    own: list[np.ndarray] = []
    for row, parent in zip(rig, parents, strict=True):
        own.append(own[parent] if row[3] == "<" else turns[:, JOINTS.index(row[3])])
    local = np.stack(own, axis=1)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            local[:, joint] = rot.multiply(rot.conjugate(own[parent]), own[joint])
    positions = np.broadcast_to(offsets, (len(motion), *offsets.shape)).copy()
    positions[:, 0] = metre * motion.root_positions[:, [1, 2, 0]]
    sites = {j: np.array([0.0, -0.06, 0.15]) * metre for j, n in enumerate(names)
             if n in ("LeftFoot", "RightFoot") and j not in parents}  # fmt: skip
    return Clip(
        names=tuple(names),
        parents=tuple(parents),
        offsets=offsets,
        channels=(_CHANNELS, *[_CHANNELS[3:]] * (len(names) - 1)),
        rotations=local,
        positions=positions,
        frame_time=1.0 / motion.fps,
        end_sites=sites,
        name="rig",
    )
