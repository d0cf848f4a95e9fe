"""Samples and plans that go through poses at given times."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import procedural
from bvh import rotations as rot
from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.data import REFERENCE, Start, World
from motiontok.errors import DataError, InputError, PlanError
from motiontok.prior import SamplingOptions, TargetPose, TokenPrior
from motiontok.prior.planning import PathTarget, Task, make_plan
from motiontok.prior.planting import decoded_frames
from motiontok.prior.pose_goals import PoseGoals, path_of
from motiontok.prior.target_poses import check_poses, check_ways, pose_errors, unreached
from motiontok.prior.through_poses import draw_through
from motiontok.prior.tokens import commands_of
from motiontok.tokens.path import root_path

WALK = procedural.make("walk", seconds=8.0, seed=3).on_bones(REFERENCE)
WAVE = procedural.make("wave", seconds=4.0, seed=3)


@pytest.fixture(scope="module")
def tokenizer():
    return MotionTokenizer.from_pretrained("default")


@pytest.fixture(scope="module")
def prior(tokenizer):
    return TokenPrior.from_pretrained("default", tokenizer=tokenizer)


@pytest.fixture(scope="module")
def walked(tokenizer):
    """Frames ``(1, 96, columns)`` that a walk's codes decode to."""
    codes = torch.from_numpy(np.asarray(tokenizer.encode(WALK[:96], effort=1)))
    return decoded_frames(tokenizer.method, codes[None])


def of_walk(frame: int, time: float) -> TargetPose:
    return TargetPose.of(WALK, frame, time=time)


def test_a_sample_goes_on_from_a_motion_through_two_poses(prior, tokenizer):
    prefix = np.asarray(tokenizer.encode(WALK[:64]))
    poses = [of_walk(63 + 25, 25 / 30), of_walk(63 + 60, 2.0)]
    missed, drawn = [], []
    for asked in (poses, []):
        codes = prior.sample(2, prefix=prefix, poses=asked, start=Start.of(WALK), seed=0)[0]
        drawn.append(codes)
        assert codes.shape == (2, tokenizer.codes_per_window)
        motion = tokenizer.decode(np.concatenate([prefix, codes]), start=Start.of(WALK))
        missed.append(pose_errors(motion, poses, given=64))
    assert (missed[0] < 0.06).all()
    # Left alone it goes elsewhere.
    assert (missed[1] > 0.15).any()
    again = prior.sample(2, prefix=prefix, poses=poses, start=Start.of(WALK), seed=0)[0]
    np.testing.assert_array_equal(again, drawn[0])


def test_a_pose_may_be_anywhere_and_commands_are_held_beside_it(prior, tokenizer):
    pose = replace(TargetPose.of(WAVE, 60, time=1.8), place=None)
    codes = prior.sample(3, poses=[pose], velocity=(0.8, 0.0), seed=1)
    motion = tokenizer.decode(codes[0])
    assert pose_errors(motion, [pose])[0] < 0.1
    done = commands_of(tokenizer.decode_features(codes[0]), 32).mean(axis=0)
    np.testing.assert_allclose(done, [0.8, 0.0, 0.0], atol=0.2)


def test_a_sample_may_begin_in_a_pose(prior, tokenizer):
    first, then = of_walk(30, 0.0), of_walk(72, 1.4)
    codes = prior.sample(2, batch=2, poses=[first, then], start=first.place, seed=2)
    for one in codes:
        motion = tokenizer.decode(one, start=first.place)
        assert (pose_errors(motion, [first, then]) < 0.15).all()


def test_many_ways_are_drawn_to_a_pose_that_comes_soon(prior):
    poses = [of_walk(20, 20 / 30), of_walk(110, 110 / 30)]
    codes, ways = draw_through(
        prior,
        torch.zeros(2, 0, prior.codes_per_window, dtype=torch.long),
        prior.conditions(4),
        poses,
        start=Start.of(WALK),
        options=SamplingOptions(),
        generator=torch.Generator().manual_seed(0),
    )
    assert codes.shape == (2, 4, prior.codes_per_window)
    assert ways[0] is not None
    assert [one.turns.shape for one in ways[0]] == 2 * [(21, 22, 3)]
    # Rows of a batch are drawn separately.
    assert not np.allclose(ways[0][0].turns, ways[0][1].turns)
    assert ways[1] is None


