"""Tokens of any number of clips, in a file that is made once and read in pieces.

The cache has a folder for them, named by the digest of all that the tokens depend on. Its
``tokens.bin`` holds one record per window. Each line of ``clips.jsonl`` says how many clips are
done and how many records they have; an interrupted run continues behind the last line.
``about.json`` is written last. Records are read and not mapped, like the frames of a store
(docs/architecture.md).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from bvh.atomic_write import atomic_path
from bvh.cache import cache_dir
from bvh.closing import Closing
from bvh.motion import Motion
from bvh.workers import Workers
from motiontok.corpus.work import FEW, open_tokenizer
from motiontok.errors import DataError, InputError
from motiontok.locks import locked
from motiontok.prior.tokens import Cuts, Records, TokenSet, cut_clip, record_type
from motiontok.tokenizer import MotionTokenizer

__all__ = ["TokenFile", "make_tokens"]

FORMAT = "motiontok-tokens-1"

_DATA, _LOG, _ABOUT, _LOCK = "tokens.bin", "clips.jsonl", "about.json", ".lock"
_KEEP = 60 * 86400  # seconds that tokens stay in the cache without being used
_CLIPS, _FRAMES = 8, 4096  # that a worker is given at a time, at most (but a clip)


class TokenFile(Closing):
    """Windows of many sequences on disk, like :class:`TokenSet` in memory.

    Close it, or use it in a ``with``.

    Args:
        folder: folder of a finished file.
        codes: number of first codes to read of each window; by default all.

    Attributes:
        digest: digest of all that the tokens depend on.
        actions, styles: labels; the first one is ``""``.

    Raises:
        DataError: the file is missing, cut off or of another version.
    """

    def __init__(self, folder: Path, *, codes: int | None = None) -> None:
        self.folder, self.digest = folder, folder.name
        self._lock = threading.Lock()
        path = folder / _DATA
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']!r} is not {FORMAT!r}")
            self._type = record_type(about["codes"])
            self._rows, self._codes = int(about["rows"]), codes or int(about["codes"])
            self.actions, self.styles = tuple(about["actions"]), tuple(about["styles"])
            if path.stat().st_size != self._rows * self._type.itemsize:
                raise ValueError("cut off")
            self._file = path.open("rb", buffering=0)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{folder}: missing or damaged tokens ({error}); remove it") from None
        # Of one that nobody closes, with the object.
        self._finalize = weakref.finalize(self, self._file.close)

    @override
    def close(self) -> None:
        """Close the file; nothing can be read then."""
        self._finalize()

    def __len__(self) -> int:
        return self._rows

    @property
    def codes_per_window(self) -> int:
        """Number of codes read of each window."""
        return self._codes

    def first(self, codes: int) -> TokenFile:
        """The same file, opened once more, with only the first codes of each window."""
        return TokenFile(self.folder, codes=codes)

    def read(self, first: int, last: int) -> TokenSet:
        """Windows ``first`` to before ``last``, as many as there are.

        Raises:
            DataError: the file has become shorter, cannot be read, or is closed.
        """
        last = min(last, self._rows)
        size = self._type.itemsize
        try:
            with self._lock:
                self._file.seek(first * size)
                data = self._file.read((last - first) * size)
        except OSError as error:
            raise DataError(f"{self._file.name}: {error.strerror}") from None
        except ValueError:
            raise DataError(f"{self._file.name}: its TokenFile is closed") from None
        if len(data) != (last - first) * size:
            raise DataError(f"{self._file.name}: cut off; remove its folder, and start again")
        rows = np.frombuffer(data, self._type)
        return TokenSet.of_records(rows, self.actions, self.styles).first(self._codes)


def make_tokens(
    tokenizer: MotionTokenizer,
    motions: Sequence[Motion],
    names: Sequence[str],
    digests: Sequence[str],
    cuts: Cuts,
    *,
    update: Callable[[int], object] | None = None,
    say: Callable[[str], None] = print,
    workers: int | None = None,
) -> TokenFile:
    """Tokens of clips, encoded on all cores if the cache does not have them; to be closed.

    Args:
        tokenizer: encodes.
        motions, names: the clips, each read at its turn, and their files' names.
        digests: digest of each motion.
        cuts: how clips are cut and labelled.
        update: called with the number of clips done.
        say: prints a line for the user.
        workers: processes; by default one a core, or none for a few clips or on a device.

    Raises:
        DataError: no clip is as long as a window, or there is no cache.
        OSError: the cache cannot be written, or the disk is full; encoded clips are kept.
    """
    about = {
        "format": FORMAT,
        "fingerprint": tokenizer.fingerprint,
        "codes": tokenizer.codes_per_window,
        "shifts": cuts.shifts,
        "mirror": cuts.mirror,
        "actions": list(cuts.actions),
        "styles": list(cuts.styles),
    }
    clips = list(zip(names, digests, strict=True))
    text = json.dumps([about, clips])
    folder = cache_dir() / "tokens" / hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder.parent}: tokens cannot be kept there ({error.strerror}); set MOTIONTOK_CACHE "
            "to a folder that can be written"
        ) from None
    with ExitStack() as alone:
        try:
            alone.enter_context(locked(folder / _LOCK, "encoding"))
        except InputError:
            say("another process is encoding these clips: waiting for it")
            alone.enter_context(locked(folder / _LOCK, "encoding", wait=True))
        with suppress(DataError):
            found = TokenFile(folder)
            os.utime(folder / _ABOUT)
            return found
        rows = _encode(folder, tokenizer, motions, names, cuts, update=update, workers=workers)
        if not rows:
            shutil.rmtree(folder, ignore_errors=True)
            window = tokenizer.frames_per_window
            raise DataError(f"none of {len(names)} clips is as long as a window, {window} frames")
        with atomic_path(folder / _ABOUT) as temporary:
            temporary.write_text(json.dumps(about | {"rows": rows}) + "\n", encoding="utf-8")
    _sweep(folder.parent)
    return TokenFile(folder)


def _encode(
    folder: Path,
    tokenizer: MotionTokenizer,
    motions: Sequence[Motion],
    names: Sequence[str],
    cuts: Cuts,
    *,
    update: Callable[[int], object] | None,
    workers: int | None,
) -> int:
    """Append the missing records; returns the number of all records."""
    path, kind = folder / _DATA, record_type(tokenizer.codes_per_window)
    done, rows, sequences = _resume(folder, kind.itemsize)
    left = range(done, len(names))
    if workers is None and (tokenizer.device.type != "cpu" or len(left) < FEW):
        workers = 1
    with ExitStack() as stack:
        data = stack.enter_context(path.open("ab", buffering=0))
        log = stack.enter_context((folder / _LOG).open("a", encoding="utf-8"))
        if workers == 1:
            found: Iterator[tuple[int, Records]] = (
                (1, cut_clip(tokenizer, motions[n], names[n], cuts)) for n in left
            )
        else:
            where = stack.enter_context(tempfile.TemporaryDirectory(prefix="motiontok-"))
            tokenizer.save_pretrained(where)
            pool = stack.enter_context(Workers(workers))
            tasks = _tasks(where, motions, names, left, cuts)
            # Windows have one order on all machines.
            found = (made for _, made in pool.map(_cut, tasks, in_order=True))
        for clips, made in found:
            made["sequence"] += sequences
            if len(made):
                sequences = int(made["sequence"][-1]) + 1
            _write(data, made.tobytes(), path)
            done, rows = done + clips, rows + len(made)
            log.write(json.dumps([done, rows, sequences]) + "\n")
            log.flush()
            if update is not None:
                update(done)
        os.fsync(data.fileno())
    open_tokenizer.cache_clear()
    return rows


def _resume(folder: Path, size: int) -> tuple[int, int, int]:
    """Numbers of finished clips, records and sequences; cuts off all data behind them."""
    path, log = folder / _DATA, folder / _LOG
    there = path.stat().st_size if path.is_file() else 0
    kept, last = [], (0, 0, 0)
    for line in log.read_text(encoding="utf-8").splitlines(True) if log.is_file() else ():
        try:
            done, rows, sequences = map(int, json.loads(line))
        except (ValueError, TypeError):
            break
        if rows * size > there:
            break
        kept.append(line)
        last = done, rows, sequences
    (folder / _ABOUT).unlink(missing_ok=True)
    with atomic_path(log) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")
    with path.open("ab") as data:
        data.truncate(last[1] * size)
    return last


def _write(file: Any, data: bytes, path: Path) -> None:
    try:
        written = file.write(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    if written < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@dataclass(frozen=True, eq=False)
class _Task:
    """Clips for one worker."""

    tokenizer: str
    motions: tuple[Motion, ...]
    names: tuple[str, ...]
    cuts: Cuts


def _tasks(
    tokenizer: str, motions: Sequence[Motion], names: Sequence[str], left: range, cuts: Cuts
) -> Iterator[_Task]:
    frames = 0
    held: list[Motion] = []
    some: list[str] = []
    for n in left:
        held.append(motions[n])
        some.append(names[n])
        frames += len(held[-1])
        if len(held) == _CLIPS or frames >= _FRAMES or n == left[-1]:
            yield _Task(tokenizer, tuple(held), tuple(some), cuts)
            frames = 0
            held.clear()
            some.clear()


def _cut(task: _Task) -> tuple[int, Records]:
    """Encode a task's clips in a worker; returns their number and records."""
    opened = open_tokenizer(task.tokenizer, "cpu")
    parts, sequences = [], 0
    for motion, name in zip(task.motions, task.names, strict=True):
        made = cut_clip(opened, motion, name, task.cuts)
        made["sequence"] += sequences
        parts.append(made)
        sequences = int(made["sequence"][-1]) + 1 if len(made) else sequences
    return len(parts), np.concatenate(parts)


def _sweep(folder: Path) -> None:
    """Remove tokens that have not been used for long."""
    for path in folder.iterdir():
        with suppress(InputError, OSError):  # another process may be using or removing it
            # A folder that another has just made is empty, but new.
            newest = max(p.stat().st_mtime for p in (path, *path.glob("*")))
            if path.is_dir() and time.time() - newest > _KEEP:
                with locked(path / _LOCK, "encoding"):
                    shutil.rmtree(path, ignore_errors=True)
