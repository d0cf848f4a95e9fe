"""A worker's task: encode some clips of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import numpy as np

from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.reading import Reading
from bvh.remarks import faults
from bvh.rotations import Array
from motiontok.codes import Codes
from motiontok.corpus.clips import Place, open_clips, where
from motiontok.corpus.entries import Entry
from motiontok.data import from_motion
from motiontok.errors import DataError
from motiontok.paths import lasting_name
from motiontok.tokenizer import MotionTokenizer
from motiontok.tokens.checks import chosen_effort

__all__ = [
    "FEW",
    "Batch",
    "Made",
    "batches",
    "encode_batch",
    "open_tokenizer",
    "settings_of",
]

FEW = 16
"""With fewer clips, starting processes takes longer than encoding."""

_CLIPS = 8
"""Clips per task of a worker."""

_TOGETHER = 64
"""Windows that wait to be encoded together. One clip has a few, and a network that writes codes
one after the other takes as long for four windows as for fifty."""

Made = tuple[Entry, Codes | None]
"""Result of a clip. Without codes and error, its content is the one that the entry already
named."""


@dataclass(frozen=True)
class Batch:
    """Clips to encode in one go.

    Attributes:
        places: sources of the clips.
        tokenizer, device: the encoder, and where it runs.
        entries: the clips; a ``sha256`` in them names content that need not be encoded again.
        reading: how to read the files.
        strict: treat a clip with a fault as unusable; see :func:`bvh.remarks.faults`.
    """

    places: tuple[Place, ...]
    tokenizer: str
    device: str
    entries: tuple[Entry, ...]
    reading: Reading | None = None
    strict: bool = False


def batches(
    entries: Iterable[Entry],
    *,
    places: tuple[Place, ...],
    tokenizer: str,
    device: str,
    reading: Reading | None = None,
    strict: bool = False,
) -> Iterator[Batch]:
    """Cut a list of clips into pieces for workers."""
    entries = iter(entries)
    while some := tuple(islice(entries, _CLIPS)):
        yield Batch(places, tokenizer, device, some, reading, strict)


def encode_batch(batch: Batch) -> list[Made]:
    """Encode clips; an unusable clip is also a result.

    Whole motions are released as soon as they are features.
    """
    tokenizer = open_tokenizer(batch.tokenizer, batch.device)
    clips = open_clips(batch.places, batch.reading)
    name = lasting_name(batch.tokenizer)
    made: list[Made] = []
    waiting: list[tuple[Entry, Codes, Array]] = []

    def windows_of(frames: Motion | Array) -> int:
        return -(-len(frames) // tokenizer.frames_per_window)

    def encode_waiting() -> None:
        if waiting:
            how = waiting[0][0]
            found = tokenizer.encode_clips(
                [features for _, _, features in waiting], effort=how.effort, first=how.first
            )
            for (entry, codes, _), own in zip(waiting, found, strict=True):
                made.append((entry, replace(codes, array=own.astype(np.uint16))))
            waiting.clear()

    for entry in batch.entries:
        path = where(batch.places, entry.file)
        found = ""
        try:
            found = clips.digest(entry.file)
            if found == entry.sha256:
                made.append((entry, None))
                continue
            loaded = clips.load(entry.file, tokenizer.calibrations)
            if batch.strict and (wrong := faults(loaded.remarks)):
                # Without a hash it is tried again when nobody is strict.
                found = ""
                raise DataError(f"{path}: {wrong[0]}")
            entry = replace(entry, sha256=found, remarks=loaded.remarks)
            motion = loaded.motion
            if entry.hold_path or entry.rate_weight or windows_of(motion) >= _TOGETHER:
                codes = tokenizer.encode_to_codes(
                    motion,
                    effort=entry.effort,
                    hold_path=entry.hold_path,
                    first=entry.first,
                    rate_weight=entry.rate_weight,
                    tokenizer=name,
                )
                made.append((entry, codes))
                continue
            none = np.zeros((0, tokenizer.codes_per_window))
            codes = tokenizer.codes_of(motion, none, first=entry.first, tokenizer=name)
            waiting.append((entry, codes, from_motion(motion)))
        except (BVHError, DataError) as error:
            reason = str(error)
            # The normaliser knows the clip's name only, and of those there may be many.
            reason = reason if str(path) in reason else f"{path}: {reason}"
            failed = replace(entry, sha256=found, codes="", error=reason, remarks=())
            made.append((failed, None))
        except (OSError, MemoryError) as error:
            # Not the clip's content but the machine: without a hash it is tried again next time.
            reason = f"{path}: {error or 'out of memory'}"
            made.append((replace(entry, sha256="", codes="", error=reason), None))
        if sum(windows_of(features) for _, _, features in waiting) >= _TOGETHER:
            encode_waiting()
    encode_waiting()
    return [(entry if codes is None else _filled(entry, codes), codes) for entry, codes in made]


def _filled(entry: Entry, codes: Codes) -> Entry:
    return replace(entry, frames=codes.frames, windows=len(codes.array))


@lru_cache(maxsize=1)
def open_tokenizer(tokenizer: str, device: str) -> MotionTokenizer:
    """The tokenizer, opened once a process."""
    return MotionTokenizer.from_pretrained(tokenizer, device=device)


def settings_of(
    tokenizer: str,
    device: str,
    effort: int | None,
    hold_path: bool,
    first: int | None,
    rate_weight: float = 0.0,
) -> Entry:
    """Settings of encoding, as an entry without a clip. The tokenizer is opened anew.

    Raises:
        DataError: an impossible effort; its first codes do not decode alone but ``first`` is given,
            or it has no prior for a weight of rates.
    """
    open_tokenizer.cache_clear()
    opened = open_tokenizer(tokenizer, device)
    opened.require_first(first)
    opened.require_rates(rate_weight)
    whose = opened.fingerprint
    effort = chosen_effort(effort, opened.method)
    return Entry("", "", "", whose, effort, hold_path, first=first, rate_weight=rate_weight)
