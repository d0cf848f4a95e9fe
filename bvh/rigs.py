"""Which clips of a set share a rig, and the calibration of each rig.

One clip may not show everything (the pitch of a pelvis that never stands, the twist of an elbow
that never bends), but other clips of its rig do. So clips of one rig are normalised with one
calibration.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bvh.archives import is_table
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.normalizer import Calibration, calibrate
from bvh.normalizer.canonical import from_canonical
from bvh.normalizer.plausible import check_places
from bvh.reading import Reading, read_clip
from bvh.sources import read_text

__all__ = ["File", "Rig", "calibrate_rig", "examine_file", "group", "is_bvh", "rig_of"]

_SAMPLE = 64
"""Clips that a rig is calibrated on, at most."""

_FRAMES, _FRAMES_EACH = 8_000, 1_000
"""Frames that a rig is calibrated on, and those of one clip, at most."""

_MOTION = re.compile(rb"^[ \t]*MOTION\b", re.MULTILINE | re.IGNORECASE)
_FRAME_TIME = re.compile(rb"frames?\s*time\s*:?\s*([^\s]+)", re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """A file of motion.

    Attributes:
        name: its name in the set.
        path: where it lies.
        digest: of its contents, and of the settings it is read with.
        rig: of :func:`rig_of`; empty if it is no BVH file.
        reading: how to read it.
    """

    name: str
    path: Path
    digest: str
    rig: str
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True)
class Rig:
    """The clips that a rig is calibrated on.

    Attributes:
        key: digest of these clips.
        sample: the clips; none for a rig with a single clip.
    """

    key: str
    sample: tuple[File, ...]


def examine_file(path: Path, name: str, reading: Reading | None = None) -> File:
    """Digest a file's contents and skeleton; an unreadable one gets its error's."""
    reading = reading or Reading()
    try:
        data = read_text(path) if is_bvh(path) else path.read_bytes()
    except (BVHError, OSError) as error:
        return File(name, path, _digest(f"unreadable: {error}".encode()), "", reading)
    if is_table(path):
        with suppress(OSError):
            data += path.with_name(f"{path.name}.json").read_bytes()
    if not is_bvh(path):
        return File(name, path, _with(_digest(data), reading), "", reading)
    digest = _with(_digest(data), reading)
    return File(name, path, digest, rig_of(data, reading), reading)


def is_bvh(path: Path) -> bool:
    """Whether the name is that of a BVH file, gzipped or not."""
    return path.name.lower().endswith((".bvh", ".bvh.gz"))


def group(files: Iterable[File]) -> dict[str, Rig]:
    """The rigs of a set by :attr:`File.rig`.

    A rig is calibrated on the clips with the lowest digests. That is as good as a random choice,
    the same in every order, and seldom changes after a few more clips.
    """
    clips: dict[str, list[File]] = defaultdict(list)
    for file in files:
        if file.rig:
            clips[file.rig].append(file)
    rigs = {}
    for rig, members in clips.items():
        sample = sorted(members, key=lambda file: file.digest)[:_SAMPLE]
        key = _digest("".join(file.digest for file in sample).encode())
        rigs[rig] = Rig(key, tuple(sample) if len(sample) > 1 else ())
    return rigs


def calibrate_rig(rig: Rig) -> Calibration | None:
    """Calibrate a rig on its sample; None if each clip is better measured on itself."""
    clips: list[Clip] = []
    frames = 0
    for file in rig.sample:
        try:
            clip = read_clip(file.path, file.reading)
            check_places(clip)
        except BVHError:
            continue  # It is reported where it is normalised; the others can do without it.
        if _plain(file.reading) and from_canonical(clip) is not None:
            return None
        clips.append(_middle(clip))
        frames += clips[-1].frames
        if frames >= _FRAMES:
            break
    try:
        # Clips of one rig are read alike: the settings are part of its digest.
        of = rig.sample[0].reading if rig.sample else Reading()
        if not clips:
            return None
        return calibrate(clips, mapping=of.mapping, up=of.up, scale=of.scale)
    except BVHError:
        # Then no clip of it can be normalised, and each is reported with the reason.
        return None


def _middle(clip: Clip) -> Clip:
    start = max(clip.frames - _FRAMES_EACH, 0) // 2
    part = slice(start, start + _FRAMES_EACH)
    return replace(clip, rotations=clip.rotations[part], positions=clip.positions[part])


def rig_of(data: bytes, reading: Reading) -> str:
    """Digest of a BVH file's hierarchy and frame time, and of how to read it.

    The spacing and the root's offset do not matter. Empty for a file without motion.
    """
    end = _MOTION.search(data)
    if end is None:
        return ""
    tokens = data[: end.start()].split()
    root = next((i for i, token in enumerate(tokens) if token.upper() == b"OFFSET"), len(tokens))
    # Some exporters write there where the clip starts.
    del tokens[root : root + 4]
    if rate := _FRAME_TIME.search(data, end.start(), end.start() + 400):
        tokens.append(rate[1])
    return _with(_digest(b" ".join(tokens)), reading)


def _plain(reading: Reading) -> bool:
    """Whether no setting makes a canonical file be read like any other."""
    return (reading.mapping, reading.up, reading.scale) == (None, None, None)


def _with(digest: str, reading: Reading) -> str:
    said = reading.digest
    return _digest(f"{digest} {said}".encode()) if said else digest


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
