"""``codes.npy`` and its sidecar ``codes.json``: the token files planners read and write."""

from __future__ import annotations

import json
import math
import sys
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bvh.archives import absent
from bvh.atomic_write import atomic_path
from bvh.motion import FPS
from bvh.skeleton import DEFAULT_OFFSETS
from motiontok.data import Start, offsets_of, start_of
from motiontok.errors import CodesError, DataError

__all__ = ["FORMAT", "Codes"]

FORMAT = 2


@dataclass(frozen=True, eq=False)
class Codes:
    """Tokens of one motion, with its start, bones and length.

    Attributes:
        array: ``(windows, codes_per_window)`` uint16, or ``first`` codes a window.
        fingerprint: of the tokenizer that made them; empty if unknown.
        tokenizer: where that tokenizer was found, a hint for decoding.
        frames: frames of the motion, which may use only a part of the last window; 0 if unknown,
            which means all frames of every window.
        start: place and heading of frame 0.
        offsets: ``(22, 3)`` rest offsets of the subject, metres.
        source: name of the source clip.
        licence: note on the licence of the tokenizer's training data.
        fps: frames per second.
        first: number of first codes kept of each window; 0 for all.
        since: seconds of the source before frame 0, if it was cut.
    """

    array: NDArray[np.uint16]
    fingerprint: str = ""
    tokenizer: str = ""
    frames: int = 0
    start: Start = field(default_factory=Start)
    offsets: NDArray[np.float64] = field(default_factory=lambda: DEFAULT_OFFSETS)
    source: str = "codes"
    licence: str = ""
    fps: float = FPS
    first: int = 0
    since: float = 0.0

    def __repr__(self) -> str:
        shape = " x ".join(map(str, np.shape(self.array)))
        by = f"tokenizer {self.fingerprint}" if self.fingerprint else "of no known tokenizer"
        return f"<Codes {self.source!r}: {shape}, {self.frames or 'all'} frames, {by}>"

    def save(self, path: str | Path) -> None:
        """Write ``path`` (.npy) and its sidecar, both or neither.

        Raises:
            CodesError: the name does not end in ``.npy``, or :meth:`load` would refuse the file.
            OSError: the folder cannot be written, or the disk is full.
        """
        path = Path(path)
        if path.suffix != ".npy":
            raise CodesError(f"{path}: codes are written to a .npy file")
        array = _checked(np.asarray(self.array), path)
        about = _values(vars(self), path)
        sidecar = {
            "format": FORMAT,
            "windows": len(array),
            **about,
            "start": asdict(about["start"]),
            "offsets": about["offsets"].tolist(),
        }
        # Both are written before either is renamed, so old codes never get a new sidecar.
        with atomic_path(path.with_suffix(".json")) as beside, atomic_path(path) as temporary:
            beside.write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")
            with temporary.open("wb") as file:
                np.save(file, array, allow_pickle=False)

    @classmethod
    def load(cls, path: str | Path) -> Codes:
        """Read codes and their sidecar, if there is one.

        Without a sidecar the motion starts at the origin facing +X on the default
        skeleton and fills all its windows; a line on standard error says so.

        Raises:
            CodesError: missing, damaged, of the wrong type or shape.
        """
        path = Path(path)
        try:
            array = np.load(path, allow_pickle=False)
        except (FileNotFoundError, NotADirectoryError):
            raise CodesError(f"{path}: {absent(path)}") from None
        except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
            # NumPy takes whatever it does not know for a pickle, and says how to load it.
            reason = "no .npy file, or one of objects" if "pickle" in str(error) else error
            raise CodesError(f"{path}: not a .npy array of codes ({reason})") from None
        if not isinstance(array, np.ndarray):
            raise CodesError(
                f"{path}: expected integers (windows, codes_per_window), found an archive"
            )
        array = _checked(array, path)
        beside = path.with_suffix(".json")
        if not beside.is_file():
            print(
                f"{path}: no {beside.name} beside it; using the origin and the default skeleton",
                file=sys.stderr,
            )
            return cls(array, source=path.stem)
        return cls(array, **_read_sidecar(beside, len(array)))


def _checked(array: NDArray[Any], path: Path) -> NDArray[np.uint16]:
    """Codes as they are kept in a file."""
    if array.dtype.kind not in "ui" or array.ndim != 2:
        raise CodesError(
            f"{path}: expected integers (windows, codes_per_window), found {array.dtype} "
            f"{array.shape}"
        )
    if array.size == 0:
        raise CodesError(f"{path}: holds no codes (shape {array.shape})")
    if array.min() < 0 or array.max() > 65_535:
        raise CodesError(
            f"{path}: codes must lie in 0 to 65535, found {array.min()} to {array.max()}"
        )
    return array.astype(np.uint16)


def _read_sidecar(path: Path, windows: int) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("kind", "motion") != "motion":
            raise CodesError(
                f"{path}: these are codes of {values['kind']}; decode them with `motiontok decode`"
            )
        if values["format"] != FORMAT:
            reason = (
                "tokens of that format depended on the length of bones; encode the clip again"
                if values["format"] == 1
                else "use the motiontok that wrote it"
            )
            raise CodesError(f"{path}: format {values['format']!r} is not {FORMAT}: {reason}")
        if values["windows"] != windows:
            raise CodesError(
                f"{path}: describes {values['windows']} windows, the codes beside it have "
                f"{windows}; remove it to decode with defaults"
            )
        values.setdefault("first", 0)
        values.setdefault("since", 0.0)
        values["start"] = [values["start"][k] for k in ("x", "y", "yaw")]
        return _values(values, path)
    except CodesError:
        raise
    except KeyError as error:
        raise CodesError(
            f"{path}: damaged sidecar: it has no {error}; put it there, or remove the file "
            "to decode with defaults"
        ) from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CodesError(
            f"{path}: damaged sidecar ({type(error).__name__}: {error}); remove it to decode "
            "with defaults"
        ) from None


def _values(given: dict[str, Any], path: Path) -> dict[str, Any]:
    """The values of a sidecar, checked one by one."""
    fps, frames = given["fps"], given["frames"]
    if isinstance(fps, bool) or fps != FPS:
        raise CodesError(f"{path}: fps is {fps!r}; codes are of motion at {FPS:g} frames/s")
    if isinstance(frames, bool) or not isinstance(frames, int | np.integer) or frames < 0:
        raise CodesError(f"{path}: frames is {frames!r}, expected a count, or 0 for all")
    first = given["first"]
    if isinstance(first, bool) or not isinstance(first, int | np.integer) or first < 0:
        raise CodesError(f"{path}: first is {first!r}, expected a count, or 0 for all")
    since = given["since"]
    if isinstance(since, bool) or not isinstance(since, int | float) or not 0 <= since < math.inf:
        raise CodesError(f"{path}: since is {since!r}, expected seconds, 0 or more")
    try:
        start, offsets = start_of(given["start"]), offsets_of(given["offsets"])
    except DataError as error:
        raise CodesError(f"{path}: {error}") from None
    return {
        "fingerprint": str(given["fingerprint"]),
        "tokenizer": str(given["tokenizer"]),
        "fps": float(fps),
        "frames": int(frames),
        "first": int(first),
        "since": float(since),
        "start": start,
        "offsets": offsets,
        "source": str(given["source"]),
        "licence": str(given["licence"]),
    }
