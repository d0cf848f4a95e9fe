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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bvh.rotations import Array

__all__ = ["NotANumberError", "parse_numbers"]

Places = NDArray[np.intp]
Flags = NDArray[np.bool_]

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
_JOIN = tuple(
    (np.uint64(10**n << 8 * n | 1), np.uint64(8 * n), mask and np.uint64(mask))
    for n, mask in ((1, 0x00FF00FF00FF00FF), (2, 0x0000FFFF0000FFFF), (4, None))
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


@dataclass(frozen=True)
class _Tokens:
    """Where the tokens of a piece and their parts lie; places count from one blank before it.

    Attributes:
        begin: place of each token's first character, its sign if it has one.
        end: place behind its last character.
        filled: whether it has characters: between two blanks in a row there are none.
        negative: 1 if it begins with a minus, else 0.
        point: place of its dot, or where one would be.
        scaled: indices of the tokens with an exponent.
        e: places of the exponents' letters, one a token in ``scaled``.
        below: whether a minus follows that letter.
    """

    begin: Places
    end: Places
    filled: Flags
    negative: Places
    point: Places
    scaled: Places
    e: Places
    below: Flags


class _Piece:
    """Parses one piece of text after another in memory of its own."""

    def __init__(self) -> None:
        length = _PIECE + 2 * _WORD
        # A blank before the text and more after it: nothing looks past the ends.
        self._memory = np.full(length + _WORD, _BLANK)
        self._text = self._memory[_WORD - 1 :]
        self._overlapping: NDArray[np.uint64] = np.ndarray(
            length, "<u8", self._memory, strides=(1,)
        )
        self._words = np.empty(length, np.uint64)

    def parse(self, chunk: NDArray[np.uint8], *, last: bool) -> tuple[int, Array]:
        """Bytes used and numbers read; unless ``last``, a token at the end stays unused."""
        size = len(chunk)
        self._text[1 : size + 1] = chunk
        self._text[size + 1 : size + 1 + _WORD] = _BLANK
        used, tokens = self._find(size, last=last)
        if tokens is None:
            return used, _floats(chunk[:used])
        length = size + 2 * _WORD
        np.copyto(self._words[:length], self._overlapping[:length])
        values, odd = self._values(tokens)
        if len(odd) > len(values) // 4:
            return used, _floats(chunk[:used])
        for i in odd:
            begin, end = int(tokens.begin[i]), int(tokens.end[i])
            index = int(np.count_nonzero(tokens.filled[:i]))
            values[i] = _float(bytes(self._text[begin:end]), index, begin - 1)
        return used, values[tokens.filled]

    def _find(self, size: int, *, last: bool) -> tuple[int, _Tokens | None]:
        """Bytes used and the tokens in them, None if they hold anything unusual."""
        text = self._text[: size + 2]
        minus = text == _MINUS
        marks = np.flatnonzero(((text - _ZERO) > 9) ^ minus)
        kinds = text.take(marks)
        blank = (kinds == _BLANK) | (kinds - _TAB <= 4)
        dot, exponent = kinds == _DOT, (kinds | _BLANK) == _E
        blanks = np.flatnonzero(blank)
        ends = blanks if last else blanks[:-1]
        if len(ends) < 2:
            raise NotANumberError(0, bytes(text[1:41]), 0)
        edges = marks.take(ends)
        used = int(edges[-1])
        begin, end, final = edges[:-1] + 1, edges[1:], ends[1:] - 1
        scaled = np.flatnonzero(exponent.take(final))
        e = marks.take(final.take(scaled))
        below = text.take(e + 1) == _MINUS
        negative = (text.take(begin) == _MINUS).astype(np.intp)
        signs = np.count_nonzero(negative) + np.count_nonzero(below)
        # Blanks, dots and exponents alone, in turn, and a minus only before digits.
        usual = (
            len(blanks) + np.count_nonzero(dot) + np.count_nonzero(exponent) == len(marks)
            and not (dot[:-1] & dot[1:]).any()
            and not (exponent[:-1] > blank[1:]).any()
            and signs == np.count_nonzero(minus[:used])
        )
        if not usual:
            return used, None
        point = marks.take(ends[:-1] + 1)
        return used, _Tokens(begin, end, end > begin, negative, point, scaled, e, below)

    def _values(self, tokens: _Tokens) -> tuple[Array, Places]:
        """Values of the tokens, and the indices of those whose value is not exact."""
        point, scaled, e = tokens.point, tokens.scaled, tokens.e
        before = point - tokens.begin
        before -= tokens.negative
        before[np.flatnonzero(~tokens.filled)] = 1
        tail = tokens.end
        if len(scaled):
            tail = tail.copy()
            tail[scaled] = e
        after = tail - point
        after -= 1
        mantissas = self._mantissas(point, before, after)
        values = mantissas / 10.0**_FRACTION
        odd = []
        if before.min() < 1 or before.max() > _INTEGER:
            odd.append(np.flatnonzero((before < 1) | (before > _INTEGER)))
        if after.max() > _FRACTION:
            long = np.flatnonzero(after > _FRACTION)
            more = after.take(long) - _FRACTION
            values[long], exact = self._lengthen(mantissas.take(long), tail.take(long), more)
            odd += [long[~exact], scaled[after.take(scaled) > _FRACTION]]
        if len(scaled):
            text = self._text
            power = 10 * text.take(e + 2) + text.take(e + 3) - np.uint8(11 * ord("0") % 256)
            power += np.uint8(_FRACTION)
            values[scaled] = mantissas.take(scaled) / _POWERS.take(power, mode="clip")
            two_digits = tokens.below & (tokens.end.take(scaled) - e == 4)
            odd.append(scaled[~(two_digits & (power < len(_POWERS)))])
        bits = values.view(np.int64)
        bits |= tokens.negative << 63
        return values, np.unique(np.concatenate(odd)) if odd else np.empty(0, np.intp)

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
        # Processors convert signed integers several times as fast as unsigned ones.
        return words[0].view(np.int64).astype(np.float64)

    def _lengthen(self, mantissas: Array, tail: Places, more: Places) -> tuple[Array, Flags]:
        """Values of tokens with ``more`` fraction digits than a word holds, and whether exact."""
        words = self._words.take(tail - 1)
        words &= _LAST.take(more, mode="clip")
        _join(words)
        digits = mantissas * _POWERS.take(more, mode="clip") + words
        values = digits / _POWERS.take(more + _FRACTION, mode="clip")
        return values, (more <= _WORD) & (digits < 2.0**53)


def _join(words: NDArray[np.uint64]) -> None:
    """Turn words of eight digit values into the number they spell, in place."""
    for factor, shift, mask in _JOIN:
        words *= factor
        words >>= shift
        if mask is not None:
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
