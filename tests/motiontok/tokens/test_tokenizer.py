"""The public object: motion to codes and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import bvh
from bvh import procedural
from bvh import rotations as rot
from motiontok.codes import Codes
from motiontok.data import Start, from_motion


def test_what_planners_ask(tokenizer):
    assert tokenizer.vocab_size == 16
    assert tokenizer.codes_per_window == 8
    assert tokenizer.frames_per_window == 32
    assert tokenizer.fps == 30.0
    assert tokenizer.bits_per_second == pytest.approx(8 * 4 * 30 / 32)
    assert len(tokenizer.fingerprint) == 16
    assert int(tokenizer.fingerprint, 16) >= 0
    assert "procedural" in tokenizer.licence


def test_codes_of_a_motion(tokenizer, motion):
    codes = tokenizer.encode(motion)
    assert codes.shape == (3, 8)  # 75 frames in windows of 32
    assert np.issubdtype(codes.dtype, np.integer)
    assert codes.min() >= 0
    assert codes.max() < 16


def test_a_reconstruction_follows_its_source(tokenizer, motion):
    again = tokenizer.reconstruct(motion)
    assert len(again) == len(motion)
    assert again.source == motion.source
    np.testing.assert_array_equal(again.offsets, motion.offsets)

    def body(m):
        positions = m.global_positions()
        return positions - positions[:, :1]

    pose = np.linalg.norm(body(again) - body(motion), axis=-1).mean()
    still = np.linalg.norm(body(motion).mean(axis=0) - body(motion), axis=-1).mean()
    assert pose < 0.12
    assert Start.of(again).yaw == pytest.approx(Start.of(motion).yaw, abs=0.5)
    np.testing.assert_allclose(again.root_positions[0, :2], motion.root_positions[0, :2], atol=0.2)
    assert still > 0


def test_place_and_heading_do_not_change_codes(tokenizer, motion):
    turned = motion.moved(rot.from_axis_angle([0, 0, 1.0], 2.0), np.array([5.0, -7.0, 0.0]))
    np.testing.assert_array_equal(tokenizer.encode(turned), tokenizer.encode(motion))


def test_encoding_is_deterministic_and_leaves_the_global_generator_alone(tokenizer, motion):
    state = torch.get_rng_state()
    for effort in (1, 5):
        codes = [tokenizer.encode(motion, effort=effort) for _ in range(2)]
        np.testing.assert_array_equal(*codes)
    assert torch.equal(torch.get_rng_state(), state)


def test_sampling_follows_its_generator(tokenizer, motion):
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return tokenizer.encode(motion, temperature=500.0, generator=generator)

    np.testing.assert_array_equal(draw(1), draw(1))
    assert (draw(1) != draw(2)).any()


def test_effort_does_not_hurt(tokenizer, motion):
    features = from_motion(motion)[:64]
    errors = []
    for effort in (1, 16):
        decoded = tokenizer.decode_features(tokenizer.encode(features, effort=effort))
        errors.append(np.abs(decoded[:, 3:] - features[:, 3:]).mean())
    assert errors[1] < 1.05 * errors[0]


def test_numpy_in_numpy_out_and_torch_in_torch_out(tokenizer, motion):
    features = from_motion(motion)
    expected = tokenizer.encode(motion)
    from_numpy = tokenizer.encode(features)
    from_torch = tokenizer.encode(torch.tensor(features))
    assert isinstance(from_numpy, np.ndarray)
    assert isinstance(from_torch, torch.Tensor)
    assert not from_torch.is_floating_point()
    np.testing.assert_array_equal(from_numpy, expected)
    np.testing.assert_array_equal(from_torch.numpy(), expected)
    for dtype in (torch.float32, torch.bfloat16):
        assert tokenizer.encode(torch.tensor(features).to(dtype)).shape == (3, 8)


def test_any_integers_decode_alike(tokenizer, motion):
    codes = tokenizer.encode(motion)
    expected = tokenizer.decode(codes).rotations
    for same in (
        codes.astype(np.uint16),
        codes.astype(np.int8),
        torch.from_numpy(codes),
        torch.from_numpy(codes.astype(np.uint16)),
        codes.tolist(),
    ):
        np.testing.assert_array_equal(tokenizer.decode(same).rotations, expected)


def test_batch_dimensions_are_kept(tokenizer):
    clips = [from_motion(procedural.make("run", seconds=64 / 30, seed=s)) for s in range(6)]
    batch = np.stack(clips).reshape(2, 3, 64, -1)
    codes = tokenizer.encode(batch)
    assert codes.shape == (2, 3, 2, 8)
    features = tokenizer.decode_features(codes)
    assert features.shape == (2, 3, 64, 203)
    for i in range(6):
        alone = tokenizer.encode(clips[i])
        np.testing.assert_array_equal(codes.reshape(6, 2, 8)[i], alone)
        np.testing.assert_allclose(
            features.reshape(6, 64, 203)[i], tokenizer.decode_features(alone), atol=1e-4
        )


BODIES = {
    "child": np.full(22, 0.6),
    "giant": np.full(22, 1.5),
    "long legs, short arms": np.repeat([1.0, 1.3, 1.1, 0.8], [1, 8, 5, 8]),
}


@pytest.mark.parametrize("body", BODIES)
def test_the_same_motion_by_another_body_has_the_same_codes(tokenizer, body):
    motions = procedural.dataset(16, seconds=4, seed=5)
    others = [m.on_bones(m.offsets * BODIES[body][:, None]) for m in motions]
    equal = [
        tokenizer.encode(a) == tokenizer.encode(b) for a, b in zip(motions, others, strict=True)
    ]
    assert np.mean(equal) >= 0.99


@pytest.mark.parametrize("body", ["child", "giant"])
def test_the_same_motion_by_another_body_has_the_same_codes_out_of_files(tokenizer, body, tmp_path):
    """All the way from a file: scale, floor and axes are found again for each body."""

    def read(motion, name, scale):
        clip = motion.to_clip()
        clip = replace(clip, names=tuple(f"mixamorig:{joint}" for joint in clip.names))
        clip = replace(clip, positions=scale * clip.positions, offsets=scale * clip.offsets)
        bvh.write(clip, tmp_path / name)
        return bvh.normalize(bvh.read(tmp_path / name))

    scale = BODIES[body][0]
    equal = []
    for motion in procedural.dataset(8, seconds=4, seed=5):
        own, other = read(motion, "own.bvh", 1.0), read(motion, "other.bvh", scale)
        np.testing.assert_allclose(other.offsets, scale * own.offsets, atol=1e-5)
        equal.append(tokenizer.encode(own) == tokenizer.encode(other))
    assert np.mean(equal) >= 0.99


def test_a_path_of_a_clip_or_a_motion_will_do(tokenizer, motion, tmp_path):
    bvh.write(motion.to_clip(), tmp_path / "walk.bvh")
    motion.save(tmp_path / "walk.npz")
    expected = tokenizer.encode(motion)
    np.testing.assert_array_equal(tokenizer.encode(tmp_path / "walk.npz"), expected)
    through_bvh = tokenizer.encode(str(tmp_path / "walk.bvh"))
    assert through_bvh.shape == expected.shape
    assert (through_bvh == expected).mean() > 0.9


@pytest.mark.parametrize("frames", [1, 2, 31, 32, 33])
def test_clips_of_any_length(tokenizer, motion, frames):
    short = motion[:frames]
    codes = tokenizer.encode(short)
    assert codes.shape == (1 if frames <= 32 else 2, 8)
    assert len(tokenizer.reconstruct(short)) == frames


def test_decoding_starts_where_it_is_told(tokenizer, motion):
    codes = tokenizer.encode(motion)
    start = Start(x=2.0, y=-1.0, yaw=0.5)
    decoded = tokenizer.decode(codes, start=start, frames=40)
    origin = tokenizer.decode(codes, frames=40)
    assert len(decoded) == 40
    expected = origin.moved(rot.from_axis_angle([0, 0, 1.0], 0.5), np.array([2.0, -1.0, 0.0]))
    np.testing.assert_allclose(decoded.global_positions(), expected.global_positions(), atol=1e-6)
    np.testing.assert_array_equal(origin.offsets, tokenizer.offsets)


def test_a_start_may_be_its_three_numbers(tokenizer, motion):
    codes = tokenizer.encode(motion)
    for start in ((2.0, -1.0, 0.5), np.array([2.0, -1.0, 0.5])):
        np.testing.assert_array_equal(
            tokenizer.decode(codes, start=start).root_positions,
            tokenizer.decode(codes, start=Start(2.0, -1.0, 0.5)).root_positions,
        )
        assert tokenizer.stream_decoder(start=start).pose == Start(2.0, -1.0, 0.5)


def test_a_path_does_where_a_motion_does(tokenizer, motion, tmp_path):
    motion.save(tmp_path / "clip.npz")
    codes = tokenizer.encode_to_codes(tmp_path / "clip.npz")
    np.testing.assert_array_equal(codes.array, tokenizer.encode(motion))
    assert codes.frames == len(motion)


def test_what_is_printed_is_short_and_says_what_it_is(tokenizer, motion):
    assert repr(tokenizer) == (
        f"<MotionTokenizer {tokenizer.fingerprint}: daps-pq, 8 codes of 16 values for 32 frames, "
        "30 bits/s>"
    )
    codes = tokenizer.encode_to_codes(motion)
    assert repr(codes) == (
        f"<Codes {motion.source.name!r}: {len(codes.array)} x 8, {len(motion)} frames, "
        f"tokenizer {tokenizer.fingerprint}>"
    )
    assert "all frames, of no known tokenizer" in repr(Codes(codes.array))
