"""Folders and archives of clips as canonical motions, read on all cores and cached."""

from __future__ import annotations

import hashlib
import json
import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bvh.archives import is_archive, table_sidecar
from bvh.cache import Pack, Stamp, Store, file_digest
from bvh.clip_files import (
    EXPECTED,
    Outcome,
    at,
    batches,
    calibration_key,
    examine_files,
    files_of,
    names_in,
    read_batch,
)
from bvh.errors import BVHError
from bvh.motion import FPS, Motion
from bvh.motion_io import Calibrations, Loaded
from bvh.normalizer import Calibration
from bvh.reading import Reading, Settings
from bvh.remarks import faults
from bvh.rigs import File, Rig, calibrate_rig, group
from bvh.sources import stem
from bvh.workers import Workers

__all__ = ["Dataset", "LazyMotions", "lengths_of", "load"]

Progress = Callable[[int, int], object]
"""Called with the number of files done and the number of files."""

_WORTH_IT = 16
"""Files for which workers are started."""


class LazyMotions(Sequence[Motion]):
    """Motions that are read on access; their names, lengths and digests are known before."""

    @property
    @abstractmethod
    def lengths(self) -> list[int]:
        """Frames of each."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Names of their sources."""

    @property
    @abstractmethod
    def digests(self) -> list[str]:
        """Digests that differ where motions differ."""

    @abstractmethod
    def take(self, indices: Iterable[int]) -> LazyMotions:
        """Those at ``indices``, in that order."""


