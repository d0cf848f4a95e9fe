"""From a file of motion to canonical motion: the one way in, for one file and for thousands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bvh import positions, smpl
from bvh.archives import is_table
from bvh.arrays import is_npy, is_npz, open_npz, refuse_pickle
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.motion import FPS, Motion
from bvh.normalizer import Calibration, Report, examine
from bvh.normalizer.glitches import find_glitches
from bvh.normalizer.plausible import check_stature, find_jumps
from bvh.reading import Reading, Settings, read_clip
from bvh.rigs import rig_of
from bvh.skeleton import JOINTS, root_between_bodies, standing_height
from bvh.sources import read_text

__all__ = [
    "Calibrations",
    "Loaded",
    "archive_kind",
    "examine_clip",
    "has_own_bones",
    "is_trajectory",
    "load_motion",
    "read_motion",
]

Calibrations = Mapping[str, Calibration | None]
"""Calibrations of rigs, by their digests; None if each clip of a rig is measured on itself."""


_OF_SMPL = ("poses", "root_orient", "pose_body", "global_orient", "body_pose")
_OF_ROBOTS = ("qpos", "joint_pos", "body_pos_w", "dof_pos")  # arrays
_SLOWEST, _FASTEST, _FARTHEST = 0.5, 1e4, 1e7  # frames a second; metres


@dataclass(frozen=True, eq=False)
class Loaded:
    """A motion, with remarks on its file.

    Attributes:
        motion: canonical, at 30 frames/s.
        remarks: faults and assumptions, one line each.
        kind: kind of the file, in words.
        report: how its joints were understood; None if they needed no interpretation.
        since: seconds of a clip before frame 0, if this was cut from it.
    """

    motion: Motion
    remarks: tuple[str, ...] = ()
    kind: str = "motion"
    report: Report | None = None
    since: float = 0.0


def load_motion(
    path: str | os.PathLike[str],
    *,
    reading: Reading | None = None,
    calibrations: Calibrations | None = None,
) -> Loaded:
    """Canonical motion of a file, and remarks on it.

    With the same calibrations, every command and data set reads the same motion from a file, to the
    last bit.

    Args:
        path: a BVH file, also gzipped or in a zip archive; a ``.npz`` motion; an ``.npz`` of the
            SMPL family; a ``.npy`` of joint positions or HumanML3D's features; or, with
            ``reading.trajectories``, a robot's ``.csv`` or ``.npz``.
        reading: how to read the file; it overrides a ``bvh.toml`` beside it.
        calibrations: of known rigs; a clip of another rig is measured on itself.

    Raises:
        BVHError: it cannot be read, or is no humanoid; the message names the file.
    """
    path = Path(path)
    reading = Settings(reading).of(path)
    refuse_pickle(path)
    known = None
    if calibrations and not (is_npz(path) or is_npy(path) or is_table(path)):
        known = calibrations.get(rig_of(read_text(path), reading))
    return read_motion(path, reading, known)


def read_motion(path: Path, reading: Reading, calibration: Calibration | None) -> Loaded:
    """:func:`load_motion` with the file's reading and calibration given.

    Values are rounded to single precision, as in the cache. A motion at another rate than 30
    frames/s is resampled.

    Raises:
        BVHError: as :func:`load_motion`.
    """
    if is_table(path):
        loaded = _read_trajectory(path, reading)
    elif is_npz(path):
        loaded = _read_npz(path, reading)
    elif is_npy(path):
        _refuse_body(path, reading)
        seen, kind = positions.read_positions(path)
        pose = positions.pose_of(seen, kind, fps=reading.fps, up=reading.up)
        loaded = _of_pose(pose, path, reading.scale)
    else:
        _refuse_body(path, reading)
        motion, report = examine_clip(read_clip(path, reading), path, reading, calibration)
        loaded = Loaded(motion, report.problems, "BVH clip", report)
    return replace(loaded, motion=_rounded(loaded.motion))


def archive_kind(path: Path) -> str:
    """Kind of an archive by its arrays' names: ``"motion"``, ``"smpl"``, ``"robot"``, or empty.

    Raises:
        BVHError: it is no archive.
    """
    with open_npz(path) as data:
        if any(name in data for name in _OF_ROBOTS):
            return "robot"
        if any(name in data for name in _OF_SMPL):
            return "smpl"
        return "motion" if "joint_names" in data and "rotations" in data else ""


def is_trajectory(path: Path) -> bool:
    """Whether a file holds a robot's trajectory, by its arrays or its name's ending."""
    try:
        return is_table(path) or (is_npz(path) and archive_kind(path) == "robot")
    except BVHError:
        return False  # Whoever reads it says what is wrong.


def has_own_bones(path: Path) -> bool:
    """Whether a file takes no settings for reading: it is a motion, or none at all."""
    if is_npy(path):
        return not positions.is_positions(path)
    try:
        return is_npz(path) and archive_kind(path) != "smpl"
    except BVHError:
        return False  # Whoever reads it says what is wrong.


def _read_npz(path: Path, reading: Reading) -> Loaded:
    kind = archive_kind(path)
    if kind == "smpl":
        pose = smpl.read_smpl(
            path,
            fps=reading.fps,
            up=reading.up,
            height=reading.height,
            body_model=reading.body_model,
        )
        return _of_pose(pose, path, 1.0)
    if kind == "robot":
        return _read_trajectory(path, reading)
    _refuse_body(path, reading)
    if not kind:
        with open_npz(path) as data:
            has = ", ".join(list(data)[:8]) or "none"
        raise BVHError(
            f"{path}: not a motion file: has the arrays {has}, and not those of a motion "
            "(rotations, joint_names), of the SMPL family (poses, trans) or of a robot (qpos)"
        )
    motion = Motion.load(path)
    # With fewer frames a second nothing would be left of a clip.
    if not _SLOWEST <= motion.fps <= _FASTEST:
        raise BVHError(f"{path}: states {motion.fps:g} frames a second, which no motion has")
    for name, value in (("root_positions", motion.root_positions), ("offsets", motion.offsets)):
        if value.size and (far := float(np.abs(value).max())) > _FARTHEST:
            raise BVHError(f"{path}: {name} reach {far:.3g} m, which no body does")
    # Checked while the path is known: later errors could name the motion's source only.
    if not len(motion):
        raise BVHError(f"{path}: motion has no frames")
    try:
        root_between_bodies(motion.offsets, motion.offsets)
    except BVHError as error:
        raise BVHError(f"{path}: {error}") from None
    odd = (
        *find_jumps(motion.root_positions, motion.fps),
        *find_glitches(motion.rotations, motion.fps),
        *check_stature(_height(motion)),
    )
    return Loaded(motion.resampled(FPS), odd)


def _height(motion: Motion) -> float:
    """About that which a clip's report has: hips, trunk and neck, and a head of 18 cm."""
    spine = [JOINTS.index(name) for name in ("Spine", "Spine1", "Spine2", "Neck", "Head")]
    return standing_height(motion.offsets) + float(motion.offsets[spine, 2].sum()) + 0.18


