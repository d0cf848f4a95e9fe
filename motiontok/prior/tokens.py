"""Training data of a prior: clips as token sequences with their commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bvh import splits
from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data import COLUMNS, World, from_motion
from motiontok.errors import DataError
from motiontok.tokenizer import MotionTokenizer

__all__ = [
    "COMMAND_COLUMNS",
    "Cuts",
    "Records",
    "TokenSet",
    "Tokens",
    "blocks",
    "commands_done",
    "commands_of",
    "cut_clip",
    "labels_of",
    "record_type",
    "spread",
    "tokenize_clips",
]

COMMAND_COLUMNS = [
    COLUMNS["velocity"].start,
    COLUMNS["velocity"].start + 1,
    COLUMNS["yaw_rate"].start,
]
"""Features whose means are commands: velocity forward and left, yaw rate."""
_FIELDS = ("codes", "commands", "sequence", "action", "style")

Records = NDArray[Any]
"""Windows ``(windows,)`` of :func:`record_type`."""


def record_type(codes: int) -> np.dtype[Any]:
    """Type of a window's record with this number of codes, in a file and in transfer."""
    return np.dtype(
        [
            ("codes", "<u2", (codes,)),
            ("commands", "<f4", (3,)),
            ("sequence", "<i4"),
            ("action", "<i4"),
            ("style", "<i4"),
        ]
    )


class Tokens(Protocol):
    """Windows of many sequences, in memory or in a file."""

    def __len__(self) -> int: ...

    @property
    def digest(self) -> str:
        """Digest of all that the tokens depend on; empty if unknown."""
        ...

    @property
    def actions(self) -> tuple[str, ...]:
        """Labels; the first one is ``""``."""
        ...

    @property
    def styles(self) -> tuple[str, ...]:
        """Labels; the first one is ``""``."""
        ...

    @property
    def codes_per_window(self) -> int:
        """Number of codes of a window."""
        ...

    def read(self, first: int, last: int) -> TokenSet:
        """Windows ``first`` to before ``last``, as many as there are."""
        ...


@dataclass(frozen=True)
class Cuts:
    """How clips are cut into windows and labelled.

    Attributes:
        shifts: number of first frames, evenly spread over a window, from which each clip is cut.
        mirror: also take the mirror images; left and right change places in labels too.
        actions, styles: labels to index; the first ones are ``""``.
    """

    shifts: int
    mirror: bool
    actions: tuple[str, ...]
    styles: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TokenSet:
    """Windows of many sequences, one after the other.

    Attributes:
        codes: ``(windows, codes_per_window)`` uint16.
        commands: ``(windows, 3)`` float32, means over the window of the planar velocity
            forward and left (m/s, each frame in its own heading) and the yaw rate (rad/s).
        sequence: ``(windows,)`` int32, the sequence of each window, ascending.
        action, style: ``(windows,)`` index into ``actions`` and ``styles``, 0 where unknown.
        actions, styles: labels; the first one is ``""``.
        digest: digest of all that the tokens depend on; empty if unknown.
    """

    codes: NDArray[np.uint16]
    commands: NDArray[np.float32]
    sequence: NDArray[np.int32]
    action: NDArray[np.int32]
    style: NDArray[np.int32]
    actions: tuple[str, ...]
    styles: tuple[str, ...]
    digest: str = ""

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def codes_per_window(self) -> int:
        """Number of codes of a window."""
        return self.codes.shape[1]

    def first(self, codes: int) -> TokenSet:
        """The same with the first codes of each window only."""
        return replace(self, codes=self.codes[:, :codes])

    def read(self, first: int, last: int) -> TokenSet:
        """Windows ``first`` to before ``last``, as many as there are."""
        fields = {name: getattr(self, name)[first:last] for name in _FIELDS}
        return replace(self, **fields)

    @classmethod
    def of_records(cls, rows: Records, actions: Sequence[str], styles: Sequence[str]) -> TokenSet:
        """Windows ``(windows,)`` of :func:`record_type`, copied."""
        fields: dict[str, Any] = {name: np.array(rows[name]) for name in _FIELDS}
        return cls(**fields, actions=tuple(actions), styles=tuple(styles))


def blocks(tokens: Tokens, size: int = 65_536) -> Iterator[TokenSet]:
    """All windows, ``size`` at a time."""
    for first in range(0, len(tokens), size):
        yield tokens.read(first, first + size)


