"""Robots calibrate themselves; bad maps and descriptions are named."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh import procedural
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS
from motiontok.errors import MissingDependencyError, RobotError
from motiontok.paths import config_dir
from motiontok.robots import available, evaluate, load_robot, retarget

ROBOTS = ("g1", "romeo", "simple_humanoid", "skeleton", "talos")


def test_shipped_robots_are_listed():
    assert set(ROBOTS) <= set(available())


@pytest.mark.parametrize("name", ROBOTS)
def test_centers_form_a_standing_t_pose(name):
    c = load_robot(name).calibration
    at = dict(zip(c.joints, c.centers, strict=True))
    for left, right in (("LeftHand", "RightHand"), ("LeftLeg", "RightLeg")):
        np.testing.assert_allclose(at[left] * [1, -1, 1], at[right], atol=5e-3)
    for upper, lower in (("LeftArm", "LeftForeArm"), ("LeftForeArm", "LeftHand")):
        bone = at[lower] - at[upper]
        np.testing.assert_allclose(bone / np.linalg.norm(bone), [0, 1, 0], atol=1e-9)
    for upper, lower in (("RightUpLeg", "RightLeg"), ("RightLeg", "RightFoot")):
        bone = at[lower] - at[upper]
        np.testing.assert_allclose(bone / np.linalg.norm(bone), [0, 0, -1], atol=1e-9)
    assert at["Hips"][2] > at["LeftLeg"][2] > at["LeftFoot"][2] > 0
    assert at["Spine2"][2] >= at["Hips"][2]
    assert not load_robot(name).lost
    for foot, sole in c.soles.items():
        assert at[foot][2] + sole.corners[:, 2].min() == pytest.approx(0, abs=1e-6)
        assert sole.toe[0] > 0.02 > -0.02 > sole.heel[0]


def test_the_g1s_bones_are_those_of_its_description():
    c = load_robot("g1").calibration
    at = dict(zip(c.joints, c.centers, strict=True))
    # Knee to ankle pitch joint in the description: 0.300 m, and 17 mm on to ankle roll.
    assert np.linalg.norm(at["LeftLeg"] - at["LeftFoot"]) == pytest.approx(0.309, abs=0.01)
    # Four spheres of radius 5 mm, their centres 30 mm below the ankle roll joint.
    corners = c.soles["LeftFoot"].corners
    assert np.ptp(corners[:, 0]) == pytest.approx(0.18, abs=0.015)
    assert np.ptp(corners[:, 1]) == pytest.approx(0.06, abs=0.015)


def edit(tmp_path, old, new, name="g1"):
    text = (config_dir() / "robots" / f"{name}.toml").read_text()
    assert old in text
    path = tmp_path / "my.toml"
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"left_knee_link"', '"left_kne_link"', ["left_kne_link", "left_knee_link"]),
        ("LeftLeg =", "LeftLog =", ["LeftLog", "LeftLeg"]),
        ("LeftLeg =", "#", ["LeftLeg"]),
        ("[follow]", "[folow]", ["folow", "follow"]),
        ("[follow]", "[follow", ["my.toml"]),
        ('"left_knee_link"', "3", ["LeftLeg", "quotes"]),
        ('"left_knee_link"', '"right_knee_link"', ["right_knee_link", "RightLeg"]),
        ('"torso_link"', '"pelvis_contour_link"', ["pelvis_contour_link", "base"]),
        ('"g1_description/urdf', '"g1_description/nowhere', ["nowhere"]),
        ("[follow]", "[pose]\nelbow = 1\n[follow]", ["elbow"]),
        ("[follow]", "[weights]\nLeftHand = 3\n[follow]", ["LeftHand", "position"]),
        ("[follow]", "[weights]\nLeftHand = [inf, 1]\n[follow]", ["my.toml", "LeftHand", "finite"]),
        ("[follow]", "[weights]\nLeftHand = [3, nan]\n[follow]", ["my.toml", "LeftHand", "finite"]),
        ("[follow]", "[pose]\nwaist_yaw_joint = nan\n[follow]", ["my.toml", "waist_yaw", "finite"]),
        ("[follow]", "[pose]\nwaist_yaw_joint = -inf\n[follow]", ["waist_yaw", "radians"]),
        ("[follow]", f"[pose]\nwaist_yaw_joint = 1{'0' * 400}\n[follow]", ["waist_yaw", "finite"]),
        ("[follow]", "[weights]\nHead = [3, 1]\n[follow]", ["Head"]),
        ("[follow]", "[sole]\nheel = 3\n[follow]", ["toe"]),
        ("[follow]", "[sole]\nheel = inf\n[follow]", ["my.toml", "heel", "finite"]),
    ],
)
def test_a_bad_map_is_one_clear_line(tmp_path, old, new, words):
    with pytest.raises(RobotError) as caught:
        load_robot("g1", map=edit(tmp_path, old, new))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_unknown_robots_list_the_choices(tmp_path):
    with pytest.raises(RobotError, match=r"g1.*talos"):
        load_robot("atlas")
    with pytest.raises(RobotError, match="no such robot description"):
        load_robot(tmp_path / "none.urdf")
    with pytest.raises(RobotError, match="no such robot map"):
        load_robot("g1", map=tmp_path / "none.toml")
    broken = tmp_path / "broken.urdf"
    broken.write_text("<robot")
    with pytest.raises(RobotError, match=r"broken\.urdf"):
        load_robot(broken)
    with pytest.raises(RobotError, match=r"broken\.urdf"):
        load_robot(broken, map=config_dir() / "robots" / "g1.toml")


def humanoid(tmp_path, *, foot="", joint="revolute"):
    """A legs-only robot of boxes' worth of joints, written here so nothing else decides it."""
    links, joints = ['<link name="base"/>'], []

    def add(name, parent, axis, xyz):
        limit = '<limit lower="-2" upper="2" effort="1" velocity="5"/>'
        links.append(f'<link name="{name}">{foot if name.endswith("foot") else ""}</link>')
        joints.append(
            f'<joint name="{name}_joint" type="{joint}"><parent link="{parent}"/>'
            f'<child link="{name}"/><origin xyz="{xyz}"/><axis xyz="{axis}"/>{limit}</joint>'
        )

    for side, y in (("l", 0.1), ("r", -0.1)):
        add(f"{side}_hip", "base", "1 0 0", f"0 {y} 0")
        add(f"{side}_thigh", f"{side}_hip", "0 1 0", "0 0 0")
        add(f"{side}_shank", f"{side}_thigh", "0 1 0", "0 0 -0.4")
        add(f"{side}_foot", f"{side}_shank", "0 1 0", "0 0 -0.4")
    urdf = tmp_path / "legs.urdf"
    urdf.write_text(f'<robot name="legs">{"".join(links + joints)}</robot>')
    toml = tmp_path / "legs.toml"
    toml.write_text(
        '[follow]\nHips="base"\nLeftUpLeg="l_thigh"\nLeftLeg="l_shank"\nLeftFoot="l_foot"\n'
        'RightUpLeg="r_thigh"\nRightLeg="r_shank"\nRightFoot="r_foot"\n'
    )
    return urdf, toml