def test_a_plan_goes_through_poses_in_a_robots_metres(prior, tokenizer):
    world = World(0.735 * REFERENCE, "g1")
    poses = tuple(TargetPose.of(WALK, 60 + k, time=k / 30, world=world) for k in (30, 70))
    start = Start.of(WALK[60:61])
    task = Task(
        target=PathTarget.through_poses(poses, start=world.start_outside(start)),
        world=world,
        poses=poses,
        start=world.start_outside(start),
    )
    plan = make_plan(task, prior, tokenizer, samples=4, horizon=1, beam=1)
    np.testing.assert_allclose(plan.pose_errors, pose_errors(plan.motion, poses))
    assert plan.errors["pose_error_m"] == plan.pose_errors.max() < 0.15 * 0.735
    assert plan.motion.offsets == pytest.approx(world.offsets)


def test_a_motion_is_in_its_own_poses_and_off_others_by_their_distance():
    poses = [of_walk(30, 1.0), replace(of_walk(60, 2.0), place=None)]
    np.testing.assert_allclose(pose_errors(WALK, poses), 0.0, atol=1e-6)
    moved = replace(WALK, root_positions=WALK.root_positions + [0.3, 0.4, 0.0])
    np.testing.assert_allclose(pose_errors(moved, poses), [0.5, 0.0], atol=1e-6)
    # Times are counted from what came before.
    np.testing.assert_allclose(pose_errors(WALK, [of_walk(79, 0.5)], given=65), 0.0, atol=1e-6)
    assert unreached(np.array([0.1, 0.5]), poses, World()).startswith("pose 2 (")
    assert not unreached(np.array([0.1, 0.1]), poses, World())


@given(
    st.integers(5, 40),
    st.integers(45, 90),
    st.floats(-1.5, 1.5),
    st.floats(-1.5, 1.5),
    st.booleans(),
)
@settings(max_examples=8, deadline=None)
def test_bent_frames_are_in_the_poses(tokenizer, walked, first, second, x, yaw, anywhere):
    method, frames = tokenizer.method, walked
    begin = torch.tensor([[0.5, -1.0, 0.3]])
    poses = [of_walk(70, 1.0), replace(TargetPose.of(WAVE, 20, time=2.0), place=Start(x, 0.5, yaw))]
    if anywhere:
        poses[0] = replace(poses[0], place=None)
    goals = PoseGoals(method.error, poses, [first, second], begin, first=True)
    bent = goals.bent(frames, 0)
    positions, yaws = root_path(_raw(method, bent), Start(0.5, -1.0, 0.3))
    there = np.array([poses[1].place.x, poses[1].place.y, poses[1].place.yaw])
    apart = np.array([*positions[second], yaws[second]]) - there
    apart[2] = rot.wrapped(apart[2])
    np.testing.assert_allclose(apart, 0.0, atol=1e-3)
    for pose, at in zip(poses, (first, second), strict=True):
        np.testing.assert_allclose(_raw(method, bent)[at, 3:199], pose.features[3:199], atol=1e-4)
    torch.testing.assert_close(bent[:, second + 20 :], frames[:, second + 20 :])


def _raw(method, frames):
    """Raw features of one sequence of frames; the step of frame 0 is none."""
    raw = (frames[0] * method.error.raw + method.error.mean).double().numpy()
    raw[:, :3] = method.error.velocities(frames[0]).double().numpy()
    raw[0, :3] = 0.0
    return raw