def lengths_of(motions: Sequence[Motion]) -> list[int]:
    """Frames of each motion; none is read for it."""
    return motions.lengths if isinstance(motions, LazyMotions) else [len(m) for m in motions]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Motions with the names of the files they came from.

    Attributes:
        motions: canonical motions, in natural order of their names.
        names: paths relative to the folder or archive, such as ``"walk/01_02.bvh"``.
        skipped: (name, reason) of each file that could not be read.
        digests: of the bytes of each motion's file and of the settings it is read with; empty if
            the motions come from no files.
        remarks: (name, remark) on faults and assumptions in files that were read.
        calibrations: calibration of each rig, by its digest.
    """

    motions: Sequence[Motion]
    names: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    calibrations: dict[str, Calibration | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.motions)

    def __getitem__(self, index: int) -> Motion:
        return self.motions[index]

    def __iter__(self) -> Iterator[Motion]:
        return iter(self.motions)

    @property
    def frames(self) -> int:
        """Frames of all motions together."""
        return sum(lengths_of(self.motions))

    @property
    def seconds(self) -> float:
        """Length of all motions together."""
        if isinstance(self.motions, LazyMotions):
            return self.frames / FPS
        return sum(motion.duration for motion in self.motions)

    def take(self, indices: Iterable[int]) -> Dataset:
        """The motions at ``indices``, in that order."""
        chosen = list(indices)
        motions = self.motions
        return Dataset(
            motions.take(chosen)
            if isinstance(motions, LazyMotions)
            else [motions[i] for i in chosen],
            [self.names[i] for i in chosen],
            digests=[self.digests[i] for i in chosen] if self.digests else [],
        )

    def skipped_summary(self) -> str:
        """One line on the files that could not be read; empty if all could."""
        if not self.skipped:
            return ""
        count, total = len(self.skipped), len(self.skipped) + len(self)
        shown = "; ".join(f"{name}: {reason}" for name, reason in self.skipped[:3])
        more = f"; and {count - 3} more" if count > 3 else ""
        return f"skipped {count} of {total} files ({shown}{more})"


def load(
    path: str | os.PathLike[str],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    strict: bool = False,
    cache: bool = True,
    reading: Reading | None = None,
    calibrations: Calibrations | None = None,
    calibrate: bool = True,
) -> Dataset:
    """Read and normalise every clip of a folder or archive.

    Clips of one rig share one calibration, so that they agree also where a single clip is
    ambiguous. The only clip of a rig is normalised by itself. Motions hold single-precision values
    whether they come from the cache or not. Given the dataset's ``calibrations``,
    :func:`bvh.motion_io.load_motion` reads the same motion from a single file.

    Args:
        path: a folder (searched recursively), a zip or tar archive, or one file;
            it reads ``.bvh`` clips and ``.npz`` motions, and robots' files if ``reading`` has a
            reader for them, and ignores all other files.
        workers: processes; by default one a core.
        progress: called as ``progress(done, total)``, in files.
        strict: raise at the first file that cannot be read or has a fault; see
            :func:`bvh.remarks.faults`.
        cache: keep the motions in :func:`bvh.cache.cache_dir` and find them there.
        reading: how to read the files; it overrides a ``bvh.toml`` beside them.
        calibrations: of rigs that are known already.
        calibrate: calibrate other rigs on their clips; else each clip is measured on itself.

    Raises:
        BVHError: nothing is there, the archive is damaged or unsafe, no clip could be
            read, or, with ``strict``, some clip could not, or has a fault.
    """
    path = Path(path).expanduser()
    names = names_in(path)
    # Only for these files a reader of robots' files matters.
    arrays = is_archive(path) or any(n.lower().endswith((".npz", ".csv")) for n in names)
    readers = reading.trajectories if reading is not None and arrays else None
    job = _Job(
        path,
        workers,
        progress,
        strict,
        Settings(reading),
        dict(calibrations or {}),
        calibrate,
        readers.version if readers is not None else "",
    )
    stamps = [_stamp(path, name) for name in names]
    stamps += [_stamp(file, "") for file in _settings_files(job, names)]
    store = Store(path, job.variant) if cache else None
    pack = store.find_by_stamps(stamps) if store else None
    if pack is None:
        pack = _read_set(job, names, stamps, store)
    if strict and pack.skipped:
        raise job.failure(*pack.skipped[0])
    if not pack.motions:
        raise BVHError(_why_empty(path, pack))
    remarks = [(n, line) for n, of in zip(pack.names, pack.remarks, strict=True) for line in of]
    wrong = [(name, line) for name, line in remarks if faults([line])]
    if strict and wrong:
        raise job.failure(*wrong[0])
    return Dataset(pack.motions, pack.names, pack.skipped, pack.digests, remarks, pack.rigs)


def _stamp(path: Path, name: str) -> Stamp:
    try:
        status = at(path, name).stat()
    except OSError:
        # A file that vanishes or dangles is reported when it is read.
        return name, -1, -1
    return name or str(path), status.st_size, status.st_mtime_ns


def _settings_files(job: _Job, names: Sequence[str]) -> list[Path]:
    """Files of settings for reading; a change of one makes a cached pack stale."""
    places = [at(job.path, name) for name in names]
    found = [job.settings.file_of(place) for place in places]
    found += map(table_sidecar, places)
    for said in {id(r): r for r in map(job.settings.of, places)}.values():
        named = (said.body_model, said.robot, said.robot_map, said.joints)
        found += [file for name in named if name and (file := Path(name)).is_file()]
    return list(dict.fromkeys(file for file in found if file is not None))


def _why_empty(path: Path, pack: Pack) -> str:
    if not pack.skipped:
        return f"{path}: no clips in this archive; expected {EXPECTED} files"
    name, reason = pack.skipped[0]
    return f"{path}: none of {len(pack.skipped)} clips could be read; the first, {name}: {reason}"


@dataclass(frozen=True)
class _Job:
    """What was asked for."""

    path: Path
    workers: int | None
    progress: Progress | None
    strict: bool
    settings: Settings
    calibrations: dict[str, Calibration | None]
    calibrate: bool
    robots: str

    @property
    def variant(self) -> str:
        """Digest of all settings that change the motions; empty for a plain reading."""
        said = self.settings.given.digest
        if not (said or self.calibrations or self.robots) and self.calibrate:
            return ""
        known = {rig: calibration_key(of) for rig, of in sorted(self.calibrations.items())}
        robots = [self.robots] if self.robots else []
        return _digest(json.dumps([said, known, self.calibrate, *robots]))

    def failure(self, name: str, reason: str) -> BVHError:
        """The error for a file that ends a strict run."""
        return BVHError(f"{self.path}: {name}: {reason}")


def _read_set(
    job: _Job, names: Sequence[str], stamps: Sequence[Stamp], store: Store | None
) -> Pack:
    """Find the set in the cache by its contents, or read it and put it there."""
    whole = not job.path.is_dir() and is_archive(job.path)
    files = [] if whole else examine_files(job.path, job.path, names, job.settings)
    digests = [(file.name, file.digest) for file in files]
    if whole:
        digests = [(job.settings.of(job.path).digest, file_digest(job.path))]
    key = store.key([*digests, ("variant", job.variant)]) if store else ""
    pack = store.find_by_key(key, stamps) if store else None
    if pack is None:
        known = store.find_previous() if store else None
        if whole:
            with files_of(job.path, names, job.settings) as files:
                pack = _pack(job, files, known)
        else:
            pack = _pack(job, files, known)
        if store:
            store.save(pack, key, stamps)
    return pack


def _pack(job: _Job, files: Sequence[File], known: Pack | None) -> Pack:
    """Motions of the files, those with known contents and calibration from ``known``."""
    rigs = _rigs(job, files)
    results = _recall(files, rigs, known)
    left = [file for file in files if file.name not in results]
    # Starting processes takes as long as reading a dozen clips.
    with Workers(job.workers if len(left) >= _WORTH_IT else 1) as workers:
        done = len(results)
        found = _calibrations(job, left, rigs, known, workers)
        for batch, outcomes in workers.map(read_batch, batches(left, found)):
            for file, outcome in zip(batch.files, outcomes, strict=True):
                if job.strict and isinstance(outcome, str):
                    raise job.failure(file.name, outcome)
                results[file.name] = outcome
                done += 1
                if job.progress:
                    job.progress(done, len(files))
    pack = Pack(rigs=found)
    for file in files:
        outcome = results[file.name]
        if isinstance(outcome, Loaded):
            pack.motions.append(outcome.motion)
            pack.names.append(file.name)
            pack.digests.append(file.digest)
            pack.calibrations.append(rigs[file.rig].key if file.rig else "")
            pack.remarks.append(list(outcome.remarks))
        else:
            pack.skipped.append((file.name, outcome))
    return pack


def _rigs(job: _Job, files: Sequence[File]) -> dict[str, Rig]:
    """The rigs of the files; known rigs keep their calibration."""
    rigs = group(files)
    for name, rig in rigs.items():
        if name in job.calibrations:
            rigs[name] = Rig(calibration_key(job.calibrations[name]), ())
        elif not job.calibrate or not rig.sample:
            rigs[name] = Rig("", ())
    return rigs


def _recall(files: Sequence[File], rigs: dict[str, Rig], known: Pack | None) -> dict[str, Outcome]:
    if known is None:
        return {}
    keys = zip(known.digests, known.calibrations, strict=True)
    loaded = map(Loaded, known.motions, map(tuple, known.remarks))
    motions = dict(zip(keys, loaded, strict=True))
    found: dict[str, Outcome] = {}
    for file in files:
        before = motions.get((file.digest, rigs[file.rig].key if file.rig else ""))
        if before is not None:
            found[file.name] = replace(before, motion=_renamed(before.motion, file))
    return found


def _renamed(motion: Motion, file: File) -> Motion:
    """The motion of a file that may have been renamed; ``.npz`` files keep their own name."""
    if not file.rig:
        return motion
    return replace(motion, source=replace(motion.source, name=stem(file.path)))


def _calibrations(
    job: _Job, left: Sequence[File], rigs: dict[str, Rig], known: Pack | None, workers: Workers
) -> dict[str, Calibration | None]:
    """Calibration of each rig: known, measured now, or found with its motions."""
    needed = {file.rig: rigs[file.rig] for file in left if file.rig and rigs[file.rig].sample}
    made = {rig.key: of for rig, of in workers.map(calibrate_rig, [*needed.values()])}
    found: dict[str, Calibration | None] = {}
    for name, rig in rigs.items():
        if name in job.calibrations:
            found[name] = job.calibrations[name]
        elif name in needed:
            found[name] = made.get(rig.key)
        else:
            found[name] = known.rigs.get(name) if known and rig.sample else None
    return found


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