def spread(tokens: Tokens, most: int, *, run: int = 512) -> TokenSet:
    """At most ``most`` windows: all of them, or evenly spread runs of consecutive ones.

    Args:
        tokens: windows to choose from.
        most: number of windows.
        run: number of consecutive windows in a run.
    """
    if len(tokens) <= most:
        return tokens.read(0, len(tokens))
    begins = np.linspace(0, len(tokens) - run, max(most // run, 1)).astype(np.int64)
    parts = [tokens.read(first, first + run) for first in begins.tolist()]
    sequence, after = [], 0
    for part in parts:
        # Two runs of one sequence do not follow each other.
        sequence.append(part.sequence - part.sequence[0] + after)
        after = int(sequence[-1][-1]) + 1
    fields: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS
    }
    fields["sequence"] = np.concatenate(sequence).astype(np.int32)
    return replace(parts[0], **fields)


def commands_of(features: Array, window: int) -> NDArray[np.float32]:
    """Mean velocity forward and left (m/s) and yaw rate (rad/s) of each whole window.

    Velocities are those of the reference body, as in features; another body's are larger in
    proportion to its legs.

    Args:
        features: ``(windows * window, 203)`` raw.
        window: frames a window.
    """
    return features[:, COMMAND_COLUMNS].reshape(-1, window, 3).mean(axis=1).astype(np.float32)


def commands_done(
    tokenizer: MotionTokenizer, codes: NDArray[Any], asked: Array, world: World
) -> tuple[Array, dict[str, Array]]:
    """Mean velocity and yaw rate of codes, and their errors.

    Args:
        tokenizer: decodes.
        codes: ``(batch, windows, codes_per_window)``.
        asked: ``(3,)``, ``(windows, 3)`` or ``(batch, windows, 3)``, commanded velocity forward and
            left and yaw rate, metres of the world; NaN is open.
        world: in whose metres the result is.

    Returns:
        ``(batch, 3)``; and ``velocity_error_m_s`` and ``yaw_rate_error_rad_s`` ``(batch,)`` of
        what was asked.
    """
    window = tokenizer.frames_per_window
    rows = np.stack([commands_of(tokenizer.decode_features(one), window) for one in codes])
    done = world.commands_outside(rows)
    off = (done - asked).mean(axis=1)
    missed = {}
    for name, part in (("velocity_error_m_s", slice(2)), ("yaw_rate_error_rad_s", slice(2, 3))):
        if np.isfinite(asked[..., part]).all():
            missed[name] = np.linalg.norm(off[:, part], axis=1)
    return np.asarray(done.mean(axis=1)), missed


def tokenize_clips(
    tokenizer: MotionTokenizer,
    motions: Sequence[Motion],
    names: Sequence[str],
    *,
    shifts: int = 1,
    mirror: bool = False,
    labels: tuple[Sequence[str], Sequence[str]] | None = None,
    update: Callable[[int], object] | None = None,
) -> TokenSet:
    """Encode clips, several times with windows cut at different frames.

    A clip's incomplete last window is left out: it would teach that motion freezes.

    Args:
        tokenizer: encodes.
        motions, names: the clips and their files' names, which give action and style
            (:func:`bvh.splits.parse_name`).
        shifts: number of first frames, evenly spread over a window, from which each clip is cut.
        mirror: also take the mirror images; left and right change places in labels too.
        labels: actions and styles to index, the first ones ``""``; by default those of
            the clips.
        update: called with the number of clips done.

    Raises:
        DataError: no clip is as long as a window.
    """
    actions, styles = labels or labels_of(names, mirror=mirror)
    cuts = Cuts(shifts, mirror, tuple(actions), tuple(styles))
    parts, sequences = [], 0
    for done, (motion, name) in enumerate(zip(motions, names, strict=True), start=1):
        made = cut_clip(tokenizer, motion, name, cuts)
        made["sequence"] += sequences
        parts.append(made)
        sequences = int(made["sequence"][-1]) + 1 if len(made) else sequences
        if update is not None:
            update(done)
    if not sequences:
        window = tokenizer.frames_per_window
        raise DataError(f"none of {len(motions)} clips is as long as a window, {window} frames")
    return TokenSet.of_records(np.concatenate(parts), actions, styles)


def cut_clip(tokenizer: MotionTokenizer, motion: Motion, name: str, cuts: Cuts) -> Records:
    """Windows of all cuts of a clip, with sequences counted from 0; a short clip has none.

    Args:
        tokenizer: encodes.
        motion, name: the clip and its file's name.
        cuts: how it is cut and labelled.
    """
    window = tokenizer.frames_per_window
    kind = record_type(tokenizer.codes_per_window)
    out: list[Records] = [np.empty(0, kind)]
    sequences = 0
    for features, label in _versions(motion, name, mirror=cuts.mirror):
        parts = [
            features[first : first + (len(features) - first) // window * window]
            for first in range(0, window, -(-window // cuts.shifts))
            if len(features) - first >= window
        ]
        if not parts:
            continue
        codes = np.concatenate(tokenizer.encode_clips(parts))
        made = np.empty(len(codes), kind)
        made["codes"] = codes
        made["commands"] = np.concatenate([commands_of(part, window) for part in parts])
        order = [np.full(len(part) // window, i) for i, part in enumerate(parts)]
        made["sequence"] = sequences + np.concatenate(order)
        made["action"] = _index(cuts.actions, label.action)
        made["style"] = _index(cuts.styles, label.style)
        out.append(made)
        sequences += len(parts)
    return np.concatenate(out)


def _versions(motion: Motion, name: str, *, mirror: bool) -> Iterator[tuple[Array, splits.Label]]:
    label = splits.parse_name(name)
    yield from_motion(motion), label
    if mirror:
        yield from_motion(motion.mirrored()), _mirrored(label)


def _mirrored(label: splits.Label) -> splits.Label:
    swap = {"left": "right", "right": "left"}
    words = label.action.split("-")
    return splits.Label("-".join(swap.get(w, w) for w in words), label.style)


def labels_of(names: Sequence[str], *, mirror: bool) -> tuple[list[str], list[str]]:
    """Actions and styles of files' names, each after the unknown one, ``""``."""
    found = [splits.parse_name(name) for name in names]
    found += [_mirrored(label) for label in found] if mirror else []
    actions = sorted({label.action for label in found} - {""})
    styles = sorted({label.style for label in found} - {""})
    return ["", *actions], ["", *styles]


def _index(labels: Sequence[str], label: str) -> int:
    return labels.index(label) if label in labels else 0
