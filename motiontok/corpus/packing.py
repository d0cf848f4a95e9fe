"""From folders of clips to a few files of codes, for training on them, by many machines at once.

A shard that grows is a file of whole lines (:mod:`motiontok.shards`), codes and all. It becomes
``codes-NUMBER-SHARE.safetensors`` with ``manifest-NUMBER-SHARE.jsonl`` beside it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from bvh.atomic_write import atomic_path
from bvh.reading import Reading
from bvh.remarks import faults
from bvh.workers import Workers
from motiontok.codes import Codes
from motiontok.corpus.clips import Sources, open_clips, places_of, unpacked
from motiontok.corpus.entries import (
    MANIFEST,
    Entry,
    check_same,
    line_of,
    read_manifest,
)
from motiontok.corpus.work import FEW, Made, batches, encode_batch, open_tokenizer, settings_of
from motiontok.data import Start
from motiontok.errors import InputError
from motiontok.locks import locked
from motiontok.progress import progress
from motiontok.shards import (
    SHARD_CLIPS,
    GrowingShard,
    Share,
    finish_left,
    make_folder,
    open_lines,
    require_share,
    share_name,
    share_of,
)

__all__ = ["FORMAT", "Packed", "encode_packed"]

FORMAT = "motiontok-corpus-1"

SHARD_ROWS = 65_536
"""Windows after which a shard is closed: 4 MB at 32 codes a window."""


@dataclass
class Packed:
    """Result of a run.

    Attributes:
        fingerprint: of the tokenizer.
        clips: clips of this share.
        encoded: of these, encoded now.
        frames, windows: of those encoded now.
        failed: entries of this share's clips that have no codes.
        remarked: entries of those with codes on which there are remarks.
    """

    fingerprint: str
    clips: int
    encoded: int = 0
    frames: int = 0
    windows: int = 0
    failed: list[Entry] = field(default_factory=list)
    remarked: list[Entry] = field(default_factory=list)


def encode_packed(
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
    share: Share = (0, 1),
) -> Packed:
    """Encode the clips of folders, archives or stores into shards; :class:`Corpus` reads them.

    Clips with content in the manifest are left alone, on whichever machine they were encoded. So an
    interrupted run continues where it ended, also with another number of machines. A changed clip
    is encoded again, and its last entry counts. Clips that cannot be read are entered with the
    reason. Progress goes to standard error.

    Args:
        sources: as :func:`encode_folder` has them.
        out: folder of the shards, the same for all machines.
        tokenizer, device, effort, hold_path, first, rate_weight, reading, strict, workers: as for
            :func:`encode_folder`.
        share: share of the clips to encode: number and count of shares. A clip's share depends on
            its path and the count alone.

    Raises:
        BVHError: a source is not there, or has no clips.
        DataError: a source is given twice, or the manifest is damaged or of another tokenizer or
            setting.
        InputError: another process encodes this share, there is no such share, or the folder
            holds unpacked codes.
        TokenizerError: the tokenizer cannot be opened.
        OSError: the folder cannot be written, or the disk is full. Clips encoded before are kept.
    """
    out = Path(out)
    require_share(share)
    wanted = settings_of(tokenizer, device, effort, hold_path, first, rate_weight)
    name = share_name(share)
    with unpacked(places_of(sources)) as places, _alone_in(out, share):
        names = open_clips(places, reading).names
        clips = [clip for clip in names if share_of(clip, share[1]) == share[0]]
        finish_left(out, name, _finish, "encoding")
        known = _known(out, wanted, set(clips))
        tasks = batches(
            (replace(wanted, file=c, sha256=_hash(known.get(c), strict)) for c in clips),
            places=places,
            tokenizer=tokenizer,
            device=device,
            reading=reading,
            strict=strict,
        )
        if workers is None and (device != "cpu" or len(clips) < FEW):
            workers = 1
        result = Packed(wanted.fingerprint, len(clips))
        done = 0
        with (
            GrowingShard(out, name, finish=_finish, rows=SHARD_ROWS, clips=SHARD_CLIPS) as shard,
            Workers(workers) as pool,
            progress("encoding", len(clips)) as update,
        ):
            for batch, made in pool.map(encode_batch, tasks):
                for entry, codes in made:
                    old = known.get(entry.file)
                    if codes is not None:
                        result.encoded += 1
                        result.frames += entry.frames
                        result.windows += entry.windows
                    elif not entry.error:
                        assert old is not None
                        entry = old
                    if entry.error:
                        result.failed.append(entry)
                    elif entry.remarks:
                        result.remarked.append(entry)
                    if entry != old:
                        shard.add(_row(entry, codes), entry.windows)
                done += len(batch.entries)
                update(done)
    open_tokenizer.cache_clear()
    for entries in (result.failed, result.remarked):
        entries.sort(key=lambda entry: entry.file)
    return result


@contextmanager
def _alone_in(out: Path, share: Share) -> Iterator[None]:
    make_folder(out, "a folder of clips is encoded")
    if (out / MANIFEST).is_file():
        raise InputError(f"{out}: holds a file of codes a clip; give another folder")
    lock = out / f".{share_name(share)}.lock"
    with locked(lock, f"encoding share {share[0]}/{share[1]} into this folder"):
        yield


def _hash(old: Entry | None, strict: bool) -> str:
    """Digest of content that need not be encoded again."""
    return "" if old is None or (strict and faults(old.remarks)) else old.sha256


def _known(out: Path, wanted: Entry, clips: set[str]) -> dict[str, Entry]:
    """Last entries of this share's clips."""
    known = {}
    for entry in read_manifest(out) if any(out.glob("manifest-*.jsonl")) else ():
        check_same(out, entry, wanted)
        if entry.file in clips:
            known[entry.file] = entry
    return known


