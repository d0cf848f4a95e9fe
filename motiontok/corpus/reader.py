"""Codes of a corpus, clip by clip."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from bvh.rotations import Array
from motiontok.codes import Codes
from motiontok.corpus.entries import Entry, read_manifest
from motiontok.corpus.packing import FORMAT
from motiontok.data import Start
from motiontok.errors import DataError

__all__ = ["Corpus"]


class Corpus(Mapping[str, Codes]):
    """Clips of a folder that ``motiontok encode CLIPS -o FOLDER`` wrote, packed or not.

    ::

        corpus = Corpus("codes")
        for clip, codes in corpus.items():      # in the order of their paths
            train_on(codes.array)               # (windows, codes_per_window) uint16

    Codes are read on access; a shard is mapped into memory, not read whole.

    Attributes:
        entries: the manifest's entry of each clip with codes.
        failed: entries of clips without codes, with the reason.

    Args:
        folder: the folder of codes.

    Raises:
        DataError: no manifest, a damaged one, or one of several tokenizers.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        last = {entry.file: entry for entry in read_manifest(self.folder)}
        self.entries = {file: last[file] for file in sorted(last) if not last[file].error}
        self.failed = [entry for _, entry in sorted(last.items()) if entry.error]
        made = {entry.fingerprint for entry in last.values()}
        if len(made) > 1:
            raise DataError(f"{folder}: holds codes of tokenizers {' and '.join(sorted(made))}")
        self.fingerprint = made.pop() if made else ""
        self._open = lru_cache(maxsize=64)(self._open_shard)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __getitem__(self, clip: str) -> Codes:
        """Codes of a clip, by its path relative to the folder of clips.

        Raises:
            KeyError: no such clip, or it has no codes.
            CodesError, DataError: the file of codes is missing or damaged.
        """
        entry = self.entries[clip]
        if entry.codes.endswith(".npy"):
            return Codes.load(self.folder / entry.codes)
        return self._open(entry.codes).codes(entry)

    def _open_shard(self, name: str) -> _Shard:
        path = self.folder / name
        try:
            file: Any = safe_open(path, framework="numpy")
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise DataError(
                    f"{path}: format {about.get('format')!r} is not {FORMAT!r}; use the "
                    "motiontok that wrote it"
                )
            if about["fingerprint"] != self.fingerprint:
                raise DataError(
                    f"{path}: codes of tokenizer {about['fingerprint']}, the manifest says "
                    f"{self.fingerprint}; it belongs to another corpus"
                )
            return _Shard(
                rows=file.get_slice("codes"),
                first=file.get_tensor("first"),
                start=file.get_tensor("start"),
                offsets=file.get_tensor("offsets"),
                sources=json.loads(about["sources"]),
                about=about,
            )
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise DataError(
                f"{path}: missing or damaged ({error}); remove it and its manifest, and encode "
                "again"
            ) from None


@dataclass(frozen=True, eq=False)
class _Shard:
    rows: Any
    first: Array
    start: Array
    offsets: Array
    sources: list[str]
    about: dict[str, str]

    def codes(self, entry: Entry) -> Codes:
        place = int(np.searchsorted(self.first, entry.row))
        return Codes(
            self.rows[entry.row : entry.row + entry.windows],
            fingerprint=self.about["fingerprint"],
            tokenizer=self.about["tokenizer"],
            frames=entry.frames,
            start=Start(*map(float, self.start[place])),
            offsets=self.offsets[place],
            source=self.sources[place],
            licence=self.about["licence"],
            fps=float(self.about["fps"]),
            first=entry.first or 0,
        )
