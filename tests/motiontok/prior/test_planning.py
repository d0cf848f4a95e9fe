"""Search over codes, what it optimises, and what it reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bvh import procedural
from bvh import rotations as rot
from bvh.skeleton import DEFAULT_OFFSETS
from motiontok import MotionTokenizer
from motiontok.data import Start, from_motion, to_motion
from motiontok.errors import CodesError, InputError
from motiontok.plotting import save_figure
from motiontok.prior import TargetPose, TokenPrior
from motiontok.prior.planning import (
    PathTarget,
    Rollout,
    SearchPlanner,
    VelocityProfile,
    end_pose,
    follow,
    no_go_disc,
    picture,
    plot_plan,
    track_path,
    track_velocity,
    tracking_errors,
)
from motiontok.tokens.path import root_path


@pytest.fixture(scope="module")
def motion():
    # On the bones that features are of, so that its path is theirs.
    return procedural.make("walk", seconds=4.0, seed=9).on_bones(DEFAULT_OFFSETS)


def rollout(positions, yaw=None, features=None, start=0.0):
    positions = np.asarray(positions, dtype=float)
    frames = positions.shape[1]
    return Rollout(
        positions,
        np.zeros(positions.shape[:2]) if yaw is None else np.asarray(yaw, dtype=float),
        start + np.arange(1, frames + 1) / 30,
        np.zeros((*positions.shape[:2], 203)) if features is None else features,
        frames,
    )


def test_the_root_path_is_the_decoded_motions(motion):
    features = from_motion(motion)
    pose = Start(1.0, -2.0, 0.8)
    features[0, :3] = 0.0
    decoded = to_motion(features, motion.offsets, start=pose)
    positions, yaw = root_path(features, pose)
    np.testing.assert_allclose(positions, decoded.root_positions[:, :2], atol=1e-9)
    turned = rot.yaw_of(decoded.rotations[:, 0])
    np.testing.assert_allclose(np.cos(yaw - turned), 1.0, atol=1e-6)


def test_following_keeps_to_the_pose_that_decoding_gives(tiny_tokenizer):
    rng = np.random.default_rng(0)
    poses = []

    def planner(state):
        poses.append(state.pose)
        assert state.time == pytest.approx(len(state.codes) * 32 / 30)
        return rng.integers(0, 16, 8)

    start = Start(3.0, 1.0, -0.5)
    codes = follow(planner, tiny_tokenizer, seconds=4.0, start=start)
    assert codes.array.shape == (4, 8)
    assert codes.frames == 120
    assert poses[0] == start
    whole = tiny_tokenizer.decode(codes.array, start=start, plant=False)
    for n, pose in enumerate(poses[1:], start=1):
        # Blending moves the frames beside a border a little, and nothing behind them.
        place = whole.root_positions[32 * n - 1, :2]
        np.testing.assert_allclose([pose.x, pose.y], place, atol=0.12)


def test_a_prefix_is_kept_and_counted(tiny_tokenizer):
    prefix = np.arange(16).reshape(2, 8)
    codes = follow(lambda state: state.codes[-1], tiny_tokenizer, seconds=1.0, prefix=prefix)
    np.testing.assert_array_equal(codes.array, [*prefix, prefix[-1]])
    assert codes.frames == 64 + 30
    none = follow(lambda state: prefix[0], tiny_tokenizer, seconds=1.0, prefix=prefix[:0])
    np.testing.assert_array_equal(none.array, prefix[:1])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prefix": np.full((2, 8), 1.7)}, "prefix: codes: expected integers, got float64"),
        ({"prefix": np.zeros((2, 7), int)}, "prefix: codes: expected .* got \\(2, 7\\)"),
        ({"prefix": np.full((2, 8), 16)}, "prefix: codes: value 16 at \\(0, 0\\)"),
        ({"prefix": np.zeros((1, 2, 8), int)}, "prefix: expected one sequence"),
        ({"prefix": [[0] * 8, [0] * 7]}, "prefix: codes: .* rows of different lengths"),
        ({"seconds": float("nan")}, "seconds must be positive and finite, got nan"),
        ({"seconds": float("inf")}, "seconds must be positive"),
        ({"seconds": -3}, "seconds must be positive and finite, got -3"),
        ({"start": (1.0, 2.0)}, "start: expected x and y"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_the_planner_is_asked(
    tiny_tokenizer, given, words
):
    def planner(state):
        raise AssertionError("asked")

    with pytest.raises(InputError, match=words):
        follow(planner, tiny_tokenizer, **{"seconds": 1.0, **given})


@pytest.mark.parametrize(
    "answer",
    [np.zeros(7, int), np.zeros((1, 8), int), np.full(8, 16), np.full(8, 1.5), [0] * 7],
)
def test_a_planner_that_gives_no_window_is_refused(tiny_tokenizer, answer):
    with pytest.raises(CodesError):
        follow(lambda state: answer, tiny_tokenizer, seconds=1.0)


def test_costs_are_zero_where_all_is_well_and_grow_with_the_error():
    line = np.stack([np.linspace(0, 1, 31)[1:], np.zeros(30)], axis=-1)
    aside = line + [0.0, 0.5]
    path = PathTarget.through(np.array([[1.0, 0.0]]), speed=1.0)
    cost = track_path(path, coast=0.0)
    np.testing.assert_allclose(cost(rollout([line, aside])), [0, 0.25], atol=1e-9)
    disc = no_go_disc(0.0, 0.5, 0.25)(rollout([line, aside]))
    assert disc[0] == 0
    assert disc[1] > 0
    end = end_pose(Start(1.0, 0.5, 0.0), time=1.0)
    np.testing.assert_allclose(end(rollout([line, aside])), [0.25, 0.0], atol=1e-9)
    assert end_pose(Start(), time=2.0)(rollout([line]))[0] == 0.0
    turned = rollout([aside], yaw=np.full((1, 30), 2 * np.pi))
    np.testing.assert_allclose(end(turned), 0.0, atol=1e-9)


@pytest.mark.parametrize("turn", [0.0, 0.8, -1.5])
def test_a_body_is_taken_to_go_on_as_it_turns_and_goes(turn):
    """On the arc of a circle it stays on it; what only ends there and turns away does not."""
    times = np.arange(1, 241) / 30
    yaw = turn * times
    arc = np.cumsum(np.stack([np.cos(yaw), np.sin(yaw)], axis=-1) / 30, axis=0)
    path = PathTarget(np.concatenate([[0.0], times]), np.concatenate([[[0.0, 0.0]], arc]))
    wrong = yaw[:30] + np.linspace(0.0, 0.6, 30) ** 2
    both = rollout([arc[:30], arc[:30]], yaw=[yaw[:30], wrong])
    good, bad = track_path(path, coast=2.0)(both)
    assert good < 1e-3
    assert bad > 0.1
    np.testing.assert_allclose(track_path(path, coast=0.0)(both), 0.0, atol=1e-9)
    # A rollout of one frame has no speed to go on at.
    one = rollout([arc[:1]], yaw=[yaw[:1]])
    assert np.isfinite(track_path(path)(one)).all()


def test_velocity_is_compared_as_a_windows_mean():
    features = np.zeros((2, 30, 203))
    features[0, :, 1] = 1.0 + np.sin(np.linspace(0, 2 * np.pi, 30, endpoint=False))
    features[1, :, 0] = 0.3
    profile = VelocityProfile(np.array([0.0]), np.array([[1.0, 0.0, 0.0]]))
    cost = track_velocity(profile)(rollout(np.zeros((2, 30, 2)), features=features))
    np.testing.assert_allclose(cost, [0.0, 1.09], atol=1e-9)


def test_steering_turns_toward_the_path():
    path = PathTarget.through(np.array([[0.0, 5.0]]), speed=1.0)
    forward, left, turn = path.steer(Start(), 0.0, 1.0)
    assert forward == pytest.approx(0.0, abs=1e-9)
    assert left == 0.0
    assert turn == 1.5
    forward, _, turn = path.steer(Start(0.0, 0.0, np.pi / 2), 0.0, 1.0)
    assert forward == pytest.approx(1.0)
    assert turn == pytest.approx(0.0)
    np.testing.assert_array_equal(path.steer(Start(0.0, 5.0, 0.0), 10.0, 1.0), 0.0)
    ways = path.ways(Start(0.0, 0.0, 1.0), 0.0, 1.0)
    assert ways.shape == (4, 3)
    np.testing.assert_array_equal(ways[0], path.steer(Start(0.0, 0.0, 1.0), 0.0, 1.0))
    profile = VelocityProfile(np.array([0.0, 1.0]), np.array([[0.0, 0, 0], [1.0, 0, 0]]))
    assert profile.steer(Start(), 0.0, 1.0)[0] == pytest.approx(0.5)


def test_search_does_better_than_sampling_alone(tiny_prior, tiny_tokenizer):
    path = PathTarget.through(np.array([[3.0, 0.0]]), speed=1.0)
    errors = []
    for samples, horizon, beam in ((1, 1, 1), (12, 1, 1), (12, 2, 3)):
        total = 0.0
        # What is sampled alone ends anywhere (0.3 to 1.2 m over three seeds), search does not.
        seeds = range(6 if samples == 1 else 3)
        for seed in seeds:
            planner = SearchPlanner(
                tiny_prior,
                tiny_tokenizer,
                [track_path(path)],
                steer=path.steer,
                samples=samples,
                horizon=horizon,
                beam=beam,
                seed=seed,
            )
            codes = follow(planner, tiny_tokenizer, seconds=3.0)
            motion = tiny_tokenizer.decode_codes(codes)
            total += tracking_errors(motion, path)["path_error_m"]
        errors.append(total / len(seeds))
    assert max(errors[1:]) < 0.8 * errors[0]


@pytest.mark.parametrize("horizon", [1, 2])
def test_few_candidates_are_told_the_first_of_many_ways(horizon, tiny_prior, tiny_tokenizer):
    path = PathTarget.through(np.array([[0.0, 3.0]]), speed=1.0)
    costs, told = [track_path(path)], {"horizon": horizon, "beam": 2}
    one, few, many = (
        follow(
            SearchPlanner(tiny_prior, tiny_tokenizer, costs, steer=steer, samples=samples, **told),
            tiny_tokenizer,
            seconds=2.0,
        ).array
        for steer, samples in ((path.steer, 1), (path.ways, 1), (path.ways, 9))
    )
    np.testing.assert_array_equal(few, one)
    assert (many != one).any()


def test_candidates_judged_by_their_first_codes_are_written_to_their_end():
    tokenizer = MotionTokenizer.from_pretrained("default")
    prior = TokenPrior.from_pretrained("default", tokenizer=tokenizer)
    path = PathTarget.through(np.array([[4.0, 1.0]]), speed=1.0)

    def plan(prefix_length, horizon, beam):
        planner = SearchPlanner(
            prior,
            tokenizer,
            [track_path(path)],
            steer=path.ways,
            samples=12,
            horizon=horizon,
            beam=beam,
            prefix_length=prefix_length,
        )
        codes = follow(planner, tokenizer, seconds=path.duration)
        assert codes.array.shape == (4, tokenizer.codes_per_window)
        # Code 0 all over is what a window that was not finished would have.
        assert (codes.array[:, -8:] != 0).any(axis=1).all()
        return tracking_errors(tokenizer.decode_codes(codes), path)["path_error_m"]

    assert max(plan(4, 1, 1), plan(4, 2, 3), plan(32, 1, 1)) < 0.5


def test_a_search_is_reproducible(tiny_prior, tiny_tokenizer):
    def plan(seed):
        planner = SearchPlanner(tiny_prior, tiny_tokenizer, [], samples=4, beam=2, seed=seed)
        return follow(planner, tiny_tokenizer, seconds=2.0).array

    np.testing.assert_array_equal(plan(1), plan(1))
    assert (plan(1) != plan(2)).any()
    with pytest.raises(InputError, match="samples must be at least 1"):
        SearchPlanner(tiny_prior, tiny_tokenizer, [], samples=0)
    with pytest.raises(InputError, match="no label 'fly'"):
        SearchPlanner(tiny_prior, tiny_tokenizer, [], label="fly")


def test_tracking_errors_of_a_known_motion(motion):
    profile = VelocityProfile(np.array([0.0]), np.array([[0.0, 0.0, 0.0]]))
    errors = tracking_errors(motion, profile)
    # A walk is nearly straight within a second.
    legs = np.diff(motion.root_positions[[0, 29, 59, 89, 119], :2], axis=0)
    speed = np.sqrt((np.linalg.norm(legs, axis=-1) ** 2).mean())
    assert errors["velocity_error_m_s"] == pytest.approx(speed, rel=0.08)
    path = PathTarget(np.arange(len(motion)) / 30, motion.root_positions[:, :2])
    assert tracking_errors(motion, path)["path_error_m"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("frames", [1, 20, 95])
def test_plans_of_any_length_are_drawn(motion, tmp_path, frames):
    part = motion[:frames]
    path = PathTarget.through(np.array([[2.0, 1.0]]), speed=1.0)
    profile = VelocityProfile(np.array([0.0]), np.array([[1.0, 0.0, 0.2]]))
    for n, target in enumerate((path, profile)):
        out = tmp_path / f"{n}.png"
        plot_plan(part, target, out, discs=[(1.0, 1.0, 0.3)], end=(2.0, 1.0, 0.5))
        assert out.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "1.png").read_bytes()


def test_poses_and_waypoints_are_marked_in_the_picture(motion, tmp_path, monkeypatch):
    drawn = {}

    def kept(figure, out):
        save_figure(figure, out)
        drawn[out.stem] = figure

    monkeypatch.setattr(picture, "save_figure", kept)
    poses = [TargetPose.of(motion, 30, time=1.0)]
    poses.append(replace(TargetPose.of(motion, 60, time=2.0), place=None))
    way = PathTarget.through(np.array([[2.0, 0.0]]), speed=1.0)
    detour = way.around(np.array([[1.0, 0.0, 0.55]]))
    assert len(detour.points) > 2
    plot_plan(motion, detour, tmp_path / "a.svg", waypoints=way.points[1:], poses=poses)
    plot_plan(motion, PathTarget.through_poses(poses), tmp_path / "b.svg", poses=poses)
    marked = {
        name: {line.get_label(): line.get_xydata() for line in figure.axes[0].lines}
        for name, figure in drawn.items()
    }
    np.testing.assert_allclose(marked["a"]["waypoints"], [[2.0, 0.0]])
    np.testing.assert_allclose(marked["a"]["path"], detour.points)
    for name in ("a", "b"):
        # A pose of no place is marked where the plan is at its time.
        places = [[pose.x, pose.y] for pose in (poses[0].place, Start.of(motion[60:61]))]
        np.testing.assert_allclose(marked[name]["poses"], places, atol=1e-6)
    # Through poses alone there is no path to be off.
    assert marked["b"].keys().isdisjoint(("path", "waypoints"))
    assert [len(drawn[name].axes) for name in ("a", "b")] == [2, 1]
