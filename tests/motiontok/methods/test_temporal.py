"""The autoencoder of whole clips: what windows say of each other, prefixes, streams, search."""

from __future__ import annotations

import copy
import os
import shutil
import signal
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from temporal_training import train_on

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.config import override, parse_config
from motiontok.corpus import encode_folder, read_manifest
from motiontok.data import Start, accumulate, from_motion
from motiontok.errors import CodesError, ConfigError, TokenizerError
from motiontok.methods import MotionNetworks, make_method
from motiontok.methods.quantizers import temporal
from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.models.temporal_autoencoder import REACH
from motiontok.prior.tokens import tokenize_clips
from motiontok.runs import find_start, run_training
from motiontok.tokens.windows import decode_windows
from motiontok.training.checkpoint import read_header
from motiontok.training.log import read_log

CODES, VOCAB, WINDOW = 16, 64, 32

pytestmark = pytest.mark.usefixtures("short_start")


def config_of(*, window=WINDOW, codes=CODES, components=64, **settings):
    return parse_config(
        {
            "data": {"window": window},
            "model": {
                "codes_per_window": codes,
                "vocab_size": VOCAB,
                "width": 16,
                "decoder_width": 16,
                "components": components,
            },
            "method": {"name": "temporal"},
            "train": {
                "steps": 12,
                "batch_size": 8,
                "learning_rate": 1e-3,
                "evaluate_every": 6,
                "checkpoint_every": 6,
                "log_every": 1,
                **settings,
            },
        },
        "test",
    )


def trained(made_data, out, *, resume=False, update=None, **settings):
    return train_on(config_of(**settings), made_data, out, resume=resume, update=update)


@pytest.fixture(scope="module")
def run_of_60(made_data, tmp_path_factory):
    """What a run found, and its folder."""
    out = tmp_path_factory.mktemp("run")
    return trained(made_data, out, steps=60, evaluate_every=60, checkpoint_every=60), out


@pytest.fixture(scope="module")
def tokenizer(run_of_60, made_data):
    """One whose networks say something: their last layers are zero at first."""
    made = copy.deepcopy(run_of_60[0].method)
    generator = torch.Generator().manual_seed(5)
    for network in (made.encoder, made.decoder):
        weight = network.layers[-1].weight
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return MotionTokenizer(made, made_data.statistics)


@pytest.fixture(scope="module")
def motion():
    return procedural.make("dance", seconds=9.0, seed=8)


def test_training_lowers_the_error_of_what_is_held_out(run_of_60):
    found, out = run_of_60
    start = read_log(out / "log.csv")[0]["val_mpjpe_mm"]
    assert found.validation["mpjpe_mm"] < start, (found.validation, start)


def test_a_resumed_run_equals_an_unbroken_one(made_data, tmp_path):
    whole = trained(made_data, tmp_path / "whole").method.state_dict()

    def stop(done, *_, **__):
        if done == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trained(made_data, tmp_path / "parts", update=stop)
    assert read_header(tmp_path / "parts" / "checkpoint.safetensors")["step"] == 6
    parts = trained(made_data, tmp_path / "parts", resume=True).method.state_dict()
    assert whole.keys() == parts.keys()
    assert not [name for name in whole if not torch.equal(whole[name], parts[name])]


def test_codes_of_a_window_depend_on_what_is_within_reach_and_on_nothing_else(tokenizer, motion):
    features = from_motion(motion)[: 8 * WINDOW]
    codes = tokenizer.encode(features, effort=1)
    changed = features.copy()
    changed[3 * WINDOW - 4 : 3 * WINDOW, 136:199] += 1.0
    other = tokenizer.encode(changed, effort=1)
    differ = (other != codes).any(axis=1)
    assert differ[2]
    assert differ[3]  # not a frame of it was changed
    assert not differ[[0, 1, 4, 5, 6, 7]].any()


