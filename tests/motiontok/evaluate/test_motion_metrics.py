"""Motion metrics against motions whose error is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bvh import procedural
from bvh import rotations as rot
from bvh.skeleton import FEET, JOINTS
from motiontok.errors import DataError
from motiontok.evaluate import compare_motions, mean_metrics
from motiontok.evaluate.motion_metrics import foot_skate, procrustes_mpjpe

UP = [0.0, 0.0, 1.0]
ERRORS = (
    "mpjpe_mm",
    "mpjpe_global_mm",
    "mpjpe_procrustes_mm",
    "end_effectors_mm",
    "rotation_deg",
    "velocity_mm_s",
    "acceleration_mm_s2",
    "drift_mm",
)


@pytest.fixture(scope="module")
def walk():
    return procedural.make("walk", seconds=3, seed=5)


def test_a_motion_equals_itself(walk):
    found = compare_motions(walk, walk)
    for name in ERRORS:
        assert found[name] == pytest.approx(0, abs=1e-4)
    assert found["skate_mm_s"] == found["skate_truth_mm_s"]


def test_a_shift_is_global_error_and_drift_only(walk):
    shifted = walk.moved(rot.identity(), np.array([0.3, 0.4, 0.0]))
    found = compare_motions(walk, shifted)
    assert found["mpjpe_global_mm"] == pytest.approx(500)
    assert found["drift_mm"] == pytest.approx(500)
    for name in ("mpjpe_mm", "mpjpe_procrustes_mm", "rotation_deg", "velocity_mm_s"):
        assert found[name] == pytest.approx(0, abs=1e-3)


def test_heading_is_not_an_error_of_the_pose(walk):
    found = compare_motions(walk, walk.moved(rot.from_axis_angle(UP, 1.0), np.zeros(3)))
    assert found["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert found["mpjpe_global_mm"] > 100


def test_a_bent_elbow_is_as_wrong_as_it_is_bent(walk):
    elbow, hand = JOINTS.index("LeftForeArm"), JOINTS.index("LeftHand")
    rotations = walk.rotations.copy()
    bend = rot.from_axis_angle(UP, np.radians(30.0))
    rotations[:, elbow] = rot.multiply(rotations[:, elbow], np.broadcast_to(bend, (len(walk), 4)))
    found = compare_motions(walk, replace(walk, rotations=rotations))
    assert found["rotation_deg"] == pytest.approx(30 / 21)
    # Only the hand moves, on a circle about the elbow.
    radius = np.linalg.norm(walk.offsets[hand])
    chord = 2 * radius * np.sin(np.radians(15))
    assert found["mpjpe_mm"] == pytest.approx(1000 * chord / 21, rel=0.01)
    # It is one of five end effectors.
    assert found["end_effectors_mm"] == pytest.approx(1000 * chord / 5, rel=0.01)


def test_shaking_hips_are_no_error_of_the_pose(walk):
    """Every other frame 10 mm up: the whole body with it."""
    shaken = walk.root_positions.copy()
    shaken[1::2, 2] += 0.010
    found = compare_motions(walk, replace(walk, root_positions=shaken))
    assert found["mpjpe_global_mm"] == pytest.approx(5.0)
    assert found["velocity_mm_s"] == pytest.approx(0, abs=1e-6)


def test_a_jittering_arm_shows_in_velocity_and_acceleration(walk):
    arm = JOINTS.index("LeftForeArm")
    radius = np.linalg.norm(walk.offsets[JOINTS.index("LeftHand")])
    still = replace(
        walk,
        root_positions=np.repeat(walk.root_positions[:1], 20, axis=0),
        rotations=np.repeat(walk.rotations[:1], 20, axis=0),
    )
    rotations = still.rotations.copy()
    angle = 0.02
    jolt = rot.from_axis_angle(UP, angle)
    rotations[1::2, arm] = rot.multiply(rotations[1::2, arm], np.broadcast_to(jolt, (10, 4)))
    found = compare_motions(still, replace(still, rotations=rotations))
    chord = 1000 * 2 * radius * np.sin(angle / 2) / 22
    assert found["velocity_mm_s"] == pytest.approx(30 * chord, rel=0.02)
    assert found["acceleration_mm_s2"] == pytest.approx(2 * 900 * chord, rel=0.02)
    # The source stands still, so all of what is seen is the jitter.
    assert found["speed_mm_s"] == pytest.approx(found["velocity_mm_s"])
    assert found["acceleration_size_mm_s2"] == pytest.approx(found["acceleration_mm_s2"])
    assert found["jerk_m_s3"] == pytest.approx(4 * 27 * chord, rel=0.02)
    for name in ("speed_truth_mm_s", "acceleration_size_truth_mm_s2", "jerk_truth_m_s3"):
        assert found[name] == pytest.approx(0, abs=1e-6)


def test_smoothing_shows_beside_the_source(walk):
    """A motion that is half as fast: half the speed, a quarter of the acceleration."""
    slow = replace(walk[:45], fps=15.0)
    found = compare_motions(walk[:45], replace(slow, fps=30.0))
    assert found["speed_mm_s"] == pytest.approx(found["speed_truth_mm_s"])
    half = compare_motions(slow, slow)
    assert half["speed_mm_s"] == pytest.approx(found["speed_mm_s"] / 2)
    assert half["acceleration_size_mm_s2"] == pytest.approx(found["acceleration_size_mm_s2"] / 4)
    assert half["jerk_m_s3"] == pytest.approx(found["jerk_m_s3"] / 8)


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_procrustes_is_blind_to_rigid_transforms(seed):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(4, 22, 3))
    turned = np.stack(
        [Rotation.random(random_state=int(rng.integers(2**31))).apply(f) for f in truth]
    )
    assert procrustes_mpjpe(truth, turned + rng.normal(size=(4, 1, 3))) < 1e-9


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_procrustes_finds_scipys_rotation(seed):
    rng = np.random.default_rng(seed)
    truth, other = rng.normal(size=(2, 22, 3))
    a, b = truth - truth.mean(axis=0), other - other.mean(axis=0)
    best, _ = Rotation.align_vectors(a, b)
    expected = np.linalg.norm(a - best.apply(b), axis=-1).mean()
    assert procrustes_mpjpe(truth[None], other[None]) == pytest.approx(expected, abs=1e-6)


def test_procrustes_does_not_mirror():
    truth = np.random.default_rng(0).normal(size=(1, 22, 3))
    assert procrustes_mpjpe(truth, truth * [1, -1, 1]) > 0.1


def test_sliding_feet_are_measured_while_the_source_stands():
    still = procedural.make("squat", seconds=2, seed=3)
    truth = still.global_positions()
    slid = truth.copy()
    slid[..., 0] += 0.2 * np.arange(len(truth))[:, None] / 30  # 200 mm/s
    base = foot_skate(truth, truth=truth, fps=30.0)
    assert base < 20
    assert foot_skate(slid, truth=truth, fps=30.0) == pytest.approx(200, abs=base + 1)
    flying = truth.copy()
    flying[:, list(FEET), 0] += np.cumsum(np.full((len(truth), 4), 0.1), axis=0)
    assert foot_skate(truth, truth=flying, fps=30.0) == 0.0
    assert foot_skate(truth[:1], truth=truth[:1], fps=30.0) == 0.0


def test_lengths_and_rates_must_agree(walk):
    with pytest.raises(DataError, match="cannot compare 90 frames at 30 fps with 80 at 30"):
        compare_motions(walk, walk[:80])
    with pytest.raises(DataError, match="at 30 fps with 90 at 60"):
        compare_motions(walk, replace(walk, fps=60.0))


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_short_motions_have_the_metrics_they_can_have(walk, frames):
    found = compare_motions(walk[:frames], walk[:frames])
    assert ("velocity_mm_s" in found) == (frames > 1)
    assert ("speed_truth_mm_s" in found) == (frames > 1)
    assert ("jerk_m_s3" in found) == (frames > 3)
    assert ("acceleration_mm_s2" in found) == (frames > 2)
    assert all(np.isfinite(list(found.values())))


def test_means_weigh_clips_by_their_frames():
    found = mean_metrics([(10, {"a": 1.0, "b": 5.0}), (30, {"a": 2.0})])
    assert found == pytest.approx({"a": 1.75, "b": 5.0})
