"""Maps told by names and geometry: of one robot under many guises, and of robots people have."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from robot_variants import Variant

from bvh import procedural
from motiontok.cli.robots import robots
from motiontok.errors import RobotError
from motiontok.paths import config_dir
from motiontok.robots import Follower, evaluate, load_robot, retarget
from motiontok.robots.model.maps import read_map
from motiontok.robots.model.propose_map import propose_map
from motiontok.robots.model.robot import check_robot
from motiontok.robots.model.urdf import open_description

SHIPPED = read_map(config_dir() / "robots" / "skeleton.toml").follow
# An elbow that flexes and twists in one place has its forearm behind either.
ELBOWS = {"LeftForeArm": "left_elbow_flex_link", "RightForeArm": "right_elbow_flex_link"}
EXPECTED = {**SHIPPED, **ELBOWS}


def told(path):
    return propose_map(open_description(path))


def numbered():
    """Names that say nothing."""
    numbers = itertools.count()
    names = {}
    return lambda name, kind: names.setdefault((kind, name), f"{kind}{next(numbers):02d}")


def sided(left, right):
    """Names that say nothing but the side."""
    numbers = itertools.count()
    names = {}

    def new(name, kind):
        stem = name.removeprefix("left_").removeprefix("right_")
        number = names.setdefault((kind, stem), f"{next(numbers):02d}")
        side = left if name.startswith("left_") else right if name.startswith("right_") else "m"
        return f"{side}{kind}{number}"

    return new


def as_shipped(proposal, rename=lambda name, kind: name):
    """What the proposal says, and what it should, the links' names renamed."""
    return dict(proposal.map.follow), {j: rename(k, "link") for j, k in EXPECTED.items()}


def test_the_packaged_robot_is_told_as_it_was_mapped(tmp_path):
    proposal = told(Variant().write(tmp_path))
    found, wanted = as_shipped(proposal)
    assert found == wanted
    assert proposal.doubts == ()


@pytest.mark.parametrize(("left", "right"), [("L", "R"), ("left_", "right_"), ("x.l.", "x.r.")])
def test_names_need_say_no_more_than_the_side(tmp_path, left, right):
    rename = sided(left, right)
    proposal = told(Variant().rename(rename).write(tmp_path))
    found, wanted = as_shipped(proposal, rename)
    assert found == wanted
    # That the topmost limb is a head, no name says.
    assert [doubt.split(":")[0] for doubt in proposal.doubts] == ["Head"]


def test_without_any_names_knees_and_feet_tell_left_from_right(tmp_path):
    rename = numbered()
    proposal = told(Variant().rename(rename).write(tmp_path))
    found, wanted = as_shipped(proposal, rename)
    assert found == wanted
    assert any("told by knees and feet" in line for line in proposal.told)


def test_sides_that_names_and_knees_tell_differently_are_a_doubt(tmp_path):
    swap = {"left": "right", "right": "left"}

    def new(name, kind):
        side, _, rest = name.partition("_")
        return f"{swap.get(side, side)}_{rest}" if rest else name

    path = Variant().rename(new).write(tmp_path)
    proposal = told(path)
    assert any("names say the opposite of knees and feet" in doubt for doubt in proposal.doubts)
    assert proposal.map.follow["LeftFoot"] == "left_foot"


def test_fingers_are_no_part_of_an_arm(tmp_path):
    path = Variant().fingers().write(tmp_path)
    proposal = told(path)
    found, wanted = as_shipped(proposal)
    assert found == wanted
    assert proposal.doubts == ()
    # With the shipped map they move as they must: each second joint as the first.
    robot = load_robot(path)
    motion = procedural.make("wave", seconds=1, seed=0)
    trajectory = retarget(motion, robot)
    names = trajectory.joint_names
    for first in ("left_index", "right_ring", "right_thumb"):
        one, two = (trajectory.joints[:, names.index(f"{first}_{k}")] for k in (1, 2))
        np.testing.assert_allclose(one, two, atol=1e-12)
    assert evaluate(trajectory, motion, robot).position_error < 0.03


def test_two_hinges_that_bend_together_are_one_knee(tmp_path):
    # Other names, so that no shipped map fits and the proposal is what is used.
    rename = sided("left_", "right_")
    path = Variant().double_knees().rename(rename).lock("^mjoint").write(tmp_path)
    proposal = told(path)
    assert proposal.map.follow["LeftUpLeg"] == rename("left_thigh", "link")
    assert proposal.map.follow["LeftLeg"] == rename("left_shank", "link")
    assert proposal.doubts == ()
    robot = load_robot(path)
    assert any("matched to joints by names and geometry" in line for line in robot.remarks)
    trajectory = retarget(procedural.make("squat", seconds=1, seed=0), robot)
    names = trajectory.joint_names
    for side in ("left_", "right_"):
        one, two = (
            trajectory.joints[:, names.index(rename(f"{side}{joint}", "joint"))]
            for joint in ("knee_pitch", "knee_2")
        )
        np.testing.assert_allclose(one, two, atol=1e-12)
        assert np.ptp(one) > 0.2


