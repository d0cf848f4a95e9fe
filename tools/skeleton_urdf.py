"""Write configs/robots/skeleton.urdf: the canonical skeleton as a robot of hinges.

    python tools/skeleton_urdf.py > configs/robots/skeleton.urdf

An adult in the T-pose, X forward, Z up; ball joints are three hinges, elbows and knees
bend one way, forearms twist. It needs no meshes and no other package, shows motion in
joint angles that a person has, and serves as an example of a robot description.
"""

from __future__ import annotations

import numpy as np

from bvh.skeleton import DEFAULT_OFFSETS, JOINTS

_SPEED = 30.0
_AXES = {"x": "1 0 0", "y": "0 1 0", "z": "0 0 1", "-z": "0 0 -1"}

# Hinges from the body to the end: (name, axis, lower, upper) in radians.
_TRUNK = (("yaw", "z", -1.0, 1.0), ("roll", "x", -0.8, 0.8), ("pitch", "y", -0.8, 1.6))
_NECK = (("yaw", "z", -1.4, 1.4), ("roll", "x", -0.8, 0.8), ("pitch", "y", -1.0, 1.0))
_HIP = (("pitch", "y", -2.3, 0.8), ("roll", "x", -1.2, 1.2), ("yaw", "z", -1.2, 1.2))
_KNEE = (("pitch", "y", -0.05, 2.7),)
_ANKLE = (("pitch", "y", -0.9, 1.0), ("roll", "x", -0.7, 0.7))
_SHOULDER = (("roll", "x", -2.2, 2.2), ("yaw", "z", -2.4, 2.4), ("twist", "y", -1.9, 1.9))


def main() -> None:
    offset = dict(zip(JOINTS, DEFAULT_OFFSETS, strict=True))
    chest = offset["Spine"] + offset["Spine1"]
    parts = ['<?xml version="1.0"?>', "<!-- Written by tools/skeleton_urdf.py. -->"]
    parts += ['<robot name="skeleton">', _link("hips", _box([0.16, 0.22, 0.12], [0, 0, 0.03]))]
    spine = offset["Spine2"]
    parts += _joints("trunk", "hips", "chest", chest, _TRUNK)
    parts += [_link("chest", _box([0.16, 0.22, 0.3], spine + [0, 0, 0.03]))]
    parts += _joints("neck", "chest", "head", spine + offset["Neck"], _NECK)
    parts += [_link("head", _ball(0.1, offset["Head"] + [0, 0, 0.08]))]
    for side in ("Left", "Right"):
        parts += _side(side, {k.removeprefix(side): v for k, v in offset.items()}, spine)
    print("\n".join([*parts, "</robot>"]))


def _side(side: str, offset: dict[str, np.ndarray], spine: np.ndarray) -> list[str]:
    name = side.lower()
    flex = "-z" if side == "Left" else "z"
    toe = offset["Toe"]
    foot = _box([toe[0] + 0.12, 0.09, 0.06], [0.5 * toe[0] + 0.01, 0, toe[2] + 0.01])
    elbow = (("flex", flex, -0.05, 2.6), ("twist", "y", -1.6, 1.6))
    wrist = (("bend", "x", -1.3, 1.3), ("swing", "z", -0.6, 0.6))
    hand = np.array([0, np.sign(offset["Hand"][1]) * 0.16, 0])
    shoulder = spine + offset["Shoulder"] + offset["Arm"]
    bodies = (
        ("hip", "hips", "thigh", offset["UpLeg"], _HIP, _rod(0.055, offset["Leg"])),
        ("knee", "thigh", "shank", offset["Leg"], _KNEE, _rod(0.045, offset["Foot"])),
        ("ankle", "shank", "foot", offset["Foot"], _ANKLE, foot),
        ("shoulder", "chest", "upper_arm", shoulder, _SHOULDER, _rod(0.04, offset["ForeArm"])),
        ("elbow", "upper_arm", "forearm", offset["ForeArm"], elbow, _rod(0.035, offset["Hand"])),
        ("wrist", "forearm", "hand", offset["Hand"], wrist, _rod(0.03, hand)),
    )
    out = []
    for joint, parent, child, at, hinges, shape in bodies:
        above = parent if parent in ("hips", "chest") else f"{name}_{parent}"
        out += _joints(f"{name}_{joint}", above, f"{name}_{child}", at, hinges)
        out.append(_link(f"{name}_{child}", shape))
    return out


def _joints(
    name: str,
    parent: str,
    child: str,
    at: np.ndarray,
    hinges: tuple[tuple[str, str, float, float], ...],
) -> list[str]:
    out, above, origin = [], parent, _numbers(at)
    for index, (hinge, axis, lower, upper) in enumerate(hinges):
        last = index == len(hinges) - 1
        below = child if last else f"{name}_{hinge}_link"
        if not last:
            out.append(f'<link name="{below}"/>')
        out.append(
            f'<joint name="{name}_{hinge}" type="revolute"><parent link="{above}"/>'
            f'<child link="{below}"/><origin xyz="{origin}"/><axis xyz="{_AXES[axis]}"/>'
            f'<limit lower="{lower}" upper="{upper}" effort="100" velocity="{_SPEED}"/></joint>'
        )
        above, origin = below, "0 0 0"
    return out


def _link(name: str, shape: str) -> str:
    return f'<link name="{name}"><visual>{shape}</visual><collision>{shape}</collision></link>'


def _box(size: list[float], center: object) -> str:
    return f'<origin xyz="{_numbers(center)}"/><geometry><box size="{_numbers(size)}"/></geometry>'


def _ball(radius: float, center: object) -> str:
    return f'<origin xyz="{_numbers(center)}"/><geometry><sphere radius="{radius}"/></geometry>'


def _rod(radius: float, bone: np.ndarray) -> str:
    """A cylinder along a bone that runs along one of the axes."""
    length = float(np.linalg.norm(bone))
    turn = "1.5707963 0 0" if abs(bone[1]) > abs(bone[2]) else "0 0 0"
    return (
        f'<origin xyz="{_numbers(np.asarray(bone) / 2)}" rpy="{turn}"/><geometry>'
        f'<cylinder radius="{radius}" length="{length:.6g}"/></geometry>'
    )


def _numbers(values: object) -> str:
    return " ".join(f"{v:.6g}" for v in np.asarray(values, dtype=float) + 0.0)


if __name__ == "__main__":
    main()
