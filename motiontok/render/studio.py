"""pyrender's renderer with a studio's light, one draw call a figure, colour only.

Imported by :mod:`motiontok.render.gl_canvas` after it has prepared pyrender.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from OpenGL import GL
from pyrender.renderer import Renderer
from pyrender.shader_program import ShaderProgramCache

from bvh.rotations import Array
from motiontok.render.cameras import View
from motiontok.render.lights import (
    AMBIENT_GROUND,
    AMBIENT_SKY,
    BACKGROUND,
    FLOOR_REACH,
    SHADOW,
    Studio,
    linear,
)

__all__ = ["Cast", "StudioRenderer"]

_SHADERS = Path(__file__).with_name("shaders")


@dataclass(frozen=True, eq=False)
class Cast:
    """A figure in the scene.

    Attributes:
        node: its pyrender node; the mesh's vertices carry their part's index.
        centers: ``(parts, 3)`` centres of spheres that hold the parts.
        radii: ``(parts,)`` their radii, metres.
        opacity: 1 is solid; less is a ghost, which casts no shadow.
    """

    node: Any
    centers: Array
    radii: Array
    opacity: float


class StudioRenderer(Renderer):  # type: ignore[misc]
    """Draws figures and a floor with a key light that casts soft shadows, fill and rim."""

    def __init__(
        self,
        width: int,
        height: int,
        *,
        cast: Sequence[Cast],
        floor: Any,
        max_parts: int,
        shadow_texels: int,
        smooth_shadows: bool,
    ) -> None:
        super().__init__(width, height)
        self._shadow_texels = shadow_texels
        self._program_cache = ShaderProgramCache(shader_dir=str(_SHADERS))
        self._cast = list(cast)
        self._floor = floor
        self._opacities = {c.node.mesh.primitives[0]: c.opacity for c in cast}
        self._defines = {
            "NORMAL_LOC": 1,
            "TEXCOORD_0_LOC": 2,
            "COLOR_0_LOC": 3,
            "MAX_PARTS": max_parts,
        }
        if smooth_shadows:
            self._defines["SMOOTH_SHADOWS"] = 1
        self._rows: dict[Any, Array] = {}
        self._in_shadow_pass = False

    def stage(self, view: View, poses: Sequence[Array | None]) -> None:
        """Set what the next :meth:`render` draws.

        Args:
            view: the camera.
            poses: of each figure of the cast ``(parts, 4, 4)``, or None if it is away.
        """
        lights = Studio.around(view.studio)
        self._rows = {}
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        slope = lights.key[:2] / lights.key[2]
        for figure, pose in zip(self._cast, poses, strict=True):
            figure.node.mesh.is_visible = pose is not None
            if pose is None:
                continue
            self._rows[figure.node.mesh.primitives[0]] = np.ascontiguousarray(
                pose[:, :3], dtype=np.float32
            )
            if figure.opacity < 1.0:
                continue
            centers = np.einsum("pij,pj->pi", pose[:, :3, :3], figure.centers) + pose[:, :3, 3]
            spots = centers[:, :2] - slope * centers[:, 2:]
            reach = (figure.radii / lights.key[2])[:, None]
            low = np.minimum(low, (spots - reach).min(0))
            high = np.maximum(high, (spots + reach).max(0))
        self._light_v, self._light_p = _shadow_camera(lights.key, view)
        self._uniforms = {
            "key": lights.key,
            "fill": lights.fill,
            "rim": lights.rim,
            "key_color": lights.key_color,
            "fill_color": lights.fill_color,
            "rim_color": lights.rim_color,
            "ambient_ground": AMBIENT_GROUND,
            "ambient_sky": AMBIENT_SKY,
            "background": linear(BACKGROUND),
            "shadow_depth": float(SHADOW),
            "shadow_area": np.array([*low, *high]),
            "focus": np.asarray(view.target, dtype=float),
            "reach": float(FLOOR_REACH + view.span),
            "light_matrix": self._light_p @ self._light_v,
        }

    # What follows overrides pyrender's steps, in the order in which it takes them.

    def _get_light_cam_matrices(
        self, scene: Any, light_node: Any, flags: int
    ) -> tuple[Array, Array]:
        return self._light_v, self._light_p

    def _configure_shadow_mapping_viewport(self, light: Any, flags: int) -> None:
        super()._configure_shadow_mapping_viewport(light, flags)
        GL.glViewport(0, 0, self._shadow_texels, self._shadow_texels)

    def _shadow_mapping_pass(self, scene: Any, light_node: Any, flags: int) -> None:
        self._in_shadow_pass = True
        if any(o >= 1.0 and p in self._rows for p, o in self._opacities.items()):
            super()._shadow_mapping_pass(scene, light_node, flags)
        else:
            self._configure_shadow_mapping_viewport(light_node.light, flags)
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
        solid = [c.node for c in self._cast if c.opacity >= 1.0]
        ghosts = [c.node for c in self._cast if c.opacity < 1.0]
        if self._in_shadow_pass:
            return solid
        # What solid figures hide of the floor is never shaded; ghosts are blended over it.
        return [*solid, self._floor, *ghosts]

    def _get_primitive_program(self, primitive: Any, flags: int, program_flags: int) -> Any:
        if primitive in self._rows:
            name = "depth" if self._in_shadow_pass else "figure"
            defines = self._defines
        else:
            name, defines = "floor", {}
        program = self._program_cache.get_program(f"{name}.vert", f"{name}.frag", None, defines)
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
        draw = super()._bind_and_draw_primitive
        rows = self._rows.get(primitive)
        if rows is None:
            draw(primitive, pose, program, flags)
            return
        location = GL.glGetUniformLocation(program._program_id, "part_rows")
        GL.glUniform4fv(location, rows.size // 4, rows)
        opacity = self._opacities[primitive]
        if self._in_shadow_pass or opacity >= 1.0:
            program.set_uniform("opacity", 1.0)
            draw(primitive, pose, program, flags)
            return
        # Depth first, so that a ghost is one veil and does not show its own far side.
        GL.glColorMask(False, False, False, False)
        draw(primitive, pose, program, flags)
        GL.glColorMask(True, True, True, True)
        GL.glDepthFunc(GL.GL_LEQUAL)
        program.set_uniform("opacity", float(opacity))
        draw(primitive, pose, program, flags)
        GL.glDepthFunc(GL.GL_LESS)

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


def _shadow_camera(key: Array, view: View) -> tuple[Array, Array]:
    """View and projection ``(4, 4)`` of a light far along ``key`` that sees the figures."""
    right = np.cross([0.0, 0.0, 1.0], key)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(key, right), key
    distance = 4.0 * view.span
    pose[:3, 3] = [*view.target[:2], 0.35 * view.span] + distance * key
    projection = np.diag([1 / view.span, 1 / view.span, -1 / distance, 1.0])
    projection[2, 3] = -1.0
    return np.linalg.inv(pose), projection
