"""Decimal numbers in text to float64, exactly as ``float`` reads them, many at a time.

Text is taken in pieces that fit the processor's cache, and each step is one numpy
operation over all tokens of a piece:

1. The *marks* of a piece are its bytes that are neither digit nor minus: blanks,
   dots and exponents. Digits lie between marks, so the marks alone say where.
2. Eight digits are one 64-bit word; three multiplications turn it into their value
   (Lemire, "Number parsing at a gigabyte per second", 2021).
3. A token of at most 7 digits before its dot and 8 behind it equals ``m / 10**8``
   with ``m < 10**15``. Both are exact in float64, so one division rounds correctly
   (Clinger, "How to read floating point numbers accurately", 1990). The same holds
   for an exponent ``-e`` and ``m / 10**(8 + e)`` while ``8 + e <= 22``.

``float`` itself reads whatever does not fit: single tokens that are too long, and
whole pieces that hold anything unusual, such as a plus sign.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from bvh.rotations import Array

__all__ = ["NotANumberError", "parse_numbers"]

Places = NDArray[np.intp]

_PIECE = 1 << 17
"""Bytes a piece. Its words, eight times as large, have to fit a level-2 cache."""

_WORD = 8
_INTEGER, _FRACTION = 7, 8
_POWERS = 10.0 ** np.arange(23)
"""The powers of ten that float64 holds exactly."""

_BLANK, _TAB, _MINUS, _DOT, _ZERO, _E = (np.uint8(ord(c)) for c in " \t-.0e")
_FIRST = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64) & np.uint64(0x0F0F0F0F0F0F0F0F)
"""Masks of the digit values of a word's first n characters: its low bytes."""
_LAST = _FIRST[8] ^ _FIRST[::-1]
"""Masks of the digit values of a word's last n characters."""
_JOIN = (
    (np.uint64(10 << 8 | 1), np.uint64(8), np.uint64(0x00FF00FF00FF00FF)),
    (np.uint64(100 << 16 | 1), np.uint64(16), np.uint64(0x0000FFFF0000FFFF)),
    (np.uint64(10000 << 32 | 1), np.uint64(32), np.uint64(0x00000000FFFFFFFF)),
)
"""Factor, shift and mask that join digits to pairs, pairs to fours, fours to eights."""

_TOKEN = re.compile(rb"[^ \t\n\r\v\f]+")
_DECIMAL = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class NotANumberError(ValueError):
    """A token is not a finite decimal number.

    Attributes:
        index: how many numbers come before it.
        token: the token, or its beginning.
        position: byte index of the token in the text.
    """

    def __init__(self, index: int, token: bytes, position: int) -> None:
        super().__init__(f"number {index} is {token[:40]!r}")
        self.index = index
        self.token = token[:40]
        self.position = position


