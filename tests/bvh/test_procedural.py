"""Procedural motion: seeded, and plausible as a body on the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bvh import BVHError, Motion, normalize, procedural
from bvh.rotations import angle_between, rotate, yaw_of
from bvh.skeleton import JOINTS, PARENTS, toe_height

FPS = 30.0
UP = np.array([0.0, 0.0, 1.0])


def joint(name: str) -> int:
    return JOINTS.index(name)


def flexion(motion: Motion, name: str) -> np.ndarray:
    """Angle between a joint's bone and its parent's, rad."""
    positions = motion.global_positions()
    index = joint(name)
    child = PARENTS.index(index)
    upper = positions[:, index] - positions[:, PARENTS[index]]
    lower = positions[:, child] - positions[:, index]
    cosine = np.sum(upper * lower, -1) / np.linalg.norm(upper, axis=-1)
    return np.arccos(np.clip(cosine / np.linalg.norm(lower, axis=-1), -1, 1))


def standing_toes(motion: Motion) -> np.ndarray:
    """Frames in which the ball of a foot rests, did before and will after; (frames, 2)."""
    toes = motion.global_positions()[:, [joint("LeftToe"), joint("RightToe")], 2]
    low = toes < toe_height(motion.offsets) + 0.0005
    inside = low.copy()
    inside[1:] &= low[:-1]
    inside[:-1] &= low[1:]
    inside[[0, -1]] = False
    return inside


@pytest.fixture(scope="module", params=procedural.KINDS)
def clips(request: pytest.FixtureRequest) -> list[Motion]:
    return [procedural.make(request.param, seconds=6, seed=seed) for seed in range(6)]


def test_a_seed_gives_one_clip_and_another_seed_another(clips: list[Motion]) -> None:
    kind = clips[0].source.name.split("_")[0]
    again = procedural.make(kind, seconds=6, seed=0)
    np.testing.assert_array_equal(again.rotations, clips[0].rotations)
    np.testing.assert_array_equal(again.root_positions, clips[0].root_positions)
    for i, a in enumerate(clips):
        for b in clips[:i]:
            assert np.degrees(angle_between(a.rotations, b.rotations)).mean() > 2.0
            assert not np.allclose(a.offsets, b.offsets)


def test_global_numpy_state_does_not_matter() -> None:
    np.random.seed(1)  # noqa: NPY002
    first = procedural.make("dance", seconds=2, seed=5)
    np.random.seed(2)  # noqa: NPY002
    second = procedural.make("dance", seconds=2, seed=5)
    np.testing.assert_array_equal(first.rotations, second.rotations)


def test_clips_are_valid_motions_of_the_asked_length(clips: list[Motion]) -> None:
    for motion in clips:
        assert motion.frames == 180
        assert motion.fps == FPS
        np.testing.assert_allclose(np.linalg.norm(motion.rotations, axis=-1), 1.0, atol=1e-9)
        np.testing.assert_allclose(motion.root_positions[0, :2], 0.0, atol=1e-9)
        assert 1.2 < motion.global_positions()[:, joint("Head"), 2].max() < 2.3


def test_standing_feet_stand_still(clips: list[Motion]) -> None:
    for motion in clips:
        toes = motion.global_positions()[:, [joint("LeftToe"), joint("RightToe")]]
        stands = standing_toes(motion)
        speed = np.linalg.norm(np.gradient(toes, 1 / FPS, axis=0), axis=-1)
        assert stands.any(axis=0).any()
        assert speed[stands].max() < 0.02


def test_nothing_sinks_into_the_floor(clips: list[Motion]) -> None:
    for motion in clips:
        assert motion.global_positions()[..., 2].min() > -0.01


def test_flat_feet_and_level_toes_while_standing(clips: list[Motion]) -> None:
    for motion in clips:
        rotations = motion.global_transforms()[0]
        stands = standing_toes(motion)
        for side, name in enumerate(("LeftToe", "RightToe")):
            toe_up = rotate(rotations[:, joint(name)], UP)
            tilt = np.degrees(np.arccos(np.clip(toe_up[:, 2], -1, 1)))
            assert tilt[stands[:, side]].max(initial=0.0) < 35.0


def test_knees_and_elbows_bend_the_right_way_and_not_too_far(clips: list[Motion]) -> None:
    for motion in clips:
        for side in ("Left", "Right"):
            knee = motion.rotations[:, joint(f"{side}Leg")]
            # A knee is a hinge about the body's left: heel to buttock is positive.
            angle = 2 * np.arctan2(knee[:, 2], knee[:, 0])
            assert np.degrees(angle.min()) > 0.0
            assert np.degrees(angle.max()) < 150.0
            np.testing.assert_allclose(knee[:, [1, 3]], 0.0, atol=1e-9)
            assert np.degrees(flexion(motion, f"{side}ForeArm").max()) < 150.0


def test_forearms_fold_forward() -> None:
    motion = procedural.make("run", seconds=4, seed=1)
    positions, rotations = motion.global_positions(), motion.global_transforms()[0]
    chest = rotations[:, joint("Spine2")]
    forward = rotate(chest, np.broadcast_to([1.0, 0.0, 0.0], (len(motion), 3)))
    for side in ("Left", "Right"):
        fold = positions[:, joint(f"{side}Hand")] - positions[:, joint(f"{side}ForeArm")]
        assert np.mean(np.sum(fold * forward, -1)) > 0.05


def test_joints_move_no_faster_than_people(clips: list[Motion]) -> None:
    for motion in clips:
        velocity = np.gradient(motion.global_positions(), 1 / FPS, axis=0)
        acceleration = np.diff(velocity, axis=0) * FPS
        assert np.linalg.norm(velocity, axis=-1).max() < 12.0
        assert np.linalg.norm(acceleration, axis=-1).max() < 250.0


def test_left_is_left_and_toes_point_forward(clips: list[Motion]) -> None:
    for motion in clips:
        positions, rotations = motion.global_transforms()[1], motion.global_transforms()[0]
        yaw = yaw_of(rotations[:, 0])
        left = np.stack([-np.sin(yaw), np.cos(yaw), 0 * yaw], -1)
        ahead = np.stack([np.cos(yaw), np.sin(yaw), 0 * yaw], -1)
        for pair in ("UpLeg", "Arm"):
            across = positions[:, joint(f"Left{pair}")] - positions[:, joint(f"Right{pair}")]
            assert np.sum(across * left, -1).min() > 0.0
        for side in ("Left", "Right"):
            toe = positions[:, joint(f"{side}Toe")] - positions[:, joint(f"{side}Foot")]
            assert np.mean(np.sum(toe * ahead, -1)) > 0.03


@pytest.mark.parametrize(
    ("kind", "speed"),
    [("walk", 0.7), ("walk", 1.2), ("walk", 1.7), ("run", 2.5), ("run", 3.8), ("hop", 0.8)],
)
def test_travel_speed_is_as_commanded(kind: str, speed: float) -> None:
    for seed in range(4):
        motion = procedural.make(kind, seconds=10, seed=seed, speed=speed)
        steps = np.linalg.norm(np.diff(motion.root_positions[:, :2], axis=0), axis=-1) * FPS
        # A second's mean has no gait ripple; the median leaves out starting and stopping.
        cruise = np.median(np.convolve(steps, np.ones(30) / 30, mode="valid"))
        assert cruise == pytest.approx(speed, rel=0.15 if kind == "hop" else 0.06)


@pytest.mark.parametrize(
    ("kind", "speed", "seconds"), [("walk", 0.3, 0.5), ("run", 0.3, 0.1), ("dance", 0.05, 2.0)]
)
def test_a_stride_may_take_longer_than_the_clip(kind: str, speed: float, seconds: float) -> None:
    for seed in range(8):
        motion = procedural.make(kind, seconds=seconds, seed=seed, speed=speed)
        assert len(motion) == round(FPS * seconds)
        assert np.isfinite(motion.rotations).all()
        toes = motion.global_positions()[:, [joint("LeftToe"), joint("RightToe")]]
        assert toes[..., 2].min() > toe_height(motion.offsets) - 0.005
        assert np.abs(np.diff(toes, axis=0)).max() * FPS < 4.0


def test_squats_and_waves_repeat_as_commanded() -> None:
    squat = procedural.make("squat", seconds=20, seed=2, speed=0.5)
    height = squat.root_positions[:, 2] - squat.root_positions[:, 2].mean()
    falls = np.sum((height[1:] < 0) & (height[:-1] >= 0))
    assert 7 <= falls <= 11
    wave = procedural.make("wave", seconds=20, seed=2, speed=2.0)
    elbows = [flexion(wave, f"{side}ForeArm") for side in ("Left", "Right")]
    elbow = max(elbows, key=np.ptp)
    power = np.abs(np.fft.rfft((elbow - elbow.mean()) * np.hanning(len(elbow))))
    frequency = np.fft.rfftfreq(len(elbow), 1 / FPS)
    power[frequency < 0.8] = 0.0
    assert frequency[power.argmax()] == pytest.approx(2.0, abs=0.25)


def test_runners_and_hoppers_fly_and_walkers_do_not() -> None:
    def airborne(kind: str) -> float:
        motion = procedural.make(kind, seconds=6, seed=0, speed=3.0 if kind == "run" else None)
        feet = motion.global_positions()[:, [3, 4, 7, 8], 2]
        rest = toe_height(motion.offsets) - motion.offsets[4, 2]
        up = (feet[:, [0, 2]] > rest + 0.02) & (feet[:, [1, 3]] > 0.04)
        return float(np.mean(up.all(axis=-1)))

    assert airborne("run") > 0.05
    assert airborne("hop") > 0.05
    assert airborne("walk") == 0.0
    assert airborne("squat") == 0.0


def test_turning_turns_and_arms_swing_against_legs() -> None:
    turn = procedural.make("turn", seconds=8, seed=0)
    assert np.ptp(np.unwrap(yaw_of(turn.rotations[:, 0]))) > 1.0
    walk = procedural.make("walk", seconds=8, seed=1, speed=1.4)
    yaw = yaw_of(walk.rotations[:, 0])
    ahead = np.stack([np.cos(yaw), np.sin(yaw)], -1)

    def forward(name: str) -> np.ndarray:
        reach = walk.global_positions()[:, joint(name), :2] - walk.root_positions[:, :2]
        along = np.sum(reach * ahead, -1)
        return along - along.mean()

    for side, other in (("Left", "Right"), ("Right", "Left")):
        together = np.corrcoef(forward(f"{side}Hand"), forward(f"{other}Foot"))[0, 1]
        assert together > 0.6


def test_size_scales_the_subject() -> None:
    small = procedural.make("walk", seconds=1, seed=3, size=0.8)
    large = procedural.make("walk", seconds=1, seed=3, size=1.2)
    np.testing.assert_allclose(large.offsets, 1.5 * small.offsets, atol=1e-12)


def test_dataset_mixes_kinds_evenly_and_grows_by_appending() -> None:
    few, many = procedural.dataset(9, seconds=1, seed=4), procedural.dataset(14, seconds=1, seed=4)
    for a, b in zip(few, many, strict=False):
        np.testing.assert_array_equal(a.rotations, b.rotations)
    kinds = [motion.source.name.split("_")[0] for motion in many]
    assert {kind: kinds.count(kind) for kind in procedural.KINDS} == dict.fromkeys(
        procedural.KINDS, 2
    )
    assert len({motion.source.name for motion in many}) == 14
    other = procedural.dataset(1, seconds=1, seed=5)[0]
    assert not np.allclose(other.rotations, few[0].rotations)


def test_normalising_a_clip_whose_names_hide_its_origin_gives_it_back(clips: list[Motion]) -> None:
    """Axes, heading, floor and sides are found again from geometry alone."""
    for motion in clips[:2]:
        clip = motion.to_clip()
        clip = replace(clip, names=tuple(f"mixamorig:{name}" for name in clip.names))
        found = normalize(clip)
        difference = found.global_positions() - motion.global_positions()
        assert np.linalg.norm(difference, axis=-1).max() < 1e-3
        rotations = motion.global_transforms()[0], found.global_transforms()[0]
        assert np.degrees(angle_between(*rotations)).max() < 0.5


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("swim", {}, "choose from walk, run"),
        ("walk", {"seconds": 0}, "seconds must be positive"),
        ("walk", {"seconds": 0.01}, "less than one frame"),
        ("run", {"speed": -1.0}, "speed must be positive"),
        ("hop", {"size": float("nan")}, "size must be positive"),
        ("squat", {"seed": -1}, "seed must not be negative"),
    ],
)
def test_bad_requests_are_explained(kind: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(BVHError, match=message):
        procedural.make(kind, **options)
