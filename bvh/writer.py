"""Write a :class:`~bvh.clip.Clip` as a BVH file."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bvh.atomic_write import atomic_path
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.hierarchy import POSITION, ROTATION, axes, channel_fault
from bvh.rotations import Array, angle_between, from_euler, to_euler

__all__ = ["write"]

_UNWRITABLE = re.compile(r"[\r\n{}\ud800-\udfff]|^[ \t\v\f]|[ \t\v\f]$|^$")
_BLOCK = 1 << 16


def write(clip: Clip, path: str | os.PathLike[str], *, decimals: int = 6) -> None:
    """Write a clip as a BVH file, atomically, with each joint's own channels.

    Joints are written depth first, children in the order of the clip. The values of
    every frame have ``decimals`` digits behind the point, angles in degrees; offsets
    and the frame time are written exactly. Numbers have no exponents, which many
    readers do not know. Angles continue over whole turns and do not jump from 180 to -180, so that
    programs that interpolate them turn the short way.

    Args:
        clip: what to write, in any units.
        path: the file; gzipped if its name ends with ``.gz``.
        decimals: digits behind the point of angles and positions.

    Raises:
        BVHError: the clip cannot be stated as BVH (its joints are no tree, a value is
            not finite, a joint moves in a way that its channels cannot say), or the
            file cannot be written.
    """
    _check(clip)
    order = _depth_first(clip)
    text = [*_hierarchy(clip, order), "MOTION", f"Frames: {clip.frames}"]
    text += [f"Frame Time: {_exact(clip.frame_time)}", ""]
    rows = _rows(clip, order, 10.0**-decimals)
    line = " ".join([f"%.{decimals}f"] * rows.shape[1]) + "\n"
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as plain:
            zipped = Path(path).suffix.lower() == ".gz"
            with gzip.open(plain, "wb") if zipped else plain as file:
                file.write("\n".join(text).encode())
                step = max(1, _BLOCK // max(1, rows.shape[1]))
                for start in range(0, len(rows), step):
                    block = rows[start : start + step]
                    file.write((line * len(block) % tuple(block.ravel().tolist())).encode())
    except OSError as error:
        raise BVHError(f"{path}: cannot be written ({error.strerror or error})") from None


def _depth_first(clip: Clip) -> list[int]:
    children: list[list[int]] = [[] for _ in clip.names]
    roots: list[int] = []
    for joint, parent in enumerate(clip.parents):
        if parent >= joint:
            raise BVHError(f"joint {clip.names[joint]} comes before its parent")
        (children[parent] if parent >= 0 else roots).append(joint)
    if len(roots) != 1:
        raise BVHError(f"a BVH file holds one skeleton, the clip has {len(roots)} roots")
    order: list[int] = []
    waiting = roots
    while waiting:
        joint = waiting.pop()
        order.append(joint)
        waiting += reversed(children[joint])
    return order


def _check(clip: Clip) -> None:
    joints = len(clip.names)
    for what, found, expected in (
        ("parents", (len(clip.parents),), (joints,)),
        ("channels", (len(clip.channels),), (joints,)),
        ("offsets", clip.offsets.shape, (joints, 3)),
        ("rotations", clip.rotations.shape, (clip.frames, joints, 4)),
        ("positions", clip.positions.shape, (clip.frames, joints, 3)),
    ):
        if found != expected:
            raise BVHError(f"clip {what}: expected shape {expected}, got {found}")
    if not (clip.frame_time > 0 and np.isfinite(clip.frame_time)):
        raise BVHError(f"clip frame_time: expected a positive number, got {clip.frame_time}")
    for name, channels in zip(clip.names, clip.channels, strict=True):
        if _UNWRITABLE.search(name):
            raise BVHError(f"joint name {name!r} cannot be written to a BVH file")
        if fault := channel_fault(channels):
            raise BVHError(f"joint {name} has {fault}: {' '.join(channels)}")
    for what, values in (("rotation", clip.rotations), ("position", clip.positions)):
        wrong = np.argwhere(~np.isfinite(values))
        if len(wrong):
            frame, joint, _ = wrong[0]
            raise BVHError(f"frame {frame}, joint {clip.names[joint]}: its {what} is not finite")
    if not np.isfinite(clip.offsets).all():
        joint = int(np.argwhere(~np.isfinite(clip.offsets))[0, 0])
        raise BVHError(f"joint {clip.names[joint]}: its offset is not finite")


def _hierarchy(clip: Clip, order: list[int]) -> Iterator[str]:
    yield "HIERARCHY"
    open_joints: list[int] = []
    for joint in order:
        parent = clip.parents[joint]
        while open_joints and open_joints[-1] != parent:
            yield from _close(clip, open_joints.pop(), len(open_joints))
        pad = "\t" * len(open_joints)
        yield f"{pad}{'JOINT' if open_joints else 'ROOT'} {clip.names[joint]}"
        yield pad + "{"
        yield f"{pad}\tOFFSET {_vector(clip.offsets[joint])}"
        yield " ".join([f"{pad}\tCHANNELS {len(clip.channels[joint])}", *clip.channels[joint]])
        open_joints.append(joint)
    while open_joints:
        yield from _close(clip, open_joints.pop(), len(open_joints))


def _close(clip: Clip, joint: int, depth: int) -> Iterator[str]:
    pad = "\t" * depth
    if joint in clip.end_sites:
        yield f"{pad}\tEnd Site"
        yield pad + "\t{"
        yield f"{pad}\t\tOFFSET {_vector(clip.end_sites[joint])}"
        yield pad + "\t}"
    yield pad + "}"


def _rows(clip: Clip, order: list[int], resolution: float) -> Array:
    """The values of every frame, ``(frames, channels)``."""
    columns: list[Array] = []
    for joint in order:
        names = clip.channels[joint]
        angles = iter(_angles(clip, joint).T)
        for name in names:
            if name in ROTATION:
                columns.append(next(angles))
            else:
                columns.append(clip.positions[:, joint, POSITION.index(name)])
        for axis, name in enumerate(POSITION):
            away = np.abs(clip.positions[:, joint, axis] - clip.offsets[joint, axis]) > resolution
            if name not in names and away.any():
                raise BVHError(
                    f"frame {np.argmax(away)}, joint {clip.names[joint]}: it moves off its offset, "
                    f"which needs a channel {name}"
                )
    return np.stack(columns, axis=1) if columns else np.empty((clip.frames, 0))


def _angles(clip: Clip, joint: int) -> Array:
    """Degrees of a joint's rotation channels, ``(frames, rotation channels)``."""
    order = axes(clip.channels[joint], ROTATION)
    q = clip.rotations[:, joint]
    angles = to_euler(q, order) if order else np.empty((len(q), 0))
    if len(order) < 3:
        off = angle_between(from_euler(angles, order), q) > 1e-6
        if off.any():
            raise BVHError(
                f"frame {np.argmax(off)}, joint {clip.names[joint]}: its rotation needs more "
                f"channels than {' '.join(clip.channels[joint]) or 'none'}"
            )
    return np.degrees(np.unwrap(angles, axis=0))


def _vector(values: Array) -> str:
    return " ".join(_exact(v) for v in values)


def _exact(value: float) -> str:
    """The shortest decimal fraction that reads back as ``value``."""
    return np.format_float_positional(value, trim="0")