def _read_trajectory(path: Path, reading: Reading) -> Loaded:
    """A robot's file, read by ``reading.trajectories``."""
    _refuse_body(path, reading)
    if reading.trajectories is None:
        raise BVHError(
            f"{path}: a robot's trajectory, which `bvh` alone does not read: "
            "reading=motiontok.robots.reading()"
        )
    loaded = reading.trajectories(path, reading)
    assert isinstance(loaded, Loaded)
    return loaded


def _refuse_body(path: Path, reading: Reading) -> None:
    for option, value in (("height", reading.height), ("body-model", reading.body_model)):
        if value is not None:
            raise BVHError(f"{path}: has bones of its own; leave out --{option}")


def _of_pose(pose: smpl.Pose, path: Path, scale: float | None) -> Loaded:
    """Normalise what is in the joints of the SMPL family, ``scale`` metres a unit, or as found."""
    clip = smpl.clip_of(pose, path.name.removesuffix(path.suffix).removesuffix(".smpl"))
    try:
        motion, report = examine(clip, up="y", scale=scale)
    except BVHError as error:
        reason = str(error).removeprefix(f"{clip.name}: ")
        raise type(error)(f"{path}: {reason}") from None
    report = replace(report, up=pose.up)
    return Loaded(motion, report.problems, pose.model, report)


def examine_clip(
    clip: Clip, path: Path, reading: Reading, calibration: Calibration | None = None
) -> tuple[Motion, Report]:
    """Normalise a file's clip, and report on how it was understood.

    Raises:
        BVHError: it is no humanoid; the message names the file.
    """
    try:
        if calibration is not None:
            # It holds mapping, up axis and scale already.
            return examine(clip, calibration=calibration)
        return examine(clip, mapping=reading.mapping, up=reading.up, scale=reading.scale)
    except BVHError as error:
        # The normaliser knows a clip's name only, which many files may have.
        reason = str(error).removeprefix(f"{clip.name}: ")
        raise type(error)(f"{path}: {reason}") from None


def _rounded(motion: Motion) -> Motion:
    return replace(
        motion,
        rotations=motion.rotations.astype(np.float32),
        root_positions=motion.root_positions.astype(np.float32),
    )
