"""A tokenizer's streams, by default on the tokenizer's own body."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bvh.rotations import Array
from motiontok.data import REFERENCE, StartLike, offsets_of, start_of
from motiontok.tokens.checks import OnInvalid
from motiontok.tokens.flat_coder import FlatCoder
from motiontok.tokens.joining import Blending, Context
from motiontok.tokens.streams import StreamDecoder, StreamEncoder
from motiontok.tokens.windows import decode_windows

__all__ = ["StreamCoder"]


class StreamCoder(FlatCoder):
    """Encodes and decodes as frames and codes arrive.

    Attributes:
        offsets: ``(22, 3)`` the default body, metres: the reference body, in whose metres features
            are.
    """

    offsets: Array = REFERENCE

    def stream_encoder(self, *, offsets: Array | None = None) -> StreamEncoder:
        """Encode frames as they arrive, with an effort of 1: more would need more frames ahead.

        Args:
            offsets: ``(22, 3)`` the subject's rest offsets; the tokenizer's by default.

        Raises:
            DataError: bones that no body has.
        """
        return StreamEncoder(
            lambda features: np.asarray(self.encode(features, effort=1)),
            window=self.frames_per_window,
            codes=self.codes_per_window,
            reach=self.method.reach,
            offsets=self.offsets if offsets is None else offsets_of(offsets),
        )

    def stream_decoder(
        self,
        *,
        start: StartLike | None = None,
        offsets: Array | None = None,
        plant: bool = True,
        on_invalid: OnInvalid = "error",
        first: int | None = None,
    ) -> StreamDecoder:
        """Decode windows as they arrive.

        Args:
            start, offsets, plant, on_invalid, first: as :meth:`decode` has them.

        Raises:
            CodesError: no such ``on_invalid``.
            DataError: impossible place or bones, or a number of codes that do not decode alone.
        """
        self.require_first(first)
        window, reach = self.frames_per_window, self.method.reach

        def check(
            codes: Any, on_invalid: OnInvalid, goes_on: bool
        ) -> tuple[Tensor, NDArray[np.bool_]]:
            return self._check(codes, on_invalid, first=first, prefixes=True, goes_on=goes_on)

        def decode(codes: Tensor) -> Array:
            return decode_windows(self.method, self.statistics, codes)

        joining = (
            Context(check, decode, window=window, reach=reach)
            if reach
            else Blending(check, decode, window=window)
        )
        return StreamDecoder(
            joining,
            start=start_of(start),
            offsets=self.offsets if offsets is None else offsets_of(offsets),
            plant=plant,
            on_invalid=on_invalid,
            noise=self.noise,
        )
