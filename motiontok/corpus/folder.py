"""From folders of clips to a folder of codes, with a file per clip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bvh.archives import result_names
from bvh.atomic_write import atomic_path
from bvh.reading import Reading
from bvh.remarks import faults
from bvh.workers import Workers
from motiontok.corpus.clips import Clips, Sources, open_clips, places_of, unpacked
from motiontok.corpus.entries import (
    MANIFEST,
    Entry,
    check_same,
    line_of,
    read_manifest,
)
from motiontok.corpus.work import (
    FEW,
    Batch,
    batches,
    encode_batch,
    open_tokenizer,
    settings_of,
)
from motiontok.errors import InputError
from motiontok.locks import locked
from motiontok.progress import progress
from motiontok.shards import make_folder

__all__ = ["encode_folder"]


def encode_folder(
    sources: Sources,
    out: str | Path,
    *,
    tokenizer: str = "default",
    device: str = "cpu",
    effort: int | None = None,
    hold_path: bool = False,
    first: int | None = None,
    rate_weight: float = 0.0,
    reading: Reading | None = None,
    strict: bool = False,
    workers: int | None = None,
) -> list[Entry]:
    """Encode every clip of folders, archives or stores, a few a core in memory at a time.

    Codes are written, and entered in ``manifest.jsonl``, as soon as a clip is done. An interrupted
    run continues where it ended: clips with content in the manifest and existing codes are left
    alone. Clips that cannot be read are entered with the reason. Progress goes to standard error.

    Args:
        sources: a folder of .bvh, .bvh.gz and .npz files, at any depth, an archive of them or a
            store of motion; or several of these, and files. Clips of several sources are named
            ``SET/FILE``, with the names of :func:`motiontok.data.sets.set_names`; a file is named
            like its set.
        out: folder of codes, laid out like the clips.
        tokenizer: its folder, or the name of a shipped one.
        device: where to encode. On other devices than the CPU, one process does all.
        effort, hold_path, first, rate_weight: as for :meth:`MotionTokenizer.encode`.
        reading: how to read the files; overrides a ``bvh.toml`` beside them.
        strict: enter a clip with a fault as unusable.
        workers: processes; by default one a core, or none for a few clips.

    Returns:
        An entry for each clip, source by source, in the order of their paths.

    Raises:
        BVHError: a source is not there, or has no clips.
        DataError: a source is given twice, a damaged manifest, one of another tokenizer or
            setting, or first codes that do not decode alone.
        InputError: another process encodes into this folder, or it holds packed codes.
        TokenizerError: the tokenizer cannot be opened.
        OSError: the folder cannot be written, or the disk is full.
    """
    out = Path(out)
    how = settings_of(tokenizer, device, effort, hold_path, first, rate_weight)
    with unpacked(places_of(sources)) as places, _alone_in(out):
        there = open_clips(places, reading)
        clips = there.names
        wanted = [replace(how, file=c, codes=t) for c, t in result_names(clips, ".npy").items()]
        known = {e.file: e for e in read_manifest(out)} if (out / MANIFEST).is_file() else {}
        for entry in known.values():
            check_same(out, entry, wanted[0])
        done = {e.file: known[e.file] for e in wanted if _is_done(there, out, e, known, strict)}
        # Codes that another clip's codes will replace belong to no clip any more.
        taken = {entry.codes for entry in wanted}
        gone = {e.file for e in known.values() if e.codes not in taken} - set(clips)
        _start(out, [e for e in known.values() if e.file in done or e.file in gone])
        left = [entry for entry in wanted if entry.file not in done]
        if workers is None and (device != "cpu" or len(left) < FEW):
            workers = 1
        tasks = batches(
            left, places=places, tokenizer=tokenizer, device=device, reading=reading, strict=strict
        )
        with (
            (out / MANIFEST).open("a", encoding="utf-8") as manifest,
            Workers(workers) as pool,
            progress("encoding", len(clips)) as update,
        ):
            update(len(done), before=len(done))
            for _, entries in pool.map(partial(_encode, out), tasks):
                manifest.write("".join(map(line_of, entries)))
                manifest.flush()
                done.update((entry.file, entry) for entry in entries)
                update(len(done))
    open_tokenizer.cache_clear()
    return [done[clip] for clip in clips]


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    make_folder(out, "a folder of clips is encoded")
    if next(out.glob("manifest-*-*.jsonl"), None):
        raise InputError(f"{out}: holds packed codes; add --pack, or give another folder")
    with locked(out, "encoding into this folder"):
        yield


def _is_done(
    clips: Clips,
    out: Path,
    wanted: Entry,
    known: dict[str, Entry],
    strict: bool,
) -> bool:
    old = known.get(wanted.file)
    if old is None or not old.sha256 or (strict and faults(old.remarks)):
        return False
    codes = out / wanted.codes
    there = codes.is_file() and codes.with_suffix(".json").is_file()
    if not old.error and not (old.codes == wanted.codes and there):
        return False
    try:
        return clips.digest(wanted.file) == old.sha256
    except OSError:
        return False


def _start(out: Path, kept: list[Entry]) -> None:
    """Remove outdated entries from the manifest, and half-written files from the folder."""
    for path in out.rglob(".*-????????.tmp.*"):
        if path.suffix in (".npy", ".json", ".jsonl"):
            path.unlink()
    with atomic_path(out / MANIFEST) as temporary:
        temporary.write_text("".join(map(line_of, kept)), encoding="utf-8")


def _encode(out: Path, batch: Batch) -> list[Entry]:
    """Done by a worker."""
    made = encode_batch(batch)
    for entry, codes in made:
        if codes is not None:
            codes.save(out / entry.codes)
    return [entry for entry, _ in made]
