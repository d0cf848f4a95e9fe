"""The surface on which actors are drawn."""

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
    """The best canvas on this machine; warns if it is not OpenGL's."""
    try:
        return _tried(actors, size)
    except MissingDependencyError as error:
        warnings.warn(f"{error}; drawing without OpenGL, more slowly", RenderWarning, stacklevel=3)
    from motiontok.render.software_canvas import SoftwareCanvas

    return SoftwareCanvas(actors, size)


def _tried(actors: Sequence[Actor], size: tuple[int, int]) -> Canvas:
    """An OpenGL canvas that has drawn once: drivers refuse shaders only then."""
    from motiontok.render.cameras import CameraPath
    from motiontok.render.gl_canvas import GLCanvas, one_line

    canvas = GLCanvas(actors, size)
    view = CameraPath("follow", actors, aspect=size[0] / size[1]).at(0.0)
    try:
        canvas.draw({i: a.poses(0) for i, a in enumerate(actors)}, view)
    except Exception as error:
        canvas.close()
        raise MissingDependencyError(f"OpenGL fails here ({one_line(error)})") from None
    return canvas
