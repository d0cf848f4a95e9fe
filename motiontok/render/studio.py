"""pyrender's renderer with a studio's light, one draw call a figure, colour only.

Imported by :mod:`motiontok.render.gl` after it has prepared pyrender.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from OpenGL import GL
from pyrender.renderer import Renderer
from pyrender.shader_program import ShaderProgramCache

from bvh.rotations import Array
from motiontok.render.cameras import View

__all__ = ["SHADOW_TEXELS", "StudioRenderer"]

SHADOW_TEXELS = 1024
"""Side of the square shadow map."""

_SHADERS = Path(__file__).with_name("shaders")
# Yaw from the camera's side (rad) and elevation (rad) of the three lights.
_KEY, _FILL, _RIM = (0.75, 0.95), (-1.0, 0.3), (2.7, 0.5)


class StudioRenderer(Renderer):  # type: ignore[misc]
    """Draws figures and a floor with a key light that casts soft shadows, fill and rim."""

    def __init__(
        self, width: int, height: int, *, figures: Sequence[Any], floor: Any, max_parts: int
    ) -> None:
        super().__init__(width, height)
        self._program_cache = ShaderProgramCache(shader_dir=str(_SHADERS))
        self._figures = list(figures)
        self._floor = floor
        self._max_parts = max_parts
        self._rows: dict[Any, Array] = {}
        self._opacities: Mapping[Any, float] = {}
        self._in_shadow_pass = False

    def stage(
        self,
        *,
        view: View,
        poses: Mapping[Any, Array],
        opacities: Mapping[Any, float],
        background: Array,
        reach: float,
    ) -> None:
        """Set what the next :meth:`render` draws.

        Args:
            view: the camera.
            poses: pyrender mesh -> ``(parts, 4, 4)``.
            opacities: pyrender mesh -> opacity.
            background: ``(3,)`` linear colour into which the floor fades.
            reach: metres at which it has faded.
        """
        self._rows = {
            mesh.primitives[0]: np.ascontiguousarray(p[:, :3], dtype=np.float32)
            for mesh, p in poses.items()
        }
        self._opacities = {mesh.primitives[0]: o for mesh, o in opacities.items()}
        key, fill, rim = (_direction(view.studio + yaw, up) for yaw, up in (_KEY, _FILL, _RIM))
        self._light_v, self._light_p = _shadow_camera(key, view)
        self._uniforms = {
            "key": key,
            "fill": fill,
            "rim": rim,
            "focus": view.target.astype(np.float64),
            "reach": float(reach),
            "background": np.asarray(background, dtype=np.float64),
            "light_matrix": self._light_p @ self._light_v,
        }

    # What follows overrides pyrender's steps, in the order in which it takes them.

    def _get_light_cam_matrices(
        self, scene: Any, light_node: Any, flags: int
    ) -> tuple[Array, Array]:
        return self._light_v, self._light_p

    def _configure_shadow_mapping_viewport(self, light: Any, flags: int) -> None:
        super()._configure_shadow_mapping_viewport(light, flags)
        # pyrender's own size is four times the pixels, for shadows no softer.
        GL.glViewport(0, 0, SHADOW_TEXELS, SHADOW_TEXELS)

    def _shadow_mapping_pass(self, scene: Any, light_node: Any, flags: int) -> None:
        self._in_shadow_pass = True
        super()._shadow_mapping_pass(scene, light_node, flags)
        self._in_shadow_pass = False
        texture = light_node.light.shadow_texture
        texture._bind()
        for name, value in (
            (GL.GL_TEXTURE_COMPARE_MODE, GL.GL_COMPARE_REF_TO_TEXTURE),
            (GL.GL_TEXTURE_COMPARE_FUNC, GL.GL_LEQUAL),
            (GL.GL_TEXTURE_MIN_FILTER, GL.GL_LINEAR),
            (GL.GL_TEXTURE_MAG_FILTER, GL.GL_LINEAR),
        ):
            GL.glTexParameteri(GL.GL_TEXTURE_2D, name, value)
        texture._unbind()

    def _sorted_mesh_nodes(self, scene: Any) -> list[Any]:
        if self._in_shadow_pass:
            return self._figures
        # The floor last: whatever a figure hides of it is then never shaded.
        return [*self._figures, self._floor]

    def _get_primitive_program(self, primitive: Any, flags: int, program_flags: int) -> Any:
        if primitive in self._rows:
            defines = {
                "NORMAL_LOC": 1,
                "TEXCOORD_0_LOC": 2,
                "COLOR_0_LOC": 3,
                "MAX_PARTS": self._max_parts,
            }
            name = "depth" if self._in_shadow_pass else "figure"
            program = self._program_cache.get_program("figure.vert", f"{name}.frag", None, defines)
        else:
            program = self._program_cache.get_program("floor.vert", "floor.frag")
        if not program._in_context():
            program._add_to_context()
        return program

    def _bind_lighting(self, scene: Any, program: Any, node: Any, flags: int) -> None:
        for name, value in self._uniforms.items():
            program.set_uniform(name, value)
        (light,) = scene.directional_light_nodes
        self._bind_texture(light.light.shadow_texture, "shadow_map", program)

    def _bind_and_draw_primitive(
        self, primitive: Any, pose: Array, program: Any, flags: int
    ) -> None:
        rows = self._rows.get(primitive)
        if rows is not None:
            location = GL.glGetUniformLocation(program._program_id, "part_rows")
            GL.glUniform4fv(location, rows.size // 4, rows)
            program.set_uniform("opacity", float(self._opacities.get(primitive, 1.0)))
        super()._bind_and_draw_primitive(primitive, pose, program, flags)

    def _read_main_framebuffer(self, scene: Any, flags: int) -> Array:
        width, height = self._main_fb_dims
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, self._main_fb_ms)
        GL.glBindFramebuffer(GL.GL_DRAW_FRAMEBUFFER, self._main_fb)
        GL.glBlitFramebuffer(
            0, 0, width, height, 0, 0, width, height, GL.GL_COLOR_BUFFER_BIT, GL.GL_NEAREST
        )
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, self._main_fb)
        pixels = GL.glReadPixels(0, 0, width, height, GL.GL_RGB, GL.GL_UNSIGNED_BYTE)
        image = np.frombuffer(pixels, dtype=np.uint8).reshape(height, width, 3)
        return image[::-1]


def _direction(yaw: float, elevation: float) -> Array:
    """Unit vector towards a light."""
    flat = np.cos(elevation)
    return np.array([flat * np.cos(yaw), flat * np.sin(yaw), np.sin(elevation)])


def _shadow_camera(key: Array, view: View) -> tuple[Array, Array]:
    """View and projection ``(4, 4)`` of a light far along ``key`` that sees the figures."""
    right = np.cross([0.0, 0.0, 1.0], key)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(key, right), key
    center = np.array([*view.target[:2], 0.35 * view.span])
    pose[:3, 3] = center + 10.0 * key
    half = view.span
    projection = np.diag([1 / half, 1 / half, -2 / 20.0, 1.0])
    projection[2, 3] = -1.0
    return np.linalg.inv(pose), projection
