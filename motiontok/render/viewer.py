"""Playback in the browser (viser): timeline, toggles, and tokens one can change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from typing import Any

import numpy as np

from bvh.motion import Motion
from bvh.rotations import from_axis_angle, from_matrix
from motiontok.errors import MissingDependencyError, MotiontokError, RenderError
from motiontok.render.actors import Actor, Part, moment
from motiontok.render.cameras import CameraPath, heading_of
from motiontok.render.lights import linear
from motiontok.render.playback import Playback
from motiontok.render.token_board import TokenBoard
from motiontok.render.token_editor import TokenEditor

__all__ = ["Rebuild", "Viewer"]

Rebuild = Callable[[Motion], Iterable[tuple[str, Actor]]]
"""Names and new actors after tokens changed, as they are ready; may take a while."""

_RATE = 30.0
_SPEEDS = {"¼": 0.25, "½": 0.5, "1": 1.0, "2": 2.0}
# Sideways distance of figures in heights.
_SPACING = 0.75
_UP = np.array([0.0, 0.0, 1.0])


class Viewer:
    """A page that plays actors side by side; close it after use.

    Args:
        actors: name -> actor, at least one; the first is the clock of the frame numbers.
        editor: tokens to show and change.
        rebuild: what to show after a change.
        host: interface to listen on; this machine only by default.
        port: to listen on; the next free one if it is taken.

    Raises:
        MissingDependencyError: viser is not installed.
        RenderError: no actors, or no port can be opened.
    """

    def __init__(
        self,
        actors: Mapping[str, Actor],
        *,
        editor: TokenEditor | None = None,
        rebuild: Rebuild | None = None,
        host: str = "127.0.0.1",
        port: int = 8080,
    ) -> None:
        if not actors:
            raise RenderError("nothing to show: no actors")
        try:
            import viser
        except ModuleNotFoundError:
            raise MissingDependencyError(
                "the viewer needs the package viser: pip install 'motiontok[view]'"
            ) from None
        self._actors = dict(actors)
        first = next(iter(actors.values()))
        self._fps = first.fps
        self._frames = max(len(a) / a.fps for a in actors.values()) * self._fps
        self.playback = Playback(self._frames / self._fps)
        self._path = CameraPath("follow", [first], aspect=1.0)
        self._heading = heading_of(first)
        self._height = max(a.height for a in actors.values())
        self._drawn: tuple[int, bool] | None = None
        self._rebuild = rebuild
        self._editor = editor
        self._changed = threading.Event()
        self._closed = False
        try:
            # Its banner is printed whatever `verbose` says.
            with redirect_stdout(StringIO()):
                self._server = viser.ViserServer(
                    host=host, port=port, label="motiontok", verbose=False
                )
        except OSError as error:
            raise RenderError(f"cannot listen on {host}:{port} ({error.strerror})") from None
        self._build_scene()
        self._build_panel()
        self._board: TokenBoard | None = None
        if editor is not None:
            self._board = TokenBoard(
                self._server, editor, distance=0.75 * self._height, on_change=self._changed.set
            )
        self._worker = threading.Thread(target=self._redecode, name="decoder", daemon=True)
        self._worker.start()
        self.update()

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{self._server.get_host()}:{self._server.get_port()}"

    def run(self) -> None:
        """Play until interrupted."""
        last = time.perf_counter()
        while True:
            time.sleep(max(0.0, last + 1.0 / _RATE - time.perf_counter()))
            now = time.perf_counter()
            self.playback.advance(now - last)
            last = now
            self.update()

    def close(self) -> None:
        """Stop serving."""
        self._closed = True
        self._changed.set()
        self._worker.join(timeout=10.0)
        self._server.stop()

    def update(self) -> None:
        """Show the current frame, if the page does not yet."""
        now = self.playback.time
        frame = int(now * self._fps + 1e-6)
        state = (frame, self.playback.playing)
        if state == self._drawn:
            return
        self._drawn = state
        with self._server.atomic():
            for name, actor in self._actors.items():
                poses = actor.poses(moment(actor, frame / self._fps))
                turns = from_matrix(poses[:, :3, :3])
                for node, pose, turn in zip(self._nodes[name], poses, turns, strict=True):
                    node.position, node.wxyz = pose[:3, 3], turn
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
            if self._board is not None and self._editor is not None:
                self._board.show(frame)
                window = frame // self._editor.frames_per_window + 1
                text += f", window **{window}** of {len(self._editor.codes)}"
            self._status.content = text

    def _build_scene(self) -> None:
        scene = self._server.scene
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
        self._nodes = {}
        for index, (name, actor) in enumerate(self._actors.items()):
            away = _SPACING * self._height * (index - 0.5 * (len(self._actors) - 1))
            scene.add_frame(f"/stage/{index}", show_axes=False, position=(*(away * side), 0.0))
            self._nodes[name] = [
                scene.add_mesh_trimesh(f"/stage/{index}/{k}", _trimesh(part))
                for k, part in enumerate(actor.meshes(fine=False))
            ]
        camera = self._server.initial_camera
        far = 1.0 + 0.25 * (len(self._actors) - 1)
        camera.position = np.array([2.1, 0.9, 1.0]) * self._height * far
        camera.look_at = np.array([0.15, 0.0, 0.42]) * self._height
        camera.fov = float(np.radians(42.0))

    def _build_panel(self) -> None:
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False, brand_color=(42, 110, 170))
        self._status = gui.add_markdown("")
        self._slider: Any = gui.add_slider("Frame", 0, max(1, round(self._frames) - 1), 1, 0)
        self._play = gui.add_button("Pause")
        self._speed = gui.add_button_group("Speed", list(_SPEEDS))
        self._loop = gui.add_checkbox("Loop", True)
        self._follow = gui.add_checkbox("Follow", True)
        self._shown = {name: gui.add_checkbox(f"Show {name}", True) for name in self._actors}

        self._slider.on_update(self._sought)
        self._play.on_click(lambda _: self.playback.toggle())
        self._speed.on_click(self._sped)
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
        for node in self._nodes[name]:
            node.visible = self._shown[name].value

    def _redraw(self) -> None:
        self._drawn = None

    def _redecode(self) -> None:
        """Turn changed tokens into motion, beside the playing."""
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
                for client in self._server.get_clients().values():
                    client.add_notification("Tokens", str(error), color="red")


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
