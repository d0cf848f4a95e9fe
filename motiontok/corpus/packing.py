"""A folder of clips to a few files of codes, for training on them: by many machines at once.

While a shard grows, each clip is a line of ``open-NUMBER-SHARE.jsonl``, codes and all, and a
line that is whole counts. When it is large enough, or the run ends, the shard becomes
``codes-NUMBER-SHARE.safetensors`` with ``manifest-NUMBER-SHARE.jsonl`` beside it, and only then
is the open file removed. So at every instant each clip that was encoded is in one file or the
other, and a run that begins finishes what one that was killed has left.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from bvh.files import atomic_path
from bvh.reading import Reading
from bvh.remarks import faults
from bvh.workers import Workers
from motiontok.codes import Codes
from motiontok.corpus.entries import (
    MANIFEST,
    Entry,
    alone,
    check_same,
    clips_in,
    line_of,
    make_folder,
    read_manifest,
)
from motiontok.corpus.work import FEW, Made, batches, encode_batch, open_tokenizer, settings_of
from motiontok.data import Start
from motiontok.errors import InputError
from motiontok.progress import progress

__all__ = ["FORMAT", "Packed", "encode_packed", "share_of_process"]

FORMAT = "motiontok-corpus-1"

SHARD_ROWS = 65_536
"""Windows after which a shard is closed: 4 MB at 32 codes a window."""

SHARD_CLIPS = 4_096
"""Clips after which it is, however short they are."""


@dataclass
class Packed:
    """What a run did.

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


def share_of_process() -> tuple[int, int]:
    """Which share of the clips is this process's: ``RANK`` of ``WORLD_SIZE``, as torchrun sets.

    Raises:
        InputError: they are no such numbers.
    """
    rank, world = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdigit() and world.isdigit() and int(rank) < int(world)):
        raise InputError(f"RANK={rank} and WORLD_SIZE={world} in the environment: no share of work")
    return int(rank), int(world)


def encode_packed(
    source: str | Path,
    out: str | Path,
    *,
    tokenizer: str = "default",
    device: str = "cpu",
    effort: int = 1,
    hold_path: bool = False,
    first: int | None = None,
    rate_weight: float = 0.0,
    reading: Reading | None = None,
    strict: bool = False,
    workers: int | None = None,
    share: tuple[int, int] = (0, 1),
) -> Packed:
    """Encode the clips of a folder into shards; :class:`Corpus` reads them.

    Clips whose content the manifest names are left alone, whoever encoded them, so a run
    that was ended goes on where it was, also with another number of machines. A clip that
    changed is encoded again, and its last entry counts. Clips that cannot be read are
    entered with the reason. Progress goes to standard error.

    Args:
        source: folder of .bvh and .npz files, at any depth.
        out: folder of the shards, the same for all machines.
        tokenizer, device, effort, hold_path, first, rate_weight, reading, strict, workers: as
            :func:`encode_folder` has them.
        share: which clips to encode: number and count of shares. Which share a clip is in
            depends on its path and the count alone.

    Raises:
        DataError: no clips, a damaged manifest, or one of another tokenizer or setting.
        InputError: another process encodes this share, there is no such share, or the folder
            holds unpacked codes.
        TokenizerError: the tokenizer cannot be opened.
        OSError: the folder cannot be written, or the disk is full. What was encoded before
            is kept.
    """
    source, out = Path(source), Path(out)
    if not 0 <= share[0] < share[1]:
        raise InputError(f"share {share[0]} of {share[1]}: count from 0")
    clips = [clip for clip in clips_in(source) if _share_of(clip, share[1]) == share[0]]
    wanted = settings_of(tokenizer, device, effort, hold_path, first, rate_weight)
    make_folder(out)
    if (out / MANIFEST).is_file():
        raise InputError(f"{out}: holds a file of codes a clip; give another folder")
    name = f"{share[0]}of{share[1]}"
    with alone(out / f".{name}.lock", f"encoding share {share[0]}/{share[1]} into this folder"):
        _finish_left(out, name)
        known = _known(out, wanted, set(clips))
        tasks = batches(
            (replace(wanted, file=c, sha256=_hash(known.get(c), strict)) for c in clips),
            source=source,
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
            _Shard(out, name) as shard,
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
                        shard.add(entry, codes)
                done += len(batch.entries)
                update(done)
    open_tokenizer.cache_clear()
    for entries in (result.failed, result.remarked):
        entries.sort(key=lambda entry: entry.file)
    return result


def _hash(old: Entry | None, strict: bool) -> str:
    """Of the content that need not be encoded again."""
    return "" if old is None or (strict and faults(old.remarks)) else old.sha256


def _share_of(clip: str, count: int) -> int:
    return int(hashlib.sha256(clip.encode()).hexdigest()[:12], 16) % count


def _known(out: Path, wanted: Entry, clips: set[str]) -> dict[str, Entry]:
    """Last entries of this share's clips."""
    known = {}
    for entry in read_manifest(out) if any(out.glob("manifest-*.jsonl")) else ():
        check_same(out, entry, wanted)
        if entry.file in clips:
            known[entry.file] = entry
    return known


class _Shard:
    """The shard that is open: lines are added to it, and closing it makes room for the next."""

    def __init__(self, out: Path, name: str) -> None:
        self.out, self.name = out, name
        numbers = [int(m[1]) for p in out.iterdir() if (m := re.match(r"\w+-(\d+)-", p.name))]
        self.number = max(numbers, default=-1) + 1
        self.clips = self.rows = 0

    @property
    def path(self) -> Path:
        return self.out / f"open-{self.number:05d}-{self.name}.jsonl"

    def __enter__(self) -> _Shard:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What an error or an interruption leaves open, the next run finishes.
        if kind is None:
            self.close()

    def add(self, entry: Entry, codes: Codes | None) -> None:
        line = _line(entry, codes).encode()
        with self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                with suppress(OSError):
                    file.truncate(before)
                raise OSError(error.errno, error.strerror, str(self.path)) from None
        self.clips += 1
        self.rows += entry.windows
        if self.rows >= SHARD_ROWS or self.clips >= SHARD_CLIPS:
            self.close()

    def close(self) -> None:
        if self.clips:
            _finish(self.path)
            self.number += 1
            self.clips = self.rows = 0


def _line(entry: Entry, codes: Codes | None) -> str:
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
    return json.dumps(row) + "\n"


def _made(path: Path) -> Iterator[Made]:
    """Clips of an open shard, up to a line that was not finished."""
    with path.open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line)
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
                # The machine went down while this was written; its clips are encoded again.
                return
            yield entry, codes


def _finish_left(out: Path, name: str) -> None:
    """Close what runs that have ended left open, also those of another number of shares.

    Shares of the same number finish their own: they may be starting at this moment.
    """
    for path in sorted(out.glob("open-*-*.jsonl")):
        whose = path.stem.rpartition("-")[2]
        if whose == name:
            _finish(path)
        elif whose.partition("of")[2] != name.partition("of")[2]:
            # One that is at work holds its lock.
            with suppress(InputError), alone(out / f".{whose}.lock", "encoding"):
                if path.exists():
                    _finish(path)
    for path in out.glob(f".*-{name}-????????.tmp.*"):
        path.unlink()


def _finish(path: Path) -> None:
    """Make a shard and its manifest of an open one; done twice, it comes out the same."""
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
    """A shard: codes one clip after the other, and what decoding needs beside them."""
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
