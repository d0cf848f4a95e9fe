"""The public object: motion to codes and back, from memory and from a folder."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import bvh
import motiontok
from bvh import procedural
from bvh import rotations as rot
from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.data import Start, from_motion
from motiontok.errors import CodesError, DataError, InputError, TokenizerError
from motiontok.paths import SHIPPED_TOKENIZER, lasting_name


@pytest.fixture(scope="module")
def tokenizer(tiny_run):
    return MotionTokenizer.from_pretrained(tiny_run)


@pytest.fixture(scope="module")
def motion():
    return procedural.make("walk", seconds=2.5, seed=123)


@pytest.fixture
def folder(tiny_run, tmp_path):
    """A copy of the tokenizer's folder, to be damaged."""
    return shutil.copytree(tiny_run / "tokenizer", tmp_path / "tokenizer")


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


def test_a_path_does_where_a_motion_does(tokenizer, motion, tmp_path):
    motion.save(tmp_path / "clip.npz")
    codes = tokenizer.encode_to_codes(tmp_path / "clip.npz")
    np.testing.assert_array_equal(codes.array, tokenizer.encode(motion))
    assert codes.frames == len(motion)


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


@pytest.mark.parametrize("device", ["cuda:99", "gpu", 2.5])
def test_a_device_that_is_not_there_is_said(tiny_run, device):
    with pytest.raises(InputError, match=f"device '{device}' is not available here"):
        MotionTokenizer.from_pretrained(tiny_run, device=device)


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


def test_saving_and_loading_changes_nothing(tokenizer, motion, tmp_path):
    tokenizer.save_pretrained(tmp_path / "deep" / "folder")
    again = MotionTokenizer.from_pretrained(tmp_path / "deep" / "folder")
    assert again.fingerprint == tokenizer.fingerprint
    assert again.config == tokenizer.config
    assert again.licence == tokenizer.licence
    np.testing.assert_array_equal(again.offsets, tokenizer.offsets)
    codes = tokenizer.encode(motion)
    np.testing.assert_array_equal(again.encode(motion), codes)
    np.testing.assert_array_equal(
        again.decode(codes).global_positions(), tokenizer.decode(codes).global_positions()
    )
    names = sorted(p.name for p in (tmp_path / "deep" / "folder").iterdir())
    assert names == ["config.json", "model.safetensors"]


def test_half_precision_halves_the_file_and_stays_one_tokenizer(tokenizer, motion, tmp_path):
    tokenizer.save_pretrained(tmp_path / "whole")
    tokenizer.save_pretrained(tmp_path / "half", compact=True)
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("half", "whole")]
    assert sizes[0] < 0.7 * sizes[1]
    rounded = MotionTokenizer.from_pretrained(tmp_path / "half")
    assert rounded.fingerprint != tokenizer.fingerprint
    rounded.save_pretrained(tmp_path / "again", compact=True)
    again = MotionTokenizer.from_pretrained(tmp_path / "again")
    assert again.fingerprint == rounded.fingerprint
    codes = rounded.encode(motion)
    np.testing.assert_array_equal(again.encode(motion), codes)
    np.testing.assert_allclose(
        rounded.decode(codes).global_positions(),
        tokenizer.decode(codes).global_positions(),
        atol=0.02,
    )


def test_a_tokenizer_is_found_in_its_folder_and_in_its_run(tiny_run, tokenizer):
    inside = MotionTokenizer.from_pretrained(tiny_run / "tokenizer")
    assert inside.fingerprint == tokenizer.fingerprint
    assert MotionTokenizer.from_pretrained(str(tiny_run)).fingerprint == tokenizer.fingerprint


def change_weight(folder, key):
    tensors = load_file(folder / "model.safetensors")
    flat = tensors[key].flatten()
    flat[0] += 1
    tensors[key] = flat.reshape(tensors[key].shape)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("key", ["statistics.mean", "model.decoder.hidden.0.weight"])
def test_the_fingerprint_sees_every_number(folder, tokenizer, key):
    change_weight(folder, key)
    with pytest.raises(TokenizerError) as caught:
        MotionTokenizer.from_pretrained(folder)
    assert tokenizer.fingerprint in str(caught.value)
    assert "do not belong together" in str(caught.value)


def rewrite(folder, change):
    path = folder / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(change(values)))


def without(key):
    return lambda values: {k: v for k, v in values.items() if k != key}


