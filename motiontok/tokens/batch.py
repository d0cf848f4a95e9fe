"""Codes of several clips in one array, and groups of clips to decode together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motiontok.codes import Codes
from motiontok.errors import CodesError
from motiontok.tokens.checks import require_codes

__all__ = ["PAD", "Batch", "padded", "together", "unpadded"]

PAD = -1
"""Fills an array of codes where a clip has no window. It is no code, so it is never decoded by
mistake."""

_TOGETHER = 64
"""Windows to decode together; more are no faster."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Codes of one motion or of several.

    Attributes:
        codes: ``(windows, codes_per_window)`` int64 of one motion; of several
            ``(clips, windows, codes_per_window)``, shorter ones filled up with :data:`PAD`.
        mask: ``(windows,)`` or ``(clips, windows)``, False where there is no window.
        clips: of each clip, without padding, all that decoding needs.
    """

    codes: NDArray[np.int64]
    mask: NDArray[np.bool_]
    clips: tuple[Codes, ...]

    @classmethod
    def of(cls, clips: Sequence[Codes], *, alone: bool) -> Batch:
        """Of codes; ``alone`` leaves out the axis of clips."""
        codes, mask = padded([one.array for one in clips])
        return cls(codes[0], mask[0], (*clips,)) if alone else cls(codes, mask, (*clips,))


def padded(
    clips: Sequence[NDArray[Any]], pad: int = PAD
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows ``(clips, rows, n)`` of clips of any length, and their mask."""
    most = max(len(one) for one in clips)
    mask = np.arange(most) < np.array([len(one) for one in clips])[:, None]
    codes = np.full((*mask.shape, clips[0].shape[1]), pad, dtype=np.int64)
    codes[mask] = np.concatenate(clips)
    return codes, mask


def unpadded(
    codes: NDArray[Any] | Sequence[NDArray[Any]], mask: NDArray[Any] | None
) -> list[NDArray[Any]]:
    """Codes ``(windows, codes)`` of each clip.

    Args:
        codes: ``(clips, windows, codes)``, or one array for each clip.
        mask: ``(clips, windows)``; all windows count by default.

    Raises:
        CodesError: they belong to one clip, or the mask has another shape, or a hole.
    """
    if mask is None:
        clips = list(codes)
        if any(np.ndim(one) != 2 for one in clips):
            raise CodesError(
                "codes: expected those of several clips (clips, windows, codes_per_window), or a "
                "list of (windows, codes_per_window); decode takes those of one"
            )
        return clips
    known = np.asarray(mask, dtype=np.bool_)
    if known.shape != np.shape(codes)[:2]:
        raise CodesError(f"mask: expected {np.shape(codes)[:2]} as of the codes, got {known.shape}")
    if (known[:, 1:] & ~known[:, :-1]).any() or not known.any(axis=1).all():
        raise CodesError(
            "mask: each clip needs a window that counts, and those that count come first"
        )
    return [one[: int(row.sum())] for one, row in zip(codes, known, strict=True)]


def together(codes: Iterable[Codes]) -> Iterator[list[Codes]]:
    """Clips to decode together: a few windows, with as many codes in each."""
    some: list[Codes] = []
    for one in codes:
        require_codes(one)
        windows = sum(len(other.array) for other in some) + len(one.array)
        if some and (windows > _TOGETHER or one.array.shape[1:] != some[0].array.shape[1:]):
            yield some
            some = []
        some.append(one)
    if some:
        yield some
