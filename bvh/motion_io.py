"""A file of motion to canonical motion: one way in, for one file and for thousands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bvh.archives import is_lfs_pointer
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.motion import FPS, Motion
from bvh.normalizer import Calibration, Report, examine
from bvh.normalizer.plausible import find_jumps
from bvh.reading import Reading, Settings, read_clip
from bvh.rigs import rig_of
from bvh.sources import read_text

__all__ = ["Calibrations", "Loaded", "examine_clip", "load_motion", "read_motion"]

Calibrations = Mapping[str, Calibration | None]
"""What is known of rigs, by their digests; None where each clip of a rig speaks for itself."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A motion, and what had to be assumed about its file.

    Attributes:
        motion: canonical, at 30 frames/s.
        remarks: what looks wrong or was assumed, one line each.
    """

    motion: Motion
    remarks: tuple[str, ...] = ()


def load_motion(
    path: str | os.PathLike[str],
    *,
    reading: Reading | None = None,
    calibrations: Calibrations | None = None,
) -> Loaded:
    """Canonical motion of a file, and remarks on it.

    A file gives the same motion, to the last bit, whatever command or data set reads it with
    the same calibrations.

    Args:
        path: a BVH file, also gzipped or in a zip archive, or a ``.npz`` motion.
        reading: how a BVH file is to be understood, over a ``bvh.toml`` beside it.
        calibrations: of known rigs; a clip of another one speaks for itself.

    Raises:
        BVHError: it cannot be read, or is no humanoid; the message names the file.
    """
    path = Path(path)
    if not _is_npz(path):
        reading = Settings(reading).of(path)
        known = calibrations.get(rig_of(read_text(path), reading)) if calibrations else None
        return read_motion(path, reading, known)
    return read_motion(path, Reading(), None)


def read_motion(path: Path, reading: Reading, calibration: Calibration | None) -> Loaded:
    """:func:`load_motion` where all that is said and known of the file is at hand.

    Values are rounded to single precision, as they are kept in the cache; a motion at another
    rate than 30 frames/s is resampled.

    Raises:
        BVHError: as :func:`load_motion`.
    """
    if _is_npz(path):
        if is_lfs_pointer(path):
            raise BVHError(f"{path}: a Git LFS pointer, not the motion; run `git lfs pull`")
        motion = Motion.load(path)
        remarks = find_jumps(motion.root_positions, motion.fps)
        return Loaded(_rounded(motion.resampled(FPS)), remarks)
    motion, report = examine_clip(read_clip(path, reading), path, reading, calibration)
    return Loaded(_rounded(motion), report.problems)


def examine_clip(
    clip: Clip, path: Path, reading: Reading, calibration: Calibration | None = None
) -> tuple[Motion, Report]:
    """Normalise a file's clip, and report on how it was understood.

    Raises:
        BVHError: it is no humanoid; the message names the file.
    """
    try:
        if calibration is not None:
            # What is said of the rig is in it.
            return examine(clip, calibration=calibration)
        return examine(clip, mapping=reading.mapping, up=reading.up, scale=reading.scale)
    except BVHError as error:
        # The normaliser knows a clip's name only, which many files may have.
        reason = str(error).removeprefix(f"{clip.name}: ")
        raise type(error)(f"{path}: {reason}") from None


def _is_npz(path: Path) -> bool:
    return path.name.lower().endswith(".npz")


def _rounded(motion: Motion) -> Motion:
    return replace(
        motion,
        rotations=motion.rotations.astype(np.float32),
        root_positions=motion.root_positions.astype(np.float32),
    )
