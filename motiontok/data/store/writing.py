"""Folders and archives of clips to a store, on all cores, resumable at any point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bvh.cache import code_version
from bvh.clip_files import (
    Batch,
    Outcome,
    batches,
    calibration_key,
    files_of,
    names_in,
    read_batch,
)
from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.reading import Reading, Settings
from bvh.remarks import faults
from bvh.rigs import File, Rig, calibrate_rig, group
from bvh.skeleton import root_between_bodies
from bvh.workers import Workers
from motiontok.data.motion_digest import motion_digest
from motiontok.data.placement import REFERENCE
from motiontok.data.sets import set_names
from motiontok.data.store.entries import INDEX, Entry, Index, is_store, read_entries, read_index
from motiontok.data.store.frames import WORDS, pack_frames
from motiontok.data.store.shard import Made, finish_shard, row_of
from motiontok.errors import InputError
from motiontok.progress import progress
from motiontok.shards import SHARD_CLIPS, GrowingShard, alone, finish_left, make_folder

__all__ = ["Packed", "make_entry", "pack_clips", "writing_to"]

SHARD_FRAMES = 524_288
"""Frames after which a shard is closed: 75 MB."""

_FEW = 16
"""Files for which no other process is started."""

_ALL = "0of1"
_DOING = "packing into this store"
_NOTHING = np.empty((0, WORDS), np.uint16)

Add = Callable[[Made], None]
"""Takes a clip into a store."""


@dataclass
class Packed:
    """What a run did.

    Attributes:
        clips: clips of the folders that are in the store.
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


def pack_clips(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    reading: Reading | None = None,
    strict: bool = False,
    workers: int | None = None,
) -> Packed:
    """Read, normalise and pack every clip; each source is a set of the store.

    Clips of one rig share one calibration over all sources, as
    :func:`motiontok.data.sets.read_sets` has it. Clips whose content, calibration and reader are
    those of their entry are left alone, so a run that was ended goes on where it was. Clips that
    cannot be read are entered with the reason. Others that the store has stay in it. Progress
    goes to standard error.

    Args:
        sources: folders, archives or files of clips.
        out: folder of the store.
        reading: how BVH files are to be understood, over a ``bvh.toml`` beside them.
        strict: a clip with a fault is entered as one that cannot be used.
        workers: processes; by default one a core, or none for a few clips.

    Raises:
        BVHError: a source is not there, or has no clips.
        DataError: a damaged store, or one of another version.
        InputError: another process packs into this store, or the folder holds something else.
        OSError: the folder cannot be written, or the disk is full. What was packed before is kept.
    """
    out, paths = Path(out), [Path(path).expanduser() for path in sources]
    names = set_names(paths)
    settings = Settings(reading)
    found = [names_in(path) for path in paths]
    result = Packed()
    with writing_to(out, names) as add, ExitStack() as unpacked:
        sets = [
            unpacked.enter_context(files_of(path, of, settings))
            for path, of in zip(paths, found, strict=True)
        ]
        total = sum(map(len, sets))
        known = {(e.set, e.file): e for e in read_entries(out)}
        with Workers(workers if workers or total >= _FEW else 1) as pool:
            index = _calibrated(out, sets, pool)
            keys = {rig: calibration_key(of) for rig, of in index.calibrations.items()}
            tasks: list[_Task] = []
            old: list[Entry] = []
            for name, files in zip(names, sets, strict=True):
                there = {
                    file.name: entry
                    for file in files
                    if (entry := known.get((name, file.name))) is not None
                    and _is_current(entry, file, keys.get(file.rig, ""), strict=strict)
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
    result.size = sum(path.stat().st_size for path in out.iterdir())
    return result


@contextmanager
def writing_to(out: Path, sets: Sequence[str]) -> Iterator[Add]:
    """A store to add clips to, which is made if it is not there; nobody else writes meanwhile.

    Args:
        out: its folder.
        sets: names of the sets that clips are added to.

    Raises:
        DataError: a damaged store, or one of another version.
        InputError: another process writes to it, or the folder holds something else.
    """
    make_folder(out, "clips are packed")
    with alone(out / f".{_ALL}.lock", _DOING):
        # Shards whose index was lost are a store all the same.
        known = is_store(out) or next(out.glob("motion-*.safetensors"), None)
        if not known and next(out.glob("[!.]*"), None):
            raise InputError(f"{out}: holds other files and no {INDEX}; give a new folder")
        index = read_index(out) if is_store(out) else Index()
        merged = tuple(dict.fromkeys([*index.sets, *sets]))
        if merged != index.sets or not is_store(out):
            Index(merged, index.samples, index.calibrations).save(out)
        finish_left(out, _ALL, finish_shard, _DOING)
        with GrowingShard(
            out, _ALL, finish=finish_shard, rows=SHARD_FRAMES, clips=SHARD_CLIPS
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
        BVHError: it is of a body that has no features.
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
    """Whether reading the file again would make the entry that there is."""
    now = (file.digest, calibration, code_version()[:12])
    return (entry.digest, entry.calibration, entry.reader) == now and not (
        strict and faults(entry.remarks)
    )


def _calibrated(out: Path, sets: Sequence[Sequence[File]], pool: Workers) -> Index:
    """The store's index with the calibrations of all rigs of these sets.

    A rig has the calibration of the first set with several clips of it, and keeps it: clips that
    come later are read as those that are there.
    """
    index = read_index(out)
    samples, calibrations = dict(index.samples), dict(index.calibrations)
    wanted: dict[str, Rig] = {}
    for files in sets:
        for name, rig in group(files).items():
            if rig.sample:
                wanted.setdefault(name, rig)
            else:
                samples.setdefault(name, "")
                calibrations.setdefault(name, None)
    new = {
        name: rig
        for name, rig in wanted.items()
        if calibrations.get(name) is None and samples.get(name) != rig.key
    }
    made = {rig.key: of for rig, of in pool.map(calibrate_rig, [*new.values()])}
    samples |= {name: rig.key for name, rig in new.items()}
    calibrations |= {name: made[rig.key] for name, rig in new.items()}
    index = Index(index.sets, samples, calibrations)
    if new:
        index.save(out)
    return index


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
    entry = Entry(task.set, file.name, file.digest, key, code_version()[:12])
    if isinstance(outcome, str):
        return _failed(entry, outcome)
    if wrong := faults(outcome.remarks) if task.strict else []:
        # Without a digest it is read again when nobody is strict.
        return _failed(replace(entry, digest=""), wrong[0])
    try:
        made = make_entry(task.set, file.name, outcome.motion, file.digest)
    except BVHError as error:
        return _failed(entry, str(error))
    return replace(made, entry=replace(made.entry, calibration=key, remarks=outcome.remarks))


def _failed(entry: Entry, reason: str) -> Made:
    return Made(replace(entry, error=reason), _NOTHING, _NOTHING, {})
