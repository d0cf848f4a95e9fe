"""TensorBoard's event files beside the CSV log."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from motiontok.training.writing import written

__all__ = ["EventLog"]


class EventLog:
    """Rows of named numbers for TensorBoard; does nothing without tensorboardX.

    Names become ``validation/...`` where they begin with ``val_``, else ``training/...``.
    Rows are written when they are added, not by a background thread. So a full disk is an error of
    the run; with a thread, the thread would die and the run would wait for it.

    Args:
        folder: of the run; each part of a resumed run writes a file of its own.
        until: on resuming, TensorBoard forgets rows of earlier files after this step.
    """

    def __init__(self, folder: Path, *, until: int | None) -> None:
        self._writer: Any = None
        self._folder = folder
        with suppress(ImportError):
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto.event_pb2 import Event, SessionLog

            folder.mkdir(parents=True, exist_ok=True)
            with written(folder / "events"):
                # The step keeps two files of one second apart.
                self._writer = EventsWriter(str(folder / "events"), f".{until or 0}")
                if until is not None:
                    start = SessionLog(status=SessionLog.START)
                    self._add(Event(session_log=start, step=until + 1))

    def append(self, row: dict[str, Any]) -> None:
        """Add a row with a ``step``.

        Raises:
            TrainingError: the disk is full or the folder cannot be written.
        """
        if self._writer is None:
            return
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=_tag(k), simple_value=v) for k, v in row.items() if k != "step"]
        with written(self._folder / "events"):
            self._add(Event(summary=Summary(value=values), step=int(row["step"])))

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
        self._writer.flush()


def _tag(name: str) -> str:
    section = "validation" if name.startswith("val_") else "training"
    return f"{section}/{name.removeprefix('val_')}"