def with_model(**changed):
    def change(values):
        values["config"]["model"].update(changed)
        return values

    return change


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: shutil.rmtree(f), "no such folder; give the folder of a tokenizer"),
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "damaged or incomplete tokenizer"),
        (lambda f: os.truncate(f / "model.safetensors", 5000), "damaged or incomplete tokenizer"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "damaged or incomplete tokenizer"),
        (
            lambda f: (f / "model.safetensors").write_bytes(pickle.dumps({"weights": 1})),
            "damaged or incomplete tokenizer",
        ),
        (lambda f: save_file({"x": torch.ones(2)}, f / "model.safetensors"), "not a usable"),
        (lambda f: (f / "config.json").write_text("{"), "not a usable tokenizer"),
        (lambda f: (f / "config.json").write_text("[1, 2]"), "not a usable tokenizer"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\x00"), "not a usable tokenizer"),
        (lambda f: rewrite(f, without("format")), "no 'format' in it"),
        (lambda f: rewrite(f, without("fingerprint")), "no 'fingerprint' in it"),
        (lambda f: rewrite(f, without("config")), "no 'config' in it"),
        (lambda f: rewrite(f, without("licence")), "no 'licence' in it"),
        (lambda f: rewrite(f, lambda v: v | {"format": "motiontok-tokenizer-99"}), "tokenizer-99"),
        (lambda f: rewrite(f, lambda v: v | {"fingerprint": "0" * 16}), "0000000000000000"),
        (lambda f: rewrite(f, with_model(width=32)), "size mismatch"),
        (lambda f: rewrite(f, with_model(colour="red")), "unknown key model.colour"),
        (lambda f: rewrite(f, with_model(vocab_size=1)), "model.vocab_size must be"),
    ],
)
def test_damaged_folders_are_refused_by_name(folder, damage, words):
    damage(folder)
    with pytest.raises(TokenizerError) as caught:
        MotionTokenizer.from_pretrained(folder)
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert words in message
    assert "\n" not in message


def test_a_run_that_was_ended_before_its_tokenizer_says_so(tmp_path, folder):
    """As a kill between the last checkpoint and the tokenizer leaves it."""
    (tmp_path / "run" / "tokenizer").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(TokenizerError, match=r"ended before it wrote its tokenizer.*--resume"):
        MotionTokenizer.from_pretrained(tmp_path / "run")
    (tmp_path / "run" / "tokenizer").rmdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(TokenizerError, match="ended before it wrote its tokenizer"):
        MotionTokenizer.from_pretrained(tmp_path / "run")


def test_the_default_tokenizer_is_there_or_says_what_to_do():
    if (Path(motiontok.__file__).parent / "pretrained" / "config.json").is_file():
        assert MotionTokenizer.from_pretrained("default").vocab_size > 1
        return
    with pytest.raises(TokenizerError, match="train one"):
        MotionTokenizer.from_pretrained("default")


def test_a_folder_that_cannot_be_written_keeps_what_it_had(tokenizer, folder, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("motiontok.tokens.tokenizer_folder.save_file", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        tokenizer.save_pretrained(folder)
    assert caught.value.filename == str(folder / "model.safetensors")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_half_precision_folder_is_a_tokenizer_of_its_own(
    tokenizer: MotionTokenizer, tmp_path: Path
) -> None:
    """Half the size, its own fingerprint, and it decodes nearly the same."""
    tokenizer.save_pretrained(tmp_path / "full")
    tokenizer.save_pretrained(tmp_path / "half", compact=True)
    sizes = [(tmp_path / k / "model.safetensors").stat().st_size for k in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    half = MotionTokenizer.from_pretrained(tmp_path / "half")
    assert half.fingerprint != tokenizer.fingerprint
    assert next(half.method.parameters()).dtype == torch.float32
    codes = np.zeros((2, tokenizer.codes_per_window), dtype=np.int64)
    np.testing.assert_allclose(
        half.decode(codes).global_positions(),
        tokenizer.decode(codes).global_positions(),
        atol=2e-2,
    )
    half.save_pretrained(tmp_path / "again")
    assert MotionTokenizer.from_pretrained(tmp_path / "again").fingerprint == half.fingerprint


def test_the_shipped_tokenizer_keeps_its_name():
    """Codes and priors made with it name it; a new setting must not rename it."""
    folder = Path(motiontok.__file__).parent / "pretrained"
    if not (folder / "config.json").is_file():
        pytest.skip("no tokenizer is shipped: train one and put it in motiontok/pretrained")
    stated = json.loads((folder / "config.json").read_text())["fingerprint"]
    assert MotionTokenizer.from_pretrained(SHIPPED_TOKENIZER).fingerprint == stated
    assert stated in (folder / "README.md").read_text()
    assert lasting_name(SHIPPED_TOKENIZER) == SHIPPED_TOKENIZER
    assert (folder / "model.safetensors").stat().st_size < 10e6
