"""From joint positions alone (HumanML3D, pose estimators) to a clip with rotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bvh.arrays import check_finite, is_npy, is_pickle, read_npy
from bvh.atomic_write import atomic_path
from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.normalizer.world_axes import world_from_source
from bvh.remarks import remark
from bvh.rotations import (
    Array,
    between,
    conjugate,
    exp,
    from_matrix,
    identity,
    multiply,
    rotate,
)
from bvh.smpl import CANONICAL, NAMES, OFFSETS, PARENTS, Pose, find_up, mean_body

__all__ = [
    "FPS",
    "MODELS",
    "is_positions",
    "pose_of",
    "positions_of",
    "read_positions",
    "solve_positions",
]

FPS = 20.0
"""Frames per second of HumanML3D, whose files state none."""

_FEATURES = 263
MODELS = {3: "joint positions", 2: "HumanML3D features"}
"""What an array is, by its dimensions."""


def is_positions(path: Path) -> bool:
    """Whether a ``.npy`` holds no codes, which are whole numbers in two dimensions.

    What cannot be told is taken for codes, unless it is a pickle.
    """
    if not (is_npy(path) and path.is_file()):
        return False
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
    except (OSError, ValueError):
        return is_pickle(path)
    return dtype.kind not in "iu" or len(shape) != 2


def read_positions(path: Path) -> tuple[Array, str]:
    """Positions ``(frames, 22, 3)`` of SMPL's joints from a ``.npy``, and the array's kind.

    It is ``(frames, 22, 3)``, or HumanML3D's features ``(frames, 263)``.

    Raises:
        BVHError: another shape, no frames, a value that is not finite, or no such file.
    """
    value = read_npy(path)
    try:
        if value.ndim == 3:
            check_finite(value, "joint positions", (len(NAMES), 3))
            return value.astype(np.float64), MODELS[3]
        if value.ndim == 2 and value.dtype.kind == "f":
            check_finite(value, "features", (_FEATURES,))
            return positions_of(value.astype(np.float64)), MODELS[2]
    except BVHError as error:
        raise BVHError(f"{path}: {error}") from None
    raise BVHError(
        f"{path}: no motion: expected floats of shape (frames, {len(NAMES)}, 3) or (frames, "
        f"{_FEATURES}), got {value.dtype} of {value.shape}"
    )


def pose_of(seen: Array, kind: str, *, fps: float | None, up: str | None) -> Pose:
    """Positions ``(frames, 22, 3)`` in metres as a pose of the SMPL family.

    Args:
        seen: of the joints.
        kind: what they are from, in words.
        fps: frames per second; 20 if not given.
        up: axis that points up; found if not given.
    """
    rotations, places = solve_positions(seen)
    found, doubt = (up, "") if up else find_up(rotations[:, 0], seen)
    lengths = np.median(np.linalg.norm(places, axis=-1), axis=0)
    shape = np.linalg.norm(OFFSETS, axis=-1)
    offsets = OFFSETS * (lengths / shape)[:, None]
    remarks = (remark("up-axis", doubt),) if doubt else ()
    return Pose(rotations, seen[:, 0], offsets, fps or FPS, found, kind, remarks, places)


def save_positions(motion: Motion, path: Path) -> None:
    """Write joints ``(frames, 22, 3)`` in SMPL's order, metres, Y up, 20 frames/s, atomically.

    They are those of SMPL's mean body, as HumanML3D's are. From another shape of pelvis and chest a
    reader of positions could not find their tilt.
    """
    _, offsets = mean_body()
    places = motion.resampled(FPS).on_bones(offsets).global_positions()[:, list(CANONICAL)]
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, rotate(conjugate(world_from_source("y")), places).astype(np.float32))


def positions_of(features: Array) -> Array:
    """Positions ``(frames, 22, 3)`` in metres, Y up, of HumanML3D's features ``(frames, 263)``.

    Guo et al. 2022, section 3: the root's turn about Y (half the angle, a frame) and its steps
    in its own heading, its height, then the other joints as seen from the root's heading.
    """
    half = np.concatenate([[0.0], np.cumsum(features[:-1, 0])])
    zero = np.zeros_like(half)
    # World from heading: HumanML3D keeps the turn the other way round.
    turn = np.stack([np.cos(half), zero, -np.sin(half), zero], axis=-1)
    steps = np.zeros((len(features), 3))
    steps[1:, [0, 2]] = features[:-1, 1:3]
    root = np.cumsum(rotate(turn, steps), axis=0)
    joints = features[:, 4:67].reshape(len(features), -1, 3)
    others = rotate(np.broadcast_to(turn[:, None], (*joints.shape[:2], 4)), joints)
    others[..., [0, 2]] += root[:, None, [0, 2]]
    root[:, 1] = features[:, 3]
    return np.concatenate([root[:, None], others], axis=1)


def solve_positions(positions: Array) -> tuple[Array, Array]:
    """Rotations that put SMPL's joints at the given positions, and local positions.

    Pelvis and chest are turned as their three bones are (Kabsch). Other joints are swung onto their
    bone; upper arms and thighs also turn about it, as elbow and knee bend. Heads follow the chest
    on average, hands and toes continue their parent's rotation.

    Args:
        positions: ``(frames, 22, 3)``, any unit and axes.

    Returns:
        Local quaternions ``(frames, 22, 4)`` and local positions ``(frames, 22, 3)``.
    """
    frames = len(positions)
    children = [[j for j, p in enumerate(PARENTS) if p == k] for k in range(len(NAMES))]
    world = identity(frames, len(NAMES))
    for joint, below in enumerate(children):
        parent = world[:, PARENTS[joint]] if joint else identity(frames)
        bones = positions[:, below] - positions[:, joint, None]
        if len(below) > 1:
            world[:, joint] = _fit(OFFSETS[below], bones)
        elif below:
            here = rotate(parent, OFFSETS[below[0]])
            swung = multiply(between(here, bones[:, 0]), parent)
            if NAMES[joint][2:] in _HINGES:
                swung = _twisted(swung, joint, below[0], children[below[0]][0], positions)
            world[:, joint] = swung
        else:
            world[:, joint] = parent
    world[:, _HEAD] = _head(world[:, _CHEST], positions[:, _HEAD] - positions[:, _NECK])
    local = world.copy()
    places = positions.copy()
    for joint, parent_of in enumerate(PARENTS):
        if parent_of >= 0:
            back = conjugate(world[:, parent_of])
            local[:, joint] = multiply(back, world[:, joint])
            places[:, joint] = rotate(back, positions[:, joint] - positions[:, parent_of])
    return local, places


_CHEST, _NECK, _HEAD = (NAMES.index(name) for name in ("Spine3", "Neck", "Head"))


def _head(chest: Array, bone: Array) -> Array:
    """The chest's rotation, swung as the neck's bone ``(frames, 3)`` is from its usual direction.

    The place of a rig's neck joint makes its bone lean by up to 40 degrees. No bone shows the turn
    of the head, so on average it follows the chest.
    """
    usual = np.broadcast_to(rotate(conjugate(chest), bone).mean(axis=0), bone.shape)
    return multiply(between(rotate(chest, usual), bone), chest)


_HINGES = {
    "Hip": np.array([1.0, 0.0, 0.0]),
    "Shoulder": np.array([0.0, -1.0, 0.0]),
}
"""Axis about which knee and left elbow flex, in the T-pose."""
_STIFF = 0.1  # sine of the bend below which a hinge's axis says little


def _twisted(swung: Array, upper: int, lower: int, end: int, positions: Array) -> Array:
    """The swing, turned about the bone so that the hinge below it bends as observed."""
    bone = positions[:, lower] - positions[:, upper]
    size = np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-9)
    bone = bone / size
    after = positions[:, end] - positions[:, lower]
    after = after / np.maximum(np.linalg.norm(after, axis=-1, keepdims=True), 1e-9)
    flex = _HINGES[NAMES[upper][2:]]
    if NAMES[upper] == "R_Shoulder":
        flex = -flex
    rest = rotate(swung, np.broadcast_to(flex, bone.shape))
    rest = rest - bone * (rest * bone).sum(-1, keepdims=True)
    # The cross product's length is the sine of the bend: straight limbs keep the swing.
    seen = np.cross(bone, after) + _STIFF * rest
    x = (rest * seen).sum(-1)
    y = (np.cross(rest, seen) * bone).sum(-1)
    return multiply(exp(np.arctan2(y, x)[:, None] * bone), swung)


def _fit(rest: Array, seen: Array) -> Array:
    """Quaternions ``(frames, 4)`` that turn directions ``rest`` nearest to ``seen`` (Kabsch)."""
    rest = rest / np.linalg.norm(rest, axis=-1, keepdims=True)
    seen = seen / np.maximum(np.linalg.norm(seen, axis=-1, keepdims=True), 1e-9)
    u, _, vt = np.linalg.svd(np.swapaxes(seen, 1, 2) @ rest)
    flip = np.ones((len(seen), 3))
    flip[:, 2] = np.linalg.det(u @ vt)
    return from_matrix((u * flip[:, None]) @ vt)
