"""Several motions at once: padding, masks and ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.errors import CodesError, DataError


@pytest.fixture(scope="module")
def tokenizer(tiny_run):
    return MotionTokenizer.from_pretrained(tiny_run)


@pytest.fixture(scope="module")
def motions():
    return [procedural.make(k, seconds=s, seed=2) for k, s in (("walk", 4.0), ("run", 1.5))]


def test_a_motion_is_called_without_an_axis_of_clips(tokenizer, motions):
    one = tokenizer(motions[0])
    np.testing.assert_array_equal(one.codes, tokenizer.encode(motions[0]))
    assert one.mask.shape == one.codes.shape[:1]
    assert one.mask.all()
    (again,) = tokenizer.batch_decode(one)
    expected = tokenizer.reconstruct(motions[0])
    np.testing.assert_allclose(again.root_positions, expected.root_positions, atol=1e-5)


def test_several_are_padded_and_come_back_each_in_its_length_and_place(tokenizer, motions):
    batch = tokenizer(motions)
    assert batch.codes.shape == (2, 4, 8)
    np.testing.assert_array_equal(batch.mask, [[True] * 4, [True, True, False, False]])
    assert (batch.codes[~batch.mask] == -1).all()
    for motion, codes, mask in zip(motions, batch.codes, batch.mask, strict=True):
        np.testing.assert_array_equal(codes[mask], tokenizer.encode(motion))
    for motion, again in zip(motions, tokenizer.batch_decode(batch), strict=True):
        assert len(again) == len(motion)
        expected = tokenizer.reconstruct(motion)
        np.testing.assert_allclose(again.root_positions, expected.root_positions, atol=1e-5)


def test_padding_does_not_decode_by_mistake(tokenizer, motions):
    batch = tokenizer(motions)
    with pytest.raises(CodesError, match=r"value -1 .* outside the vocabulary"):
        tokenizer.batch_decode(batch.codes)
    found = tokenizer.batch_decode(batch.codes, batch.mask)
    assert [len(m) for m in found] == [128, 64]
    found = tokenizer.batch_decode([codes.array for codes in batch.clips])
    assert [len(m) for m in found] == [128, 64]


def test_what_is_no_batch_is_refused(tokenizer, motions):
    batch = tokenizer(motions)
    with pytest.raises(CodesError, match="decode takes those of one"):
        tokenizer.batch_decode(batch.codes[0])
    with pytest.raises(CodesError, match=r"mask: expected \(2, 4\)"):
        tokenizer.batch_decode(batch.codes, batch.mask[:, :3])
    with pytest.raises(CodesError, match="those that count come first"):
        tokenizer.batch_decode(batch.codes, batch.mask[:, ::-1])
    with pytest.raises(DataError, match="no motions"):
        tokenizer([])


@settings(max_examples=20)
@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    bos=st.sampled_from([None, 20]),
    eos=st.sampled_from([None, 21]),
    own=st.booleans(),
)
def test_ids_of_batches_there_and_back(tokenizer, lengths, bos, eos, own):
    rng = np.random.default_rng(len(lengths))
    clips = [rng.integers(0, 16, (n, 8)) for n in lengths]
    pad = 22 if own or eos is None else eos
    ids, mask = tokenizer.batch_to_ids(clips, pad=pad, offset=2, bos=bos, eos=eos)
    assert ids.shape == mask.shape
    assert (ids[~mask] == pad).all()
    for row, known, codes in zip(ids, mask, clips, strict=True):
        np.testing.assert_array_equal(
            row[known], tokenizer.to_ids(codes, offset=2, bos=bos, eos=eos)
        )
    again = tokenizer.batch_from_ids(ids, pad=pad, offset=2, bos=bos, eos=eos)
    for found, codes in zip(again, clips, strict=True):
        np.testing.assert_array_equal(found, codes)


def test_no_clips_have_no_ids(tokenizer):
    for none in ([], np.zeros((0, 3, 8), int)):
        with pytest.raises(CodesError, match="no clips to make ids of"):
            tokenizer.batch_to_ids(none, pad=99)


def test_padding_that_is_a_code_is_refused(tokenizer):
    codes = [np.zeros((1, 8), int)]
    for pad in (0, 15, 20):
        with pytest.raises(CodesError, match=f"pad {pad} is also the id of a code or bos"):
            tokenizer.batch_to_ids(codes, pad=pad, bos=20)
