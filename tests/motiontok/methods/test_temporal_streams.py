"""A tokenizer of whole clips in pieces and in batches: streams, invalid windows, corpora."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from temporal_training import CODES, VOCAB, WINDOW, config_of

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.corpus import encode_folder, read_manifest
from motiontok.data import Start, from_motion
from motiontok.errors import CodesError
from motiontok.methods import MotionNetworks, make_method
from motiontok.models.temporal_autoencoder import REACH
from motiontok.prior.tokens import tokenize_clips

pytestmark = pytest.mark.usefixtures("short_start")


@pytest.mark.parametrize("frames", [20, 57, 64, 89, 250])
@pytest.mark.parametrize("piece", [1, 13, 100])
def test_encoding_in_pieces_is_encoding_at_once(tokenizer, motion, frames, piece):
    whole = motion[:frames]
    stream = tokenizer.stream_encoder(offsets=whole.offsets)
    parts = [
        stream.push(whole.root_positions[a : a + piece], whole.rotations[a : a + piece])
        for a in range(0, frames, piece)
    ]
    # A window comes when as many frames are there as it depends on, and no later.
    assert sum(map(len, parts)) == max((frames - REACH) // WINDOW, 0)
    codes = np.concatenate([*parts, stream.flush()])
    np.testing.assert_array_equal(codes, tokenizer.encode(whole, effort=1))


@pytest.mark.parametrize("piece", [1, 2, 5])
def test_decoding_in_pieces_is_decoding_at_once(tokenizer, motion, piece):
    codes = tokenizer.encode(motion, effort=1)
    start = Start(1.0, -2.0, 0.5)
    stream = tokenizer.stream_decoder(start=start, plant=False)
    assert stream.look_ahead == REACH
    parts = [stream.push(codes[a : a + piece]) for a in range(0, len(codes), piece)]
    assert len(parts[0]) == piece * WINDOW - REACH
    parts.append(stream.flush())
    whole = tokenizer.decode(codes, start=start, plant=False)
    positions = np.concatenate([p.root_positions for p in parts])
    np.testing.assert_allclose(positions, whole.root_positions, atol=1e-4)
    joints = np.concatenate([p.rotations for p in parts])
    np.testing.assert_allclose(np.abs((joints * whole.rotations).sum(-1)), 1.0, atol=1e-5)
    stream.reset()
    again = stream.push(codes[:1])
    np.testing.assert_allclose(again.root_positions, positions[: len(again)], atol=1e-4)


def test_an_invalid_window_is_held_in_streams_as_at_once(tokenizer, motion):
    codes = tokenizer.encode(motion, effort=1).copy()
    codes[3, 2] = VOCAB
    with pytest.raises(CodesError, match="outside the vocabulary"):
        tokenizer.decode(codes)
    whole = tokenizer.decode(codes, plant=False, on_invalid="hold")
    held = whole.root_positions[3 * WINDOW + 6 : 4 * WINDOW - 6]  # not blended
    np.testing.assert_allclose(held, np.broadcast_to(held[:1], held.shape), atol=1e-9)
    stream = tokenizer.stream_decoder(plant=False, on_invalid="hold")
    parts = [*(stream.push(one) for one in codes), stream.flush()]
    positions = np.concatenate([p.root_positions for p in parts])
    np.testing.assert_allclose(positions, whole.root_positions, atol=1e-4)


def test_windows_that_are_shorter_than_the_reach_join_too(made_data):
    config = config_of(window=8, codes=4)
    statistics = made_data.statistics
    torch.manual_seed(0)
    method = make_method(config, MotionNetworks(config, statistics=statistics))
    x = made_data.windows.stretched(2).batch(64, torch.Generator().manual_seed(0))
    raw = x.unflatten(2, (4, 8)).flatten(1, 2)
    method.fit(lambda count: raw[:count], torch.Generator().manual_seed(0))
    tokenizer = MotionTokenizer(method, statistics)
    motion = procedural.make("walk", seconds=4.0, seed=2)
    codes = tokenizer.encode(motion, effort=1)
    stream = tokenizer.stream_encoder(offsets=motion.offsets)
    both = zip(motion.root_positions, motion.rotations, strict=True)
    parts = [stream.push(p[None], r[None]) for p, r in both]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), codes)
    decoder = tokenizer.stream_decoder(plant=False)
    pieces = [*(decoder.push(one) for one in codes), decoder.flush()]
    positions = np.concatenate([p.root_positions for p in pieces if len(p)])
    whole = tokenizer.decode(codes, plant=False)
    np.testing.assert_allclose(positions, whole.root_positions, atol=1e-4)
    clips = np.split(from_motion(motion), [40, 70])
    for clip, own in zip(clips, tokenizer.encode_clips(clips), strict=True):
        np.testing.assert_array_equal(own, tokenizer.encode(clip))


def test_batches_are_their_rows(tokenizer, motion):
    features = from_motion(motion)[: 8 * WINDOW].reshape(2, 4 * WINDOW, -1)
    both = tokenizer.encode(features[:, None])
    assert both.shape == (2, 1, 4, CODES)
    for row, codes in zip(features, both[:, 0], strict=True):
        np.testing.assert_array_equal(tokenizer.encode(row), codes)
    decoded = tokenizer.decode_features(both)
    for row, codes in zip(decoded[:, 0], both[:, 0], strict=True):
        np.testing.assert_allclose(tokenizer.decode_features(codes), row, atol=1e-4)


@pytest.mark.parametrize(("effort", "first"), [(1, None), (1, 4), (4, None), (3, 4)])
def test_many_clips_encode_as_each_alone(tokenizer, motion, effort, first):
    features = from_motion(motion)
    clips = [features[a:b] for a, b in ((0, 100), (100, 110), (110, 220))]
    clips += [np.tile(features[:WINDOW], (70, 1))]
    together = tokenizer.encode_clips(clips, effort=effort, first=first)
    for clip, codes in zip(clips, together, strict=True):
        np.testing.assert_array_equal(codes, tokenizer.encode(clip, effort=effort, first=first))


def test_many_clips_decode_as_each_alone(tokenizer, motion):
    clips = [motion[:100], motion[100:220]]
    codes = [tokenizer.encode_to_codes(clip) for clip in clips]
    for clip, again in zip(codes, tokenizer.decode_many(codes), strict=True):
        alone = tokenizer.decode_codes(clip)
        np.testing.assert_allclose(again.root_positions, alone.root_positions, atol=1e-6)


def test_corpora_and_priors_code_whole_clips(tokenizer, motion, tmp_path):
    (tmp_path / "clips").mkdir()
    for name, clip in (("a", motion[:100]), ("b", motion[100:220])):
        clip.save(tmp_path / "clips" / f"{name}.npz")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    encode_folder(tmp_path / "clips", tmp_path / "out", tokenizer=str(tmp_path / "tokenizer"))
    for entry in read_manifest(tmp_path / "out"):
        whole = tokenizer.encode(str(tmp_path / "clips" / entry.file))
        np.testing.assert_array_equal(np.load(tmp_path / "out" / entry.codes), whole)
    tokens = tokenize_clips(tokenizer, [motion[:100]], ["walk.bvh"], shifts=2)
    features = from_motion(motion[:100])
    cuts = [features[:96], features[16:80]]
    np.testing.assert_array_equal(
        tokens.codes, np.concatenate([tokenizer.encode(cut) for cut in cuts])
    )
