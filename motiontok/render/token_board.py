"""Tokens as tiles on the floor of the browser's scene: the current window lit, all clickable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from bvh.rotations import Array
from motiontok.render.lights import linear
from motiontok.render.overlay import token_color
from motiontok.render.token_editor import TokenEditor

__all__ = ["TokenBoard"]

# Windows shown before and after the current one.
_AROUND = 2
_ROWS = 2 * _AROUND + 1
_WIDTH, _DEPTH, _GAP = 2.6, 0.13, 0.88
_DIM, _SHADE = 0.35, 0.55
# The board leans towards whoever looks at it.
_LEAN = np.radians(28.0)


class TokenBoard:
    """Tiles and the panel's controls for the tokens of an editor.

    Args:
        client: of viser, a tab or a server; the tiles lie in front of its origin, facing +X.
        editor: the tokens.
        distance: metres from the origin.
        on_change: called after every change, in one of viser's threads.
    """

    def __init__(
        self,
        client: Any,
        editor: TokenEditor,
        *,
        distance: float,
        on_change: Callable[[], None],
    ) -> None:
        self._client, self._editor = client, editor
        self._on_change = on_change
        self._lock = threading.Lock()
        self._window = -1
        self._place: tuple[int, int] | None = None
        positions = editor.codes.shape[1]
        pitch = min(0.12, _WIDTH / positions)
        row, column = (a.ravel() for a in np.indices((_ROWS, positions)))
        centers = np.zeros((len(row), 3), dtype=np.float32)
        # Time runs away from the viewer, positions from left to right as seen from +X.
        centers[:, 0] = (_AROUND - row) * _DEPTH
        centers[:, 1] = (column - 0.5 * (positions - 1)) * pitch
        box = _box(_GAP * _DEPTH, _GAP * pitch, 0.02)
        half = 0.5 * _LEAN
        self._tiles = client.scene.add_batched_meshes_simple(
            "/tokens",
            *box,
            batched_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (len(row), 1)),
            batched_positions=centers,
            batched_colors=np.zeros((len(row), 3), dtype=np.uint8),
            batched_opacities=np.ones(len(row), dtype=np.float32),
            batched_scales=np.ones((len(row), 3), dtype=np.float32),
            flat_shading=True,
            lod="off",
            cast_shadow=False,
            wxyz=(np.cos(half), 0.0, np.sin(half), 0.0),
            position=(distance, 0.0, 0.16),
        )
        self._tiles.on_click(self._clicked)
        gui = client.gui
        with gui.add_folder("Tokens"):
            self._text = gui.add_markdown("Click a tile to swap its token for another.")
            # Bounds of its own would put a wrong number right without a word.
            self._value = gui.add_number("Value", 0, step=1, disabled=True)
            self._save = gui.add_button("Save codes", visible=editor.can_be_saved)
            self._undo = gui.add_button("Restore all", disabled=True)
        self._value.on_update(self._typed)
        self._save.on_click(lambda _: self.save())
        self._undo.on_click(lambda _: self.restore())

    def show(self, frame: int) -> None:
        """Light the window of a frame."""
        window = frame // self._editor.frames_per_window
        if window != self._window:
            self._window = window
            self._paint()

    def swap(self, window: int, position: int) -> None:
        """Swap a token, like a click on its tile."""
        with self._lock:
            self._editor.swap(window, position)
            self._place = (window, position)
        self._changed()

    def type(self, value: float) -> None:
        """Give the last clicked token a value; the page reports a wrong one."""
        if self._place is None:
            return
        if not value.is_integer() or not 0 <= value < self._editor.vocab_size:
            most = self._editor.vocab_size - 1
            window, position = self._place
            kept = int(self._editor.codes[window, position])
            self._text.content = (
                f"**{value:g} is no token**: whole numbers from 0 to {most}. Window "
                f"**{window + 1}**, token **{position + 1}** stays **{kept}**."
            )
            self._value.value = kept
            return
        with self._lock:
            self._editor.set(*self._place, int(value))
        self._changed()

    def save(self) -> None:
        """Download the codes to the browser, under names that no source has."""
        for name, content in self._editor.files().items():
            self._client.send_file_download(name, content, save_immediately=True)

    def restore(self) -> None:
        """Undo all changes."""
        with self._lock:
            self._editor.restore()
        self._changed()

    def _clicked(self, event: Any) -> None:
        if event.instance_index is None:
            return
        row, position = divmod(int(event.instance_index), self._editor.codes.shape[1])
        window = self._window + row - _AROUND
        if 0 <= window < len(self._editor.codes):
            self.swap(window, position)

    def _typed(self, event: Any) -> None:
        # What this program itself sets has no client behind it.
        if event.client is None or self._place is None:
            return
        self.type(float(self._value.value))

    def _changed(self) -> None:
        changed = int(self._editor.changed.sum())
        if self._place is not None:
            window, position = self._place
            value = int(self._editor.codes[window, position])
            self._text.content = (
                f"window **{window + 1}**, token **{position + 1}**: value **{value}**  \n"
                f"{changed} changed in all"
            )
            self._value.value = value
            self._value.disabled = False
        self._undo.disabled = changed == 0
        self._paint()
        self._on_change()

    def _paint(self) -> None:
        codes, changed = self._editor.codes, self._editor.changed
        windows = self._window + np.arange(-_AROUND, _AROUND + 1)
        inside = (windows >= 0) & (windows < len(codes))
        shown = np.clip(windows, 0, len(codes) - 1)
        colors = [
            token_color(int(c), self._editor.vocab_size) for c in codes[shown].ravel().tolist()
        ]
        lit = np.where(windows == self._window, 1.0, _DIM)
        # The page takes these as linear light, and lights the tiles' tops strongly.
        light = _SHADE * linear(np.array(colors) / 255)
        self._tiles.batched_colors = np.round(255 * light).astype(np.uint8)
        self._tiles.batched_opacities = np.repeat(lit, codes.shape[1]).astype(np.float32)
        # A changed token stands out of the board; beyond the clip there is none.
        scales = np.ones((*changed[shown].shape, 3), dtype=np.float32)
        scales[..., 2] = np.where(changed[shown], 4.0, 1.0)
        self._tiles.batched_scales = np.where(inside[:, None, None], scales, 0.0).reshape(-1, 3)


def _box(x: float, y: float, z: float) -> tuple[Array, Array]:
    """Vertices ``(8, 3)`` and faces ``(12, 3)`` of a box standing on its frame."""
    import trimesh

    box = trimesh.creation.box([x, y, z])
    box.apply_translation([0.0, 0.0, 0.5 * z])
    return np.asarray(box.vertices, dtype=np.float32), np.asarray(box.faces, dtype=np.uint32)
