"""Playback in the browser (viser): each tab has a timeline and tokens of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np

from motiontok.errors import MissingDependencyError, RenderError
from motiontok.render.actors import Actor
from motiontok.render.page import FOV, Page, Rebuild
from motiontok.render.token_editor import TokenEditor

__all__ = ["Viewer"]

_RATE = 30.0


class Viewer:
    """A page that plays actors side by side, in each tab on its own; close it after use.

    Args:
        actors: name -> actor, at least one; the first is the clock of the frame numbers.
        name: title of the page.
        editor: tokens to show and change; each tab changes a copy.
        rebuild: makes the actors after a change.
        edited: name of the tokens' figure.
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
        name: str = "motion",
        editor: TokenEditor | None = None,
        rebuild: Rebuild | None = None,
        edited: str | None = None,
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
        self._actors, self._editor = dict(actors), editor
        self._shown: dict[str, Any] = {"name": name, "rebuild": rebuild, "edited": edited}
        self._pages: dict[int, Page] = {}
        self._lock = threading.Lock()
        try:
            # Its banner is printed whatever `verbose` says.
            with redirect_stdout(StringIO()):
                self._server = viser.ViserServer(host=host, port=port, verbose=False)
        except OSError as error:
            raise RenderError(f"cannot listen on {host}:{port} ({error.strerror})") from None
        self._server.on_client_connect(self._connected)
        self._server.on_client_disconnect(self._disconnected)

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{self._server.get_host()}:{self._server.get_port()}"

    @property
    def pages(self) -> list[Page]:
        """Of the tabs that are open, the oldest first."""
        with self._lock:
            return list(self._pages.values())

    def run(self) -> None:
        """Play until interrupted."""
        last = time.perf_counter()
        while True:
            time.sleep(max(0.0, last + 1.0 / _RATE - time.perf_counter()))
            now = time.perf_counter()
            for page in self.pages:
                page.playback.advance(now - last)
                page.update()
            last = now

    def close(self) -> None:
        """Stop serving."""
        for page in self.pages:
            page.close()
        self._server.stop()

    # Both run in viser's threads.

    def _connected(self, client: Any) -> None:
        editor = None if self._editor is None else self._editor.copy()
        page = Page(client, self._actors, editor=editor, **self._shown)
        client.camera.fov = FOV
        seen: list[float] = []

        def fit(camera: Any) -> None:
            # A phone that is turned, or a window pulled wider, sees all again.
            aspect = float(camera.aspect)
            if not seen or abs(np.log(aspect / seen[0])) > 0.1:
                seen[:] = [aspect]
                camera.position, camera.look_at = page.camera(aspect)

        fit(client.camera)
        client.camera.on_update(fit)
        with self._lock:
            self._pages[client.client_id] = page

    def _disconnected(self, client: Any) -> None:
        with self._lock:
            page = self._pages.pop(client.client_id, None)
        if page is not None:
            page.close()