def test_arms_without_wrists_point_where_their_mass_is(tmp_path):
    # Hanging in the zero pose, as most robots' arms do; nothing but mass says where they end.
    variant = Variant().lock("wrist")
    for side in ("left", "right"):
        variant.forearm_mass(side)
    robot = load_robot(variant.write(tmp_path))
    assert "without its LeftHand, RightHand" in robot.remarks[-1]
    assert "LeftHand" not in robot.calibration.joints
    motion = procedural.make("wave", seconds=1, seed=0)
    report = evaluate(retarget(motion, robot), motion, robot)
    assert report.position_error < 0.03
    assert np.degrees(report.rotation_error) < 8


@pytest.mark.parametrize("look_ahead", [None, 0.3])
def test_a_locked_waist_is_told_and_works(tmp_path, look_ahead):
    path = Variant().lock("trunk").write(tmp_path)
    proposal = told(path)
    assert "Spine2" not in proposal.map.follow
    assert any("chest does not move" in line for line in proposal.told)
    robot = load_robot(path)
    assert robot.remarks == (
        "fits the map of skeleton, without its Spine2: no such link, or none that a joint moves",
    )
    motion = procedural.make("walk", seconds=1, seed=0)
    if look_ahead is None:
        report = evaluate(retarget(motion, robot), motion, robot)
        assert report.position_error < 0.05
        assert report.foot_depth < 0.005
    else:
        follower = Follower(robot, offsets=motion.offsets, look_ahead=look_ahead)
        poses = zip(motion.root_positions, motion.rotations, strict=True)
        q = [follower.push(position, rotations) for position, rotations in poses]
        assert np.isfinite(q).all()


def test_what_a_variant_has_besides_is_followed_too(tmp_path):
    other = {"head": "skull", "left_hand": "left_tool", "right_hand": "right_tool"}
    path = Variant().rename(lambda name, kind: other.get(name, name)).write(tmp_path)
    robot = load_robot(path)
    assert dict(robot.map.follow) == {joint: other.get(k, k) for joint, k in SHIPPED.items()}
    assert "besides, Head with skull, LeftHand with left_tool" in robot.remarks[-1]


def test_a_base_that_is_the_chest_has_its_hips_below_it(tmp_path):
    path = Variant().base_is_chest().write(tmp_path)
    proposal = told(path)
    assert proposal.map.follow["Hips"] == "hips"
    assert proposal.map.follow["Spine2"] == "chest"
    assert proposal.doubts == ()
    text = tmp_path / "my.toml"
    text.write_text(proposal.toml())
    robot = load_robot(path, map=text)
    motion = procedural.make("walk", seconds=2, seed=0)
    trajectory = retarget(motion, robot)
    report = evaluate(trajectory, motion, robot)
    assert report.position_error < 0.04
    assert np.degrees(report.rotation_error) < 10
    # What is written is the base, which is the chest: above the hips.
    assert trajectory.qpos[:, 2].mean() > robot.calibration.leg_length + 0.1


def test_a_link_may_have_the_name_of_a_joint(tmp_path):
    same = {"left_knee_pitch": "left_shank", "trunk_pitch": "chest"}
    variant = Variant().rename(lambda name, kind: same.get(name, name))
    assert variant.joint("left_shank").find("child").get("link") == "left_shank"
    path = variant.write(tmp_path)
    found, wanted = as_shipped(told(path))
    assert found == wanted
    assert load_robot(path).remarks == ("fits the map of skeleton",)


def test_toes_are_what_bends_before_the_ankle(tmp_path):
    variant = Variant()
    for side in ("left", "right"):
        variant.add(f"{side}_toe", f"{side}_foot", "0.15 0 -0.06", "0 1 0")
    path = variant.write(tmp_path)
    follow = told(path).map.follow
    assert (follow["LeftFoot"], follow["LeftToe"]) == ("left_foot", "left_toe_link")
    assert "LeftToe" in load_robot(path).calibration.joints


def test_what_is_written_is_read_again(tmp_path):
    path = Variant().rename(sided("L", "R")).write(tmp_path)
    robot, proposal, fits = check_robot(path)
    assert fits is None
    toml = tmp_path / "my.toml"
    toml.write_text(proposal.toml())
    again = load_robot(path, map=toml)
    assert dict(again.map.follow) == dict(proposal.map.follow)
    np.testing.assert_allclose(again.calibration.centers, robot.calibration.centers, atol=1e-12)
    with pytest.raises(RobotError, match=r"in doubt \(Head: .*robots --check"):
        load_robot(path)


