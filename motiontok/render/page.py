"""One tab of the browser: a timeline and figures of its own, and editable tokens."""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from bvh.motion import Motion
from bvh.rotations import Array, from_axis_angle, from_matrix
from motiontok.errors import MotiontokError
from motiontok.render.actors import Actor, Part, moment
from motiontok.render.cameras import CameraPath, heading_of
from motiontok.render.lights import linear
from motiontok.render.playback import Playback
from motiontok.render.token_board import TokenBoard
from motiontok.render.token_editor import TokenEditor

__all__ = ["FOV", "Page", "Rebuild"]

Rebuild = Callable[[Motion], Iterable[tuple[str, Actor]]]
"""Names and new actors after a change of tokens, as they become ready; may take a while."""

FOV = float(np.radians(42.0))
"""Vertical angle of the view."""

_SPEEDS = {"¼ speed": 0.25, "½ speed": 0.5, "full speed": 1.0, "double speed": 2.0}
# Sideways distance of figures, and where captions are above the highest part, in heights.
_SPACING, _ABOVE = 0.75, 0.12
# Width over height of a view in which the usual camera has the tokens from end to end.
_WIDE = 1.35
_UP = np.array([0.0, 0.0, 1.0])


class Page:
    """Plays actors side by side in one tab; :meth:`close` it when the tab is gone.

    Args:
        client: of viser: a tab, or a server for all tabs together.
        actors: name -> actor, at least one; the first is the clock of the frame numbers.
        name: title of the page.
        editor: tokens to show and change, this page's own.
        rebuild: makes the actors after a change.
        edited: name of the tokens' figure, which is marked.
    """

    def __init__(
        self,
        client: Any,
        actors: Mapping[str, Actor],
        *,
        name: str,
        editor: TokenEditor | None = None,
        rebuild: Rebuild | None = None,
        edited: str | None = None,
    ) -> None:
        self._client, self._actors = client, dict(actors)
        first = next(iter(actors.values()))
        self._fps = first.fps
        self._frames = max(len(a) / a.fps for a in actors.values()) * self._fps
        self.playback = Playback(self._frames / self._fps)
        self._path = CameraPath("follow", [first], aspect=1.0)
        self._heading = heading_of(first)
        self._height = max(a.height for a in actors.values())
        self._drawn: tuple[int, bool] | None = None
        self._rebuild, self._editor, self._edited = rebuild, editor, edited
        self._changed = threading.Event()
        self._closed = False
        self.nodes: dict[str, list[Any]] = {}
        self.captions: dict[str, Any] = {}
        self._build_scene()
        self._build_panel(name)
        self.board: TokenBoard | None = None
        if editor is not None:
            self.board = TokenBoard(
                client, editor, distance=0.75 * self._height, on_change=self._changed.set
            )
        self._worker = threading.Thread(target=self._redecode, name="decoder", daemon=True)
        self._worker.start()
        self.update()

    def close(self) -> None:
        """Stop decoding."""
        self._closed = True
        self._changed.set()

    def camera(self, aspect: float) -> tuple[Array, Array]:
        """Camera position and target that show everything in a view of this aspect."""
        far = 1.0 + 0.25 * (len(self._actors) - 1)
        if self._editor is not None:
            far = max(far, 1.15)
        far *= max(1.0, _WIDE / aspect)
        look_at = np.array([0.15, 0.0, 0.42]) * self._height
        away = np.array([1.95, 0.9, 0.58]) * self._height
        # The panel covers the lower part of a narrow view, and the right of a wide one.
        if aspect < 1.0:
            look_at[2] -= 0.25 * far * self._height
        else:
            right = np.cross(-away, _UP)
            look_at += 0.3 * far * self._height * right / np.linalg.norm(right)
        return look_at + far * away, look_at

    def update(self) -> None:
        """Show the current frame, if the page does not yet."""
        now = self.playback.time
        frame = int(now * self._fps + 1e-6)
        state = (frame, self.playback.playing)
        if state == self._drawn:
            return
        self._drawn = state
        with self._client.atomic():
            for name, actor in self._actors.items():
                poses = actor.poses(moment(actor, frame / self._fps))
                turns = from_matrix(poses[:, :3, :3])
                for node, pose, turn in zip(self.nodes[name], poses, turns, strict=True):
                    node.position, node.wxyz = pose[:3, 3], turn
                places = poses[:, :3, 3]
                top = places[:, 2].max() + _ABOVE * self._height
                self.captions[name].position = (*places[:, :2].mean(axis=0), top)
            self._stage.position = (0.0, 0.0, 0.0)
            if self._follow.value:
                target = self._path.at(now).target
                cosine, sine = np.cos(self._heading), np.sin(self._heading)
                # The stage is turned by minus the heading, then moved.
                x, y = target[0] * cosine + target[1] * sine, target[1] * cosine - target[0] * sine
                self._stage.position = (-x, -y, 0.0)
            self._slider.value = frame
            self._play.label = "Pause" if self.playback.playing else "Play"
            text = f"frame **{frame + 1}** of {round(self._frames)}, {now:.2f} s"
            if self.board is not None and self._editor is not None:
                self.board.show(frame)
                window = frame // self._editor.frames_per_window + 1
                text += f", window **{window}** of {len(self._editor.codes)}"
                if self._edited in self.captions:
                    now_is = "edited" if self._editor.changed.any() else self._edited
                    self.captions[self._edited].text = f"▸ {now_is}"
            self._status.content = text

    def _build_scene(self) -> None:
        scene = self._client.scene
        scene.configure_default_lights(cast_shadow=False)
        scene.add_light_directional(
            "/key", intensity=1.2, cast_shadow=True, position=(2.0, 2.5, 5.0)
        )
        # The stage is turned and moved so that the first figure stays at the origin facing +X.
        turn = from_axis_angle(_UP, np.array(-self._heading))
        self._stage = scene.add_frame("/stage", show_axes=False, wxyz=turn)
        scene.add_grid(
            "/stage/floor",
            infinite_grid=True,
            fade_distance=20.0,
            cell_color=(225, 228, 232),
            section_color=(196, 201, 207),
            shadow_opacity=0.3,
        )
        side = np.array([-np.sin(self._heading), np.cos(self._heading)])
        for index, (name, actor) in enumerate(self._actors.items()):
            away = _SPACING * self._height * (index - 0.5 * (len(self._actors) - 1))
            scene.add_frame(f"/stage/{index}", show_axes=False, position=(*(away * side), 0.0))
            self.nodes[name] = [
                scene.add_mesh_trimesh(f"/stage/{index}/{k}", _trimesh(part))
                for k, part in enumerate(actor.meshes(fine=False))
            ]
            self.captions[name] = scene.add_label(
                f"/stage/{index}/caption", name, anchor="bottom-center"
            )

    def _build_panel(self, name: str) -> None:
        gui = self._client.gui
        gui.configure_theme(show_logo=False, show_share_button=False, brand_color=(42, 110, 170))
        gui.set_panel_label(name)
        # Viser has no other way to name a page; an image that is none runs what sets the title.
        title = html.escape(f"document.title = {json.dumps(f'{name} - motiontok')}")
        gui.add_html(f'<img alt="" src="data:," style="display: none" onerror="{title}">')
        self._status = gui.add_markdown("")
        self._slider: Any = gui.add_slider("Frame", 0, max(1, round(self._frames) - 1), 1, 0)
        self._play = gui.add_button("Pause")
        self._speed = gui.add_dropdown("Speed", list(_SPEEDS), initial_value="full speed")
        self._loop = gui.add_checkbox("Loop", True)
        self._follow = gui.add_checkbox("Follow", True)
        self._shown = {name: gui.add_checkbox(f"Show {name}", True) for name in self._actors}

        self._slider.on_update(self._sought)
        self._play.on_click(lambda _: self.playback.toggle())
        self._speed.on_update(self._sped)
        self._loop.on_update(lambda _: setattr(self.playback, "loop", self._loop.value))
        self._follow.on_update(lambda _: self._redraw())
        for name, box in self._shown.items():
            box.on_update(partial(self._show, name))

    # Callbacks run in viser's threads.

    def _sought(self, event: Any) -> None:
        # What this program itself sets has no client behind it.
        if event.client is not None:
            # A timeline that runs on under the hand cannot be dragged.
            self.playback.playing = False
            self.playback.seek((self._slider.value + 0.5) / self._fps)
            self._redraw()

    def _sped(self, _: Any) -> None:
        self.playback.speed = _SPEEDS[self._speed.value]

    def _show(self, name: str, _: Any) -> None:
        for node in (*self.nodes[name], self.captions[name]):
            node.visible = self._shown[name].value

    def _redraw(self) -> None:
        self._drawn = None

    def _redecode(self) -> None:
        """Turn changed tokens into motion while playback continues."""
        while True:
            self._changed.wait()
            self._changed.clear()
            if self._closed:
                return
            if self._editor is None or self._rebuild is None:
                continue
            try:
                for name, actor in self._rebuild(self._editor.motion()):
                    self._actors[name] = actor
                    self._redraw()
                    if self._changed.is_set():
                        break
            except MotiontokError as error:
                self._client.add_notification("Tokens", str(error), color="red")


def _trimesh(part: Part) -> Any:
    import trimesh

    return trimesh.Trimesh(
        vertices=part.vertices,
        faces=part.faces,
        vertex_normals=part.normals,
        vertex_colors=np.column_stack(
            # glTF counts vertex colours as linear light.
            [np.round(255 * linear(part.colors)), np.full(len(part.vertices), 255)]
        ).astype(np.uint8),
        process=False,
    )
