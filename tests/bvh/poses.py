"""People in every attitude: standing, lying, crawling, on their hands, climbing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bvh import JOINTS, Motion, procedural
from bvh import rotations as rot
from bvh.rotations import Array

__all__ = [
    "POSES",
    "SIDES",
    "attitudes",
    "climbing",
    "crawling",
    "handstand",
    "laid_down",
    "lying",
    "standing",
]

SIDES = ("supine", "prone", "left", "right")

_X, _Y, _Z = np.eye(3)
_TURNS = {
    "supine": rot.from_axis_angle(_Y, -np.pi / 2),
    "prone": rot.from_axis_angle(_Y, np.pi / 2),
    "left": rot.from_axis_angle(_X, -np.pi / 2),
    "right": rot.from_axis_angle(_X, np.pi / 2),
}


def standing(*, seed: int = 0, seconds: float = 4.0) -> Motion:
    """On the spot, waving."""
    return procedural.make("wave", seconds=seconds, seed=seed)


def _posed(motion: Motion, root: Array, place: Array, **turns: tuple[Array, float]) -> Motion:
    """Joints at given angles, and what they did in ``motion`` at a fifth on top."""
    rotations = rot.exp(0.2 * rot.log(motion.rotations))
    for joint, (axis, angle) in turns.items():
        j = JOINTS.index(joint)
        rotations[:, j] = rot.multiply(rot.from_axis_angle(axis, angle), rotations[:, j])
    rotations[:, 0] = rot.multiply(root, rot.exp(0.2 * rot.log(rotations[:, 0])))
    return replace(motion, rotations=rotations, root_positions=place)


def on_floor(motion: Motion, height: float) -> Motion:
    """Lowered or raised as a whole until its lowest joint is at ``height``, metres."""
    low = motion.global_positions()[..., 2].min()
    return replace(motion, root_positions=motion.root_positions + [0.0, 0.0, height - low])


def _hanging(motion: Motion) -> Motion:
    """A body that hardly moves, facing X, its arms along it."""
    count = len(motion)
    breath = 0.003 * np.sin(np.arange(count) / 12.0)
    place = np.zeros((count, 3)) + breath[:, None] * _Z
    return _posed(
        motion,
        rot.identity(),
        place,
        LeftArm=(_X, -1.3),
        RightArm=(_X, 1.3),
    )


def _still(seed: int, seconds: float) -> Motion:
    base = procedural.make("wave", seconds=seconds, seed=seed)
    turns = base.rotations.copy()
    turns[:, 0] = rot.identity()
    return replace(base, rotations=turns)


def lying(side: str = "supine", *, seed: int = 0, seconds: float = 4.0) -> Motion:
    """In place: supine, prone, or on the left or right side; head along -X, or +X prone."""
    body = _hanging(_still(seed, seconds))
    return on_floor(body.moved(_TURNS[side], np.zeros(3)), 0.06)


def laid_down(kind: str, side: str = "supine", *, seed: int = 1) -> Motion:
    """Somebody who walks or hops, turned as a whole: goes along a wall, falls along the body."""
    motion = procedural.make(kind, seconds=4.0, seed=seed)
    return on_floor(motion.moved(_TURNS[side], np.zeros(3)), 0.06)


def handstand(*, seed: int = 0, seconds: float = 4.0) -> Motion:
    """On the hands, in place."""
    motion = _still(seed, seconds)
    body = _posed(
        motion,
        rot.identity(),
        np.zeros((len(motion), 3)),
        LeftArm=(_X, 1.4),
        RightArm=(_X, -1.4),
    )
    return on_floor(body.moved(rot.from_axis_angle(_Y, np.pi), np.zeros(3)), 0.08)


def climbing(height: float = 1.65, *, way: str = "ladder", seed: int = 0) -> Motion:
    """Upright all the time, up by ``height`` metres on a ladder, stairs, or a wall."""
    kind = "walk" if way == "stairs" else "squat"
    motion = procedural.make(kind, seconds=6.0, seed=seed)
    share = np.linspace(0.0, 1.0, len(motion))
    place = motion.root_positions.copy()
    if way == "stairs":
        return replace(motion, root_positions=place + share[:, None] * [0.0, 0.0, height])
    turns = rot.exp(0.4 * rot.log(motion.rotations))
    turns[:, 0] = motion.rotations[:, 0]
    if way == "wall":
        share = np.round(share * 6.0) / 6.0
    for j, sign in ((JOINTS.index("LeftArm"), 1.0), (JOINTS.index("RightArm"), -1.0)):
        swing = 1.0 + 0.4 * sign * np.sin(np.arange(len(motion)) / 6.0)
        turns[:, j] = rot.multiply(rot.from_axis_angle(_Z, -sign * swing), turns[:, j])
    place = place[:1] + share[:, None] * [0.0, 0.0, height]
    return replace(motion, rotations=turns, root_positions=place)


def crawling(*, seed: int = 0, seconds: float = 5.0, speed: float = 0.4) -> Motion:
    """On hands and knees, along the heading."""
    motion = _still(seed, seconds)
    count = len(motion)
    phase = np.arange(count) / 8.0
    body = _posed(
        motion,
        rot.from_axis_angle(_Y, 1.45),
        np.zeros((count, 3)),
        LeftLeg=(_Y, 1.4),
        RightLeg=(_Y, 1.4),
        LeftFoot=(_Y, 0.9),
        RightFoot=(_Y, 0.9),
        LeftArm=(_Z, -1.5),
        RightArm=(_Z, 1.5),
    )
    turns = body.rotations.copy()
    for j, sign in ((JOINTS.index("LeftUpLeg"), 1.0), (JOINTS.index("RightUpLeg"), -1.0)):
        swing = rot.from_axis_angle(_Y, -1.4 + 0.3 * sign * np.sin(phase))
        turns[:, j] = rot.multiply(swing, turns[:, j])
    place = np.arange(count)[:, None] / 30.0 * speed * _X
    motion = replace(body, rotations=turns, root_positions=place)
    lowest = motion.global_positions()[..., 2].min(axis=1)
    return replace(motion, root_positions=place + (0.05 - lowest)[:, None] * _Z)


def attitudes(*, seed: int = 0, seconds: float = 4.0) -> dict[str, Motion]:
    """Held in place, on the floor unless the name says otherwise."""
    motion = _still(seed, seconds)
    nowhere = np.zeros((len(motion), 3))
    legs = {"LeftUpLeg": (_Y, -1.5), "RightUpLeg": (_Y, -1.5)}
    knees = {"LeftLeg": (_Y, 1.5), "RightLeg": (_Y, 1.5)}
    down = {"LeftArm": (_X, -1.3), "RightArm": (_X, 1.3)}
    over = {"LeftArm": (_X, 1.4), "RightArm": (_X, -1.4)}
    forward = {"LeftArm": (_Z, -1.5), "RightArm": (_Z, 1.5)}
    upright, prone = rot.identity(), rot.from_axis_angle(_Y, 1.5)
    out = {
        "sits on the floor": _posed(motion, upright, nowhere, **legs, **down),
        "sits on a chair": _posed(motion, upright, nowhere, **legs, **knees, **down),
        "kneels": _posed(motion, upright, nowhere, **knees, **down),
        "planks": _posed(motion, prone, nowhere, **forward),
        "stands on the head": _posed(motion, rot.from_axis_angle(_Y, np.pi), nowhere, **down),
        "lies in a T-pose": _posed(motion, rot.from_axis_angle(_Y, -np.pi / 2), nowhere),
        "hangs from a bar": _posed(motion, upright, nowhere, **over),
        "lies on a bed": _posed(motion, rot.from_axis_angle(_Y, -np.pi / 2), nowhere, **down),
    }
    high = {"hangs from a bar": 0.8, "lies on a bed": 0.6}
    return {name: on_floor(motion, high.get(name, 0.05)) for name, motion in out.items()}


POSES = {
    "standing": standing,
    "lying": lying,
    "crawling": crawling,
    "handstand": handstand,
    "climbing": climbing,
}
"""One of each attitude."""