def test_check_prints_a_map_draws_it_and_says_what_it_is_unsure_of(tmp_path):
    path = Variant().rename(sided("L", "R")).write(tmp_path)
    toml, picture = tmp_path / "my.toml", tmp_path / "my.png"
    given = [str(path), "--check", "-o", str(toml), "--picture", str(picture)]
    done = CliRunner().invoke(robots, given)
    assert done.exit_code == 0, done.output
    assert toml.read_text() in done.output
    assert "in doubt: Head: " in done.output
    assert f"--map {toml}" in done.output
    from PIL import Image

    with Image.open(picture) as image:
        assert image.width > 800
        assert len(image.getcolors(1 << 20)) > 20, "a blank picture"
    facts = json.loads(CliRunner().invoke(robots, [*given, "--json"]).stdout)
    assert facts["follow"] == dict(told(path).map.follow)
    assert len(facts["doubts"]) == 1
    plain = Variant().write(tmp_path, "plain.urdf")
    done = CliRunner().invoke(robots, [str(plain), "--check", "--picture", str(picture)])
    assert "nothing in doubt\n" in done.output
    assert f"the shipped map of skeleton fits it: --robot {plain} needs no --map" in done.output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.quadruped(), "4 limbs stand on the ground (fore_left_foot"),
        (lambda v: v.drop("right_hip_pitch_link"), "no two legs that mirror each other"),
        (lambda v: v.drop("trunk_yaw_link").drop("right_hip_pitch_link"), "one limb (left_foot)"),
        (lambda v: v.lock("knee"), "bends forward at 2 joints; a humanoid's does at hip, knee"),
        (lambda v: v.lock("."), "no joint moves"),
    ],
)
def test_what_is_no_humanoid_is_refused(tmp_path, change, words):
    path = change(Variant()).write(tmp_path)
    for open_it in (check_robot, load_robot):
        with pytest.raises(RobotError) as caught:
            open_it(path)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_refusal_is_one_line_and_draws_nothing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Variant().quadruped().write(tmp_path)
    code, said, errors = run("robots", "--check", path)
    assert code == 2
    assert said == ""
    assert errors.startswith(f"error: {path}: 4 limbs stand on the ground")
    assert errors.count("\n") == 1
    assert not list(tmp_path.glob("*.png"))


def test_bad_use_of_check(tmp_path):
    urdf = str(Variant().write(tmp_path))
    for arguments, word in (
        (["--check"], "--check finds a map; give it a .urdf file"),
        ([urdf, "--check", "--map", urdf], "no --map"),
        ([urdf, "-o", "my.toml"], "--out goes with --check"),
        (["none.urdf", "--check"], "no such robot description"),
        ([urdf, "--check", "-o", "my.txt"], "written as .toml"),
        ([urdf, "--check", "--picture", "my.xcf"], ".png, .svg, .pdf"),
    ):
        done = CliRunner().invoke(robots, arguments)
        assert done.exit_code != 0
        assert word in str(done.exception)


@pytest.fixture(scope="module")
def others() -> Path:
    """The robots of example-robot-data."""
    return load_robot("talos").urdf.parents[2]


@pytest.mark.parametrize(
    ("urdf", "thigh", "arm", "forearm", "hand"),
    [
        ("talos_data/robots/talos_full_v2.urdf", "leg_left_3_link", "arm_left_3_link",
         "arm_left_4_link", "arm_left_7_link"),
        ("romeo_description/urdf/romeo.urdf", "LHipPitchLink", "LElbowRollLink", "LElbowYawLink",
         "l_wrist"),
        ("g1_description/urdf/g1_29dof_with_hand_rev_1_0.urdf", "left_hip_yaw_link",
         "left_shoulder_yaw_link", "left_elbow_link", "left_wrist_yaw_link"),
        ("icub_description/robots/icub.urdf", "l_upper_leg", "l_shoulder_3", "l_elbow_1", "l_hand"),
    ],
)  # fmt: skip
def test_robots_that_others_made(others, urdf, thigh, arm, forearm, hand):
    path = others / urdf
    if not path.is_file():
        pytest.skip(f"example-robot-data has no {urdf}")
    follow = told(path).map.follow
    assert (follow["LeftUpLeg"], follow["LeftArm"]) == (thigh, arm)
    assert (follow["LeftForeArm"], follow["LeftHand"]) == (forearm, hand)


@pytest.mark.parametrize(
    "urdf", ["go2_description/urdf/go2.urdf", "panda_description/urdf/panda.urdf"]
)
def test_animals_and_arms_that_others_made(others, urdf):
    path = others / urdf
    if not path.is_file():
        pytest.skip(f"example-robot-data has no {urdf}")
    with pytest.raises(RobotError, match="no humanoid"):
        load_robot(path)
