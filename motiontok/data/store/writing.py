"""Folders and archives of clips to a store, on all cores, resumable at any point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from bvh.cache import code_version
from bvh.clip_files import (
    Batch,
    Outcome,
    batches,
    calibration_key,
    lying,
    names_in,
    read_batch,
)
from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.motion_io import is_trajectory
from bvh.reading import Reading, Settings
from bvh.remarks import faults
from bvh.rigs import File
from bvh.skeleton import root_between_bodies
from bvh.workers import Workers
from motiontok.data.motion_digest import motion_digest
from motiontok.data.placement import REFERENCE
from motiontok.data.sets import set_names
from motiontok.data.store.entries import INDEX, Entry, Index, is_store, read_entries, read_index
from motiontok.data.store.examining import SetFiles, examine, index_locked
from motiontok.data.store.frames import WORDS, pack_frames
from motiontok.data.store.shard import Made, Shard, finish_shard, row_of
from motiontok.errors import DataError, InputError
from motiontok.locks import locked
from motiontok.progress import progress
from motiontok.shards import (
    SHARD_CLIPS,
    GrowingShard,
    Share,
    finish_left,
    make_folder,
    require_share,
    share_name,
)

__all__ = ["Packed", "make_entry", "pack_clips", "writing_to"]

SHARD_FRAMES = 524_288
"""Frames after which a shard is closed: 75 MB."""

_FEW = 16
"""Number of files up to which no other process is started."""

_ALL = (0, 1)
_DOING = "packing into this store"
_NOTHING = np.empty((0, WORDS), np.uint16)

Add = Callable[[Made], None]
"""Takes a clip into a store."""


@dataclass
class Packed:
    """Result of a run.

    Attributes:
        clips: clips in the store, of the folders or of this share of them.
        frames: their frames.
        packed: of the clips, packed now.
        size: bytes of the whole store on disk.
        failed: entries of clips that have no motion.
        remarked: entries of those with motion on which there are remarks.
    """

    clips: int = 0
    frames: int = 0
    packed: int = 0
    size: int = 0
    failed: list[Entry] = field(default_factory=list)
    remarked: list[Entry] = field(default_factory=list)

    @classmethod
    def joined(cls, parts: Iterable[Packed]) -> Packed:
        """The result of several shares together."""
        out = cls()
        for part in parts:
            out.clips += part.clips
            out.frames += part.frames
            out.packed += part.packed
            out.failed += part.failed
            out.remarked += part.remarked
        for entries in (out.failed, out.remarked):
            entries.sort(key=lambda entry: (entry.set, entry.file))
        return out


def pack_clips(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    reading: Reading | None = None,
    strict: bool = False,
    workers: int | None = None,
    share: Share = _ALL,
) -> Packed:
    """Read, normalise and pack every clip; each source is a set of the store.

    Clips of one rig share one calibration over all sources, as in
    :func:`motiontok.data.sets.read_sets`. Clips with the content, calibration and reader of their
    entry are left alone, so an interrupted run continues where it ended. Clips of a damaged or
    missing shard are packed again. Clips that cannot be read are entered with the reason. The
    store's other clips stay in it. Progress goes to standard error.

    Args:
        sources: folders, archives or files of clips.
        out: folder of the store.
        reading: how to read the files; overrides a ``bvh.toml`` beside them.
        strict: enter a clip with a fault as unusable.
        workers: processes; by default one a core, or none for a few clips.
        share: share of the clips to pack: number and count of shares. A clip's share depends on its
            set, its path and the count alone; its packed form does not depend on the share.

    Raises:
        BVHError: a source is not there, or has no clips.
        DataError: a damaged store, or one of another version.
        InputError: another process packs this share into this store, there is no such share, or
            the folder holds something else.
        OSError: the folder cannot be written, or the disk is full. Clips packed before are kept.
    """
    require_share(share)
    out, paths = Path(out), [Path(path).expanduser() for path in sources]
    names = set_names(paths)
    settings = Settings(reading)
    found = [names_in(path) for path in paths]
    result = Packed()
    with writing_to(out, names, share=share) as add, ExitStack() as unpacked:
        places = [
            SetFiles(name, path, *unpacked.enter_context(lying(path, of)))
            for name, path, of in zip(names, paths, found, strict=True)
        ]
        total = sum(len(place.own(share)) for place in places)
        known = {(e.set, e.file): e for e in read_entries(out)}
        is_whole = partial(_is_whole, out, {})
        with Workers(workers if workers or total >= _FEW else 1) as pool:
            index, sets = examine(out, places, settings, share, pool)
            keys = {rig: calibration_key(of) for rig, of in index.calibrations.items()}
            tasks: list[_Task] = []
            old: list[Entry] = []
            for name, files in zip(names, sets, strict=True):
                there = {
                    file.name: entry
                    for file in files
                    if (entry := known.get((name, file.name))) is not None
                    and _is_current(entry, file, keys.get(file.rig, ""), strict=strict)
                    and is_whole(entry)
                }
                old += there.values()
                left = [file for file in files if file.name not in there]
                tasks += [_Task(name, b, strict) for b in batches(left, index.calibrations)]
            with progress("packing", total) as update:
                done = len(old)
                update(done, before=done)
                for entry in old:
                    _count(result, entry)
                for _, made in pool.map(_make, tasks):
                    for clip in made:
                        add(clip)
                        _count(result, clip.entry)
                        result.packed += not clip.entry.error
                    done += len(made)
                    update(done)
    result.size = size_of(out)
    return result


def size_of(out: Path) -> int:
    """Bytes of the files of a store, also while others write to it."""
    size = 0
    for path in out.iterdir():
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


@contextmanager
def writing_to(out: Path, sets: Sequence[str], *, share: Share = _ALL) -> Iterator[Add]:
    """A store for adding clips, made if it does not exist, with this share's lock held.

    Args:
        out: its folder.
        sets: names of the clips' sets.
        share: of the shards.

    Raises:
        DataError: a damaged store, or one of another version.
        InputError: another process writes to it, or the folder holds something else.
    """
    make_folder(out, "clips are packed")
    name = share_name(share)
    with locked(out / f".{name}.lock", _DOING):
        with index_locked(out):
            # Shards whose index was lost are a store all the same.
            known = is_store(out) or next(out.glob("motion-*.safetensors"), None)
            if not known and next(out.glob("[!.]*"), None):
                raise InputError(f"{out}: holds other files and no {INDEX}; give a new folder")
            index = read_index(out) if is_store(out) else Index()
            merged = tuple(dict.fromkeys([*index.sets, *sets]))
            if merged != index.sets or not is_store(out):
                replace(index, sets=merged).save(out)
        finish_left(out, name, finish_shard, _DOING)
        with GrowingShard(
            out, name, finish=finish_shard, rows=SHARD_FRAMES, clips=SHARD_CLIPS
        ) as shard:
            yield lambda made: shard.add(row_of(made), made.entry.frames)


def make_entry(name: str, file: str, motion: Motion, digest: str) -> Made:
    """A motion as a clip of a store.

    Args:
        name: of its set.
        file: name of its file in the set.
        motion: canonical, at 30 frames/s.
        digest: of the file.

    Raises:
        BVHError: its body has no features.
    """
    root_between_bodies(motion.offsets, REFERENCE)
    source = motion.source
    entry = Entry(
        name,
        file,
        digest,
        reader=code_version()[:12],
        frames=len(motion),
        motion=motion_digest(motion),
        name=source.name,
        fps=source.fps,
        scale=source.scale,
        family=source.family,
    )
    return Made(entry, pack_frames(motion), motion.offsets, source.joints)


def _count(result: Packed, entry: Entry) -> None:
    if entry.error:
        result.failed.append(entry)
        return
    result.clips += 1
    result.frames += entry.frames
    if entry.remarks:
        result.remarked.append(entry)


def _is_current(entry: Entry, file: File, calibration: str, *, strict: bool) -> bool:
    """Whether reading the file again would give the existing entry."""
    now = (file.digest, calibration, _reader_of(file))
    return (entry.digest, entry.calibration, entry.reader) == now and not (
        strict and faults(entry.remarks)
    )


@dataclass(frozen=True, eq=False)
class _Task:
    """Files of a set for one worker."""

    set: str
    batch: Batch
    strict: bool


def _make(task: _Task) -> list[Made]:
    """Done by a worker."""
    key = calibration_key(task.batch.calibration)
    pairs = zip(task.batch.files, read_batch(task.batch), strict=True)
    return [_made(task, file, outcome, key) for file, outcome in pairs]


def _made(task: _Task, file: File, outcome: Outcome, key: str) -> Made:
    reader = _reader_of(file)
    entry = Entry(task.set, file.name, file.digest, key, reader)
    if isinstance(outcome, str):
        return _failed(entry, outcome)
    if wrong := faults(outcome.remarks) if task.strict else []:
        # Without a digest it is read again when nobody is strict.
        return _failed(replace(entry, digest=""), wrong[0])
    try:
        made = make_entry(task.set, file.name, outcome.motion, file.digest)
    except BVHError as error:
        return _failed(entry, str(error))
    entry = replace(made.entry, calibration=key, reader=reader, remarks=outcome.remarks)
    return replace(made, entry=entry)


def _is_whole(out: Path, rows: dict[str, int], entry: Entry) -> bool:
    """Whether an entry's shard still has its frames; ``rows`` keeps the shards' numbers of frames.

    A clip whose shard was cut off or removed is packed again, and its last entry counts.
    """
    if entry.error:
        return True
    if entry.shard not in rows:
        try:
            with Shard(out / entry.shard) as shard:
                rows[entry.shard] = shard.rows
        except DataError:
            rows[entry.shard] = -1
    return entry.row + entry.frames <= rows[entry.shard]


def _reader_of(file: File) -> str:
    """Digest of the code that reads a file; for a robot's file, of robots' code and maps too."""
    version = code_version()[:12]
    knows = file.reading.trajectories
    if knows is None or not is_trajectory(file.path):
        return version
    return f"{version}-{knows.version[:12]}"


def _failed(entry: Entry, reason: str) -> Made:
    return Made(replace(entry, error=reason), _NOTHING, _NOTHING, {})
