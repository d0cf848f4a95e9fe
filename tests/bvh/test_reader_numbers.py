"""The number parser returns what ``float`` returns, bit for bit, or points at the culprit."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvh.numbers import NotANumberError, parse_numbers

DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

finite = st.floats(allow_nan=False, allow_infinity=False)
coordinates = st.floats(-1000, 1000)
digits = st.text("0123456789", max_size=20)
tokens = st.one_of(
    st.builds("{:.6f}".format, coordinates),
    st.builds("{:g}".format, finite),
    st.builds("{:.3e}".format, coordinates),
    st.builds("{!r}".format, finite),
    st.builds("{:+.2f}".format, coordinates),
    st.builds("{}{}.{}".format, st.sampled_from(["", "-"]), digits, digits),
    st.builds("{}{}e-{}".format, st.sampled_from(["", "-"]), digits, st.integers(0, 40)),
    st.integers().map(str),
    st.from_regex(DECIMAL, fullmatch=True),
)
anything = st.one_of(tokens, st.text("0123456789.-+eE_naif,\x00", min_size=1, max_size=12))
blanks = st.text(" \t\r\n\v\f", min_size=1, max_size=3)


def join(words: list[str], gaps: list[str]) -> bytes:
    return "".join(w + gaps[i % len(gaps)] for i, w in enumerate(words)).encode()


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.int64), b.view(np.int64))


def valid(token: bytes) -> bool:
    return bool(DECIMAL.fullmatch(token.decode())) and bool(np.isfinite(float(token)))


@given(st.lists(anything, max_size=40), st.lists(blanks, min_size=1, max_size=5), st.booleans())
def test_equals_float(words: list[str], gaps: list[str], stripped: bool) -> None:
    text = join(words, gaps)
    if stripped:
        text = text.rstrip()
    found = text.split()
    wrong = next((i for i, token in enumerate(found) if not valid(token)), None)
    prefix = b"Frame Time: 1"
    if wrong is None:
        expected = np.array([float(t) for t in found])
        assert same_bits(parse_numbers(text), expected)
        assert same_bits(parse_numbers(prefix + b"\n" + text, len(prefix)), expected)
    else:
        with pytest.raises(NotANumberError) as caught:
            parse_numbers(text)
        assert caught.value.index == wrong
        assert caught.value.token == found[wrong][:40]  # errors quote no more
        assert text[caught.value.position :].startswith(found[wrong])


@pytest.mark.parametrize("size", [1, 3, 17, 19, 40])
def test_equals_float_across_pieces(size: int) -> None:
    rng = np.random.default_rng(size)
    values = rng.normal(size=400_000 // size) * 10.0 ** rng.integers(-9, 6, 400_000 // size)
    words = [f"{v:.{size - 1}g}" if i % 3 else f"{v:.{size}f}" for i, v in enumerate(values)]
    for gap in (" ", "  ", " \r\n"):
        text = gap.join(words).encode()
        assert same_bits(parse_numbers(text), np.array([float(w) for w in words]))


def test_one_strange_token_among_many() -> None:
    words = ["1.25"] * 200_000
    words[150_000] = "+12"
    words[199_999] = "1e400"
    text = " ".join(words).encode()
    assert parse_numbers(text[: text.rindex(b" ")])[150_000] == 12
    with pytest.raises(NotANumberError) as caught:
        parse_numbers(text)
    assert (caught.value.index, caught.value.position) == (199_999, len(text) - 5)


@pytest.mark.parametrize(
    "token",
    [
        "9007199254740993",
        "9007199254740992.5",
        "0.000000000000000000000001",
        "123456789012345678901234567890e-30",
        "1.7976931348623157e308",
        "5e-324",
        "-0",
        "-0.0e-99",
        "8.41",
        "0.30000000000000004",
        "1234567.12345678",
        "12345678.12345678",
        "1234567.123456789",
        "99999999e-14",
        "1.5e-14",
        "1.5e-15",
    ],
)
def test_hard_cases(token: str) -> None:
    assert same_bits(parse_numbers(token.encode()), np.array([float(token)]))
