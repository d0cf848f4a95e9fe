"""Drawable figures: rigid parts and their poses per frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bvh.rotations import Array

__all__ = ["Actor", "Part", "moment"]


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles that move as one rigid body, in that body's frame.

    Attributes:
        vertices: ``(vertices, 3)`` metres.
        normals: ``(vertices, 3)`` unit normals.
        faces: ``(faces, 3)`` vertex indices, counter-clockwise seen from outside.
        colors: ``(vertices, 3)`` sRGB, 0 to 1.
    """

    vertices: Array
    normals: Array
    faces: Array
    colors: Array

    @classmethod
    def merge(cls, parts: Sequence[Part]) -> Part:
        """One part out of several that share a frame."""
        starts = np.cumsum([0, *(len(p.vertices) for p in parts)])
        return cls(
            vertices=np.concatenate([p.vertices for p in parts]),
            normals=np.concatenate([p.normals for p in parts]),
            faces=np.concatenate([p.faces + s for p, s in zip(parts, starts, strict=False)]),
            colors=np.concatenate([p.colors for p in parts]),
        )


class Actor(Protocol):
    """A figure that moves over time.

    Attributes:
        label: name shown as the caption.
        fps: frames per second of its motion.
        height: standing height in metres, by which cameras frame it.
        opacity: 1 is solid; less is a ghost.
    """

    label: str
    fps: float
    height: float
    opacity: float

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def meshes(self, *, fine: bool = True) -> Sequence[Part]:
        """The parts, always in the same order; coarser ones suffice for small pictures."""
        ...

    def poses(self, frame: float) -> Array:
        """``(parts, 4, 4)`` world_from_part of a frame, or of a moment between two."""
        ...

    def roots(self) -> Array:
        """``(frames, 4, 4)`` world_from_root, X forward: what cameras follow."""
        ...


def moment(actor: Actor, time: float) -> float:
    """The frame, whole or between two, that an actor shows at a time in seconds."""
    # Rounded, for a whole frame is drawn without computing anything.
    return min(round(time * actor.fps, 6), float(len(actor) - 1))
