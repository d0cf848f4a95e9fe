"""Metrics of windows and codes against direct formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_methods import tiny_config

from bvh import procedural
from bvh.motion import Motion
from motiontok.data import COLUMNS, FEATURES, Statistics, reconstruction_metrics
from motiontok.evaluate.cost import coding_speed, training_cost
from motiontok.evaluate.seams import seam_errors
from motiontok.evaluate.usage import CodeUsage
from motiontok.evaluate.windows import evaluate_windows
from motiontok.methods import MotionNetworks, make_method


def statistics_of(rows):
    return Statistics.fit(rows.reshape(-1, 4, FEATURES))


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(40, 4, FEATURES, generator=generator)
    statistics = statistics_of(windows)
    return statistics.standardize(windows), statistics


def make(name, **method):
    config = tiny_config(name, frames=4, codes=2, vocab=8, method={"beta_end": 0.5, **method})
    torch.manual_seed(0)
    return make_method(config, MotionNetworks(config)).eval()


def test_reconstruction_metrics_are_their_formulas(data):
    x, statistics = data
    y = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    found = reconstruction_metrics(x, y, statistics)
    assert found["mse"] == pytest.approx(float(((x - y) ** 2).mean()), rel=1e-5)
    assert found["psnr_standardised"] == pytest.approx(-10 * math.log10(found["mse"]))
    a, b = (statistics.restore(v).double().numpy() for v in (x, y))
    low, high = a.min(axis=(0, 1)), a.max(axis=(0, 1))
    unit = [np.clip((v - low) / (high - low), 0, 1) for v in (a, b)]
    assert found["psnr"] == pytest.approx(
        -10 * np.log10(np.mean((unit[0] - unit[1]) ** 2)), rel=1e-4
    )
    joints = (a - b)[..., COLUMNS["positions"]].reshape(40, 4, 21, 3)
    expected = 1e3 * np.linalg.norm(joints, axis=-1).mean()
    assert found["window_mpjpe_mm"] == pytest.approx(expected, rel=1e-4)


def test_a_perfect_reconstruction_has_no_error(data):
    x, statistics = data
    found = reconstruction_metrics(x, x, statistics)
    assert found["mse"] == found["window_mpjpe_mm"] == 0.0
    assert found["psnr"] == 120.0


def test_parts_do_not_change_the_numbers(data):
    x, statistics = data
    many = x.repeat(30, 1, 1)  # more than one part of 512
    whole, few = (reconstruction_metrics(a, a + 0.1, statistics) for a in (many, x))
    assert whole == pytest.approx(few, rel=1e-4)


@pytest.mark.parametrize("name", ["daps", "gumbel-na", "pca-pq"])
def test_log_p_is_the_paper_s_function_of_the_error(name, data):
    """log p = -T C / 2 log(2 pi v) - T C / (2 v) MSE."""
    x, statistics = data
    method = make(name, variance=0.3)
    method.fit(lambda count: x[:count], torch.Generator().manual_seed(0))
    metrics, codes = evaluate_windows(method, x, statistics)
    assert torch.equal(codes, method.encode(x))
    mse = metrics.get("sampled_mse", metrics["mse"])
    size = 4 * FEATURES
    expected = -size / 2 * math.log(2 * math.pi * 0.3) - size / 0.6 * mse
    assert metrics["log_p"] == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_kl_runs_from_none_to_all_the_bits(data):
    x, statistics = data
    method = make("gumbel-na")
    method.policy.out.weight.zero_()
    method.policy.out.bias.zero_()
    metrics, _ = evaluate_windows(method, x, statistics)
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-4)
    method.policy.out.bias[3] = 100.0
    metrics, codes = evaluate_windows(method, x, statistics)
    assert (codes == 3).all()
    assert metrics["kl"] == pytest.approx(2 * math.log(8), rel=1e-5)
    assert metrics["elbo"] == pytest.approx(metrics["log_p"] - metrics["kl"])
    assert metrics["beta_elbo"] == pytest.approx(metrics["log_p"] - 0.5 * metrics["kl"])
    assert metrics["sampled_mse"] == pytest.approx(metrics["mse"])


def test_a_deterministic_encoder_has_no_kl(data):
    x, statistics = data
    method = make("pca-pq")
    method.fit(lambda count: x[:count], torch.Generator().manual_seed(0))
    metrics, _ = evaluate_windows(method, x, statistics)
    assert not metrics.keys() & {"kl", "elbo", "beta_elbo", "sampled_mse"}


def test_samples_follow_the_seed(data):
    x, statistics = data
    method = make("daps")
    first, again, other = (evaluate_windows(method, x, statistics, seed=s)[0] for s in (1, 1, 2))
    assert first == again
    assert first["log_p"] != other["log_p"]
    assert first["mse"] == other["mse"]


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 5), st.integers(2, 20))
def test_usage_is_scipys_entropy(seed, windows, positions, vocab):
    codes = np.random.default_rng(seed).integers(0, vocab, size=(windows, positions))
    usage = CodeUsage.of(codes, vocab)
    for n in range(positions):
        counts = np.bincount(codes[:, n], minlength=vocab)
        assert usage.perplexity[n] == pytest.approx(np.exp(scipy.stats.entropy(counts)))
        assert usage.used[n] == pytest.approx(len(np.unique(codes[:, n])) / vocab)
    pooled = np.bincount(codes.ravel(), minlength=vocab)
    assert usage.pooled_perplexity == pytest.approx(np.exp(scipy.stats.entropy(pooled)))
    assert usage.pooled_used == pytest.approx(len(np.unique(codes)) / vocab)
    assert usage.pooled_used >= usage.used.max() - 1e-12


def test_usage_tells_one_shared_code_from_all_of_them():
    same = CodeUsage.of(np.zeros((100, 3), dtype=np.int64), 10).summary()
    assert same == pytest.approx(
        {
            "code_usage": 0.1,
            "perplexity": 1.0,
            "code_usage_pooled": 0.1,
            "perplexity_pooled": 1.0,
        }
    )
    # Each position with a value of its own: nothing varies, yet three values are in use.
    own = CodeUsage.of(np.tile([0, 4, 7], (100, 1)), 10).summary()
    assert own["perplexity"] == pytest.approx(1.0)
    assert own["perplexity_pooled"] == pytest.approx(3.0)


def test_a_jump_at_a_border_is_a_seam():
    motion = procedural.make("walk", seconds=4.0, seed=0)
    jump = np.where(np.arange(len(motion)) < 32, 0.0, 0.05)[:, None] * np.array([1.0, 0.0, 0.0])
    moved = Motion(motion.root_positions + jump, motion.rotations, motion.offsets, motion.fps)
    errors = seam_errors(motion, moved, window=32)
    # 120 frames have borders at 32, 64 and 96: one of three jumps by 50 mm.
    assert errors["seam_mm"] == pytest.approx(50 / 3, rel=1e-6)
    assert errors["inside_mm"] == pytest.approx(0.0, abs=1e-9)
    # The source's own steps across these borders, and those of the other, jump included.
    for name, of in (("border_step_truth_mm", motion), ("border_step_mm", moved)):
        positions = 1000 * of.global_positions()
        steps = np.linalg.norm(positions[[32, 64, 96]] - positions[[31, 63, 95]], axis=-1)
        assert errors[name] == pytest.approx(steps.mean())
    elsewhere = seam_errors(motion, moved, window=40)
    assert elsewhere["seam_mm"] == pytest.approx(0.0, abs=1e-9)
    assert elsewhere["inside_mm"] == pytest.approx(50 / 117, rel=1e-6)
    assert seam_errors(motion, moved, window=120) == {}


def test_the_cost_of_a_step_is_measured_on_a_copy(data):
    x, _ = data
    method = make("daps")
    before = {k: v.clone() for k, v in method.state_dict().items()}
    cost = training_cost(method, x)
    assert cost["step_ms"] > 0
    # At least the gradients of all weights live at the end of the backward pass.
    assert cost["step_peak_mib"] * 2**20 > 4 * sum(p.numel() for p in method.parameters())
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())
    assert all(p.grad is None for p in method.parameters())
    assert not method.training


def test_a_larger_batch_takes_more_memory(data):
    x, _ = data
    method = make("daps")
    few, many = (training_cost(method, x[:n])["step_peak_mib"] for n in (5, 40))
    assert many > 2 * few


def test_what_is_fitted_costs_no_step(data):
    assert training_cost(make("pca-pq"), data[0]) == {}


def test_speeds_are_positive_and_small_sets_are_repeated(data):
    x, _ = data
    seen = []

    def encode(windows):
        seen.append(len(windows))
        return windows

    speed = coding_speed(encode, lambda codes: codes, x[:3])
    assert speed.keys() == {
        "encode_windows_per_s",
        "decode_windows_per_s",
        "encode_latency_ms",
        "decode_latency_ms",
    }
    assert all(v > 0 for v in speed.values())
    assert set(seen) == {64, 1}
