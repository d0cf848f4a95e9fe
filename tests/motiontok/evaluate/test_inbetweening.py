"""LAFAN1's metrics and baselines on answers known beforehand."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bvh
from bvh import BVHError, Clip, lafan, procedural
from bvh.rotations import from_axis_angle, identity, multiply, rotate
from motiontok.errors import DataError
from motiontok.evaluate import inbetweening
from motiontok.evaluate.inbetweening import (
    PAST,
    PUBLISHED,
    Statistics,
    Windows,
    cut,
    evaluate_baselines,
    interpolation,
    l2p,
    l2q,
    npss,
    score_baselines,
    zero_velocity,
)

RNG = np.random.default_rng(0)


UNIT = Statistics(np.zeros((22, 3)), np.ones((22, 3)))


def clip(seed: int = 0, seconds: float = 4.0, kind: str = "walk") -> Clip:
    return procedural.make(kind, seconds=seconds, seed=seed, size=1.0).to_clip()


def test_equal_motion_has_no_error() -> None:
    windows = cut(clip(), length=65, stride=40)
    quaternions, positions = windows.global_transforms()
    assert l2q(quaternions, quaternions) == 0.0
    assert l2p(positions, positions, UNIT) == 0.0
    assert npss(quaternions, quaternions) == 0.0


@given(st.floats(0.01, 3.0), st.integers(1, 22))
def test_l2q_of_turned_joints(angle: float, joints: int) -> None:
    truth = identity(2, 5, 22)
    estimate = truth.copy()
    estimate[:, :, :joints] = from_axis_angle([0.0, 0.0, 1.0], angle)
    # Unit quaternions half an angle apart: a chord of the unit circle.
    chord = 2.0 * np.sin(angle / 4.0)
    assert l2q(truth, estimate) == pytest.approx(chord * np.sqrt(joints), rel=1e-9)


def test_l2p_counts_standard_deviations() -> None:
    truth = RNG.normal(size=(3, 4, 22, 3))
    std = RNG.uniform(0.5, 2.0, (22, 3))
    estimate = truth + 2.0 * std
    statistics = Statistics(np.zeros((22, 3)), std)
    assert l2p(truth, estimate, statistics) == pytest.approx(2.0 * np.sqrt(66), rel=1e-12)


@pytest.mark.parametrize(("true", "estimated"), [(2, 2), (2, 5), (9, 3)])
def test_npss_of_pure_waves_is_how_far_their_lines_are_apart(true: int, estimated: int) -> None:
    time = np.arange(64)
    waves = [np.cos(2 * np.pi * k * time / 64)[None, :, None, None] for k in (true, estimated)]
    # Each wave has two lines of half the power; both travel that many bins.
    assert npss(*waves) == pytest.approx(abs(true - estimated), abs=1e-9)


def test_npss_weighs_features_by_their_power() -> None:
    time = np.arange(64)
    slow, fast = (np.cos(2 * np.pi * k * time / 64) for k in (2, 5))
    truth = np.stack([3.0 * slow, slow], axis=-1)[None]
    estimate = np.stack([3.0 * slow, fast], axis=-1)[None]
    assert npss(truth, estimate) == pytest.approx(3.0 * 1.0 / (9.0 + 1.0), abs=1e-9)


def test_npss_against_a_plain_loop() -> None:
    truth, estimate = RNG.normal(size=(2, 3, 16, 5))
    distances, weights = [], []
    for window in range(3):
        for feature in range(5):
            powers = []
            for signal in (truth[window, :, feature], estimate[window, :, feature]):
                frequencies = np.arange(16)[:, None] * np.arange(16) / 16
                powers.append((signal @ np.cos(2 * np.pi * frequencies)) ** 2)
            shares = [power / power.sum() for power in powers]
            moved, distance = 0.0, 0.0
            for a, b in zip(*shares, strict=True):
                moved += a - b
                distance += abs(moved)
            distances.append(distance)
            weights.append(powers[0].sum())
    expected = np.average(distances, weights=weights)
    assert npss(truth, estimate) == pytest.approx(expected, rel=1e-9)


def test_npss_of_silence_is_finite() -> None:
    assert np.isfinite(npss(np.ones((1, 8, 4)), np.zeros((1, 8, 4))))
    assert npss(np.pad(np.ones((1, 8, 1)), ((0, 0), (0, 0), (0, 1))), np.ones((1, 8, 2))) == 0.0


def test_windows_are_centred_and_face_along_x() -> None:
    windows = cut(clip(seconds=6), length=50, stride=20)
    assert len(windows) == 7  # starts 0, 20, ... 120; 130 frames are left after the last start
    np.testing.assert_allclose(windows.root.mean(axis=1)[:, [0, 2]], 0.0, atol=1e-9)
    up_of_root = rotate(windows.rotations[:, PAST - 1, 0], np.array([0.0, 1.0, 0.0]))
    assert np.all(up_of_root[:, 0] > 0)
    np.testing.assert_allclose(up_of_root[:, 2], 0.0, atol=1e-9)


def test_windows_keep_the_shape_of_the_motion() -> None:
    source = clip()
    windows = cut(source, length=50, stride=20)
    positions = windows.global_transforms()[1]
    original = source.global_positions()
    for index in range(len(windows)):
        here = original[20 * index : 20 * index + 50]
        np.testing.assert_allclose(
            np.linalg.norm(positions[index, 0] - positions[index, -1, :1], axis=-1),
            np.linalg.norm(here[0] - here[-1, :1], axis=-1),
            atol=1e-8,
        )
        np.testing.assert_allclose(positions[index, ..., 1], here[..., 1], atol=1e-8)


@pytest.mark.parametrize(("frames", "count"), [(49, 0), (50, 0), (51, 1), (70, 1), (71, 2)])
def test_the_last_possible_window_is_left_out(frames: int, count: int) -> None:
    whole = clip()
    short = replace(whole, rotations=whole.rotations[:frames], positions=whole.positions[:frames])
    assert len(cut(short, length=50, stride=20)) == count


def test_where_quaternion_signs_flip_in_the_file_nothing_changes() -> None:
    source = clip()
    flipped = source.rotations.copy()
    flipped[40:80, 3] *= -1.0
    a = cut(source, length=65, stride=40)
    b = cut(replace(source, rotations=flipped), length=65, stride=40)
    np.testing.assert_allclose(a.rotations, b.rotations, atol=1e-12)


def test_zero_velocity_is_right_for_a_statue_and_holds_the_last_pose() -> None:
    source = clip()
    windows = cut(source, length=65, stride=40)
    held = zero_velocity(windows, 30)
    assert held.rotations.shape == (len(windows), 30, 22, 4)
    np.testing.assert_array_equal(held.root[:, 17], windows.root[:, PAST - 1])
    statue = replace(
        source,
        rotations=np.repeat(source.rotations[:1], 120, axis=0),
        positions=np.repeat(source.positions[:1], 120, axis=0),
    )
    scores = score_baselines([source], [statue])
    assert max(score.l2q for score in scores) < 1e-9
    assert max(score.l2p for score in scores) < 1e-9


def test_interpolation_is_right_for_steady_motion() -> None:
    source = clip()
    time = np.arange(120.0)
    turns = from_axis_angle([0.3, 0.5, -0.8], 0.04 * time)
    rotations = np.repeat(source.rotations[:1], 120, axis=0)
    rotations[:, 5] = multiply(rotations[:, 5], turns)
    positions = np.repeat(source.positions[:1], 120, axis=0)
    positions[:, 0] += time[:, None] * np.array([1.0, 0.2, -0.5])
    steady = replace(source, rotations=rotations, positions=positions)
    windows = cut(steady, length=65, stride=40)
    for length in (15, 30, 45):
        truth = windows.frames(slice(PAST, PAST + length)).global_transforms()
        estimate = interpolation(windows, length).global_transforms()
        assert l2q(truth[0], estimate[0]) < 1e-9
        assert l2p(truth[1], estimate[1], UNIT) < 1e-8


def test_interpolation_takes_the_short_way() -> None:
    rotations = identity(1, PAST + 6, 2)
    rotations[:, PAST + 5 :, 0] = -from_axis_angle([0.0, 1.0, 0.0], 1.2)
    windows = Windows(np.zeros((1, PAST + 6, 3)), rotations, np.zeros((2, 3)), (-1, 0))
    middle = interpolation(windows, 5).rotations[0, 2, 0]
    expected = from_axis_angle([0.0, 1.0, 0.0], 0.6)
    np.testing.assert_allclose(middle, expected, atol=1e-12)


def test_statistics_are_those_of_all_positions_at_once() -> None:
    parts = [cut(clip(seed), length=50, stride=20) for seed in range(3)]
    found = Statistics.of(parts)
    positions = np.concatenate([part.global_transforms()[1] for part in parts])
    np.testing.assert_allclose(found.mean, positions.mean(axis=(0, 1)), atol=1e-9)
    np.testing.assert_allclose(found.std, positions.std(axis=(0, 1)), atol=1e-8)


def test_interpolation_beats_zero_velocity_on_walking() -> None:
    scores = score_baselines([clip(s) for s in range(3)], [clip(7), clip(8)])
    assert [(s.method, s.length) for s in scores] == [(s.method, s.length) for s in PUBLISHED]
    for held, blended in zip(scores[:4], scores[4:], strict=True):
        assert blended.l2p < held.l2p
        assert blended.l2q < held.l2q


def test_files_are_parted_by_subject(tmp_path: Path) -> None:
    for subject in (1, 2, 5):
        bvh.write(clip(subject), tmp_path / f"walk1_subject{subject}.bvh")
    (tmp_path / "readme.txt").write_text("")
    seen: list[tuple[int, int]] = []
    scores = evaluate_baselines(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    direct = score_baselines([clip(1), clip(2)], [clip(5)])
    for a, b in zip(scores, direct, strict=True):
        assert a.l2p == pytest.approx(b.l2p, rel=1e-4)
        assert a.l2q == pytest.approx(b.l2q, rel=1e-4)


def test_what_is_missing_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BVHError, match="LAFAN1 is not in"):
        evaluate_baselines()
    bvh.write(clip(), tmp_path / "walk1_subject1.bvh")
    with pytest.raises(DataError, match="0 clips of subject 5 and 1 of others"):
        evaluate_baselines(tmp_path)
    with pytest.raises(DataError, match="longer than 65 frames"):
        score_baselines([clip()], [clip(seconds=2)])
    with pytest.raises(DataError, match="longer than 50 frames"):
        score_baselines([], [clip()])


def test_the_published_table_is_reproduced_on_the_real_data() -> None:
    place = os.environ.get("MOTIONTOK_LAFAN1")
    if not place:
        pytest.skip("needs LAFAN1: set MOTIONTOK_LAFAN1 to lafan1.zip or its folder")
    for found, published in zip(evaluate_baselines(lafan.find(place)), PUBLISHED, strict=True):
        assert found.l2q == pytest.approx(published.l2q, abs=6e-3)
        assert found.l2p == pytest.approx(published.l2p, abs=6e-4)
        assert found.npss == pytest.approx(published.npss, abs=6e-5)


def test_eval_of_the_lafan_baselines_needs_the_data(command, tmp_path):
    code, _, error = command("eval", "lafan-baselines", "--data", tmp_path)
    assert code == 2
    assert len(error.splitlines()) == 1


def test_eval_shows_lafan_baselines_beside_what_was_published(command, monkeypatch):
    measured = [replace(score, l2q=score.l2q + 0.01) for score in inbetweening.PUBLISHED]
    monkeypatch.setattr(inbetweening, "evaluate_baselines", lambda *_, **__: measured)
    code, shown, _ = command("eval", "lafan-baselines")
    assert code == 0
    assert len(shown.splitlines()) == 2 + 8
    assert "0.57 (0.56)" in shown
    code, shown, _ = command("eval", "lafan-baselines", "--json")
    rows = json.loads(shown)
    assert rows[0]["measured"]["l2q"] == pytest.approx(0.57)
    assert rows[0]["published"]["l2q"] == 0.56
