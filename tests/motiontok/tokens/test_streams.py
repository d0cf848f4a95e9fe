"""Streams give what the whole gives, however it is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import normalize, procedural, read
from bvh.errors import BVHError
from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.data import Start
from motiontok.errors import CodesError, DataError


@pytest.fixture(scope="module")
def motion():
    return procedural.make("dance", seconds=6.0, seed=8)


def cut(frames, borders):
    edges = [0, *sorted({b for b in borders if 0 < b < frames}), frames]
    return pairwise(edges)


@settings(max_examples=25)
@given(frames=st.integers(1, 180), borders=st.lists(st.integers(0, 180), max_size=12))
def test_encoding_in_pieces_is_encoding_at_once(tokenizer, motion, frames, borders):
    whole = motion[:frames]
    stream = tokenizer.stream_encoder(offsets=whole.offsets)
    parts = [
        stream.push(whole.root_positions[a:b], whole.rotations[a:b])
        for a, b in cut(frames, borders)
    ]
    assert stream.frames == frames
    assert stream.start == Start.of(whole)
    assert sum(map(len, parts)) == frames // 32
    codes = np.concatenate([*parts, stream.flush()])
    np.testing.assert_array_equal(codes, tokenizer.encode(whole))
    assert len(stream.flush()) == 0


def test_what_a_file_needs_is_known_until_the_next_stream_begins(tokenizer, motion):
    stream = tokenizer.stream_encoder(offsets=motion.offsets)
    for piece in (motion[:40], motion[60:170]):
        parts = [stream.push(piece.root_positions, piece.rotations), stream.flush()]
        assert len(stream.flush()) == 0
        assert len(stream.push(piece.root_positions[:0], piece.rotations[:0])) == 0
        codes = Codes(
            np.concatenate(parts),
            frames=stream.frames,
            start=stream.start,
            offsets=motion.offsets,
        )
        np.testing.assert_array_equal(
            tokenizer.decode_codes(codes).root_positions,
            tokenizer.reconstruct(piece).root_positions,
        )


def test_frame_by_frame_the_codes_come_with_a_windows_last_frame(tokenizer, motion):
    stream = tokenizer.stream_encoder(offsets=motion.offsets)
    arrivals = [
        t for t in range(100) if len(stream.push(motion.root_positions[t], motion.rotations[t]))
    ]
    assert arrivals == [31, 63, 95]


def test_bad_poses_are_refused_and_the_stream_goes_on(tokenizer, motion):
    stream = tokenizer.stream_encoder(offsets=motion.offsets)
    stream.push(motion.root_positions[:20], motion.rotations[:20])
    with pytest.raises(BVHError):
        stream.push(np.full(3, np.nan), motion.rotations[20])
    with pytest.raises(BVHError):
        stream.push(np.zeros((2, 3)), motion.rotations[:3])
    root, rotations = motion.root_positions[20:22], motion.rotations[20:22]
    for bad in (None, "x", {}, 1.0, [[0.0], [0.0, 1.0]], root * 1j):
        with pytest.raises(BVHError, match="pose root_positions: expected an array of numbers"):
            stream.push(bad, rotations)
        with pytest.raises(BVHError, match="pose rotations: expected an array of numbers"):
            stream.push(root, bad)
    with pytest.raises(BVHError, match=r"beyond 1e\+06 m"):
        stream.push(np.array([0.0, 1e200, 1.0]), motion.rotations[20])
    codes = stream.push(motion.root_positions[20:32], motion.rotations[20:32])
    np.testing.assert_array_equal(codes, tokenizer.encode(motion[:32]))


def decode_in_pieces(stream, codes, borders):
    parts = [stream.push(codes[a:b]) for a, b in cut(len(codes), borders)]
    parts.append(stream.flush())
    return parts


@settings(max_examples=25)
@given(windows=st.integers(1, 6), borders=st.lists(st.integers(0, 6)), seed=st.integers(0, 10**6))
def test_decoding_in_pieces_is_decoding_at_once(tokenizer, windows, borders, seed):
    codes = np.random.default_rng(seed).integers(0, 16, (windows, 8))
    start = Start(1.0, -2.0, 0.7)
    whole = tokenizer.decode(codes, start=start, plant=False)
    stream = tokenizer.stream_decoder(start=start, plant=False)
    parts = decode_in_pieces(stream, codes, borders)
    assert len(parts[-1]) == stream.look_ahead == 6
    positions = np.concatenate([p.root_positions for p in parts])
    rotations = np.concatenate([p.rotations for p in parts])
    # Networks round in single precision, differently for batches of other sizes.
    np.testing.assert_allclose(positions, whole.root_positions, atol=1e-5)
    # Made-up codes give rotations near where two directions coincide: rounding grows there.
    np.testing.assert_allclose(rotations, whole.rotations, atol=5e-4)


def test_a_stream_goes_on_where_it_was_flushed(tokenizer):
    codes = tokenizer.encode(procedural.make("walk", seconds=3.2, seed=1, speed=1.2))
    begin = Start(1.0, 0.0, 0.5)
    for plant in (True, False):
        stream = tokenizer.stream_decoder(start=begin, plant=plant)
        before = decode_in_pieces(stream, codes, [1])[-1]
        pose = stream.pose
        after = decode_in_pieces(stream, codes, [1])[0]
        step = np.linalg.norm(after.root_positions[0, :2] - before.root_positions[-1, :2])
        assert step < 0.15
        assert np.hypot(pose.x - begin.x, pose.y - begin.y) > 0.5
        if not plant:  # which also remembers how still the body was
            # As what a stream that starts there shows, but for the step to it.
            alone = tokenizer.stream_decoder(start=pose, plant=False)
            again = decode_in_pieces(alone, codes, [1])[0]
            np.testing.assert_allclose(after.rotations[:, 1:], again.rotations[:, 1:], atol=1e-5)


def test_a_stream_begins_anew_after_a_reset(tokenizer):
    codes = np.arange(24).reshape(3, 8) % 16
    stream = tokenizer.stream_decoder(start=Start(1.0, 0.0, 0.5))
    first = decode_in_pieces(stream, codes, [1, 2])
    stream.reset()
    second = decode_in_pieces(stream, codes, [1, 2])
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.root_positions, b.root_positions)
    with pytest.raises(DataError, match="nothing to flush"):
        stream.flush()


def test_one_window_may_come_without_its_axis(tokenizer):
    stream = tokenizer.stream_decoder()
    assert len(stream.push(np.zeros(8, int))) == 26
    with pytest.raises(CodesError, match="outside the vocabulary"):
        stream.push(np.full(8, 16))
    # A refused push leaves the stream as it was.
    assert len(stream.push([0] * 8)) == 32


def test_codes_of_other_shapes_are_refused_and_the_stream_goes_on(tokenizer):
    codes = np.arange(24).reshape(3, 8) % 16
    stream, other = tokenizer.stream_decoder(), tokenizer.stream_decoder()
    for bad in (codes[None], np.stack([codes, codes]), 3, codes[:0], [[0] * 8, [0] * 7]):
        with pytest.raises(CodesError, match=r"codes: expected"):
            stream.push(bad)
        np.testing.assert_array_equal(
            stream.push(codes).root_positions, other.push(codes).root_positions
        )


@settings(max_examples=25)
@given(
    valid=st.lists(st.booleans(), min_size=1, max_size=5),
    borders=st.lists(st.integers(0, 6)),
    seed=st.integers(0, 10**6),
)
def test_invalid_windows_are_held_in_pieces_as_at_once(tokenizer, valid, borders, seed):
    """Also where a piece has no valid window; only the first piece needs one."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 16, (len(valid) + 1, 8))
    codes[1:][~np.array(valid), 3] = rng.choice([-1, 16])
    whole = tokenizer.decode(codes, plant=False, on_invalid="hold")
    stream = tokenizer.stream_decoder(plant=False, on_invalid="hold")
    parts = decode_in_pieces(stream, codes, borders)
    positions = np.concatenate([p.root_positions for p in parts])
    rotations = np.concatenate([p.rotations for p in parts])
    np.testing.assert_allclose(positions, whole.root_positions, atol=1e-5)
    np.testing.assert_allclose(rotations, whole.rotations, atol=5e-4)


