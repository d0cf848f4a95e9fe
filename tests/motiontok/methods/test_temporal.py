"""The autoencoder of whole clips: what windows say of each other, prefixes, search."""

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
from temporal_training import CODES, VOCAB, WINDOW, config_of, trained

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.config import override
from motiontok.data import accumulate, from_motion
from motiontok.errors import ConfigError, TokenizerError
from motiontok.methods import MotionNetworks, make_method
from motiontok.methods.quantizers import temporal
from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.models.temporal_autoencoder import REACH
from motiontok.runs import find_start, run_training
from motiontok.tokens.windows import decode_windows
from motiontok.training.checkpoint import read_header
from motiontok.training.log import read_log

pytestmark = pytest.mark.usefixtures("short_start")


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


def test_a_step_decodes_half_of_the_stretches_unquantised(tokenizer, made_data):
    before, method = (copy.deepcopy(tokenizer.method) for _ in range(2))
    x = made_data.windows.stretched(4).batch(64, torch.Generator().manual_seed(3))
    result = method.training_step(x, 0.5, torch.Generator().manual_seed(4))
    found = result.reconstruction.view_as(x)
    with torch.no_grad():
        latents = before.encoder(before.error.frames(x))
        unquantised = before.error.windows(before.decoder(latents), x.shape)
        quantised = before.decode_sequence(result.codes.unflatten(0, (64, 4)))
    whose = [
        torch.isclose(found, other, atol=1e-4).flatten(1).all(dim=1)
        for other in (unquantised, quantised)
    ]
    assert not (whose[0] & whose[1]).any()
    assert 16 < whose[0].sum() < 48
    # Of some of the others only the first tokens of a window are decoded.
    assert 0.6 < whose[1].sum() / (~whose[0]).sum() < 1.0


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
    # Frames are smoothed over one more than latents depend on.
    assert (int(seen[0]), int(seen[-1])) == (at - REACH + 1, at + WINDOW - 2 + REACH)
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
    np.testing.assert_array_equal(tokenizer.encode(features, effort=np.int64(3)), default)
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
    latents = method.latents_of(made_data.validation[:, None])
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
def test_sizes_are_told_where_training_windows_vary_in_few_directions():
    """Others do, by a little: an encoder moves, and there are more windows than were seen."""
    generator = torch.Generator().manual_seed(0)
    quantizer = ResidualQuantizer(size=24, codes=3, vocab_size=32)
    z = torch.randn(300, 4, generator=generator) @ torch.randn(4, 24, generator=generator)
    quantizer.fit(z, torch.eye(24), generator)
    near = z + 1e-4 * torch.randn(z.shape, generator=generator)
    own, found = (quantizer.split(latents)[0] for latents in (z, near))
    assert (own - found).abs().max() <= 1
    assert len(own.unique()) > 8


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


def test_codes_are_found_under_autocast(tokenizer, motion):
    codes = tokenizer.encode(motion, effort=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tokenizer.encode(motion, effort=1)
    # Of a window's first code 16 bits are enough.
    assert (found[:, 0] == codes[:, 0]).mean() > 0.5


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


@pytest.mark.parametrize("name", ["temporal", "daps-temporal"])
def test_what_cannot_be_is_refused(name):
    for settings, match in (({"window": 30, "codes": 6}, "multiple of 4"), ({"codes": 1}, "2")):
        config = override(config_of(**settings), [f"method.name={name}"], "test")
        with pytest.raises(ConfigError, match=f"{match} for {name}"):
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
