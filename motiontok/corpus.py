"""Folders of clips to folders of codes: on all cores, and resumable at any point."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from bvh.errors import BVHError
from bvh.files import atomic_path
from bvh.workers import Workers
from motiontok.errors import DataError, InputError
from motiontok.paths import lasting_name
from motiontok.progress import progress
from motiontok.tokenizer import MotionTokenizer
from motiontok.tokens.checks import motion_of

if sys.platform != "win32":
    import fcntl

__all__ = ["MANIFEST", "Entry", "encode_folder", "read_manifest"]

MANIFEST = "manifest.jsonl"
"""Name, in a folder of codes, of the table of what is in it."""

# Below this, processes take longer to start than the clips to encode.
_FEW = 16


@dataclass(frozen=True)
class Entry:
    """One clip of a corpus, a line of its manifest.

    Attributes:
        file: path of the clip, relative to the folder of clips.
        sha256: of the clip's bytes; empty if they could not be read.
        codes: path of its codes, relative to the folder of codes.
        fingerprint: of the tokenizer.
        effort, hold_path: how it was encoded, see :meth:`MotionTokenizer.encode`.
        frames: frames at the tokenizer's rate.
        windows: rows of its codes.
        error: why there are no codes; empty where there are.
    """

    file: str
    sha256: str
    codes: str
    fingerprint: str
    effort: int = 1
    hold_path: bool = False
    frames: int = 0
    windows: int = 0
    error: str = ""


@dataclass(frozen=True)
class _Task:
    source: Path
    out: Path
    tokenizer: str
    device: str
    entry: Entry


def encode_folder(
    source: str | Path,
    out: str | Path,
    *,
    tokenizer: str = "default",
    device: str = "cpu",
    effort: int = 1,
    hold_path: bool = False,
    workers: int | None = None,
) -> list[Entry]:
    """Encode every clip of a folder, at most one a core in memory at a time.

    Codes are written, and entered in ``manifest.jsonl``, as soon as a clip is done. A run
    that was ended, by whatever means, goes on where it was when it is started again: clips
    whose content is in the manifest and whose codes are there are left alone. Clips that
    cannot be read are entered with the reason. Progress goes to standard error.

    Args:
        source: folder of .bvh and .npz files, at any depth.
        out: folder of codes, laid out like ``source``.
        tokenizer: its folder, or the name of a shipped one.
        device: where to encode. On anything but the CPU one process does it all.
        effort, hold_path: as :meth:`MotionTokenizer.encode` has them.
        workers: processes; by default one a core, or none for a few clips.

    Returns:
        An entry for each clip, in the order of their paths.

    Raises:
        DataError: no clips, a damaged manifest, or one of another tokenizer or setting.
        InputError: another process encodes into this folder.
        TokenizerError: the tokenizer cannot be opened.
        OSError: the folder cannot be written, or the disk is full.
    """
    source, out = Path(source), Path(out)
    clips = sorted(
        p.relative_to(source).as_posix()
        for p in source.rglob("*")
        if p.suffix.lower() in (".bvh", ".npz")
    )
    if not clips:
        raise DataError(f"{source}: no .bvh or .npz files in this folder")
    _open.cache_clear()
    fingerprint = _open(tokenizer, device).fingerprint
    wanted = [Entry(c, "", t, fingerprint, effort, hold_path) for c, t in _targets(clips).items()]
    with _alone(out):
        known = {e.file: e for e in read_manifest(out)} if (out / MANIFEST).is_file() else {}
        for entry in known.values():
            _check_same(out, entry, wanted[0])
        done = {e.file: known[e.file] for e in wanted if _is_done(source, out, e, known)}
        gone = known.keys() - set(clips)
        _start(out, [e for e in known.values() if e.file in done or e.file in gone])
        left = [
            _Task(source, out, tokenizer, device, entry)
            for entry in wanted
            if entry.file not in done
        ]
        if workers is None and (device != "cpu" or len(left) < _FEW):
            workers = 1
        with (
            (out / MANIFEST).open("a", encoding="utf-8") as manifest,
            Workers(workers) as pool,
            progress("encoding", len(clips), done=len(done)) as update,
        ):
            for _, entry in pool.map(_encode, left):
                manifest.write(_line(entry))
                manifest.flush()
                done[entry.file] = entry
                update(len(done))
    _open.cache_clear()
    return [done[clip] for clip in clips]


def read_manifest(folder: str | Path) -> Iterator[Entry]:
    """Entries of a folder of codes, in the order in which they were made.

    A last line that was not finished is left out.

    Raises:
        DataError: a line is damaged.
    """
    path = Path(folder) / MANIFEST
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return
            try:
                entry = Entry(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise DataError(
                    f"{path}, line {number}: damaged ({error}); remove the line to encode its "
                    "clip again"
                ) from None
            yield entry


def _targets(clips: list[str]) -> dict[str, str]:
    """Clip -> codes; clips that differ only in their endings keep them."""
    plain = {clip: str(Path(clip).with_suffix(".npy").as_posix()) for clip in clips}
    count = Counter(plain.values())
    return {clip: name if count[name] == 1 else f"{clip}.npy" for clip, name in plain.items()}


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other processes from encoding into this folder; the lock ends with the process."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{out}: a file; a folder of clips is encoded into a folder") from None
    if sys.platform == "win32":
        yield
        return
    handle = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(f"{out}: another process is encoding into this folder") from None
    try:
        yield
    finally:
        os.close(handle)


def _check_same(out: Path, old: Entry, new: Entry) -> None:
    if old.fingerprint != new.fingerprint:
        raise DataError(
            f"{out}: holds codes of tokenizer {old.fingerprint}, this one is {new.fingerprint}; "
            "give another folder"
        )
    if (old.effort, old.hold_path) != (new.effort, new.hold_path):
        raise DataError(
            f"{out}: holds codes of effort {old.effort} and hold_path {old.hold_path}, asked for "
            f"{new.effort} and {new.hold_path}; give another folder"
        )


def _is_done(source: Path, out: Path, wanted: Entry, known: dict[str, Entry]) -> bool:
    old = known.get(wanted.file)
    if old is None or not old.sha256:
        return False
    codes = out / wanted.codes
    there = codes.is_file() and codes.with_suffix(".json").is_file()
    if not old.error and not (old.codes == wanted.codes and there):
        return False
    try:
        return _hash(source / wanted.file) == old.sha256
    except OSError:
        return False


def _start(out: Path, kept: list[Entry]) -> None:
    """Leave in the manifest what is still true, and no half-written files in the folder."""
    for path in out.rglob(".*-????????.tmp.*"):
        if path.suffix in (".npy", ".json", ".jsonl"):
            path.unlink()
    with atomic_path(out / MANIFEST) as temporary:
        temporary.write_text("".join(map(_line, kept)), encoding="utf-8")


def _encode(task: _Task) -> Entry:
    """Done by a worker; a clip that cannot be used is a result like any other."""
    path, entry = task.source / task.entry.file, task.entry
    tokenizer = _open(task.tokenizer, task.device)
    try:
        entry = replace(entry, sha256=_hash(path))
        codes = tokenizer.encode_to_codes(
            motion_of(path),
            effort=entry.effort,
            hold_path=entry.hold_path,
            tokenizer=lasting_name(task.tokenizer),
        )
    except (BVHError, DataError) as error:
        return replace(entry, codes="", error=str(error))
    except (OSError, MemoryError) as error:
        # Not the clip's content but the machine: without a hash it is tried again next time.
        return replace(entry, sha256="", codes="", error=f"{path}: {error or 'out of memory'}")
    codes.save(task.out / entry.codes)
    return replace(entry, frames=codes.frames, windows=len(codes.array))


@lru_cache(maxsize=1)
def _open(tokenizer: str, device: str) -> MotionTokenizer:
    return MotionTokenizer.from_pretrained(tokenizer, device=device)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"
