"""What is no code, no feature, no start or no option is refused in a line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.data import Start
from motiontok.errors import CodesError, DataError, InputError


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "start", [(0.0, 0.0), 5.0, "here", Start(x=np.nan), (1e300, 0, 0), (0, 0, np.inf)]
)
def test_a_start_that_is_none_is_refused(tokenizer, start):
    codes = np.zeros((1, 8), int)
    for use in (
        lambda: tokenizer.decode(codes, start=start),
        lambda: tokenizer.stream_decoder(start=start),
        lambda: tokenizer.decode_codes(Codes(codes, start=start)),
    ):
        with pytest.raises(DataError, match="start: expected x and y in m and yaw in rad"):
            use()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        (np.zeros((22, 3)), "left thigh and shin are 0 mm"),
        (np.full((22, 3), np.nan), r"value nan at \(0, 0\)"),
        (np.full((22, 3), -1e200), r"value -1e\+200 at \(0, 0\)"),
        (np.zeros((21, 3)), r"expected \(22, 3\), got \(21, 3\)"),
        ("long", r"expected numbers \(22, 3\), got 'long'"),
    ],
)
def test_bones_that_no_body_has_are_refused(tokenizer, offsets, words):
    for use in (
        lambda: tokenizer.decode(np.zeros((1, 8), int), offsets=offsets),
        lambda: tokenizer.stream_decoder(offsets=offsets),
        lambda: tokenizer.stream_encoder(offsets=offsets),
    ):
        with pytest.raises(DataError, match=f"offsets: {words}"):
            use()


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda t, m: t.encode_to_codes(5), "motion: expected a Motion or the path .* got int"),
        (lambda t, m: t.encode(None), "motion: expected a Motion or the path .* got NoneType"),
        (lambda t, m: t.encode(m, effort=2.5), "effort must be a whole number, got 2.5"),
        (lambda t, m: t.encode(m, first=2.5), "first must be a whole number, got 2.5"),
        (lambda t, m: t.decode(t.encode(m), frames=5.0), "frames must be a whole number, got 5.0"),
        (lambda t, m: t.decode_codes(t.encode(m)), "expected Codes, .* got ndarray; decode takes"),
        (lambda t, m: list(t.decode_many([t.encode(m)])), "expected Codes, .* got ndarray"),
        (lambda t, m: t.require(t.encode(m)), "expected Codes, .* got ndarray"),
    ],
)
def test_what_is_of_the_wrong_kind_is_said_in_a_line(tokenizer, motion, use, words):
    with pytest.raises(InputError, match=words) as caught:
        use(tokenizer, motion)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "meta", 2.5])
def test_a_device_that_is_not_there_is_said(tiny_run, device):
    with pytest.raises(InputError, match=f"device '{device}' is not available here"):
        MotionTokenizer.from_pretrained(tiny_run, device=device)
    with pytest.raises(InputError, match=f"device '{device}' is not available here"):
        MotionTokenizer.from_pretrained(tiny_run).to(device)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (np.full((2, 8), 16), "value 16 at (0, 0) is outside the vocabulary, 0 to 15"),
        (np.array([[0] * 8, [0] * 7 + [-1]]), "value -1 at (1, 7)"),
        (np.array([[0, -7] + [0] * 6, [-2000, 16] + [-1] * 6]), "value -7 at (0, 1)"),
        (torch.tensor([[3] * 7 + [20], [-9] * 7 + [99]]), "value 20 at (0, 7)"),
        (np.array([[17] * 8, [2**64 - 1] * 8], np.uint64), "value 17 at (0, 0)"),
        (np.zeros((2, 7), int), "expected (..., windows, 8), got (2, 7)"),
        (np.zeros(8, int), "expected (..., windows, 8), got (8,)"),
        (np.zeros((0, 8), int), "expected (..., windows, 8), got (0, 8)"),
        (np.zeros((2, 8)), "expected integers, got float64"),
        (np.full((2, 8), np.nan), "expected integers"),
        (np.zeros((2, 8), bool), "expected integers, got bool"),
        (torch.zeros(2, 8), "expected integers, got torch.float32"),
        (torch.zeros(2, 8, dtype=torch.bool), "expected integers, got torch.bool"),
        (torch.full((2, 8), 99), "value 99 at (0, 0)"),
        (np.full((2, 8), 2**63 - 1), "outside the vocabulary"),
        (np.full((2, 8), 2**64 - 1, np.uint64), "value 18446744073709551615 at (0, 0)"),
        (np.array([[0] * 7 + [17]] * 2, np.uint64), "value 17 at (0, 7)"),
        (torch.full((2, 8), 2**64 - 1, dtype=torch.uint64), "value 18446744073709551615 at"),
        (np.array([["a"] * 8]), "expected integers"),
        (np.array([[None] * 8]), "expected integers, got object"),
        (np.zeros((2, 3, 8), int), "decode takes codes of one motion"),
        ([[1, 2], [3]], "rows of different lengths"),
    ],
)
def test_bad_codes_are_refused_never_guessed(tokenizer, codes, words):
    with pytest.raises(CodesError) as caught:
        tokenizer.decode(codes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("frames", [0, -1, 97])
def test_frames_that_codes_do_not_hold_are_refused(tokenizer, frames):
    with pytest.raises(
        CodesError, match=rf"asked for {frames} frames of 3 windows that hold 1 to 96"
    ):
        tokenizer.decode(np.zeros((3, 8), int), frames=frames)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (np.zeros((10, 202)), "expected (..., frames, 203), got (10, 202)"),
        (np.zeros(203), "expected (..., frames, 203)"),
        (np.zeros((0, 203)), "expected (..., frames, 203)"),
        (np.zeros((0, 10, 203)), "expected (..., frames, 203)"),
        (np.full((10, 203), np.nan), "value at (0, 0) is not finite"),
        (np.full((10, 203), np.inf), "value at (0, 0) is not finite"),
        (np.full((10, 203), 1e300), "value at (0, 0) is beyond 1e+06"),
        (np.full((10, 203), None), "expected numbers, got object"),
        (np.full((10, 203), 1j), "expected numbers, got complex128"),
        (torch.full((10, 203), torch.nan), "not finite"),
    ],
)
def test_bad_features_are_refused(tokenizer, features, words):
    with pytest.raises(DataError) as caught:
        tokenizer.encode(features)
    assert words in str(caught.value)


def test_impossible_options_are_refused(tokenizer, motion):
    for effort in (0, -1, 1001, 10**9):
        with pytest.raises(DataError, match=f"effort must be 1 to 1000, got {effort}"):
            tokenizer.encode(motion, effort=effort)
    for weight in (1001, 1e300):
        with pytest.raises(DataError, match="rate_weight must be 0 to 1000, 1 being a fair price"):
            tokenizer.encode(motion, rate_weight=weight)
    for temperature in (-1.0, np.nan, np.inf, "1", None, [1.0], True, np.ones(2)):
        with pytest.raises(DataError, match="temperature must be 0 or positive"):
            tokenizer.encode(motion, temperature=temperature)
        with pytest.raises(DataError, match="rate_weight must be 0 or positive"):
            tokenizer.encode(motion, rate_weight=temperature)
    for generator in (3, np.random.default_rng(3)):
        with pytest.raises(DataError, match=r"generator must be a torch\.Generator or None, got"):
            tokenizer.encode(motion, generator=generator)