def test_a_stream_has_nothing_to_hold_before_its_first_valid_window(tokenizer):
    stream = tokenizer.stream_decoder(on_invalid="hold")
    with pytest.raises(CodesError, match="no window of the sequence is valid"):
        stream.push(np.full((2, 8), -1))
    assert len(stream.push(np.zeros((1, 8), int))) == 26
    assert len(stream.push(np.full((2, 8), -1))) == 64
    # One push may choose otherwise.
    with pytest.raises(CodesError, match="outside the vocabulary"):
        stream.push(np.full((2, 8), -1), on_invalid="error")
    with pytest.raises(CodesError, match="on_invalid must be 'error' or 'hold', got 'guess'"):
        tokenizer.stream_decoder(on_invalid="guess")


def test_feet_are_held_in_a_stream_nearly_as_at_once(shared_data, real_clips):
    """On real clips: path of the stream against that of the whole, and how much feet slide."""
    tokenizer = MotionTokenizer.from_pretrained("default")
    motion = normalize(read(real_clips["bandai-2"]))
    codes = tokenizer.encode(motion, effort=1)
    whole, free = (tokenizer.decode(codes, plant=p) for p in (True, False))
    parts = decode_in_pieces(tokenizer.stream_decoder(), codes, range(len(codes)))
    path = np.concatenate([p.root_positions for p in parts])
    apart = np.linalg.norm(path - whole.root_positions, axis=-1)
    moved = np.linalg.norm(free.root_positions - whole.root_positions, axis=-1)
    assert apart.max() < 0.03
    assert apart.mean() < 0.7 * moved.mean()
    # Pieces fit together: no step of the shift is larger than planting itself makes.
    jump = np.abs(np.diff(path - free.root_positions, axis=0)).max()
    assert jump <= 1.5 * np.abs(np.diff(whole.root_positions - free.root_positions, axis=0)).max()
