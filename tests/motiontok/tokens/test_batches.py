"""Several motions at once: padding, masks and ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import procedural
from bvh import rotations as rot
from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.data import Start
from motiontok.errors import CodesError, DataError


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


def some_codes(tokenizer, windows, seed, *, given=8, frames=None):
    rng = np.random.default_rng(seed)
    return Codes(
        rng.integers(0, tokenizer.vocab_size, size=(windows, given)).astype(np.uint16),
        fingerprint=tokenizer.fingerprint,
        frames=32 * windows - seed if frames is None else frames,
        start=Start(*rng.normal(size=3)),
        offsets=tokenizer.offsets * rng.uniform(0.7, 1.3, size=(22, 1)),
        source=f"clip{seed}",
        first=given,
    )


def test_many_clips_decode_as_each_by_itself(tokenizer):
    """Of any length, skeleton and place; 32-bit sums of windows among others may differ."""
    codes = [some_codes(tokenizer, windows, seed) for seed, windows in enumerate((3, 1, 90, 2, 7))]
    codes += [some_codes(tokenizer, 2, 0, frames=0), some_codes(tokenizer, 1, 0, frames=1)]
    codes[1].offsets[7] = 0.0  # a bone without a direction
    together = list(tokenizer.decode_many(iter(codes)))
    assert len(together) == len(codes)
    for motion, one in zip(together, codes, strict=True):
        alone = tokenizer.decode_codes(one)
        assert motion.source == alone.source
        np.testing.assert_array_equal(motion.offsets, alone.offsets)
        np.testing.assert_allclose(motion.root_positions, alone.root_positions, atol=1e-5)
        assert rot.angle_between(motion.rotations, alone.rotations).max() < 1e-4
    assert list(tokenizer.decode_many([])) == []


def test_first_codes_of_clips_decode_together_with_whole_ones():
    shipped = MotionTokenizer.from_pretrained("default")
    codes = [some_codes(shipped, 2, seed, given=given) for seed, given in enumerate((32, 8, 8))]
    for motion, one in zip(shipped.decode_many(codes), codes, strict=True):
        alone = shipped.decode_codes(one)
        np.testing.assert_allclose(motion.global_positions(), alone.global_positions(), atol=1e-4)


def test_clips_are_taken_as_they_are_decoded(tokenizer):
    """A corpus of any size is never held."""
    taken = []

    def endless():
        while True:
            taken.append(0)
            yield some_codes(tokenizer, 4, 1)

    assert len(next(tokenizer.decode_many(endless()))) == 127
    assert len(taken) < 40


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"array": np.full((2, 8), 16)}, "clip2: codes: value 16 at (0, 0)"),
        ({"array": np.zeros((0, 8), int)}, "clip2: codes: expected (..., windows, 8)"),
        ({"array": np.zeros((2, 9), int)}, "clip2: codes: expected (..., windows, 8)"),
        ({"frames": 65}, "clip2: asked for 65 frames of 2 windows that hold 1 to 64"),
        ({"fingerprint": "0" * 16}, "clip2: codes were made by tokenizer 0000000000000000"),
    ],
)
def test_a_bad_clip_among_many_is_named(tokenizer, changes, words):
    codes = [some_codes(tokenizer, 2, seed) for seed in (1, 2)]
    codes[1] = replace(codes[1], **changes)
    with pytest.raises(CodesError) as caught:
        list(tokenizer.decode_many(codes))
    assert words in str(caught.value)
