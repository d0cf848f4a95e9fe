"""The manifest of a corpus, and checks before writing to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from motiontok.errors import DataError
from motiontok.shards import manifest_lines, manifests

__all__ = [
    "MANIFEST",
    "Entry",
    "check_same",
    "has_manifest",
    "line_of",
    "read_manifest",
]

MANIFEST = "manifest.jsonl"
"""Name of the manifest in a folder with a codes file per clip.

In a folder of packed codes each shard has its own, ``manifest-NUMBER-SHARE.jsonl``.
"""


@dataclass(frozen=True)
class Entry:
    """One clip of a corpus, a line of its manifest.

    Attributes:
        file: path of the clip, relative to the folder of clips.
        sha256: of the clip's bytes and of the settings they are read with; empty if they could not
            be read.
        codes: file that holds its codes, relative to the folder of codes.
        fingerprint: of the tokenizer.
        effort, hold_path, first, rate_weight: how it was encoded, see
            :meth:`MotionTokenizer.encode`.
        frames: frames at the tokenizer's rate.
        windows: rows of its codes.
        error: reason why there are no codes; empty if there are codes.
        row: first of its rows in the file.
        remarks: faults and assumptions of the clip.
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
    row: int = 0
    first: int | None = None
    remarks: tuple[str, ...] = ()
    rate_weight: float = 0.0


def has_manifest(folder: Path) -> bool:
    """Whether ``motiontok encode CLIPS -o FOLDER`` wrote this folder."""
    return bool(_manifests(folder))


def _manifests(folder: Path) -> list[Path]:
    whole = folder / MANIFEST
    return [whole] if whole.is_file() else manifests(folder)


def read_manifest(folder: str | Path) -> Iterator[Entry]:
    """Entries of a folder of codes, in the order of their making.

    A changed clip that was encoded again can have several: the last one counts. An unfinished last
    line is left out.

    Raises:
        DataError: there is no manifest, or a line of it is damaged.
    """
    folder = Path(folder)
    paths = _manifests(folder)
    if not paths:
        raise DataError(f"{folder}: no {MANIFEST} in it; `motiontok encode CLIPS -o` writes one")
    for path in paths:
        yield from manifest_lines(path, "remove the line to encode its clip again", _entry)


def _entry(values: dict[str, Any]) -> Entry:
    return Entry(**values | {"remarks": tuple(values.get("remarks", ()))})


def line_of(entry: Entry) -> str:
    """The entry as a line of a manifest."""
    return json.dumps(asdict(entry)) + "\n"


def check_same(out: Path, old: Entry, new: Entry) -> None:
    """Refuse to mix codes of another tokenizer, or of other settings, with old ones.

    Raises:
        DataError: they do not belong together.
    """
    if old.fingerprint != new.fingerprint:
        raise DataError(
            f"{out}: holds codes of tokenizer {old.fingerprint}, this one is {new.fingerprint}; "
            "give another folder"
        )
    if _how(old) != _how(new):
        raise DataError(
            f"{out}: holds codes of {_how(old)}, asked for {_how(new)}; give another folder"
        )


def _how(entry: Entry) -> str:
    codes = f"first {entry.first}" if entry.first else "all"
    weight = f", rate_weight {entry.rate_weight:g}" if entry.rate_weight else ""
    return f"effort {entry.effort}, hold_path {entry.hold_path}, {codes} codes of a window{weight}"
