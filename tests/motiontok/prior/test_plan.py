"""Plans keep what is asked, or are refused."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import procedural
from bvh import rotations as rot
from bvh.rotations import identity
from bvh.skeleton import DEFAULT_OFFSETS
from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.data import Start, World, from_motion
from motiontok.errors import InputError, PlanError
from motiontok.prior import CommandLimits, TokenPrior
from motiontok.prior.planning import PathTarget, Task, VelocityProfile, make_plan, tracking_errors
from motiontok.prior.planning.clearance import body_points, clearance, motion_points
from motiontok.prior.planning.route import route

numbers = st.floats(-3.0, 3.0)


@pytest.fixture(scope="module")
def shipped():
    tokenizer = MotionTokenizer.from_pretrained("default")
    return tokenizer, TokenPrior.from_pretrained("default", tokenizer=tokenizer)


@given(st.lists(st.tuples(numbers, numbers, st.floats(0.1, 1.0)), min_size=1, max_size=4))
@settings(max_examples=60)
def test_ways_go_around_discs(rows):
    discs = np.array(rows)
    begin, end = np.array([-5.0, 0.0]), np.array([5.0, 0.5])
    way = route(begin, end, discs)
    np.testing.assert_array_equal(way[[0, -1]], [begin, end])
    share = np.linspace(0.0, 1.0, 50)[:, None]
    for a, b in pairwise(way):
        apart = np.linalg.norm((a + share * (b - a))[:, None] - discs[:, :2], axis=-1)
        assert (apart >= discs[:, 2] - 1e-6).all()
    # No longer than half the way around every disc.
    length = np.linalg.norm(np.diff(way, axis=0), axis=-1).sum()
    assert length <= np.linalg.norm(end - begin) + np.pi * 1.05 * discs[:, 2].sum()


def test_a_ring_of_discs_has_no_way_out():
    angles = np.arange(12) * np.pi / 6
    ring = np.column_stack([np.cos(angles), np.sin(angles), np.full(12, 0.4)])
    with pytest.raises(PlanError, match="leave no way from 0 0 to 5 0"):
        route(np.zeros(2), np.array([5.0, 0.0]), ring)


def test_clearance_is_of_hands_and_feet():
    """In the T-pose hands are 0.8 m beside the hips."""
    motion = procedural.make("walk", seconds=1.0, seed=1).on_bones(DEFAULT_OFFSETS)
    posed = motion[:1]
    posed.rotations[:] = identity(1, 22)
    x, y = posed.root_positions[0, :2]
    reach = np.abs(posed.global_positions()[0, :, 1] - y).max()
    beside = np.array([[x, y + reach + 0.5, 0.3], [x - 5.0, y, 0.3]])
    near, far = clearance(motion_points(posed), beside)[0]
    assert near == pytest.approx(0.2 - 0.08, abs=0.02)
    assert far > 4.0
    # Candidates of a search are measured by their features, and alike.
    features = from_motion(motion)
    yaw = np.unwrap(rot.yaw_of(motion.rotations[:, 0]))
    points = body_points(features, motion.root_positions[:, :2], yaw)
    np.testing.assert_allclose(points, motion_points(motion), atol=1e-6)


def test_no_part_of_the_body_enters_a_disc(shipped):
    tokenizer, prior = shipped
    path = PathTarget.through(np.array([[5.0, 0.0]]), speed=1.2)
    disc = np.array([[2.5, 0.0, 0.5]])
    task, plans = Task(target=path, discs=disc), []
    for seed in (1, 2):
        # With few samples one may not be found: then it is refused.
        with suppress(PlanError):
            plans += [make_plan(task, prior, tokenizer, samples=8, horizon=1, beam=1, seed=seed)]
    assert plans
    for plan in plans:
        apart = np.linalg.norm(plan.motion.global_positions()[..., :2] - disc[0, :2], axis=-1)
        assert apart.min() > 0.5
        assert plan.errors["clearance_m"] == pytest.approx(apart.min() - 0.5 - 0.08, abs=1e-6)
        # It got there, and around.
        assert np.linalg.norm(plan.motion.root_positions[-1, :2] - [5.0, 0.0]) < 1.0


def test_an_end_pose_is_held_standing_in_a_robots_metres(shipped):
    tokenizer, prior = shipped
    world = World(0.7 * DEFAULT_OFFSETS, "dwarf")
    assert world.scale == pytest.approx(0.7)
    path = PathTarget.through(np.array([[2.0, 0.0]]), speed=0.7)
    end = Start(2.0, 0.5, 1.5)
    plan = make_plan(
        Task(target=path, world=world, end=end), prior, tokenizer, samples=8, horizon=1, beam=1
    )
    motion = plan.motion
    np.testing.assert_allclose(motion.offsets, 0.7 * DEFAULT_OFFSETS)
    last = motion[len(motion) - 25 :]
    assert np.ptp(last.root_positions, axis=0).max() < 0.03
    assert np.ptp(last.global_positions(), axis=0).max() < 0.05
    yaw = rot.yaw_of(last.rotations[:, 0])
    assert np.ptp(yaw) < 0.03
    off = np.linalg.norm(last.root_positions[-1, :2] - [2.0, 0.5])
    assert off == pytest.approx(plan.errors["end_error_m"], abs=1e-6)
    assert off <= 0.25 * 0.7
    assert abs(yaw[-1] - 1.5) <= 0.25
    # The codes say the same to whoever decodes them.
    again = tokenizer.decode_codes(plan.codes)
    np.testing.assert_allclose(again.root_positions, motion.root_positions)
    # Slowed down to the stand, not frozen: no frame of the last three windows is a jolt.
    speed = np.linalg.norm(np.diff(motion.root_positions[:, :2], axis=0), axis=1) * 30
    assert np.abs(np.diff(speed[-96:])).max() < 0.6


def test_a_plan_is_no_other_in_another_world(tiny_prior, tiny_tokenizer):
    """The same steps; who has shorter legs comes less far with them."""
    found = []
    for scale in (1.0, 0.7):
        path = PathTarget.through(scale * np.array([[2.0, 1.0]]), speed=scale)
        task = Task(target=path, world=World(scale * DEFAULT_OFFSETS, "b"))
        found.append(make_plan(task, tiny_prior, tiny_tokenizer, samples=2, horizon=1, beam=1))
    np.testing.assert_array_equal(found[0].codes.array, found[1].codes.array)
    for name in ("path_error_m", "end_error_m", "velocity_error_m_s"):
        assert found[1].errors[name] == pytest.approx(0.7 * found[0].errors[name], rel=1e-6)
    assert found[1].errors["heading_error_rad"] == pytest.approx(
        found[0].errors["heading_error_rad"], rel=1e-6
    )


def test_a_plan_goes_on_from_a_prefix(tiny_prior, tiny_tokenizer):
    prefix = tiny_tokenizer.encode(procedural.make("walk", seconds=2.2, seed=3))[:2]
    path = PathTarget.through(np.array([[2.0, 0.0]]), speed=1.0)
    plan = make_plan(
        Task(target=path, prefix=prefix), tiny_prior, tiny_tokenizer, samples=2, horizon=1, beam=1
    )
    np.testing.assert_array_equal(plan.codes.array[:2], prefix)
    assert len(plan.motion) == 60


def test_errors_of_a_turned_motion():
    motion = procedural.make("walk", seconds=4.0, seed=9).on_bones(DEFAULT_OFFSETS)
    times = np.arange(len(motion)) / 30
    along = PathTarget(times, motion.root_positions[:, :2], facing=3.0)
    errors = tracking_errors(motion, along)
    assert errors["path_error_m"] == pytest.approx(0.0, abs=1e-9)
    assert errors["velocity_error_m_s"] == pytest.approx(0.0, abs=1e-9)
    yaw = rot.yaw_of(motion.rotations[-1, 0])
    assert errors["end_heading_error_rad"] == pytest.approx(np.arccos(np.cos(yaw - 3.0)), abs=1e-6)
    # Walked sideways, the way is the same and the heading a quarter turn off.
    turned = motion[:]
    quarter = rot.from_axis_angle([0.0, 0.0, 1.0], np.pi / 2)
    turned.rotations[:, 0] = rot.multiply(quarter, turned.rotations[:, 0])
    straight = PathTarget(times, motion.root_positions[:, :2])
    before, after = (tracking_errors(m, straight)["heading_error_rad"] for m in (motion, turned))
    assert after == pytest.approx(np.pi / 2, abs=before + 0.1)


def test_a_profile_is_compared_with_where_it_leads():
    motion = procedural.make("walk", seconds=4.0, seed=9).on_bones(DEFAULT_OFFSETS)
    features = from_motion(motion)
    profile = VelocityProfile(np.arange(len(motion)) / 30, features[:, [1, 2, 0]])
    start = Start.of(motion)
    errors = tracking_errors(motion, profile, start=start)
    assert len(errors) >= 3
    for name, error in errors.items():
        assert error == pytest.approx(0.0, abs=1e-6), name


@given(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-5, 5)), st.floats(0.3, 1.5))
def test_limits_are_in_the_worlds_metres(command, scale):
    limits = CommandLimits((-1.0, -1.0, -2.0), (3.0, 1.0, 2.0))
    world = World(scale * DEFAULT_OFFSETS, "b")
    inside = np.array(command) / [scale, scale, 1.0]
    fits = bool((inside > [-1, -1, -2]).all() and (inside < [3, 1, 2]).all())
    if fits:
        limits.require(np.array(command), "it", world=world)
    elif (inside < np.array([-1, -1, -2]) - 0.01).any() or (
        inside > np.array([3, 1, 2]) + 0.01
    ).any():
        with pytest.raises(InputError, match=r"it: .* is beyond what the prior knows"):
            limits.require(np.array(command), "it", world=world)


def test_limits_are_of_what_was_trained_on_and_kept(tiny_prior):
    assert tiny_prior.limits.upper[0] > 1.5  # it was trained on runs
    assert tiny_prior.limits.upper[1] == 1.0  # and nobody stepped aside
    tiny_prior.limits.require([1.5, 0.0, np.nan], "it", world=World())
    with pytest.raises(InputError, match="beyond what the prior knows"):
        tiny_prior.sample(1, velocity=(10.0, 0.0))


@pytest.mark.parametrize(
    ("way", "arguments", "words"),
    [
        ("x,y\n3,0\n", ["--no-go", 0.1, 0, 0.5], "the start is 0.40 m inside no-go disc 0.1 0 0.5"),
        ("x,y\n3,0\n", ["--no-go", 3, 0.6, 0.4], "waypoint 1 is 0.20 m from the rim of no-go"),
        ("x,y\n3,0\n", ["--no-go", 3, 2, 0.5, "--end", 3, 2, 0], "waypoint 2 is 0.50 m inside"),
        ("x,y\n3,0\n", ["--speed", 10], "leg 1 of the path: 10 m/s forward is beyond"),
        ("t,x,y\n0,0,0\n1,1,0\n2,30,0\n", [], "leg 2 of the path: 29 m/s forward is beyond"),
        ("x,y\n1e9,0\n", [], "at most 3600 are planned"),
        ("x,y\n3,0\n", ["--end", 3, 0, 0, "--seconds", 2], "the way to the end pose takes"),
        ("t,forward,left,yaw_rate\n0,9,0,0\n", [], "velocity profile: 9 m/s forward is beyond"),
        ("t,forward,left,yaw_rate\n0,1,0,0\n", ["--end", 1, 0, 0], "an end pose needs waypoints"),
    ],
)
def test_what_nobody_can_do_is_refused_before_anything_is_searched(
    tiny_run, tiny_prior_run, tmp_path, run, way, arguments, words
):
    (tmp_path / "w.csv").write_text(way)
    kind = "--waypoints" if "x,y" in way else "--velocity-profile"
    base = ["--tokenizer", tiny_run, "--prior", tiny_prior_run, "-o", tmp_path / "codes.npy"]
    got, _, error = run("plan", *base, kind, tmp_path / "w.csv", *arguments)
    assert words in error
    assert got == 2
    assert len(error.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["w.csv"]


def test_what_was_not_found_says_so_and_exits_1(tiny_run, tiny_prior_run, tmp_path, run):
    """A hardly trained prior cannot stand; and a ring leaves no way out."""
    (tmp_path / "w.csv").write_text("x,y\n5,0\n")
    base = ["--tokenizer", tiny_run, "--prior", tiny_prior_run, "-o", tmp_path / "codes.npy"]
    base += ["--samples", 1, "--horizon", 1, "--beam", 1, "--waypoints", tmp_path / "w.csv"]
    angles = 2 * np.pi * np.arange(14) / 14
    ring = [a for t in angles for a in ("--no-go", 2 * np.cos(t), 2 * np.sin(t), 0.5)]
    for arguments, words in (
        (ring, "no-go discs leave no way from 0 0 to 5 0"),
        (["--end", 5, 0, 3.0], "no plan found in 3 attempts: the end pose is missed by"),
    ):
        code, _, error = run("plan", *base, *arguments)
        assert words in error
        assert code == 1
        assert [p.name for p in tmp_path.iterdir()] == ["w.csv"]


@pytest.mark.usefixtures("one_g1")
def test_a_plan_is_in_the_robots_metres_from_the_command_line(run, tmp_path):
    pytest.importorskip("pinocchio", reason="needs: pip install pin example-robot-data")
    from motiontok.robots import Trajectory

    (tmp_path / "w.csv").write_text("x,y\n2,0\n2,1\n")
    code, said, error = run(
        "plan", "--waypoints", tmp_path / "w.csv", "--robot", "g1", "--samples", 8, "--horizon", 1,
        "--beam", 1, "--speed", 0.7, "--seed", 4, "--json", "-o", tmp_path / "codes.npy",
    )  # fmt: skip
    assert code == 0, error
    result = json.loads(said)
    assert (result["world"], 0.6 < result["scale"] < 0.9) == ("g1", True)
    end = Trajectory.load(tmp_path / "codes.robot.npz").qpos[-1, :2]
    # A person's metres would end 0.6 m from there.
    assert np.linalg.norm(end - [2.0, 1.0]) == pytest.approx(result["end_error_m"], abs=0.1)
    assert result["end_error_m"] < 0.4  # others of so short a search: 0.2 to 0.7
    offsets = Codes.load(tmp_path / "codes.npy").offsets
    np.testing.assert_allclose(offsets, result["scale"] * DEFAULT_OFFSETS)