def test_latents_and_frames_have_exactly_the_reach_that_is_stated(tokenizer):
    method, at = tokenizer.method, 6 * WINDOW
    x = torch.randn(1, 12 * WINDOW, 203, requires_grad=True)
    steps = slice(at // 4, (at + WINDOW) // 4)
    (slope,) = torch.autograd.grad(method.encoder(x)[:, steps].sum(), x)
    seen = slope.abs().sum(dim=(0, 2)).nonzero()[:, 0]
    assert (int(seen[0]), int(seen[-1])) == (at - REACH, at + WINDOW - 1 + REACH)
    z = torch.randn(1, 12 * WINDOW // 4, method.encoder.scale.numel(), requires_grad=True)
    (slope,) = torch.autograd.grad(method.decoder(z)[:, : at - REACH].sum(), z)
    assert int(slope.abs().sum(dim=(0, 2)).nonzero()[-1]) == at // 4 - 1
    (slope,) = torch.autograd.grad(method.decoder(z)[:, : at - REACH + 1].sum(), z)
    assert int(slope.abs().sum(dim=(0, 2)).nonzero()[-1]) == at // 4


def test_a_changed_window_decodes_differently_with_its_neighbours_only(tokenizer, motion):
    codes = tokenizer.encode(motion, effort=1)
    other = codes.copy()
    other[4] = (other[4] + 1) % VOCAB
    off = np.abs(tokenizer.decode_features(codes) - tokenizer.decode_features(other)).max(axis=1)
    changed = np.flatnonzero(off > 1e-3)
    assert changed[0] < 4 * WINDOW
    assert changed[0] >= 4 * WINDOW - REACH
    assert 5 * WINDOW < changed[-1] < 5 * WINDOW + REACH


def test_the_first_codes_decode_and_more_err_less(tokenizer, motion):
    features = from_motion(motion)[: 8 * WINDOW]
    codes = tokenizer.encode(features)
    errors = [
        np.square(tokenizer.decode_features(codes[:, :n], first=n) - features)[:, 136:199].mean()
        for n in (1, 3, CODES)
    ]
    assert all(more < fewer for fewer, more in pairwise(errors)), errors
    greedy = tokenizer.encode(features, effort=1)
    np.testing.assert_array_equal(tokenizer.encode(features, first=3, effort=1), greedy[:, :3])


@torch.no_grad()
def errors_of(tokenizer, features, codes):
    """What effort lowers: the error of windows, as it is trained on."""
    method = tokenizer.method
    x, y = (
        method.error.frames(tokenizer.statistics.standardize(accumulate(part))[None])
        for part in (
            torch.tensor(features, dtype=torch.float32).unflatten(0, (-1, WINDOW)),
            torch.tensor(decode_windows(method, tokenizer.statistics, torch.from_numpy(codes))),
        )
    )
    rows = (part.float().unflatten(1, (-1, WINDOW))[0] for part in (y, x))
    return float(method.error.by_frame(*rows).mean())


def test_effort_finds_codes_that_decode_to_what_is_nearer(tokenizer, motion):
    features = from_motion(motion)[: 8 * WINDOW]
    codes = [tokenizer.encode(features, effort=n) for n in (1, 2, 4, 8)]
    errors = [errors_of(tokenizer, features, own) for own in codes]
    # After so short a training the last bits decide whether one round finds anything.
    assert errors[1] <= errors[0], errors
    assert errors[3] < errors[2] < errors[0], errors
    default = tokenizer.encode(features, effort=3)
    np.testing.assert_array_equal(tokenizer.encode(features), default)
    few = tokenizer.encode(features, effort=8, first=4)
    assert errors_of(tokenizer, features, few) < errors_of(tokenizer, features, codes[3][:, :4])


def test_effort_on_parts_of_a_clip_errs_as_little_as_on_all_at_once(tokenizer, monkeypatch):
    features = from_motion(procedural.make("dance", seconds=20.0, seed=3))[: 18 * WINDOW]
    whole = tokenizer.encode(features, effort=4)
    monkeypatch.setattr(temporal, "PART", 5)
    parts = tokenizer.encode(features, effort=4)
    assert (parts != whole).any()
    greedy = errors_of(tokenizer, features, tokenizer.encode(features, effort=1))
    gains = [greedy - errors_of(tokenizer, features, codes) for codes in (whole, parts)]
    assert gains[1] > 0.7 * gains[0] > 0.0
    both = np.stack([features[: 9 * WINDOW], features[9 * WINDOW :]])
    np.testing.assert_array_equal(
        tokenizer.encode(both, effort=4)[1], tokenizer.encode(both[1], effort=4)
    )


@torch.no_grad()
def test_a_beam_is_never_farther_in_latents_than_greedy_and_often_nearer(tokenizer, made_data):
    method = tokenizer.method
    latents = method._latents(method.error.frames(made_data.validation[:, None]))
    _, shape = method.quantizer.split(latents)

    def distance(beam):
        codes = method.quantizer.encode(latents, beam=beam)
        return (shape - method.quantizer.shapes(codes)).square().sum(dim=1)

    greedy, beam = distance(1), distance(6)
    assert (beam <= greedy * (1.0 + 1e-5)).all()
    assert (beam < 0.999 * greedy).any()


@torch.no_grad()
def test_distances_are_those_of_what_each_codeword_leaves():
    generator = torch.Generator().manual_seed(0)
    quantizer = ResidualQuantizer(size=20, codes=5, vocab_size=6)
    scales = torch.linspace(3.0, 0.1, 20)
    some = torch.randn(500, 20, generator=generator)
    # In a metric, as it is used.
    turn = torch.linalg.qr(torch.randn(20, 20, generator=generator)).Q
    metric = turn * torch.linspace(1.0, 3.0, 20) @ turn.T
    quantizer.fit(some * scales, metric, generator)
    z = torch.randn(4, 20, generator=generator) * scales
    _, left = quantizer.split(z)
    for token in range(1, 5):
        after = torch.stack(
            [quantizer.subtract(left, token, torch.full((4,), word)) for word in range(6)], dim=1
        )
        expected = after.square().sum(dim=-1) - left.square().sum(dim=-1)[:, None]
        torch.testing.assert_close(quantizer.distances(left, token), expected, atol=1e-5, rtol=1e-4)
        left = quantizer.subtract(left, token, expected.argmin(dim=1))
    # What is left at the end is what decoding lacks, in the metric and in units of the size.
    codes = quantizer.encode(z)
    off = z - quantizer.decode(codes)
    lacks = ((off @ metric) * off).sum(dim=1).sqrt()
    torch.testing.assert_close(left.norm(dim=1) * quantizer.levels[codes[:, 0]], lacks)


@torch.no_grad()
def test_updates_follow_the_latents_and_revive_dead_codewords():
    generator = torch.Generator().manual_seed(0)
    quantizer = ResidualQuantizer(size=4, codes=3, vocab_size=8)
    z = torch.randn(2000, 4, generator=generator)
    quantizer.fit(z, torch.eye(4), generator)
    quantizer.words[0, 0] = 1e3
    quantizer.share[0, 0] = 1e-6
    moved = 1.1 * z

    def error():
        return float((moved - quantizer.decode(quantizer.encode(moved))).square().mean())

    before = error()
    for _ in range(300):
        some = moved[torch.randint(2000, (256,), generator=generator)]
        quantizer.update(some, quantizer.encode(some), generator)
    assert quantizer.words[0, 0].abs().max() < 10.0
    assert error() < before


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


def test_codes_are_found_under_autocast(tokenizer, motion):
    codes = tokenizer.encode(motion, effort=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tokenizer.encode(motion, effort=1)
    # Of a window's first code 16 bits are enough.
    assert (found[:, 0] == codes[:, 0]).mean() > 0.5


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


def test_a_held_path_drifts_less(made_data, tmp_path):
    # With tokens enough to say where it goes.
    method = trained(made_data, tmp_path, codes=64, components=256, steps=10).method
    tokenizer = MotionTokenizer(method, made_data.statistics)
    walk = procedural.make("walk", seconds=12.0, seed=3)
    ends = []
    for hold in (False, True):
        again = tokenizer.reconstruct(walk, hold_path=hold)
        off = again.root_positions - walk.root_positions
        ends.append(np.linalg.norm(off[:, :2], axis=1).mean())
    assert ends[1] < 0.5 * ends[0]


@pytest.mark.parametrize("compact", [False, True])
def test_a_saved_tokenizer_says_the_same(tokenizer, motion, tmp_path, compact):
    tokenizer.save_pretrained(tmp_path, compact=compact)
    again = MotionTokenizer.from_pretrained(tmp_path)
    codes = again.encode(motion, effort=1)
    again.save_pretrained(tmp_path / "again", compact=compact)
    third = MotionTokenizer.from_pretrained(tmp_path / "again")
    assert third.fingerprint == again.fingerprint
    assert (again.fingerprint == tokenizer.fingerprint) is not compact
    np.testing.assert_array_equal(third.encode(motion, effort=1), codes)
    np.testing.assert_array_equal(third.decode_features(codes), again.decode_features(codes))
    if not compact:
        np.testing.assert_array_equal(codes, tokenizer.encode(motion, effort=1))


def test_what_cannot_be_is_refused():
    for settings, match in (({"window": 30, "codes": 6}, "multiple of 4"), ({"codes": 1}, "2")):
        config = config_of(**settings)
        with pytest.raises(ConfigError, match=match):
            make_method(config, MotionNetworks(config))


@pytest.mark.usefixtures("undrawn")
def test_a_run_starts_from_a_trained_tokenizer_and_goes_on(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "first")
    lines = []

    def run(steps, name="temporal", **more):
        config = config_of(steps=steps)
        config = replace(
            config,
            data=replace(config.data, dataset="procedural", clips=4, seconds=5.0),
            method=replace(config.method, name=name),
        )
        return run_training(config, out=tmp_path / name, say=lines.append, **more)

    first = str(tmp_path / "first")
    started = run(1, start_from=first)
    assert any(tokenizer.fingerprint in line for line in lines)
    torch.testing.assert_close(started.tokenizer.statistics.scale, tokenizer.statistics.scale)
    # A step later it is almost where it was, and nothing was fitted anew.
    assert torch.equal(
        started.tokenizer.method.quantizer.analysis, tokenizer.method.quantizer.analysis
    )
    resumed = run(2, resume=True)
    torch.testing.assert_close(resumed.tokenizer.statistics.scale, tokenizer.statistics.scale)
    # From one without a policy to one with: its codes are those of the quantiser.
    policy = run(1, name="daps-temporal", start_from=first)
    assert torch.equal(policy.tokenizer.method.quantizer.levels, tokenizer.method.quantizer.levels)
    # And back.
    shutil.rmtree(tmp_path / "temporal")
    again = run(1, start_from=str(tmp_path / "daps-temporal"))
    assert torch.equal(again.tokenizer.method.quantizer.levels, tokenizer.method.quantizer.levels)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"codes": 4}, "codes_per_window is 16, this run asks for 4"),
        ({"window": 64}, "window is 32, this run asks for 64"),
    ],
)
def test_a_tokenizer_of_other_sizes_is_nothing_to_start_from(tokenizer, tmp_path, settings, match):
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=match):
        find_start(config_of(**settings), str(tmp_path))
    other = override(config_of(), ["method.name=rvq"], "test")
    with pytest.raises(ConfigError, match="trained by temporal, this run trains rvq"):
        find_start(other, str(tmp_path))
    assert find_start(config_of(), "scratch") is None
    assert find_start(config_of(), None) is None
    with pytest.raises(TokenizerError, match="no such folder"):
        find_start(config_of(), str(tmp_path / "nowhere"))
