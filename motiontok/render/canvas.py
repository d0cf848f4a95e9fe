"""The surface actors are drawn on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bvh.rotations import Array
from motiontok.render.actors import Actor
from motiontok.render.cameras import View

__all__ = ["Canvas", "open_canvas"]


class Canvas(Protocol):
    """Draws actors of a fixed cast at a fixed size."""

    def draw(self, poses: Mapping[int, Array], opacities: Mapping[int, float], view: View) -> Array:
        """``(height, width, 3)`` uint8 of the actors in ``poses`` (index -> part poses)."""
        ...

    def close(self) -> None:
        """Free what the canvas holds."""
        ...


def open_canvas(actors: Sequence[Actor], size: tuple[int, int]) -> Canvas:
    """The best canvas this machine has."""
    from motiontok.render.gl import GLCanvas

    return GLCanvas(actors, size)
