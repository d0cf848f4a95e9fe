"""The clock of interactive playback."""

from __future__ import annotations

__all__ = ["Playback"]


class Playback:
    """Time within a clip that runs, stops, loops and is sought.

    Args:
        duration: seconds of the clip, positive.

    Attributes:
        time: seconds from the start, from 0 to less than ``duration``.
        playing: whether :meth:`advance` moves time.
        speed: clip seconds per second.
        loop: start again at the end; otherwise stop there.
    """

    def __init__(self, duration: float) -> None:
        self.duration = duration
        self.time = 0.0
        self.playing = True
        self.speed = 1.0
        self.loop = True

    def advance(self, seconds: float) -> None:
        """Let real time pass."""
        if not self.playing:
            return
        time = self.time + self.speed * seconds
        if time < self.duration:
            self.time = time
        elif self.loop:
            self.time = time % self.duration
        else:
            self.time = self._last
            self.playing = False

    def seek(self, time: float) -> None:
        """Go to a time, kept within the clip."""
        self.time = min(max(time, 0.0), self._last)

    def toggle(self) -> None:
        """Play or pause; playing on from the end starts over."""
        if not self.playing and self.time >= self._last:
            self.time = 0.0
        self.playing = not self.playing

    @property
    def _last(self) -> float:
        # The end itself belongs to no frame.
        return max(0.0, self.duration - 1e-6)
