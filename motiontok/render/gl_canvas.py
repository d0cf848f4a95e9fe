"""Drawing with pyrender on EGL: the only module that touches OpenGL.

pyrender's scene graph, buffers, shader cache and off-screen context are used as they
are. Its renderer is specialised in three places, which together make software OpenGL
fast enough for video: a figure is one draw call (its parts' poses are uniforms), the
shaders are small and matte instead of physically based, and depth is not read back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from bvh.rotations import Array
from motiontok.errors import MissingDependencyError, RenderError
from motiontok.render.actors import Actor, Part
from motiontok.render.cameras import View
from motiontok.render.lights import BACKGROUND, linear

if TYPE_CHECKING:
    from motiontok.render.studio import Cast

__all__ = ["GLCanvas", "load_pyrender", "one_line"]

_FIX = (
    "install OpenGL's software renderer (Debian, Ubuntu: "
    "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri)"
)

# Three vectors a part: with the matrices, what every OpenGL 3.3 grants a vertex shader.
_MAX_PARTS = 80
# A coarse shadow map is soft for few samples a pixel, and coarse meshes are drawn fast;
# pictures higher than this many pixels would show both.
_SHADOW_TEXELS, _LARGE = 512, 600


def load_pyrender() -> ModuleType:
    """Import pyrender so that it needs no display and survives numpy 2.

    Raises:
        MissingDependencyError: pyrender or the system's EGL library is missing.
    """
    if sys.platform == "linux":
        os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    # pyrender 0.1.45 predates numpy 2, where this alias is gone.
    vars(np).setdefault("infty", np.inf)
    try:
        import pyrender
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"drawing needs the package {error.name}: pip install 'motiontok[render]'"
        ) from None
    except Exception as error:
        raise MissingDependencyError(f"no OpenGL here ({one_line(error)}); {_FIX}") from None
    return pyrender


class GLCanvas:
    """A scene of actors on a floor, drawn off screen; close it after use.

    Args:
        actors: everything that will be drawn.
        size: width and height of a picture in pixels.

    Raises:
        MissingDependencyError: no OpenGL context can be made.
        RenderError: a figure has too many parts.
    """

    def __init__(self, actors: Sequence[Actor], size: tuple[int, int]) -> None:
        pyrender = load_pyrender()
        from motiontok.render.studio import StudioRenderer

        self._scene = pyrender.Scene(bg_color=[*BACKGROUND, 1.0])
        # The clip planes enclose whatever a human does; the field of view comes with a view.
        self._camera = pyrender.PerspectiveCamera(yfov=0.5, znear=0.2, zfar=120.0)
        self._camera_node = self._scene.add(self._camera)
        key = pyrender.DirectionalLight()
        fine = size[1] > _LARGE
        texels = 2 * _SHADOW_TEXELS if fine else _SHADOW_TEXELS
        key._generate_shadow_texture(texels)
        self._scene.add(key)
        cast = [_cast(pyrender, self._scene, a, fine=fine) for a in actors]
        self._floor = self._scene.add(_floor(pyrender))
        self._offscreen = _offscreen(pyrender, size)
        self._studio = StudioRenderer(
            *size,
            cast=cast,
            floor=self._floor,
            max_parts=_MAX_PARTS,
            shadow_texels=texels,
            smooth_shadows=fine,
        )
        self._offscreen._renderer = self._studio
        self._count = len(cast)
        self._flags = pyrender.RenderFlags.SHADOWS_DIRECTIONAL

    def draw(self, poses: Mapping[int, Array], view: View) -> Array:
        """Draw some of the actors.

        Args:
            poses: actor's index -> ``(parts, 4, 4)``; actors left out are not drawn.
            view: the camera.

        Returns:
            ``(height, width, 3)`` uint8, sRGB.
        """
        self._camera.yfov = float(view.fov)
        self._scene.set_pose(self._camera_node, view.world_from_camera)
        ground = np.eye(4)
        ground[:2, 3] = view.target[:2]
        self._scene.set_pose(self._floor, ground)
        self._studio.stage(view, [poses.get(i) for i in range(self._count)])
        image: Array = self._offscreen.render(self._scene, flags=self._flags)
        return image

    def close(self) -> None:
        """Free the OpenGL context."""
        platform = self._offscreen._platform
        display = getattr(platform, "_egl_display", None)
        if display is None:
            self._offscreen.delete()
            return
        # pyrender terminates the display all EGL contexts share, and with it other canvases.
        from OpenGL import EGL

        platform.make_current()
        self._studio.delete()
        EGL.eglMakeCurrent(display, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, EGL.EGL_NO_CONTEXT)
        EGL.eglDestroyContext(display, platform._egl_context)
        self._offscreen._renderer = self._offscreen._platform = platform._egl_display = None


def _offscreen(pyrender: ModuleType, size: tuple[int, int]) -> Any:
    """pyrender's off-screen context, on the first EGL device that gives one.

    A machine with a GPU that this user may not open lists it first; the software
    renderer comes behind it.
    """
    tries: list[dict[str, str]] = [{}]
    if os.environ.get("PYOPENGL_PLATFORM") == "egl" and "EGL_DEVICE_ID" not in os.environ:
        try:
            from pyrender.platforms.egl import query_devices

            tries = [{"EGL_DEVICE_ID": str(k)} for k in range(len(query_devices()))] or tries
        except Exception:
            # Without device queries there is one default display, which pyrender finds.
            pass
    failure: Exception | None = None
    for extra in tries:
        os.environ.update(extra)
        try:
            return pyrender.OffscreenRenderer(*size)
        except Exception as error:
            failure = failure or error
        finally:
            for key in extra:
                del os.environ[key]
    assert failure is not None
    raise MissingDependencyError(f"no OpenGL context ({one_line(failure)}); {_FIX}") from None


def _cast(pyrender: ModuleType, scene: Any, actor: Actor, *, fine: bool) -> Cast:
    from motiontok.render.studio import Cast

    parts = actor.meshes(fine=fine)
    if len(parts) > _MAX_PARTS:
        raise RenderError(
            f"{actor.label}: {len(parts)} moving parts, at most {_MAX_PARTS} can be drawn"
        )
    whole = Part.merge(parts)
    index = np.repeat(np.arange(len(parts)), [len(p.vertices) for p in parts])
    colors = np.ones((len(whole.vertices), 4))
    colors[:, :3] = linear(whole.colors)
    material = pyrender.MetallicRoughnessMaterial(
        alphaMode="OPAQUE" if actor.opacity >= 1.0 else "BLEND"
    )
    primitive = pyrender.Primitive(
        positions=whole.vertices,
        normals=whole.normals,
        texcoord_0=np.stack([index, np.zeros_like(index)], axis=1),
        color_0=colors,
        indices=whole.faces,
        material=material,
    )
    boxes = np.array([[p.vertices.min(0), p.vertices.max(0)] for p in parts])
    return Cast(
        node=scene.add(pyrender.Mesh([primitive], name=actor.label)),
        centers=boxes.mean(1),
        radii=0.5 * np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1),
        opacity=float(actor.opacity),
    )


def _floor(pyrender: ModuleType) -> Any:
    half = 60.0
    corners = np.array([[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]])
    return pyrender.Mesh([pyrender.Primitive(positions=corners, indices=[[0, 1, 2], [0, 2, 3]])])


def one_line(error: BaseException) -> str:
    """An exception's message, short and without line breaks."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 120 else text[:117] + "..."