def _row(entry: Entry, codes: Codes | None) -> dict[str, Any]:
    """A clip in an open shard."""
    row: dict[str, Any] = {"entry": asdict(entry)}
    if codes is not None:
        row |= {
            "codes": base64.b64encode(codes.array.astype("<u2").tobytes()).decode(),
            "codes_per_window": codes.array.shape[1],
            "start": asdict(codes.start),
            "offsets": np.asarray(codes.offsets).tolist(),
            "source": codes.source,
            "tokenizer": codes.tokenizer,
            "licence": codes.licence,
            "fps": codes.fps,
        }
    return row


def _made(path: Path) -> Iterator[Made]:
    """Clips of an open shard, without an unfinished last one."""
    for row in open_lines(path):
        try:
            entry = Entry(**row["entry"])
            codes = None
            if "codes" in row:
                array = np.frombuffer(base64.b64decode(row["codes"]), "<u2")
                codes = Codes(
                    array.reshape(entry.windows, row["codes_per_window"]).astype(np.uint16),
                    fingerprint=entry.fingerprint,
                    tokenizer=row["tokenizer"],
                    frames=entry.frames,
                    start=Start(**row["start"]),
                    offsets=np.asarray(row["offsets"], dtype=np.float64).reshape(22, 3),
                    source=row["source"],
                    licence=row["licence"],
                    fps=row["fps"],
                    first=entry.first or 0,
                )
        except (ValueError, TypeError, KeyError):
            return
        yield entry, codes


def _finish(path: Path) -> None:
    """Make a shard and its manifest from an open one; idempotent."""
    number_and_share = path.stem.removeprefix("open-")
    shard = path.with_name(f"codes-{number_and_share}.safetensors")
    entries: list[Entry] = []
    clips: list[Codes] = []
    row = 0
    for entry, codes in _made(path):
        if codes is not None:
            entry = replace(entry, codes=shard.name, row=row)
            clips.append(codes)
            row += entry.windows
        entries.append(entry)
    manifest = path.with_name(f"manifest-{number_and_share}.jsonl")
    text = "".join(map(line_of, entries))
    if clips:
        with atomic_path(manifest) as beside, atomic_path(shard) as temporary:
            beside.write_text(text, encoding="utf-8")
            temporary.write_bytes(_packed(clips, entries[0]))
    elif entries:
        with atomic_path(manifest) as beside:
            beside.write_text(text, encoding="utf-8")
    path.unlink()


def _packed(clips: list[Codes], how: Entry) -> bytes:
    """A shard: codes one clip after the other, and values for decoding them."""
    first = np.cumsum([0, *(len(c.array) for c in clips)], dtype=np.int64)
    tensors = {
        "codes": np.concatenate([c.array for c in clips]).astype(np.uint16),
        "first": first,
        "frames": np.array([c.frames for c in clips], dtype=np.int64),
        "start": np.array([[c.start.x, c.start.y, c.start.yaw] for c in clips]),
        "offsets": np.stack([c.offsets for c in clips]),
    }
    about = {
        "format": FORMAT,
        "fingerprint": clips[0].fingerprint,
        "tokenizer": clips[0].tokenizer,
        "licence": clips[0].licence,
        "fps": str(clips[0].fps),
        "effort": str(how.effort),
        "hold_path": str(how.hold_path).lower(),
        "first_codes": str(how.first or "all"),
        "rate_weight": str(how.rate_weight),
        "sources": json.dumps([c.source for c in clips]),
    }
    return save(tensors, metadata=about)
