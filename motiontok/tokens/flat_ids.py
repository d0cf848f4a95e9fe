"""Codes as flat token ids, as language models count them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from motiontok.errors import CodesError
from motiontok.tokens.checks import OnInvalid, whole

__all__ = ["codes_from_ids", "end_of", "ids_of_codes", "require_pad"]

_LARGEST = np.iinfo(np.int64).max


def ids_of_codes(
    codes: NDArray[np.int64], *, vocab_size: int, offset: int, bos: int | None, eos: int | None
) -> NDArray[np.int64]:
    """Flat ids ``(..., length)`` of codes ``(..., windows, codes_per_window)``.

    Windows follow each other, each with its codes in order; an id is ``offset`` plus the code.

    Raises:
        CodesError: offset, bos or eos is no whole number, or would be taken for a code.
    """
    _check_special(vocab_size, offset, bos, eos)
    ids = codes.reshape(*codes.shape[:-2], -1) + offset
    ends = [
        np.full((*ids.shape[:-1], 0 if value is None else 1), value or 0, dtype=ids.dtype)
        for value in (bos, eos)
    ]
    return np.concatenate([ends[0], ids, ends[1]], axis=-1)


def codes_from_ids(
    ids: NDArray[Any] | Tensor | list[int],
    *,
    codes_per_window: int,
    vocab_size: int,
    offset: int,
    bos: int | None,
    eos: int | None,
    on_invalid: OnInvalid,
) -> NDArray[np.int64]:
    """Codes ``(windows, codes_per_window)`` of the flat ids of one sequence.

    A leading bos is dropped; so are the first eos and everything after it, which is padding.

    Raises:
        CodesError: not one row of integers, no codes, or, with ``on_invalid="error"``, an id
            that is no code or an incomplete last window.
    """
    _check_special(vocab_size, offset, bos, eos)
    flat = np.asarray(ids.cpu() if isinstance(ids, Tensor) else ids)
    if flat.ndim != 1 or flat.dtype.kind not in "ui":
        raise CodesError(
            f"ids: expected integers (length,), got {flat.dtype} {flat.shape}; batch_from_ids "
            "takes several"
        )
    given = flat
    flat = given.astype(np.int64)
    # Ids that int64 does not have would wrap, to what may be bos or eos.
    flat[given > _LARGEST] = _LARGEST
    skipped = int(bos is not None and len(flat) > 0 and flat[0] == bos)
    flat = flat[skipped:]
    if eos is not None and (flat == eos).any():
        flat = flat[: int(np.argmax(flat == eos))]
    codes = flat - offset
    bad = (codes < 0) | (codes >= vocab_size)
    if bad.any() and on_invalid == "error":
        at = int(np.argmax(bad))
        raise CodesError(
            f"ids: id {given[at + skipped]} at {at + skipped} is no code; codes are {offset} to "
            f"{offset + vocab_size - 1}"
        )
    over = len(codes) % codes_per_window
    if over and on_invalid == "error":
        raise CodesError(
            f"ids: {len(codes)} codes are no whole number of windows of {codes_per_window}; "
            f"{codes_per_window - over} are missing"
        )
    codes = np.where(bad, -1, codes)[: len(codes) - over]
    if not len(codes):
        raise CodesError("ids: no whole window of codes in them")
    return codes.reshape(-1, codes_per_window)


def require_pad(pad: int, *, vocab_size: int, offset: int, bos: int | None) -> None:
    """Refuse an id for padding that has another meaning.

    Raises:
        CodesError: it is no whole number, or that of a code or of bos.
    """
    if offset <= whole(pad, "pad", CodesError) < offset + vocab_size or pad == bos:
        raise CodesError(
            f"pad {pad} is also the id of a code or bos; codes are {offset} to "
            f"{offset + vocab_size - 1}: give another one, such as eos"
        )


def end_of(ids: NDArray[Any], pad: int | None) -> int:
    """How many ids come before the first ``pad``."""
    if pad is None:
        return len(ids)
    found = np.flatnonzero(ids == pad)
    return int(found[0]) if len(found) else len(ids)


def _check_special(vocab_size: int, offset: int, bos: int | None, eos: int | None) -> None:
    if whole(offset, "offset", CodesError) < 0:
        raise CodesError(f"offset must not be negative, got {offset}")
    for name, value in (("bos", bos), ("eos", eos)):
        if value is not None and offset <= whole(value, name, CodesError) < offset + vocab_size:
            raise CodesError(
                f"{name} {value} is also the id of a code; codes are {offset} to "
                f"{offset + vocab_size - 1}: give another offset"
            )
    if bos is not None and bos == eos:
        raise CodesError(f"bos and eos are both {bos}")
