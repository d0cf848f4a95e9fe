"""Folders and archives of clips as canonical motions, read on all cores and cached."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bvh.archives import (
    MOTION_SUFFIXES,
    find_motion_files,
    is_archive,
    is_lfs_pointer,
    is_motion_file,
    unpack,
)
from bvh.cache import Pack, Stamp, Store, file_digest
from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.normalizer import normalize
from bvh.reader import read

__all__ = ["Dataset", "load"]

Progress = Callable[[int, int], object]
"""Called with the number of files done and the number of files."""

_BATCH = 8
"""Files a worker takes at a time."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Motions with the names of the files they came from.

    Attributes:
        motions: canonical motions, in natural order of their names.
        names: paths relative to the folder or archive, such as ``"walk/01_02.bvh"``.
        skipped: (name, reason) of each file that could not be read.
    """

    motions: list[Motion]
    names: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.motions)

    def __getitem__(self, index: int) -> Motion:
        return self.motions[index]

    def __iter__(self) -> Iterator[Motion]:
        return iter(self.motions)

    @property
    def frames(self) -> int:
        """Frames of all motions together."""
        return sum(len(motion) for motion in self.motions)

    @property
    def seconds(self) -> float:
        """Length of all motions together."""
        return sum(motion.duration for motion in self.motions)

    def take(self, indices: Iterable[int]) -> Dataset:
        """The motions at ``indices``, in that order."""
        chosen = list(indices)
        return Dataset([self.motions[i] for i in chosen], [self.names[i] for i in chosen])

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
) -> Dataset:
    """Read and normalise every clip of a folder or archive.

    Motions hold single-precision values whether they come from the cache or not.

    Args:
        path: a folder (searched recursively), a zip or tar archive, or one file;
            ``.bvh`` clips and ``.npz`` motions are read, all else is ignored.
        workers: processes; by default one a core. They start afresh, so a script that
            calls this needs the usual ``if __name__ == "__main__":``.
        progress: called as ``progress(done, total)``, in files.
        strict: let the first file that cannot be read end the run.
        cache: keep the motions in :func:`bvh.cache.cache_dir` and find them there.

    Raises:
        BVHError: nothing is there, the archive is damaged or unsafe, no clip could be
            read, or, with ``strict``, some clip could not.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise BVHError(f"{path}: no such file or folder")
    files = _files(path)
    stamps = [_stamp(path, name) for name in files]
    job = _Job(path, workers, progress, strict)
    if cache:
        store = Store(path)
        if (pack := store.find_by_stamps(stamps)) is None:
            key = store.key((name, _digest(_at(path, name))) for name in files)
            if (pack := store.find_by_key(key, stamps)) is None:
                known = store.find_previous()
                pack = _read_all(job, files, known)
                store.save(pack, key, stamps)
    else:
        pack = _read_all(job, files, None)
    if strict and pack.skipped:
        raise job.failure(*pack.skipped[0])
    if not pack.motions:
        raise BVHError(_why_empty(path, pack))
    return Dataset(pack.motions, pack.names, pack.skipped)


def _files(path: Path) -> list[str]:
    """Names of the files whose change makes a cached pack stale."""
    if path.is_dir():
        return find_motion_files(path)
    if is_archive(path) or is_motion_file(path.name):
        return [path.name]
    raise BVHError(
        f"{path}: not a folder, an archive (.zip, .tar, .tar.gz, .tar.xz) "
        f"or a clip ({', '.join(MOTION_SUFFIXES)})"
    )