BOX = '<collision><origin xyz="0.05 0 -0.04"/><geometry>{}</geometry></collision>'


def test_any_urdf_with_a_map_works(tmp_path):
    urdf, toml = humanoid(tmp_path, foot=BOX.format('<box size="0.2 0.1 0.04"/>'))
    robot = load_robot(urdf, map=toml)
    assert robot.name == "legs"
    assert robot.calibration.leg_length == pytest.approx(0.86)
    np.testing.assert_allclose(
        robot.calibration.soles["LeftFoot"].corners,
        [[-0.05, -0.05, -0.06], [-0.05, 0.05, -0.06], [0.15, -0.05, -0.06], [0.15, 0.05, -0.06]],
        atol=1e-9,
    )
    assert set(robot.calibration.joints) < set(JOINTS)


def test_continuous_joints_count_as_hinges(tmp_path):
    urdf, toml = humanoid(
        tmp_path, foot=BOX.format('<box size="0.2 0.1 0.04"/>'), joint="continuous"
    )
    robot = load_robot(urdf, map=toml)
    assert robot.model.nq == 7 + len(robot.joint_names)
    assert (robot.upper > 100).all()


def test_missing_meshes_and_missing_feet_are_named(tmp_path):
    urdf, toml = humanoid(tmp_path, foot=BOX.format('<mesh filename="package://legs/f.stl"/>'))
    with pytest.raises(RobotError, match=r"legs/f\.stl"):
        load_robot(urdf, map=toml)
    urdf, toml = humanoid(tmp_path)
    with pytest.raises(RobotError, match=r"LeftFoot.*sole"):
        load_robot(urdf, map=toml)
    toml.write_text(toml.read_text() + "[sole]\nheel=-0.1\ntoe=0.2\nwidth=0.1\nheight=0.08\n")
    robot = load_robot(urdf, map=toml)
    assert robot.calibration.leg_length == pytest.approx(0.88)
    # No shapes to run into each other: it moves all the same.
    motion = procedural.make("walk", seconds=1, seed=0)
    report = evaluate(retarget(motion, robot), motion, robot)
    assert report.self_penetration is None
    assert report.limit_violation == 0
    assert report.foot_depth < 0.005


def test_the_skeleton_is_an_adult_and_its_description_is_up_to_date():
    robot = load_robot("skeleton")
    c = robot.calibration
    at = dict(zip(c.joints, c.centers, strict=True))
    for joint, parent in (("LeftLeg", "LeftUpLeg"), ("LeftHand", "LeftForeArm")):
        bone = DEFAULT_OFFSETS[JOINTS.index(joint)]
        np.testing.assert_allclose(at[joint] - at[parent], bone, atol=1e-9)
    script = config_dir().parent / "tools" / "skeleton_urdf.py"
    if script.is_file():
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
        assert done.stdout == robot.urdf.read_text()


def test_robots_without_shapes_are_drawn_as_rods():
    shapes = load_robot("simple_humanoid").visual.geometryObjects
    assert len(shapes) > 10
    assert {type(s.geometry).__name__ for s in shapes} == {"Capsule"}


def test_without_the_packages_the_remedy_is_named(monkeypatch):
    code = (
        "import sys; sys.modules['pinocchio'] = None; sys.argv = ['motiontok', 'robots', 'g1'];"
        "from motiontok.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'motiontok[robot]'" in done.stderr
    assert "g1" in available()  # listing needs no Pinocchio

    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "prefix", "/nowhere")
    with pytest.raises(MissingDependencyError, match="example-robot-data"):
        load_robot("g1")
    assert load_robot("skeleton").name == "skeleton"
