"""Codes as flat ids for language models, as methods of the tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motiontok.errors import CodesError
from motiontok.tokens.batch import Batch, padded, unpadded
from motiontok.tokens.checks import OnInvalid
from motiontok.tokens.coder import Coder
from motiontok.tokens.flat_ids import codes_from_ids, end_of, ids_of_codes, require_pad

__all__ = ["FlatCoder"]


class FlatCoder(Coder):
    """Codes to flat ids and back."""

    def to_ids(
        self,
        codes: NDArray[Any] | Tensor,
        *,
        offset: int = 0,
        bos: int | None = None,
        eos: int | None = None,
        first: int | None = None,
    ) -> NDArray[np.int64] | Tensor:
        """Flat ids ``(..., length)`` of codes: ``offset`` plus each, window by window.

        Args:
            codes: ``(..., windows, codes_per_window)``.
            offset: id of code 0.
            bos, eos: ids to begin and end with, if given.
            first: number of first codes of each window, as for :meth:`decode`.

        Raises:
            CodesError: bad codes, or bos or eos is also the id of a code.
        """
        z, _ = self._check(codes, first=first, prefixes=True)
        ids = ids_of_codes(
            z.cpu().numpy(), vocab_size=self.vocab_size, offset=offset, bos=bos, eos=eos
        )
        return torch.from_numpy(ids).to(codes.device) if isinstance(codes, Tensor) else ids

    def from_ids(
        self,
        ids: NDArray[Any] | Tensor | list[int],
        *,
        offset: int = 0,
        bos: int | None = None,
        eos: int | None = None,
        on_invalid: OnInvalid = "error",
        first: int | None = None,
    ) -> NDArray[np.int64] | Tensor:
        """Codes ``(windows, codes_per_window)`` of one sequence of flat ids.

        Args:
            ids: as :meth:`to_ids` makes them; everything after the first eos is padding.
            offset, bos, eos: as given to it.
            on_invalid: ids that are no code are an ``"error"``, or with ``"hold"`` become
                -1, which :meth:`decode` can hold, and an incomplete last window is dropped.
            first: number of codes kept of each window, as for :meth:`encode`.

        Raises:
            CodesError: an id is no code, or the codes are no whole number of windows.
            DataError: a number of codes that do not decode alone.
        """
        self.require_first(first)
        codes = codes_from_ids(
            ids,
            codes_per_window=first or self.codes_per_window,
            vocab_size=self.vocab_size,
            offset=offset,
            bos=bos,
            eos=eos,
            on_invalid=on_invalid,
        )
        return torch.from_numpy(codes).to(ids.device) if isinstance(ids, Tensor) else codes

    def batch_to_ids(
        self,
        codes: Batch | NDArray[Any] | Sequence[NDArray[Any]],
        mask: NDArray[Any] | None = None,
        *,
        pad: int,
        offset: int = 0,
        bos: int | None = None,
        eos: int | None = None,
        first: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Flat ids ``(clips, length)`` of several clips, and their mask.

        Args:
            codes, mask: as :meth:`MotionTokenizer.batch_decode` takes them.
            pad: id after the end of shorter ones; it may be eos.
            offset, bos, eos, first: as :meth:`to_ids` has them; a :class:`Batch` knows its
                own ``first``.

        Raises:
            CodesError: bad codes or none, or pad is also the id of a code or bos.
        """
        require_pad(pad, vocab_size=self.vocab_size, offset=offset, bos=bos)
        if isinstance(codes, Batch):
            clips, first = [one.array for one in codes.clips], codes.clips[0].first or None
        else:
            clips = unpadded(codes, mask)
        if not clips:
            raise CodesError("codes: no clips to make ids of")
        how: dict[str, Any] = {"offset": offset, "bos": bos, "eos": eos, "first": first}
        rows = [np.asarray(self.to_ids(one, **how))[:, None] for one in clips]
        ids, known = padded(rows, pad)
        return ids[..., 0], known

    def batch_from_ids(
        self,
        ids: NDArray[Any] | Tensor | Sequence[Any],
        *,
        pad: int | None = None,
        offset: int = 0,
        bos: int | None = None,
        eos: int | None = None,
        on_invalid: OnInvalid = "error",
        first: int | None = None,
    ) -> list[NDArray[np.int64]]:
        """Codes ``(windows, codes_per_window)`` of each of several sequences of flat ids.

        Args:
            ids: ``(clips, length)``, or a sequence for each clip.
            pad: id that fills up shorter ones; everything from the first one on is left out.
            offset, bos, eos, on_invalid, first: as :meth:`from_ids` has them.

        Raises:
            CodesError, DataError: as :meth:`from_ids`, or pad is also the id of a code or bos.
        """
        if pad is not None:
            require_pad(pad, vocab_size=self.vocab_size, offset=offset, bos=bos)
        how: dict[str, Any] = {"on_invalid": on_invalid, "first": first}
        how |= {"offset": offset, "bos": bos, "eos": eos}
        rows = [np.asarray(row.cpu() if isinstance(row, Tensor) else row) for row in ids]
        return [np.asarray(self.from_ids(row[: end_of(row, pad)], **how)) for row in rows]