def test_paths_of_frames_are_those_of_features(tokenizer, walked):
    method, frames = tokenizer.method, walked
    begin = torch.tensor([[0.5, -1.0, 0.3]])
    path = path_of(method.error, frames, begin, first=True)[0].numpy()
    positions, yaw = root_path(_raw(method, frames), Start(0.5, -1.0, 0.3))
    np.testing.assert_allclose(path, np.column_stack([positions, yaw]), atol=1e-4)


def under_floor() -> TargetPose:
    sunk = replace(WALK, root_positions=WALK.root_positions - [0.0, 0.0, 0.4])
    return TargetPose.of(sunk, 10, time=1.0)


@pytest.mark.parametrize(
    ("poses", "prefix", "message"),
    [
        ([of_walk(30, 2.5)], False, "its time is 2.5 s, it must be 0 or more and at most .* 2 s"),
        ([of_walk(30, -0.1)], False, "it must be 0 or more"),
        ([of_walk(30, 0.0)], True, "it must be above 0"),
        ([of_walk(30, float("nan"))], False, "its time is nan s"),
        ([of_walk(30, 1.0), of_walk(40, 0.5)], False, "pose 2 .* in the order of their times"),
        ([of_walk(30, 1.0), of_walk(40, 1.0)], False, "in the order of their times"),
        ([of_walk(30, n / 5) for n in range(1, 6)], False, "at most 4 target poses, got 5"),
        ([under_floor()], False, r"pose 1 \(.*\): its lowest joint is 0.[34]\d m under the floor"),
    ],
)
def test_poses_that_no_motion_has_are_refused(prior, poses, prefix, message):
    with pytest.raises(InputError, match=message):
        check_poses(poses, 2.0, prefix=prefix)
    if not prefix:
        with pytest.raises(InputError, match=message.replace("at most .* 2 s", "")):
            prior.sample(2, poses=poses, seed=0, start=Start.of(WALK))


def test_poses_that_are_too_far_away_are_refused(prior):
    far = replace(of_walk(30, 1.0), place=Start(20.0, 0.0, 0.0))
    with pytest.raises(InputError, match=r"pose 1 \(.*\) cannot be reached: 20.00 m and 0.0 rad"):
        prior.sample(2, poses=[far], seed=0)
    near = replace(far, place=Start(1.0, 0.0, 0.0))
    turned = replace(near, time=1.1, place=Start(1.0, 0.0, 3.0))
    check_ways([near], Start(), prior.limits)
    with pytest.raises(InputError, match=r"pose 2 .*3\.0 rad from pose 1, 0\.10 s later"):
        check_ways([near, turned], Start(), prior.limits)


def test_other_tokenizers_are_refused(tiny_prior):
    with pytest.raises(InputError, match="need a prior of a temporal or daps-temporal tokenizer"):
        tiny_prior.sample(2, poses=[of_walk(30, 0.5)], seed=0)


def test_a_frame_that_is_not_there_is_an_error():
    with pytest.raises(DataError, match="no frame 240: it has 0 to 239"):
        of_walk(240, 1.0)


