"""Training data of a prior: clips as token sequences with their commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bvh import splits
from bvh.atomic_write import atomic_path
from bvh.motion import Motion
from bvh.rotations import Array
from motiontok.data import COLUMNS, World, from_motion
from motiontok.errors import DataError
from motiontok.tokenizer import MotionTokenizer

__all__ = [
    "COMMAND_COLUMNS",
    "TokenSet",
    "commands_done",
    "commands_of",
    "labels_of",
    "tokenize_clips",
]

COMMAND_COLUMNS = [
    COLUMNS["velocity"].start,
    COLUMNS["velocity"].start + 1,
    COLUMNS["yaw_rate"].start,
]
"""Features whose means are commands: velocity forward and left, yaw rate."""
_FIELDS = ("codes", "commands", "sequence", "action", "style")


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
    """

    codes: NDArray[np.uint16]
    commands: NDArray[np.float32]
    sequence: NDArray[np.int32]
    action: NDArray[np.int32]
    style: NDArray[np.int32]
    actions: tuple[str, ...]
    styles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def first(self, codes: int) -> TokenSet:
        """The same with the first codes of each window only."""
        return replace(self, codes=self.codes[:, :codes])

    def save(self, path: Path, *, fingerprint: str, origin: str) -> None:
        """Write a ``.npz`` that :meth:`load` reads for the same tokenizer and clips.

        Args:
            path: of the file.
            fingerprint: of the tokenizer.
            origin: identifies the clips and their cuts.
        """
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                **{name: getattr(self, name) for name in _FIELDS},
                actions=np.array(self.actions),
                styles=np.array(self.styles),
                fingerprint=fingerprint,
                origin=origin,
            )

    @classmethod
    def load(cls, path: Path, *, fingerprint: str, origin: str) -> TokenSet:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: damaged, or made by another tokenizer or of other clips.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                made_by = str(data["fingerprint"])
                if made_by != fingerprint:
                    raise DataError(
                        f"{path}: tokens of tokenizer {made_by}, this one is {fingerprint}; "
                        "remove the file or use another --out"
                    )
                # Files of before there was an origin have none.
                made_of = str(data["origin"]) if "origin" in data else origin
                if made_of != origin:
                    raise DataError(
                        f"{path}: tokens of {made_of}, this run asks for {origin}; "
                        "remove the file or use another --out"
                    )
                fields: dict[str, Any] = {name: data[name] for name in _FIELDS}
                return cls(
                    **fields,
                    actions=tuple(str(a) for a in data["actions"]),
                    styles=tuple(str(s) for s in data["styles"]),
                )
        except DataError:
            raise
        except Exception as error:
            what = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{path}: damaged token file ({what}); remove it") from None


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
        asked: ``(3,)`` or ``(windows, 3)``, commanded velocity forward and left and yaw rate,
            metres of the world; NaN is open.
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
    window = tokenizer.frames_per_window
    actions, styles = labels or labels_of(names, mirror=mirror)
    rows: list[list[NDArray[Any]]] = [[] for _ in _FIELDS]
    sequences = 0
    for done, (motion, name) in enumerate(zip(motions, names, strict=True), start=1):
        for features, label in _versions(motion, name, mirror=mirror):
            cuts = [
                features[first : first + (len(features) - first) // window * window]
                for first in range(0, window, -(-window // shifts))
                if len(features) - first >= window
            ]
            if not cuts:
                continue
            if tokenizer.method.joins_windows:
                codes = np.concatenate([np.asarray(tokenizer.encode(cut)) for cut in cuts])
            else:
                # All at once: a window needs no other.
                each = np.concatenate(cuts).reshape(-1, window, features.shape[1])
                codes = np.asarray(tokenizer.encode(each))[:, 0]
            order = np.concatenate([np.full(len(c) // window, i) for i, c in enumerate(cuts)])
            values: tuple[NDArray[Any], ...] = (
                codes.astype(np.uint16),
                np.concatenate([commands_of(c, window) for c in cuts]),
                (sequences + order).astype(np.int32),
                np.full(len(order), _index(actions, label.action), np.int32),
                np.full(len(order), _index(styles, label.style), np.int32),
            )
            for row, value in zip(rows, values, strict=True):
                row.append(value)
            sequences += len(cuts)
        if update is not None:
            update(done)
    if not sequences:
        raise DataError(f"none of {len(motions)} clips is as long as a window, {window} frames")
    fields: dict[str, Any] = {k: np.concatenate(v) for k, v in zip(_FIELDS, rows, strict=True)}
    return TokenSet(**fields, actions=tuple(actions), styles=tuple(styles))


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
