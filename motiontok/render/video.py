"""Encoders that run beside the drawing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from bvh.rotations import Array
from motiontok.errors import MissingDependencyError, RenderError

__all__ = ["VIDEO_SUFFIXES", "VideoWriter"]

_END = None
# A few pictures of slack keep both sides busy without holding a film in memory.
_QUEUE = 6


class VideoWriter:
    """Takes pictures and encodes them in a thread; use as a context manager.

    Args:
        path: ``.mp4`` (H.264, yuv420p: plays everywhere) or ``.gif``.
        size: width and height; both even for ``.mp4``.
        fps: pictures per second.

    Raises:
        RenderError: the suffix is unknown, or encoding fails.
        MissingDependencyError: the encoder's package is missing.
    """

    def __init__(self, path: Path, *, size: tuple[int, int], fps: float) -> None:
        try:
            encode = _ENCODERS[path.suffix.lower()]
        except KeyError:
            raise RenderError(
                f"{path}: cannot write {path.suffix or 'a file without suffix'}; "
                f"choose from {', '.join(_ENCODERS)}"
            ) from None
        self._queue: queue.Queue[Array | None] = queue.Queue(maxsize=_QUEUE)
        self._error: BaseException | None = None

        def run() -> None:
            try:
                encode(path, size, fps, self._pictures())
            except BaseException as error:
                self._error = error
                # Whoever still feeds must not wait for a reader that is gone.
                for _ in self._pictures():
                    pass

        self._done = False
        self._thread = threading.Thread(target=run, name="encoder", daemon=True)
        self._thread.start()

    def _pictures(self) -> Iterator[Array]:
        while not self._done:
            picture = self._queue.get()
            if picture is _END:
                self._done = True
                return
            yield picture

    def add(self, picture: Array) -> None:
        """Append a picture ``(height, width, 3)`` uint8.

        Raises:
            RenderError: encoding has failed.
        """
        self._check()
        self._queue.put(picture)

    def close(self) -> None:
        """Finish the file.

        Raises:
            RenderError: encoding failed.
        """
        self._queue.put(_END)
        self._thread.join()
        self._check()

    def _check(self) -> None:
        error = self._error
        if error is None:
            return
        if isinstance(error, MissingDependencyError | RenderError | OSError):
            raise error
        raise RenderError(f"encoding failed: {error}") from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._queue.put(_END)
            self._thread.join()


def _mp4(path: Path, size: tuple[int, int], fps: float, pictures: Iterator[Array]) -> None:
    try:
        import av
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "writing mp4 needs the package av: pip install 'motiontok[render]'"
        ) from None
    from fractions import Fraction

    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "18"}
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _gif(path: Path, size: tuple[int, int], fps: float, pictures: Iterator[Array]) -> None:
    from PIL import Image

    first = Image.fromarray(next(pictures))
    palette = first.quantize(colors=255, method=Image.Quantize.MEDIANCUT)

    def indexed(picture: Image.Image) -> Image.Image:
        # One palette for all frames and no dithering: still areas stay still and small.
        return picture.quantize(palette=palette, dither=Image.Dither.NONE)

    rest = (indexed(Image.fromarray(p)) for p in pictures)
    # GIF counts in hundredths of a second.
    delay = max(20, round(100 / fps) * 10)
    indexed(first).save(
        path, format="GIF", save_all=True, append_images=rest, duration=delay, loop=0
    )


_ENCODERS: dict[str, Callable[[Path, tuple[int, int], float, Iterator[Array]], None]] = {
    ".mp4": _mp4,
    ".gif": _gif,
}
VIDEO_SUFFIXES = tuple(_ENCODERS)
