"""Descriptions as people have them: elsewhere, without meshes, of another variant, not at all."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from robot_variants import Variant

from bvh import procedural
from motiontok.cli.retarget import retarget as retarget_command
from motiontok.errors import RobotError
from motiontok.paths import config_dir
from motiontok.robots import evaluate, load_robot, retarget, retarget_and_evaluate_all
from motiontok.robots.model.find_urdf import find_description
from motiontok.robots.model.maps import read_map

UNITREE = ("g1_23dof", "h1", "h1_2", "h2", "r1")


@pytest.fixture
def run(done):
    return done


def test_a_urdf_that_fits_a_shipped_map_needs_no_other(tmp_path):
    path = Variant().write(tmp_path, "another name.urdf")
    robot = load_robot(path)
    shipped = load_robot("skeleton")
    assert robot.name == "another name"
    assert robot.remarks == ("fits the map of skeleton",)
    assert dict(robot.map.follow) == dict(shipped.map.follow)
    motion = procedural.make("walk", seconds=0.5, seed=0)
    np.testing.assert_array_equal(retarget(motion, robot).qpos, retarget(motion, shipped).qpos)


def test_a_map_is_not_taken_for_links_that_are_others(tmp_path):
    # The links of the shipped map are there, but the thigh is not the last one before the knee.
    swap = {"left_thigh": "left_hip_roll_link", "left_hip_roll_link": "left_thigh"}
    path = Variant().rename(lambda name, kind: swap.get(name, name)).write(tmp_path)
    robot = load_robot(path)
    assert "fits the map" not in " ".join(robot.remarks)
    assert robot.map.follow["LeftUpLeg"] == "left_hip_roll_link"


def test_over_processes_a_variant_is_the_variant(tmp_path):
    robot = load_robot(Variant().lock("trunk").write(tmp_path))
    motions = [procedural.make("walk", seconds=0.5, seed=seed) for seed in range(2)]
    alone = list(retarget_and_evaluate_all(motions, robot, workers=1))
    together = list(retarget_and_evaluate_all(motions, robot, workers=2))
    assert len(alone) == len(motions)
    for (one, report), (other, again) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.qpos, other.qpos)
        assert report == again


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("", "", "frame 'chest' (Spine2) is fixed to the robot's base"),
        ('"chest"', '"ches"', "no frame 'ches'; nearest: chest"),
        ('Spine2 = "chest"\n', "", None),
    ],
)
def test_a_map_that_names_missing_links_is_refused_in_a_line(run, tmp_path, old, new, word):
    path = Variant().lock("trunk").write(tmp_path)
    toml = tmp_path / "my.toml"
    toml.write_text((config_dir() / "robots" / "skeleton.toml").read_text().replace(old, new))
    done = run("robots", path, "--map", toml)
    if word is None:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert word in done.stderr


def test_a_map_that_names_missing_joints_is_refused_in_a_line(run, tmp_path):
    toml = tmp_path / "my.toml"
    shipped = (config_dir() / "robots" / "skeleton.toml").read_text()
    toml.write_text(f"{shipped}\n[pose]\nwaist = 1\n")
    done = run("robots", Variant().write(tmp_path), "--map", toml)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "[pose] names unknown joint 'waist'" in done.stderr


@pytest.fixture
def meshless(tmp_path):
    return Variant().feet_of_missing_meshes().write(tmp_path)


def test_without_meshes_soles_are_told_by_mass(meshless):
    robot = load_robot(meshless)
    whole = load_robot("skeleton")
    for foot in ("LeftFoot", "RightFoot"):
        np.testing.assert_allclose(
            robot.calibration.soles[foot].corners, whole.calibration.soles[foot].corners, atol=1e-3
        )
    assert robot.lost == {f"{side}_foot": f"package://me/{side}.stl" for side in ("left", "right")}
    (said, fits) = robot.remarks
    assert said.startswith("2 of 2 meshes are missing (package://me/left.stl)")
    assert "may run into other links" in said
    assert fits == "fits the map of skeleton"


def test_without_meshes_all_but_self_collision_works_and_is_said_once(meshless, tmp_path):
    robot = load_robot(meshless)
    shapes = robot.self_collision.geometry.geometryObjects
    feet = {robot.model.getJointId(f"{side}_ankle_roll") for side in ("left", "right")}
    assert shapes
    assert not feet & {int(shape.parentJoint) for shape in shapes}
    assert feet <= {int(shape.parentJoint) for shape in robot.visual.geometryObjects}
    motion = procedural.make("walk", seconds=0.5, seed=0)
    report = evaluate(retarget(motion, robot), motion, robot)
    assert report.foot_depth < 0.005
    assert report.position_error < 0.03
    motion.save(tmp_path / "walk.npz")
    out = tmp_path / "robot.npz"
    given = [str(tmp_path / "walk.npz"), "-o", str(out), "--robot", str(meshless)]
    done = CliRunner().invoke(retarget_command, given)
    assert done.exit_code == 0, done.output
    assert done.output.count("meshes are missing") == 1


@pytest.mark.usefixtures("one_core")
def test_without_meshes_self_collision_is_not_measured(run, meshless, tmp_path):
    clips, out = tmp_path / "clips", tmp_path / "robots"
    clips.mkdir()
    for seed in range(2):
        procedural.make("walk", seconds=0.5, seed=seed).save(clips / f"{seed}.npz")
    given = [str(clips), "-o", str(out), "--robot", str(meshless)]
    for figure in ("self_penetration", "colliding_frames"):
        refused = run("retarget", *given, "--max", f"{figure}=0.01")
        assert refused.returncode == 2
        assert (
            f"--max {figure}=0.01: not measured without the meshes of {meshless.stem}"
            in refused.stderr
        )
    assert not out.exists()
    done = run("retarget", *given, "--max", "root_jerk=1e6")
    assert done.returncode == 0, done.stderr
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("self-collision"))
    assert row.split(maxsplit=1)[1] == "not measured, no meshes"
    lines = [json.loads(line) for line in (out / "retarget.jsonl").read_text().splitlines()]
    done = run("retarget", *given, "--max", "root_jerk=1e6")
    assert "wrote 0 trajectories, 2 were there already" in done.stdout, "the ledger is read again"
    told = json.loads(run("retarget", *given, "--max", "root_jerk=1e6", "--json").stdout)
    for report in (told, *told["files"], *(line["report"] for line in lines)):
        assert report["self_penetration"] is report["colliding_frames"] is None
    one = ["retarget", clips / "0.npz", "-o", tmp_path / "0.npz", "--robot", meshless, "--json"]
    done = run(*one, "--plot", tmp_path / "0.png")
    assert json.loads(done.stdout)["self_penetration"] is None, done.stderr
    assert (tmp_path / "0.png").is_file()


def test_feet_of_no_size_at_all_name_the_mesh(tmp_path):
    path = Variant().feet_of_missing_meshes(mass=False).write(tmp_path)
    with pytest.raises(
        RobotError, match=r"package://me/left\.stl, the shape of left_foot.*\[sole\]"
    ):
        load_robot(path)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("package://me/meshes/", "me/meshes"),
        ("package://me/meshes/", "meshes"),
        ("package://me/meshes/", "../meshes"),
        ("package://me/meshes/", "../me/meshes"),
        ("package:///me/meshes/", "../../me/meshes"),
        ("model://me/meshes/", "../me/meshes"),
        ("meshes/", "meshes"),
        ("../meshes/", "../meshes"),
    ],
)
def test_meshes_are_found_where_people_put_them(tmp_path, name, folder):
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    variant = Variant().feet_of_missing_meshes()
    for mesh in variant.root.iter("mesh"):
        mesh.set("filename", name + mesh.get("filename").rpartition("/")[2])
    path = variant.write(here)
    place = here / folder
    place.mkdir(parents=True)
    import trimesh

    box = trimesh.creation.box(extents=[0.3, 0.1, 0.06])
    for side in ("left", "right"):
        box.export(place / f"{side}.stl")
    robot = load_robot(path)
    assert not robot.lost
    assert np.ptp(robot.calibration.soles["LeftFoot"].corners[:, 0]) == pytest.approx(0.3, abs=1e-4)
    shutil.rmtree(place)
    assert load_robot(path).lost


@pytest.mark.parametrize("name", UNITREE)
def test_robots_whose_description_is_elsewhere_say_how_to_get_it(run, tmp_path, monkeypatch, name):
    monkeypatch.setenv("ROBOT_DESCRIPTIONS_CACHE", str(tmp_path))
    done = run("robots", name)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{name}: its description does not come with this package" in done.stderr
    assert "--robot path/to/" in done.stderr
    module = name if name in ("h1", "h1_2") else "g1"  # whose repository has the others, too
    assert "pip install robot_descriptions" in done.stderr
    assert f"import robot_descriptions.{module}_description" in done.stderr
    assert not list(tmp_path.iterdir()), "nothing is fetched without being asked"
    (tmp_path / "unitree_ros").mkdir()
    done = run("robots", name)
    assert f"is not in {tmp_path / 'unitree_ros'}; give its path" in done.stderr


@pytest.mark.parametrize("clone", ["unitree_ros", "unitree_ros-0123abc/unitree_ros"])
def test_what_robot_descriptions_has_cached_is_found(tmp_path, monkeypatch, clone):
    map = read_map(config_dir() / "robots" / "h1.toml")
    path = (tmp_path / clone).parent / map.urdf
    path.parent.mkdir(parents=True)
    path.write_text("<robot/>")
    monkeypatch.setenv("ROBOT_DESCRIPTIONS_CACHE", str(tmp_path))
    assert find_description(map) == path


@pytest.fixture(scope="session")
def unitree(shared_data):
    folder = shared_data / "robots"
    if not folder.is_dir():
        pytest.skip(f"no Unitree descriptions: put g1_23dof_rev_1_0.urdf, ... into {folder}")
    return folder


@pytest.mark.parametrize(
    ("urdf", "name", "joints", "leg"),
    [
        ("g1_23dof_rev_1_0.urdf", "g1_23dof", 23, 0.676),
        ("h1/h1.urdf", "h1", 19, 0.862),
        ("h1_2_handless.urdf", "h1_2", 27, 0.87),
        ("h2.urdf", "h2", 31, 0.95),
        ("r1.urdf", "r1", 26, 0.615),
    ],
)
def test_unitrees_robots(run, unitree, urdf, name, joints, leg):
    robot = load_robot(unitree / urdf)
    assert robot.remarks[-1] == f"fits the map of {name}"
    assert len(robot.joint_names) == joints
    assert robot.calibration.leg_length == pytest.approx(leg, abs=0.01)
    assert bool(robot.lost) == (name != "h1"), "H1 is there with its meshes"
    motion = procedural.make("walk", seconds=1, seed=0)
    report = evaluate(retarget(motion, robot), motion, robot)
    assert report.limit_violation == 0
    assert report.foot_depth < 0.005
    assert report.body_depth < 0.01
    assert report.foot_slide < 0.015
    assert report.position_error < 0.08
    done = run("robots", unitree / urdf, "--json")
    assert json.loads(done.stdout)["joints"] == joints