def parse_numbers(data: bytes, start: int = 0) -> Array:
    """All numbers in ``data[start:]``, which white space separates.

    Returns:
        ``(numbers,)`` float64, equal to ``[float(t) for t in data[start:].split()]``.

    Raises:
        NotANumberError: a token is not a number, or NaN, or infinite.
    """
    text = np.frombuffer(data, np.uint8)
    # Memory of an empty array is only claimed where it is written.
    out = np.empty((len(text) - start + 1) // 2)
    piece = _Piece()
    count, at = 0, start
    while at < len(text):
        try:
            used, values = piece.parse(text[at : at + _PIECE], last=at + _PIECE >= len(text))
        except NotANumberError as error:
            raise NotANumberError(count + error.index, error.token, at + error.position) from None
        out[count : count + len(values)] = values
        count += len(values)
        at += used
    return out[:count]


class _Piece:
    """Parses one piece of text after another in memory of its own."""

    def __init__(self) -> None:
        length = _PIECE + 2 * _WORD
        # A blank before the text and more after it: nothing looks past the ends.
        self._text = np.full(length + _WORD, _BLANK)
        self._overlapping: NDArray[np.uint64] = np.ndarray(length, "<u8", self._text, strides=(1,))
        self._words = np.empty(length, np.uint64)

    def parse(self, chunk: NDArray[np.uint8], *, last: bool) -> tuple[int, Array]:
        """Bytes used and numbers read; unless ``last``, a token at the end stays unused."""
        size = len(chunk)
        self._text[_WORD : _WORD + size] = chunk
        self._text[_WORD + size : 2 * _WORD + size] = _BLANK
        # From here on a place counts from the blank before the chunk.
        text = self._text[_WORD - 1 :]
        minus = text[: size + 2] == _MINUS
        marks = np.flatnonzero(((text[: size + 2] - _ZERO) > 9) ^ minus)
        kinds = text.take(marks)
        blank = (kinds == _BLANK) | (kinds - _TAB <= 4)
        dot, exponent = kinds == _DOT, (kinds | _BLANK) == _E

        blanks = np.flatnonzero(blank)
        ends = blanks if last else blanks[:-1]
        if len(ends) < 2:
            raise NotANumberError(0, bytes(chunk[:40]), 0)
        edges = marks.take(ends)
        used = int(edges[-1])
        # Two blanks in a row make an empty token, which is dropped at the end.
        begin, end = edges[:-1] + 1, edges[1:]
        filled = end > begin

        final = ends[1:] - 1
        scaled = np.flatnonzero(exponent.take(final))
        e = marks.take(final.take(scaled))
        below = text.take(e + 1) == _MINUS
        negative = (text.take(begin) == _MINUS).astype(np.int64)
        signs = np.count_nonzero(negative) + np.count_nonzero(below)
        usual = (
            len(blanks) + np.count_nonzero(dot) + np.count_nonzero(exponent) == len(marks)
            and signs == np.count_nonzero(minus[:used])
            and not (dot[:-1] & dot[1:]).any()
            and not (exponent[:-1] > blank[1:]).any()
        )
        if not usual:
            return used, _floats(chunk[:used])

        np.copyto(self._words[: size + _WORD], self._overlapping[: size + _WORD])
        point = marks.take(ends[:-1] + 1)
        tail = end
        if len(scaled):
            tail = end.copy()
            tail[scaled] = e
        before = point - begin
        before -= negative
        before[np.flatnonzero(~filled)] = 1
        after = tail - point
        after -= 1
        odd = _Odd(before, _INTEGER)

        exact = self._mantissas(point, before, after)
        values = exact / 10.0**_FRACTION
        if after.max() > _FRACTION:
            long = np.flatnonzero(after > _FRACTION)
            values[long], inexact = self._long(exact, tail, after, long)
            odd.add(long, inexact)
            if len(scaled):
                odd.add(scaled, after.take(scaled) > _FRACTION)
        if len(scaled):
            power = 10 * text.take(e + 2) + text.take(e + 3) - np.uint8(11 * ord("0") % 256)
            power += np.uint8(_FRACTION)
            values[scaled] = exact.take(scaled) / _POWERS.take(power, mode="clip")
            odd.add(scaled, ~below | (end.take(scaled) - e != 4) | (power >= len(_POWERS)))
        negative <<= 63
        values.view(np.int64)[:] |= negative

        others = odd.places()
        if len(others) > len(values) // 4:
            return used, _floats(chunk[:used])
        for i in others:
            token = bytes(text[begin[i] : end[i]])
            values[i] = _float(token, int(np.count_nonzero(filled[:i])), int(begin[i]) - 1)
        return used, values[filled]

    def _mantissas(self, point: Places, before: Places, after: Places) -> Array:
        """Up to 8 digits either side of the point as ``integer * 10**8 + fraction``."""
        words = np.empty((2, len(point)), np.uint64)
        self._words.take(point - 1, out=words[0], mode="clip")
        self._words.take(point + _WORD, out=words[1], mode="clip")
        words[0] &= _LAST.take(before, mode="clip")
        words[1] &= _FIRST.take(after, mode="clip")
        _join(words)
        words[0] *= np.uint64(10**_FRACTION)
        words[0] += words[1]
        # There is an instruction for signed integers alone.
        return words[0].view(np.int64).astype(np.float64)

    def _long(
        self, exact: Array, tail: Places, after: Places, long: Places
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Values of tokens with 9 to 16 digits behind the point, and which are not exact."""
        more = after.take(long) - _FRACTION
        words = self._words.take(tail.take(long) - 1)
        words &= _LAST.take(more, mode="clip")
        _join(words)
        digits = exact.take(long) * _POWERS.take(more, mode="clip") + words
        values = digits / _POWERS.take(more + _FRACTION, mode="clip")
        return values, (more > 8) | (digits >= 2.0**53)


class _Odd:
    """Collects the tokens of a piece that are left to ``float``."""

    def __init__(self, before: Places, most: int) -> None:
        self._found: list[Places] = []
        if before.min() < 1 or before.max() > most:
            self._found.append(np.flatnonzero((before < 1) | (before > most)))

    def add(self, places: Places, which: NDArray[np.bool_]) -> None:
        if which.any():
            self._found.append(places[which])

    def places(self) -> Places:
        return np.unique(np.concatenate(self._found)) if self._found else np.empty(0, np.intp)


def _join(words: NDArray[np.uint64]) -> None:
    """Turn words of eight digit values into the number they spell, in place."""
    for factor, shift, mask in _JOIN:
        words *= factor
        words >>= shift
        words &= mask


def _floats(chunk: NDArray[np.uint8]) -> Array:
    """Numbers of a chunk that ends with its last token, read by ``float``."""
    text = bytes(chunk)
    try:
        values = np.array([float(token) for token in text.split()])
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all() or b"_" in text:
        return np.array(
            [_float(m.group(), i, m.start()) for i, m in enumerate(_TOKEN.finditer(text))]
        )
    return values


def _float(token: bytes, index: int, position: int) -> float:
    value = float(token) if _DECIMAL.fullmatch(token) else np.nan
    if not np.isfinite(value):
        raise NotANumberError(index, token, position)
    return value
