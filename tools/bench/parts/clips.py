"""Clips from file to motion: reading and normalising."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from measuring import foreign, in_turns, table

import bvh
from bvh import procedural

TITLE = "Reading and normalising BVH"


def measure() -> str:
    """Beside NumPy's own reading of the rows, and forward kinematics of the same frames."""
    clips = [foreign(procedural.make("dance", seconds=s, seed=s)) for s in (4, 60)]
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            path = Path(folder) / "clip.bvh"
            bvh.write(clip, path)

            def rows(path: Path = path) -> None:
                with path.open("rb") as lines:
                    for line in lines:
                        if line.startswith(b"Frame Time"):
                            np.loadtxt(lines, comments=None)

            read = bvh.read(path)
            timings = in_turns(
                {
                    "numpy.loadtxt, the rows alone": rows,
                    "bvh.read": lambda path=path: bvh.read(path),
                    "forward kinematics": read.global_positions,
                    "bvh.normalize": lambda read=read: bvh.normalize(read),
                }
            )
            parts.append(
                table(
                    timings,
                    what=f"a clip of {clip.frames} frames",
                    unit="frames",
                    work=clip.frames,
                    against="numpy.loadtxt, the rows alone",
                )
            )
    return "\n\n".join(parts)