def _at(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path


def _stamp(path: Path, name: str) -> Stamp:
    try:
        status = _at(path, name).stat()
    except OSError:
        # A file that vanishes or dangles is reported when it is read.
        return name, -1, -1
    return name, status.st_size, status.st_mtime_ns


def _why_empty(path: Path, pack: Pack) -> str:
    if not pack.skipped:
        return f"{path}: no clips here; expected {' or '.join(MOTION_SUFFIXES)} files"
    name, reason = pack.skipped[0]
    return f"{path}: none of {len(pack.skipped)} clips could be read; the first, {name}: {reason}"


@dataclass(frozen=True)
class _Job:
    """What was asked for."""

    path: Path
    workers: int | None
    progress: Progress | None
    strict: bool

    def failure(self, name: str, reason: str) -> BVHError:
        """The error for a file that ends a strict run."""
        return BVHError(f"{self.path}: {name}: {reason}")


def _read_all(job: _Job, files: Sequence[str], known: Pack | None) -> Pack:
    if job.path.is_dir() or not is_archive(job.path):
        return _pack(job, job.path, files, known)
    # Read in place, a compressed archive would be unpacked again by every worker.
    with tempfile.TemporaryDirectory(prefix="motiontok-") as folder:
        members = unpack(job.path, Path(folder))
        return _pack(job, Path(folder), members, known)


def _digest(file: Path) -> str:
    try:
        return file_digest(file)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _pack(job: _Job, folder: Path, names: Sequence[str], known: Pack | None) -> Pack:
    """Motions of the files, those with known contents taken from ``known``."""
    digests = {name: _digest(_at(folder, name)) for name in names}
    by_digest = dict(zip(known.digests, known.motions, strict=True)) if known else {}
    results: dict[str, Motion | str] = {}
    for name in names:
        if (motion := by_digest.get(digests[name])) is not None:
            results[name] = _renamed(motion, name)
    waiting = [name for name in names if name not in results]
    for name, result in _results(folder, waiting, job.workers):
        results[name] = result
        if job.strict and isinstance(result, str):
            raise job.failure(name, result)
        if job.progress:
            job.progress(len(results), len(names))
    pack = Pack()
    for name in names:
        result = results[name]
        if isinstance(result, Motion):
            pack.motions.append(result)
            pack.names.append(name)
            pack.digests.append(digests[name])
        else:
            pack.skipped.append((name, result))
    return pack


def _renamed(motion: Motion, name: str) -> Motion:
    """The motion of a file that may have been renamed; ``.npz`` files keep their own name."""
    if name.lower().endswith(".npz"):
        return motion
    return replace(motion, source=replace(motion.source, name=Path(name).stem))


def _results(
    folder: Path, names: Sequence[str], workers: int | None
) -> Iterator[tuple[str, Motion | str]]:
    """Read files, in any order, on as many processes as are worth starting."""
    count = _cores() if workers is None else max(workers, 1)
    count = min(count, len(names) // _BATCH)
    left = dict.fromkeys(names)
    # Workers of others (data loaders) must not start workers of their own.
    if count > 1 and multiprocessing.parent_process() is None:
        batches = [list(names[i : i + _BATCH]) for i in range(0, len(names), _BATCH)]
        # Forking a process that runs threads can lock up; a fresh one cannot.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(count, mp_context=context)
        try:
            jobs = [pool.submit(_read_batch, folder, batch) for batch in batches]
            for job in as_completed(jobs):
                for name, result in job.result():
                    del left[name]
                    yield name, result
        except BrokenProcessPool:
            warnings.warn(
                'worker processes died (a script needs `if __name__ == "__main__":` '
                "around what it runs); going on in one process",
                RuntimeWarning,
                stacklevel=2,
            )
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for name in left:
        yield name, _read_one(folder, name)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_batch(folder: Path, names: Sequence[str]) -> list[tuple[str, Motion | str]]:
    return [(name, _read_one(folder, name)) for name in names]


def _read_one(folder: Path, name: str) -> Motion | str:
    """The motion of a file, or why there is none."""
    path = _at(folder, name)
    try:
        if is_lfs_pointer(path):
            return "a Git LFS pointer, not the clip itself; run `git lfs pull`"
        motion = _motion(path)
    except BVHError as error:
        # The name stands beside the reason; the folder may be a temporary one.
        return str(error).replace(f"{path}: ", "").replace(str(path), name)
    except Exception as error:
        # One odd file must not end the run, whatever code it trips.
        return f"unexpected {type(error).__name__}: {error}"
    return replace(
        motion,
        rotations=motion.rotations.astype(np.float32),
        root_positions=motion.root_positions.astype(np.float32),
    )


def _motion(path: Path) -> Motion:
    if path.suffix.lower() == ".npz":
        return Motion.load(path)
    return normalize(read(path))
