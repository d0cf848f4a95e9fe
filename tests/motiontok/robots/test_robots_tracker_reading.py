"""BeyondMimic's motion files, read back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bvh import Motion, procedural
from bvh.reading import Reading
from motiontok.errors import RobotError

pin = pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh.motion_io import is_trajectory  # noqa: E402
from motiontok.robots import Trajectory, retarget  # noqa: E402
from motiontok.robots.files.tracker_reading import read_tracking  # noqa: E402
from motiontok.robots.files.tracker_writing import save_tracking  # noqa: E402
from motiontok.robots.model.joint_orders import joint_order  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_g1")


@pytest.fixture(scope="module")
def dance(g1):
    return retarget(procedural.make("dance", seconds=2, seed=3), g1)


@pytest.fixture
def arrays(g1, dance):
    """What ``csv_to_npz.py`` writes: no names; breadth first; bodies as joints."""
    return make(g1, dance, "isaaclab")


def make(robot, trajectory, order):
    names = joint_order(robot, order)
    columns = [robot.joint_names.index(name) for name in names]
    data = robot.model.createData()
    places, turns = [], []
    for q in trajectory.qpos:
        pin.forwardKinematics(robot.model, data, q)
        bodies = [data.oMi[1], *(data.oMi[2 + c] for c in columns)]
        places.append([b.translation.copy() for b in bodies])
        quats = [pin.Quaternion(b.rotation).coeffs() for b in bodies]
        turns.append([[q[3], q[0], q[1], q[2]] for q in quats])
    joints = trajectory.joints[:, columns].astype(np.float32)
    return {
        "fps": np.array([trajectory.fps]),
        "joint_pos": joints,
        "joint_vel": np.gradient(joints, axis=0),
        "body_pos_w": np.array(places, dtype=np.float32),
        "body_quat_w": np.array(turns, dtype=np.float32),
    }


def same(found, wanted):
    sign = np.sign((found.qpos[:, 3:7] * wanted.qpos[:, 3:7]).sum(1, keepdims=True))
    np.testing.assert_allclose(found.qpos[:, :3], wanted.qpos[:, :3], atol=1e-5)
    np.testing.assert_allclose(sign * found.qpos[:, 3:7], wanted.qpos[:, 3:7], atol=1e-5)
    np.testing.assert_allclose(found.joints, wanted.joints, atol=1e-5)


def test_quaternions_of_few_digits_are_scaled_to_unit_length(tmp_path, g1, dance, arrays):
    arrays["body_quat_w"] *= 0.995
    np.savez(tmp_path / "m.npz", **arrays)
    found, _ = read_tracking(tmp_path / "m.npz", g1, Reading())
    same(found, dance)


@pytest.mark.parametrize("order", ["isaaclab", "mujoco"])
def test_bodies_tell_the_order_of_joints_without_names(tmp_path, g1, dance, order):
    np.savez(tmp_path / "m.npz", **make(g1, dance, order))
    found, told = read_tracking(tmp_path / "m.npz", g1, Reading())
    same(found, dance)
    assert told == [f"names no joints; taken in the order {order}, by where its bodies are"]
    assert (found.fps, found.robot, found.source) == (30.0, "g1", "m")
    found, told = read_tracking(tmp_path / "m.npz", g1, Reading(joints=order))
    same(found, dance)
    assert told == []


def test_names_say_it_and_the_base_may_be_anywhere(tmp_path, g1, dance, arrays):
    names = joint_order(g1, "isaaclab")
    arrays["joint_names"] = np.array([name.encode() for name in names])
    shuffle = np.random.default_rng(0).permutation(1 + len(names))
    for key in ("body_pos_w", "body_quat_w"):
        arrays[key] = arrays[key][:, shuffle]
    arrays["body_names"] = np.array(["pelvis", *(f"link_{n}" for n in names)])[shuffle]
    np.savez(tmp_path / "m.npz", **arrays)
    found, told = read_tracking(tmp_path / "m.npz", g1, Reading())
    same(found, dance)
    assert told == []


def test_what_we_write_for_trackers_comes_back(tmp_path, g1, dance):
    save_tracking(dance, g1, tmp_path / "m.npz", fps=30)
    found, told = read_tracking(tmp_path / "m.npz", g1, Reading())
    same(found, dance)
    assert told == []


def test_the_rate_may_be_missing_and_said(tmp_path, g1, arrays):
    del arrays["fps"]
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(RobotError, match=r"m\.npz: states no fps: give the rate with --source-fps"):
        read_tracking(tmp_path / "m.npz", g1, Reading())
    assert read_tracking(tmp_path / "m.npz", g1, Reading(fps=50))[0].fps == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"joint_pos": None}, "lacks the array 'joint_pos'"),
        (lambda a: {"body_quat_w": None}, "lacks the array 'body_quat_w'"),
        (lambda a: {"joint_pos": a["joint_pos"][:, 1:]}, "joint_pos has 28 joints, g1 has 29"),
        (lambda a: {"joint_pos": a["joint_pos"][0]}, r"joint_pos: expected shape \(frames, 29\)"),
        (lambda a: {"joint_pos": a["joint_pos"][1:]}, "joint_pos has 59 frames, body_pos_w 60"),
        (lambda a: {"joint_pos": np.nan * a["joint_pos"]}, "joint_pos: frame 0 holds a value"),
        (lambda a: {k: a[k][:0] for k in ("joint_pos", "body_pos_w")}, "joint_pos: no frames"),
        (lambda a: {"body_pos_w": a["body_pos_w"][:, :0]}, "body_quat_w: expected shape"),
        (lambda a: {"body_quat_w": 2 * a["body_quat_w"]}, "the base's are not unit quaternions"),
        (lambda a: {"fps": np.array([0.0])}, "fps: expected one number of frames"),
        (lambda a: {"fps": np.array([30.0, 30.0])}, "fps: expected one number of frames"),
        (lambda a: {"fps": np.array([np.nan])}, "fps: expected one number of frames"),
        (lambda a: {"joint_pos": np.array([{}], object)}, "joint_pos is an array of objects"),
        (lambda a: {"joint_names": np.array(["a"] * 29)}, "its joints are not those of the robot"),
        (lambda a: {"joint_pos": -a["joint_pos"]}, "cm from where g1's joints put them"),
        (lambda a: {"body_pos_w": 100 * a["body_pos_w"]}, "cm from where g1's joints put them"),
    ],
)
def test_bad_archives_are_refused(tmp_path, g1, arrays, change, message):
    arrays |= change(arrays)
    np.savez(tmp_path / "bad.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(RobotError, match=r"bad\.npz: .*" + message):
        read_tracking(tmp_path / "bad.npz", g1, Reading())


def test_commands_take_it(tmp_path, run, arrays, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", **arrays)
    assert is_trajectory(tmp_path / "m.npz")
    code, _, err = run("inspect", "m.npz")
    assert code == 2
    assert "m.npz: it names no robot; say which one with --robot" in err
    code, out, err = run("inspect", "m.npz", "--robot", "g1", "--json")
    assert code == 0, err
    assert "taken in the order isaaclab" in err
    assert json.loads(out)["robot"] == "g1"
    code, _, err = run("convert", "m.npz", "m.bvh", "--robot", "g1", "--source-joints", "isaaclab")
    assert code == 0, err
    assert "note" not in err
    code, _, err = run("convert", "m.npz", "n.npz", "--robot", "g1", "--source-fps", "60")
    assert code == 0, err
    assert len(Motion.load(tmp_path / "n.npz")) == 30
    code, _, err = run("convert", "m.npz", "n.npz", "--robot", "g1", "--up", "y")
    assert code == 2


def test_degrees_and_centimetres_go_onto_another_robot(tmp_path, run, g1, dance, monkeypatch):
    monkeypatch.chdir(tmp_path)
    qpos = dance.mujoco_qpos()
    qpos[:, :3] *= 100
    qpos[:, 7:] = np.rad2deg(qpos[:, 7:])
    np.savetxt("g1.csv", qpos, delimiter=",")
    code, _, err = run(
        "retarget", "g1.csv", "--from-robot", "g1", "--robot", "talos", "-o", "t.npz"
    )
    assert code == 0, err
    assert "taken as centimetres" in err
    assert "taken as degrees" in err
    replace(dance, source="g1").save("own.npz")
    code, _, err = run("retarget", "own.npz", "--robot", "talos", "-o", "wanted.npz")
    assert code == 0, err
    gap = Trajectory.load("t.npz").qpos - Trajectory.load("wanted.npz").qpos
    assert np.abs(gap).max() < 1e-3
