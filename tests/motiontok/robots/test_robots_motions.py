"""Robots' own motion as canonical motion, and back onto the robot."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

import pinocchio as pin

import bvh
from bvh import Motion, procedural
from bvh.motion_io import load_motion
from motiontok.codes import Codes
from motiontok.errors import RobotError
from motiontok.robots import available, load_robot, motion_of, retarget

pytestmark = pytest.mark.usefixtures("one_g1")


@pytest.fixture(scope="module")
def walk(g1):
    return retarget(procedural.make("walk", seconds=2, seed=1), g1)


def links(robot, trajectory):
    """Places of all joints ``(frames, joints, 3)``, metres."""
    data = robot.model.createData()
    out = []
    for q in trajectory.qpos:
        pin.forwardKinematics(robot.model, data, q)
        out.append([placement.translation.copy() for placement in data.oMi][1:])
    return np.array(out)


@pytest.mark.parametrize("kind", ["walk", "dance", "turn"])
def test_a_trajectory_comes_back_to_the_robot(g1, walk, kind):
    trajectory = walk if kind == "walk" else retarget(procedural.make(kind, seconds=2, seed=1), g1)
    back = retarget(motion_of(trajectory, g1), g1)
    apart = np.linalg.norm(links(g1, back) - links(g1, trajectory), axis=-1)
    assert apart.mean() < 0.02
    assert np.rad2deg(np.abs(back.joints - trajectory.joints).mean()) < 5.0


@pytest.mark.parametrize("name", ["talos", "romeo", "simple_humanoid"])
def test_other_robots_motion_is_that_of_an_adult_and_comes_back(name):
    assert name in available()
    robot = load_robot(name)
    trajectory = retarget(procedural.make("walk", seconds=1, seed=1), robot)
    shown = motion_of(trajectory, robot)
    assert np.linalg.norm(shown.offsets[[2, 3, 6, 7]], axis=1).sum() / 2 == pytest.approx(0.84)
    # The lower ball of the foot is where a person's is, 2 cm over the floor.
    assert shown.global_positions()[..., 2].min(axis=1).mean() == pytest.approx(0.02, abs=0.03)
    back = retarget(shown, robot)
    apart = np.linalg.norm(links(robot, back) - links(robot, trajectory), axis=-1)
    # Soft limits keep it a little farther from what it is asked than the 2 cm of the G1.
    assert apart.mean() < 0.025
    assert np.rad2deg(np.abs(back.joints - trajectory.joints).mean()) < 5.0


def test_left_stays_left_and_forward_forward(g1, walk):
    shown = motion_of(walk, g1)
    place = shown.global_positions()
    ahead = np.diff(place[:, 0], axis=0)[:, :2].mean(axis=0)
    across = (place[:, 1] - place[:, 5])[:, :2].mean(axis=0)
    assert ahead[0] * across[1] - ahead[1] * across[0] > 0.0


def test_other_rates_become_30(g1, walk):
    assert len(motion_of(walk.resample(50), g1)) == pytest.approx(60, abs=1)


def test_another_robots_trajectory_is_refused(g1, walk):
    with pytest.raises(RobotError, match="its joints are not those of the robot"):
        motion_of(replace(walk, joint_names=("x", *walk.joint_names[1:])), g1)
    with pytest.raises(RobotError, match="has no frames"):
        motion_of(replace(walk, qpos=walk.qpos[:0], contacts=None), g1)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command here; its exit code, output and errors."""
    import sys

    from motiontok.cli import main as cli

    monkeypatch.chdir(tmp_path)

    def go(*words):
        monkeypatch.setattr(sys, "argv", ["motiontok", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as error:
            code = int(error.code or 0)
        done = capsys.readouterr()
        return code, done.out, done.err

    return go


@pytest.fixture
def table(tmp_path, walk):
    """What another tool wrote: rows alone, as the LAFAN1 retargeting data set has them."""
    rows = "\n".join(",".join(f"{x:.6f}" for x in row) for row in walk.qpos)
    (tmp_path / "dance.csv").write_text(rows + "\n")
    return tmp_path / "dance.csv"


def test_a_table_of_a_robot_becomes_tokens(run, table, tiny_run, tmp_path):
    words = ("encode", table, "--tokenizer", tiny_run, "-o", tmp_path / "codes.npy")
    code, _, err = run(*words)
    assert code == 2
    assert "dance.csv: a .csv names no robot; say which one with --robot" in err
    code, _, err = run(*words, "--robot", "g1")
    assert code == 0, err
    assert "states no rate; 30 frames a second assumed" in err
    assert Codes.load(tmp_path / "codes.npy").frames == 60
    code, _, err = run(*words, "--robot", "g1", "--strict")
    assert code == 2
    code, _, err = run(*words, "--robot", "talos")
    assert code == 1 or code == 2
    assert "columns instead of" in err


def test_tables_with_a_header_and_w_first_are_the_same(run, table, walk, tmp_path):
    header = ",".join(["x", "y", "z", "qw", "qx", "qy", "qz", *walk.joint_names])
    rows = "\n".join(",".join(f"{x:.6f}" for x in row) for row in walk.mujoco_qpos())
    (tmp_path / "w.csv").write_text(f"{header}\n{rows}\n")
    found = []
    for name in ("dance.csv", "w.csv"):
        code, _, err = run("convert", name, f"{name}.npz", "--robot", "g1")
        assert code == 0, err
        found.append(load_motion(tmp_path / f"{name}.npz").motion)
    np.testing.assert_allclose(found[0].global_positions(), found[1].global_positions(), atol=1e-4)


def test_inspect_shows_whose_trajectory_it_is(run, table, walk, tmp_path):
    walk.save(tmp_path / "robot.npz")
    code, out, err = run("inspect", "robot.npz")
    assert code == 0, err
    assert "robot.npz: trajectory of g1, 60 frames at 30 frames/s, 2.00 s" in out
    code, out, _ = run("inspect", table, "--robot", "g1", "--json")
    assert code == 0
    facts = json.loads(out)
    assert (facts["robot"], facts["frames"]) == ("g1", 60)
    code, _, err = run("inspect", table)
    assert code == 2
    assert "say which one with --robot" in err


def test_the_rate_of_a_table_may_be_said(run, table, tmp_path):
    code, _, err = run("convert", table, "m.npz", "--robot", "g1", "--source-fps", "60", "--strict")
    # Only the order of the quaternion is still found from the numbers.
    assert code == 2
    assert "base quaternion taken as" in err
    code, _, err = run("convert", table, "m.npz", "--robot", "g1", "--source-fps", "60")
    assert code == 0, err
    assert "states no rate" not in err
    assert len(Motion.load(tmp_path / "m.npz")) == 30
    code, _, err = run("convert", table, "m.npz", "--robot", "g1", "--up", "y")
    assert code == 2
    assert "dance.csv: neither BVH nor SMPL" in err


def test_another_robots_motion_goes_onto_mine(run, table, tmp_path):
    words = ("--robot", "talos", "-o", "talos.npz")
    code, _, err = run("retarget", table, *words)
    assert code == 2
    code, out, err = run("retarget", table, "--from-robot", "g1", *words)
    assert code == 0, err
    assert "for talos" in out


def test_an_unknown_robot_is_refused_though_the_trajectory_names_its_own(run, walk, tmp_path):
    (tmp_path / "many").mkdir()
    for name in ("robot.npz", "many/robot.npz"):
        walk.save(tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    for source, out in (("robot.npz", "t.npz"), ("many", "there")):
        code, _, err = run("retarget", source, "--from-robot", "nosuch", "-o", out)
        assert code == 2
        assert "no robot 'nosuch'; choose from " in err
        assert err.count("\n") == 1
    code, _, err = run("retarget", "robot.npz", "--from-robot", "nosuch.urdf", "-o", "t.npz")
    assert code == 2
    assert "nosuch.urdf: no such robot description" in err
    assert sorted(tmp_path.rglob("*")) == before
    assert run("retarget", "robot.npz", "--from-robot", "g1", "-o", "t.npz")[0] == 0


@pytest.mark.parametrize("out", ["m.bvh", "m.npz", "m.smpl.npz", "m.npy", "m.robot.npz", "m.csv"])
@pytest.mark.parametrize("source", ["walk.bvh", "dance.csv"])
def test_each_kind_becomes_each_other(run, table, tmp_path, source, out):
    motion = procedural.make("walk", seconds=1, seed=2)
    bvh.write(motion.to_clip(), tmp_path / "walk.bvh")
    onto = out.endswith((".csv", ".robot.npz"))
    whose = ["--robot", "g1"] if onto or source == "dance.csv" else []
    if onto and source == "dance.csv":
        whose += ["--from-robot", "g1"]
    code, told, err = run("convert", source, out, *whose)
    assert code == 0, err
    assert f"-> {out}" in told
    code, _, err = run("convert", out, "again.npz")
    assert code == 0, err
    first = Motion.load(tmp_path / "again.npz").on_bones(bvh.DEFAULT_OFFSETS)
    code, _, err = run(
        "convert", source, "direct.npz", *(["--robot", "g1"] if source == "dance.csv" else [])
    )
    assert code == 0, err
    direct = Motion.load(tmp_path / "direct.npz").on_bones(bvh.DEFAULT_OFFSETS)
    count = min(len(first), len(direct)) - 1
    assert count > 0.9 * len(direct)
    apart = first.global_positions()[:count] - direct.global_positions()[:count]
    # Hips, knees and ankles: what all of these bodies have.
    assert np.linalg.norm(apart[:, [0, 2, 3, 6, 7]], axis=-1).mean() < 0.12


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("w.bvh", "m.fbx"), "m.fbx: give a name that ends in .bvh, .npz"),
        (("w.bvh", "m.csv"), "m.csv: a trajectory needs its robot; give --robot"),
        (
            ("w.bvh", "m.npz", "--robot", "g1"),
            "w.bvh: not a robot's trajectory; leave out the robot g1",
        ),
        (
            ("w.bvh", "m.npz", "--from-robot", "g1"),
            "--from-robot puts a trajectory on another robot",
        ),
        (("w.bvh", "w.bvh"), "the output is an input"),
        (("none.bvh", "m.npz"), "none.bvh"),
        ((".", "m.npz"), "OUT must be a folder too"),
        (
            ("trap.csv", "m.npz", "--robot", "g1"),
            "trap.csv: a pickle is not loaded, since it may run any program",
        ),
        (("nan.csv", "m.npz", "--robot", "g1"), "frame 3 holds a value that is not finite"),
        (("turn.npz", "m.npz"), "turn.npz: columns 4 to 7 of qpos are not unit quaternions"),
        (("turn.csv", "m.npz", "--robot", "g1"), "columns 4 to 7 are not unit quaternions"),
    ],
)
def test_bad_conversions_are_one_line(run, walk, tmp_path, words, message):
    bvh.write(procedural.make("walk", seconds=1).to_clip(), tmp_path / "w.bvh")
    (tmp_path / "trap.csv").write_bytes(pickle.dumps({"dof_pos": [1.0]}))
    for name, column, value in (("nan", 9, np.nan), ("turn", 4, 3.0)):
        qpos = walk.qpos.copy()
        qpos[3, column] = value
        np.savetxt(tmp_path / f"{name}.csv", qpos, delimiter=",")
    replace(walk, qpos=qpos).save(tmp_path / "turn.npz")
    code, _, err = run("convert", *words)
    assert code in (1, 2)
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "m.npz").exists()
