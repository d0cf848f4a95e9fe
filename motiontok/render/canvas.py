"""The surface actors are drawn on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Protocol

from bvh.rotations import Array
from motiontok.errors import MissingDependencyError
from motiontok.render.actors import Actor
from motiontok.render.cameras import View

__all__ = ["Canvas", "RenderWarning", "open_canvas"]


class RenderWarning(UserWarning):
    """A picture is drawn, but not in the best way."""


class Canvas(Protocol):
    """Draws actors of a fixed cast at a fixed size."""

    def draw(self, poses: Mapping[int, Array], view: View) -> Array:
        """``(height, width, 3)`` uint8 of the actors in ``poses`` (index -> part poses)."""
        ...

    def close(self) -> None:
        """Free what the canvas holds."""
        ...


def open_canvas(actors: Sequence[Actor], size: tuple[int, int]) -> Canvas:
    """The best canvas this machine has; says so, once, when that is not OpenGL's."""
    from motiontok.render.gl import GLCanvas

    try:
        return GLCanvas(actors, size)
    except MissingDependencyError as error:
        warnings.warn(f"{error}; drawing without OpenGL, more slowly", RenderWarning, stacklevel=2)
    from motiontok.render.software import SoftwareCanvas

    return SoftwareCanvas(actors, size)