def test_a_plan_that_misses_a_pose_is_no_plan(prior, tokenizer):
    """Nobody's hips are 30 m high, and the codes cannot say it."""
    pose = of_walk(30, 1.0)
    strange = replace(
        pose, features=np.where(np.arange(203) == 3, 30.0, pose.features), place=None, time=1.0
    )
    task = Task(target=PathTarget.through(np.array([[1.0, 0.0]]), speed=1.0), poses=(strange,))
    with pytest.raises(PlanError, match=r"no plan found in 3 attempts: pose 1 \(.*\) is missed"):
        make_plan(task, prior, tokenizer, samples=2, horizon=1, beam=1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poses")
    WALK.save(folder / "walk.npz")
    WALK[:64].save(folder / "start.npz")
    return folder


def test_sampling_through_poses_from_the_command_line(run, clips, tokenizer):
    walk = clips / "walk.npz"
    out = clips / "codes.npy"
    code, said, _ = run(
        "sample", "--prefix", clips / "start.npz", "--pose", f"{walk}:83@0.667", "--seconds", 1,
        "-o", out, "--json",
    )  # fmt: skip
    assert code == 0, said
    ((missed,),) = json.loads(said)["pose_error_m"]
    motion = tokenizer.decode_codes(Codes.load(out))
    apart = motion.global_positions()[83] - WALK.global_positions()[83]
    assert missed == pytest.approx(np.linalg.norm(apart, axis=-1).mean(), abs=0.01)
    assert missed < 0.15


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("walk.npz@1", "expected CLIP:FRAME@SECONDS"),
        ("walk.npz:3@soon", "expected CLIP:FRAME@SECONDS"),
        ("walk.npz:3@inf", "expected CLIP:FRAME@SECONDS"),
        ("walk.npz:-3@1", "expected CLIP:FRAME@SECONDS"),
        ("walk.npz:300@1", "no frame 300"),
        ("walk.npz:30@1,2,3", "its place is X,Y,YAW"),
        ("walk.npz:30@1,2,3,nan", "its place is X,Y,YAW"),
        ("walk.npz:30@7", "its time is 7 s"),
        ("walk.npz:30@1e9", "its time is 1e+09 s"),
        ("nowhere.npz:30@1", "nowhere.npz"),
    ],
)
@pytest.mark.parametrize("command", ["sample", "plan"])
def test_bad_poses_are_one_clear_line(run, clips, monkeypatch, command, text, message):
    monkeypatch.chdir(clips)
    length = ["--seconds", 2]
    code, _, noted = run(command, "--pose", text, *length, "-o", clips / "bad.npy")
    assert code == 2
    assert message in noted
    assert len(noted.strip().splitlines()) == 1
    assert not (clips / "bad.npy").exists()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (",0,0,0", "no pose after 0 s has a place to walk to; give one, or a path"),
        (",anywhere", "poses that may be anywhere need a path"),
    ],
)
def test_planning_through_a_pose_at_the_beginning_alone_says_what_is_missing(
    run, clips, place, message
):
    pose = f"{clips / 'walk.npz'}:5@0{place}"
    code, _, noted = run("plan", "--pose", pose, "--seconds", 0.5, "-o", clips / "bad.npy")
    assert code == 2
    assert message in noted


def test_a_plan_through_poses_alone_tells_no_errors_of_a_path(run, clips):
    pose = f"{clips / 'walk.npz'}:30@1,0.8,0,0"
    out = clips / "through.npy"
    asked = ["plan", "--pose", pose, "--samples", 2, "--horizon", 1, "--beam", 1, "-o", out]
    code, said, noted = run(*asked, "--no-go", 0.5, 3, 0.3, "--json")
    assert code == 0, noted
    result = json.loads(said)
    assert {name for name in result if "error" in name or "clearance" in name} == {
        "pose_error_m", "pose_errors_m", "clearance_m",
    }  # fmt: skip
    assert result["pose_error_m"] < 0.15
    assert "note" not in noted
    # With waypoints beside it there is a path.
    (clips / "way.csv").write_text("x,y\n0.8,0\n", encoding="utf-8")
    code, said, noted = run(*asked, "--waypoints", clips / "way.csv", "--json")
    assert code == 0, noted
    assert {"path_error_m", "end_error_m", "pose_error_m"} <= json.loads(said).keys()


def test_the_samples_through_poses_that_the_page_shows_are_drawn(run, clips, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "tokens.md").read_text(encoding="utf-8")
    shown = re.findall(r"^motiontok (sample .*--pose [^#\n]*)", page, flags=re.MULTILINE)
    assert len(shown) == 2
    monkeypatch.chdir(clips)
    WALK[:120].save(clips / "walk4.npz")
    WAVE.save(clips / "wave.npz")
    for line in shown:
        line = line.replace("walk.bvh", "walk4.npz").replace("wave.bvh", "wave.npz")
        code, said, noted = run(*shlex.split(line), "--json")
        assert code == 0, noted
        assert all(missed < 0.15 for missed in json.loads(said)["pose_error_m"][0])
