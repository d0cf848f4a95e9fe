"""The files of a store: making a shard from an open one, and reading its frames."""

from __future__ import annotations

import base64
import json
import threading
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from typing_extensions import override

from bvh.atomic_write import atomic_path
from bvh.closing import Closing
from bvh.rotations import Array
from bvh.skeleton import JOINTS
from motiontok.data.store.entries import FORMAT, Entry
from motiontok.data.store.frames import BYTES, WORDS, Frames
from motiontok.errors import DataError
from motiontok.shards import open_lines

__all__ = ["Made", "Shard", "finish_shard", "row_of"]

_CURE = "remove it and its manifest, and pack again"


@dataclass(frozen=True, eq=False)
class Made:
    """Result of a clip.

    Attributes:
        entry: without its place in a shard.
        frames: of :func:`~motiontok.data.store.frames.pack_frames`; none without motion.
        offsets: ``(22, 3)`` its bones, metres.
        joints: canonical joint -> source joint.
    """

    entry: Entry
    frames: Frames
    offsets: Array
    joints: dict[str, str]


def row_of(made: Made) -> dict[str, Any]:
    """A clip in an open shard."""
    row: dict[str, Any] = {"entry": asdict(made.entry)}
    if not made.entry.error:
        row |= {
            "frames": base64.b64encode(made.frames.astype("<u2").tobytes()).decode(),
            "offsets": made.offsets.tolist(),
            "joints": made.joints,
        }
    return row


def finish_shard(path: Path) -> None:
    """Make a shard and its manifest from an open one; idempotent."""
    number_and_share = path.stem.removeprefix("open-")
    shard = path.with_name(f"motion-{number_and_share}.safetensors")
    entries: list[Entry] = []
    frames: list[Frames] = []
    bodies: dict[bytes, int] = {}
    joints: dict[str, str] = {}
    row = 0
    for made in _made(path):
        entry = made.entry
        if not entry.error:
            said = json.dumps(made.joints)
            entry = replace(
                entry,
                shard=shard.name,
                row=row,
                body=bodies.setdefault(made.offsets.tobytes(), len(bodies)),
                joints=joints.setdefault(said, str(len(joints))),
            )
            frames.append(made.frames)
            row += entry.frames
        entries.append(entry)
    text = "".join(json.dumps(asdict(entry)) + "\n" for entry in entries)
    manifest = path.with_name(f"manifest-{number_and_share}.jsonl")
    if frames:
        tensors = {
            "frames": np.concatenate(frames),
            "bodies": np.stack([np.frombuffer(b).reshape(-1, 3) for b in bodies]),
        }
        frames.clear()
        about = {
            "format": FORMAT,
            "joints": json.dumps({key: said for said, key in joints.items()}),
        }
        # The manifest comes last: what it names is there.
        with atomic_path(manifest) as beside:
            beside.write_text(text, encoding="utf-8")
            with atomic_path(shard) as temporary:
                temporary.write_bytes(save(tensors, metadata=about))
    elif entries:
        with atomic_path(manifest) as beside:
            beside.write_text(text, encoding="utf-8")
    path.unlink()


def _made(path: Path) -> Iterator[Made]:
    """Clips of an open shard, without an unfinished last one."""
    none = np.empty((0, WORDS), np.uint16)
    for row in open_lines(path):
        try:
            entry = Entry(**row["entry"])
            if entry.error:
                yield Made(entry, none, none, {})
                continue
            words = np.frombuffer(base64.b64decode(row["frames"]), "<u2")
            frames = words.reshape(entry.frames, WORDS).astype(np.uint16)
            offsets = np.asarray(row["offsets"], dtype=np.float64).reshape(len(JOINTS), 3)
            made = Made(entry, frames, offsets, row["joints"])
        except (ValueError, TypeError, KeyError):
            return
        yield made


class Shard(Closing):
    """A finished shard, from which frames are read on demand.

    They are read, not mapped: a mapped file that has become shorter ends the process, and its pages
    count as the process's memory. Threads may read at once. Close it, or use it in a ``with``.

    Args:
        path: of the file.

    Attributes:
        bodies: ``(bodies, 22, 3)`` offsets, metres.
        rows: frames in it.

    Raises:
        DataError: it is missing, cut off, damaged or of another version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise DataError(f"{path}: missing or damaged ({error}); {_CURE}") from None
        # A store drops shards that others may still read: those are closed with the last reader.
        self._finalize = weakref.finalize(self, self._file.close)
        try:
            header_size = int.from_bytes(self._exactly(0, 8), "little")
            if header_size > path.stat().st_size:
                raise ValueError("no header")
            header = json.loads(self._exactly(8, header_size))
            about = header["__metadata__"]
            if about["format"] != FORMAT:
                self.close()
                raise DataError(
                    f"{path}: format {about['format']!r} is not {FORMAT!r}; use the motiontok that "
                    "wrote it"
                )
            self._joints: dict[str, dict[str, str]] = {
                key: json.loads(said) for key, said in json.loads(about["joints"]).items()
            }
            self._begin = 8 + header_size + header["frames"]["data_offsets"][0]
            self.rows, words = header["frames"]["shape"]
            if words != WORDS:
                raise ValueError(f"{words} numbers a frame, expected {WORDS}")
            first, last = header["bodies"]["data_offsets"]
            bodies = self._exactly(8 + header_size + first, last - first)
            self.bodies = np.frombuffer(bodies, "<f8").reshape(-1, len(JOINTS), 3)
            ends = max(header[key]["data_offsets"][1] for key in ("frames", "bodies"))
            if path.stat().st_size < 8 + header_size + ends:
                raise ValueError("cut off")
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            self.close()
            raise DataError(f"{path}: missing or damaged ({error}); {_CURE}") from None

    @override
    def close(self) -> None:
        """Close the file; nothing can be read then."""
        self._finalize()

    def joints(self, key: str) -> dict[str, str]:
        """Canonical joint -> source joint, by an entry's key."""
        return self._joints[key]

    def read(self, row: int, count: int) -> Frames:
        """Frames ``(count, 72)`` from ``row`` on.

        Raises:
            DataError: the file has become shorter, cannot be read, or is closed.
        """
        try:
            data = self._exactly(self._begin + row * BYTES, count * BYTES)
        except (OSError, ValueError) as error:
            raise DataError(f"{self._path}: missing or damaged ({error}); {_CURE}") from None
        return np.frombuffer(data, "<u2").reshape(count, WORDS)

    def _exactly(self, place: int, count: int) -> bytes:
        with self._lock:
            self._file.seek(place)
            data: bytes = self._file.read(count)
        if len(data) != count:
            raise ValueError("cut off")
        return data
