"""Remarks of reading and normalising on a clip: lines that begin with their kind.

A line reads ``kind: what was assumed or looks wrong``, so that it can be searched for, listed,
and turned into an error by its kind, also when it comes back from a saved calibration.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["KINDS", "NO_FAULTS", "faults", "kind_of", "printable", "remark", "summary"]

KINDS: dict[str, str] = {
    "up-axis": "which axis points up is not sure",
    "lies": "the body lies or is upside down most of the time",
    "unit": "no usual unit makes a body of this size",
    "stature": "the body is smaller or larger than people are",
    "joints": "the joints were found by the shape of the tree, not by their names",
    "sides": "left and right are exchanged",
    "bones": "a bone changes its length, or a joint moves that should not",
    "feet": "a foot is rolled over, sole up, as no ankle goes",
    "floor": "the body is far from its floor",
    "jump": "the root moves as no body does",
    "glitch": "a joint turns in one frame as no body does",
    "frame-rate": "the clip has very few or very many frames a second",
    "frame-time": "the number behind Frame Time: is not in seconds",
    "pose": "something that the clip does not show was assumed",
    "body": "the file does not have the subject's bones",
}
"""Kind of remark -> what it says. docs/troubleshooting.md has a section for each."""

NO_FAULTS = ("lies", "pose", "body")
"""Kinds on what a clip shows or does not show: a person who really lies, an arm that never bends, a
subject's own bones. Nothing in the file is wrong and nothing was guessed, so they pass
``strict``."""

_LINES = 5


def remark(kind: str, text: str) -> str:
    """A line of one of the :data:`KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"no kind of remark {kind!r}; choose from {', '.join(KINDS)}")
    return f"{kind}: {text}"


def printable(text: str) -> str:
    """Text for a terminal: names in files may hold characters that would steer it."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def kind_of(line: str) -> str:
    """The kind of a line that :func:`remark` made; empty for any other text."""
    kind = line.partition(":")[0]
    return kind if kind in KINDS else ""


def faults(lines: Iterable[str]) -> tuple[str, ...]:
    """The remarks among ``lines`` that refuse a clip under ``strict``."""
    return tuple(line for line in lines if kind_of(line) not in NO_FAULTS)


def summary(remarks: Iterable[tuple[str, str]], *, clips: int) -> list[str]:
    """A line on each kind of remark, the most frequent first, and one on those left out.

    Args:
        remarks: name of a file and remark on it.
        clips: how many files there are.
    """
    kinds: dict[str, dict[str, str]] = {}
    for name, line in remarks:
        kinds.setdefault(kind_of(line), {}).setdefault(name, line)
    ordered = sorted(kinds.values(), key=len, reverse=True)
    lines = []
    for of in ordered[:_LINES]:
        name, line = next(iter(of.items()))
        many = f"{len(of)} of {clips} clips, such as {name}" if len(of) > 1 else name
        lines.append(f"{many}: {line}")
    left = ordered[_LINES:]
    if left:
        names = {name for of in left for name in of}
        where = "1 clip" if len(names) == 1 else f"{len(names)} clips"
        lines.append(
            f"{len(left)} other kinds of remark, on {where}; `motiontok inspect CLIP` tells all"
        )
    return lines
