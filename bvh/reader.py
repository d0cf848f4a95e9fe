"""Read a BVH file into a :class:`~bvh.clip.Clip`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.hierarchy import POSITION, ROTATION, axes, parse_header
from bvh.rotations import Array, from_euler, identity

__all__ = ["read"]


def read(path: str | os.PathLike[str], *, frames: Literal["header", "rows"] = "header") -> Clip:
    """Read a BVH file.

    Rotation channels are intrinsic rotations composed in file order; a position
    channel replaces that component of the joint's offset.

    Args:
        path: the file.
        frames: what to believe where ``Frames:`` disagrees with the rows of
            numbers: ``"header"`` refuses the file, ``"rows"`` takes the rows.

    Raises:
        BVHError: the file cannot be read; the message names file, line and what
            was expected.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BVHError(f"{path}: {error.strerror}") from None
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    header = parse_header(data, str(path))
    try:
        numbers = np.array([float(t) for t in data[header.data_start :].split()])
    except ValueError as error:
        raise BVHError(f"{path}: {error}") from None
    width = sum(map(len, header.channels))
    rows = len(numbers) // max(width, 1)
    if rows * width != len(numbers) or (frames == "header" and rows != header.frames):
        raise BVHError(
            f"{path}: Frames: says {header.frames}, but there are {rows} rows of {width} numbers"
        )
    rotations, positions = _local_transforms(
        numbers.reshape(rows, width), header.channels, header.offsets
    )
    return Clip(
        names=tuple(header.names),
        parents=tuple(header.parents),
        offsets=header.offsets,
        channels=tuple(header.channels),
        rotations=rotations,
        positions=positions,
        frame_time=header.frame_time,
        end_sites=header.end_sites,
        name=path.stem,
    )


def _local_transforms(
    rows: Array, channels: Sequence[tuple[str, ...]], offsets: Array
) -> tuple[Array, Array]:
    """Quaternions ``(frames, joints, 4)`` and positions ``(frames, joints, 3)`` of the rows."""
    frames, joints = len(rows), len(channels)
    rotations = identity(frames, joints)
    positions = np.broadcast_to(offsets, (frames, joints, 3)).copy()
    by_order: dict[str, list[tuple[int, list[int]]]] = defaultdict(list)
    column = 0
    for joint, names in enumerate(channels):
        turns = []
        for name in names:
            if name in ROTATION:
                turns.append(column)
            else:
                positions[:, joint, POSITION.index(name)] = rows[:, column]
            column += 1
        if turns:
            by_order[axes(names, ROTATION)].append((joint, turns))
    for order, members in by_order.items():
        angles = np.radians(rows[:, [columns for _, columns in members]])
        rotations[:, [joint for joint, _ in members]] = from_euler(angles, order)
    return rotations, positions
