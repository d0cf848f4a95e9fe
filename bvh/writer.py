"""Write a :class:`~bvh.clip.Clip` as a BVH file."""

from __future__ import annotations

import os

import numpy as np

from bvh.clip import Clip
from bvh.files import atomic_path
from bvh.hierarchy import POSITION, ROTATION, axes
from bvh.rotations import Array, to_euler

__all__ = ["write"]


def write(clip: Clip, path: str | os.PathLike[str]) -> None:
    """Write ``clip`` as a BVH file, atomically, each joint with its own channels."""
    lines = ["HIERARCHY"]
    _joint(clip, 0, 0, lines)
    lines += ["MOTION", f"Frames: {clip.frames}", f"Frame Time: {clip.frame_time:.9g}"]
    columns: list[Array] = []
    for joint, channels in enumerate(clip.channels):
        order = axes(channels, ROTATION)
        if order:
            angles = np.degrees(to_euler(clip.rotations[:, joint], order))
        turn = 0
        for name in channels:
            if name in ROTATION:
                columns.append(angles[:, turn])
                turn += 1
            else:
                columns.append(clip.positions[:, joint, POSITION.index(name)])
    rows = np.stack(columns, axis=1)
    lines += [" ".join(["%.6f"] * rows.shape[1]) % tuple(row) for row in rows]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _joint(clip: Clip, joint: int, depth: int, lines: list[str]) -> None:
    pad = "  " * depth
    kind = "ROOT" if depth == 0 else "JOINT"
    offset = " ".join(f"{v:.6f}" for v in clip.offsets[joint])
    channels = " ".join([str(len(clip.channels[joint])), *clip.channels[joint]])
    lines += [f"{pad}{kind} {clip.names[joint]}", pad + "{"]
    lines += [f"{pad}  OFFSET {offset}", f"{pad}  CHANNELS {channels}"]
    for child, parent in enumerate(clip.parents):
        if parent == joint:
            _joint(clip, child, depth + 1, lines)
    if joint in clip.end_sites:
        end = " ".join(f"{v:.6f}" for v in clip.end_sites[joint])
        lines += [f"{pad}  End Site", pad + "  {", f"{pad}    OFFSET {end}", pad + "  }"]
    lines.append(pad + "}")
