"""Animals on four legs, with the joints of a person and often the names of one."""

from __future__ import annotations

import numpy as np

from bvh import Clip
from bvh import rotations as rot
from bvh.rotations import Array

__all__ = ["ACTIONS", "BUILDS", "animal"]

_CHANNELS = ("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation")
_X = np.array([1.0, 0.0, 0.0])

BUILDS = {
    # trunk, hind: thigh, shin, foot; fore: upper arm, forearm, hand; tail; metres
    "dog": (0.46, (0.17, 0.18, 0.12), (0.15, 0.17, 0.09), 0.30),
    "hound": (0.50, (0.16, 0.19, 0.13), (0.17, 0.10, 0.04), 0.30),  # whose arm begins at the elbow
    "bobtail": (0.44, (0.16, 0.18, 0.13), (0.15, 0.18, 0.08), 0.0),
    "cat": (0.26, (0.10, 0.11, 0.07), (0.09, 0.10, 0.04), 0.25),
    "horse": (1.25, (0.40, 0.42, 0.38), (0.34, 0.42, 0.28), 0.5),
    "cow": (1.30, (0.38, 0.36, 0.30), (0.30, 0.34, 0.24), 0.7),
}
ACTIONS = ("stands", "walks", "trots", "sits")


def animal(build: str, action: str, *, seconds: float = 4.0, unit: float = 100.0) -> Clip:
    """Y up, facing Z; its zero pose stands with straight legs; ``unit`` units a metre."""
    trunk, hind, fore, tail = BUILDS[build]
    width = 0.18 * trunk
    rows: list[tuple[str, str | None, tuple[float, float, float]]] = [
        ("Hips", None, (0, 0, 0)),
        ("Spine", "Hips", (0, 0, 0.1 * trunk)),
        ("Spine1", "Spine", (0, 0, 0.7 * trunk)),
        ("Neck", "Spine1", (0, 0.1 * trunk, 0.25 * trunk)),
        ("Head", "Neck", (0, 0.3 * trunk, 0.25 * trunk)),
    ]
    for side, x in (("Left", width), ("Right", -width)):
        rows += [
            (f"{side}Shoulder", "Spine1", (0.4 * x, 0.0, 0.05 * trunk)),
            (f"{side}Arm", f"{side}Shoulder", (0.6 * x, -0.1 * trunk, 0.1 * trunk)),
            (f"{side}ForeArm", f"{side}Arm", (0, -fore[0], 0)),
            (f"{side}Hand", f"{side}ForeArm", (0, -fore[1], 0)),
            (f"{side}UpLeg", "Hips", (x, -0.05 * trunk, 0)),
            (f"{side}Leg", f"{side}UpLeg", (0, -hind[0], 0)),
            (f"{side}Foot", f"{side}Leg", (0, -hind[1], 0)),
        ]
    if tail:
        rows += [("Tail", "Hips", (0, 0.02, -0.1 * trunk)), ("Tail1", "Tail", (0, 0, -tail / 2))]
    names = [row[0] for row in rows]
    parents = [-1 if row[1] is None else names.index(row[1]) for row in rows]
    offsets = unit * np.array([row[2] for row in rows], dtype=float)
    frames = round(30 * seconds)
    turns = rot.identity(frames, len(rows))
    place = np.zeros((frames, 3))
    phase = np.arange(frames) / 30.0 * {"walks": 6.0, "trots": 12.0}.get(action, 1.0)
    swing = {"walks": 0.35, "trots": 0.5}.get(action, 0.02)

    def turn(joint: str, angle: Array | float) -> None:
        j = names.index(joint)
        about = rot.from_axis_angle(_X, np.broadcast_to(angle, (frames,)))
        turns[:, j] = rot.multiply(turns[:, j], about)

    sits = action == "sits"
    for side, lag in (("Left", 0.0), ("Right", np.pi)):
        hind_swing, fore_swing = swing * np.sin(phase + lag), swing * np.sin(phase + lag + np.pi)
        # Bent as they are in standing: knee forward, hock back, elbow back.
        turn(f"{side}UpLeg", (-1.9 if sits else -0.5) + hind_swing)
        turn(f"{side}Leg", (2.2 if sits else 0.9) + 0.3 * np.abs(hind_swing))
        turn(f"{side}Foot", -1.0 if sits else -0.5)
        turn(f"{side}Arm", (0.8 if sits else 0.35) + fore_swing)
        turn(f"{side}ForeArm", -0.35 - 0.3 * np.abs(fore_swing))
    turn("Hips", -0.9 if sits else 0.03 * np.sin(2 * phase))
    height = 0.9 * sum(hind) + 0.05 * trunk
    place[:, 1] = unit * (0.2 * height if sits else height)
    place[:, 2] = unit * np.arange(frames) / 30.0 * {"walks": 0.9, "trots": 2.0}.get(action, 0.0)
    positions = np.broadcast_to(offsets, (frames, *offsets.shape)).copy()
    positions[:, 0] = place
    ends = {names.index(f"{s}Foot"): np.array([0.0, -hind[2], 0.0]) for s in ("Left", "Right")}
    ends |= {names.index(f"{s}Hand"): np.array([0.0, -fore[2], 0.0]) for s in ("Left", "Right")}
    if tail:
        ends[names.index("Tail1")] = np.array([0.0, 0.0, -tail / 2])
    return Clip(
        names=tuple(names),
        parents=tuple(parents),
        offsets=offsets,
        channels=(_CHANNELS, *[_CHANNELS[3:]] * (len(names) - 1)),
        rotations=turns,
        positions=positions,
        frame_time=1 / 30,
        end_sites={j: unit * end for j, end in ends.items()},
        name=build,
    )
