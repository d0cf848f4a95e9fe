"""Training and held-out clips, by the names of the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from bvh import snu
from bvh.dataset import Dataset
from bvh.errors import BVHError
from bvh.sources import stem

__all__ = ["Label", "Split", "by_action", "by_name", "by_subject", "every_nth", "parse_name"]


@dataclass(frozen=True)
class Label:
    """A clip's label by its file's name; parts that the name lacks are empty.

    Attributes:
        action: the action: LAFAN1's theme, Bandai-Namco's content.
        style: how it is done.
        subject: by whom.
        take: which of several recordings.
    """

    action: str = ""
    style: str = ""
    subject: str = ""
    take: str = ""


class Split(NamedTuple):
    """Two datasets without a motion in common."""

    train: Dataset
    held_out: Dataset


_PATTERNS = (
    # LAFAN1: walk1_subject5
    re.compile(r"(?P<action>[a-zA-Z]+?)(?P<take>\d+)_subject(?P<subject>\d+)"),
    # Bandai-Namco: dataset-1_bow_active_001
    re.compile(r"dataset-\d+_(?P<action>[^_]+)_(?P<style>[^_]+)_(?P<take>\d+)"),
    # CMU: 07_01
    re.compile(r"(?P<subject>\d{1,3})_(?P<take>\d+)"),
    # walk_00042, jump3, "side step (2)"
    re.compile(r"(?P<action>.*?[^\W\d_])[\W_]*(?P<take>\d*)\W*"),
)


def parse_name(name: str) -> Label:
    """Read the action, style, subject and take from a file's name.

    LAFAN1's (``walk1_subject5``), Bandai-Namco's (``dataset-1_bow_active_001``),
    CMU's (``07_01``) and SNU's (``wd2_WalkForwardSlow05``) conventions are known. In other names a
    number at the end is the take, and the rest is the action.
    """
    bare = stem(name)
    if found := snu.read_name(bare):
        return Label(**found)
    for pattern in _PATTERNS:
        if match := pattern.fullmatch(bare):
            return Label(**match.groupdict())
    return Label(action=bare)


def every_nth(dataset: Dataset, n: int) -> Split:
    """Hold out the first of every ``n`` motions in the order of their names.

    Raises:
        BVHError: ``n`` is below 2, or there are fewer than 2 motions.
    """
    if n < 2:
        raise BVHError(f"every {n}th motion held out leaves nothing to train on; give n >= 2")
    chosen = set(range(0, len(dataset), n))
    return _split(dataset, lambda i: i in chosen, f"every {n}th motion")


def by_name(dataset: Dataset, names: Collection[str]) -> Split:
    """Hold out the motions with these names (files' stems, or paths as in ``names``).

    Raises:
        BVHError: one of them is not there, or none is left to train on.
    """
    stems = [stem(name) for name in dataset.names]
    missing = set(names) - set(stems) - set(dataset.names)
    if missing:
        raise BVHError(
            f"cannot hold out {', '.join(sorted(missing))}: not among the "
            f"{len(dataset)} motions ({_few(stems)})"
        )
    return _split(
        dataset, lambda i: stems[i] in names or dataset.names[i] in names, "the named motions"
    )


def by_subject(dataset: Dataset, subjects: Collection[str]) -> Split:
    """Hold out every motion of these subjects (``"5"`` of ``walk1_subject5``).

    Raises:
        BVHError: one of them has no motion, or none is left to train on.
    """
    return _by_label(dataset, subjects, "subject", lambda label: label.subject)


def by_action(dataset: Dataset, actions: Collection[str]) -> Split:
    """Hold out whole actions: every motion of them, in every style and by everyone.

    Raises:
        BVHError: one of them has no motion, or none is left to train on.
    """
    return _by_label(dataset, actions, "action", lambda label: label.action)


def _by_label(
    dataset: Dataset, values: Collection[str], what: str, of: Callable[[Label], str]
) -> Split:
    found = [of(parse_name(name)) for name in dataset.names]
    missing = set(values) - set(found)
    if missing:
        raise BVHError(
            f"no motion of {what} {', '.join(sorted(missing))}; there are: {_few(found)}"
        )
    return _split(dataset, lambda i: found[i] in values, f"{what} {', '.join(sorted(values))}")


def _split(dataset: Dataset, held: Callable[[int], bool], what: str) -> Split:
    out = [i for i in range(len(dataset)) if held(i)]
    kept = [i for i in range(len(dataset)) if not held(i)]
    if not out or not kept:
        raise BVHError(
            f"holding out {what} of {len(dataset)} motions leaves {len(kept)} to train on "
            f"and {len(out)} to test"
        )
    return Split(dataset.take(kept), dataset.take(out))


def _few(values: list[str]) -> str:
    distinct = sorted({value for value in values if value})
    return ", ".join(distinct[:12]) + (", …" if len(distinct) > 12 else "")
