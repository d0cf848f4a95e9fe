"""What reading and normalising have to say about a clip: lines that begin with their kind.

A line reads ``kind: what was assumed or looks wrong``, so that it can be searched for, listed,
and turned into an error by its kind, also when it comes back from a saved calibration.
"""

from __future__ import annotations

__all__ = ["KINDS", "kind_of", "remark"]

KINDS: dict[str, str] = {
    "up-axis": "which axis points up is not sure",
    "lies": "the body lies or is upside down most of the time",
    "unit": "no usual unit makes a body of this size",
    "stature": "the body is smaller or larger than people are",
    "joints": "the joints were told by the shape of the tree, not by their names",
    "sides": "left and right are exchanged",
    "bones": "a bone changes its length, or a joint moves that should not",
    "floor": "the floor is far from the body, or no foot stands on it",
    "jump": "the root moves as no body does",
    "frame-rate": "the clip has very few or very many frames a second",
    "frame-time": "the number behind Frame Time: is not in seconds",
    "pose": "something that the clip does not show was assumed",
}
"""Kind of remark -> what it says. docs/troubleshooting.md has a section for each."""


def remark(kind: str, text: str) -> str:
    """A line of one of the :data:`KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"no kind of remark {kind!r}; choose from {', '.join(KINDS)}")
    return f"{kind}: {text}"


def kind_of(line: str) -> str:
    """The kind of a line that :func:`remark` made; empty for any other text."""
    kind = line.partition(":")[0]
    return kind if kind in KINDS else ""
