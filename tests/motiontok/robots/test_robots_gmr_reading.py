"""Files with GMR's arrays: root_pos, root_rot (x, y, z, w), dof_pos, fps."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bvh import dataset, procedural
from bvh import rotations as rot
from bvh.motion_io import is_trajectory
from bvh.reading import Reading
from motiontok.errors import RobotError

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from motiontok.robots import load_robot, reading, retarget
from motiontok.robots.files.gmr_reading import read_gmr
from motiontok.robots.files.trajectory import wxyz_from_xyzw, xyzw_from_wxyz
from motiontok.robots.model.joint_orders import joint_order

pytestmark = pytest.mark.usefixtures("one_g1")


@pytest.fixture(scope="module")
def walk(g1):
    return heading(retarget(procedural.make("walk", seconds=2, seed=4), g1), 1.5)


def heading(trajectory, yaw):
    """The trajectory turned so that it first faces ``yaw``; both orders stand where it faces +X."""
    yaw = yaw - float(rot.yaw_of(trajectory.root_rotations[0]))
    turn = rot.from_axis_angle(np.array([0.0, 0.0, 1.0]), yaw)
    qpos = trajectory.qpos.copy()
    qpos[:, :3] = rot.rotate(turn, trajectory.root_positions)
    qpos[:, 3:7] = xyzw_from_wxyz(rot.multiply(turn, trajectory.root_rotations))
    return replace(trajectory, qpos=qpos)


def arrays(trajectory):
    return {
        "fps": 30,
        "root_pos": trajectory.root_positions,
        "root_rot": trajectory.qpos[:, 3:7],
        "dof_pos": trajectory.joints,
    }


@pytest.fixture
def file(walk, tmp_path):
    """What GMR's dict becomes with ``np.savez(path, **motion)``: it has two None."""
    path = tmp_path / "walk.npz"
    none = {"local_body_pos": None, "link_body_list": None}
    np.savez(path, **arrays(walk), **none)
    return path


def test_a_file_is_read_and_its_order_told(file, g1, walk):
    assert is_trajectory(file)
    found, told = read_gmr(file, g1, Reading())
    np.testing.assert_allclose(found.qpos, walk.qpos, atol=1e-6)
    assert (found.fps, found.robot, found.source) == (30.0, "g1", "walk")
    assert told == ["root_rot taken as x y z w, as GMR writes it: so the base stands upright"]
    assert read_gmr(file, g1, Reading(quaternion="xyzw", fps=50.0))[1] == []
    assert read_gmr(file, g1, Reading(fps=50.0))[0].fps == 50.0


def test_the_other_order_is_read_only_where_it_is_stated(tmp_path, g1, walk):
    path = tmp_path / "other.npz"
    given = arrays(walk) | {"root_rot": wxyz_from_xyzw(walk.qpos[:, 3:7])}
    np.savez(path, **given)
    with pytest.raises(RobotError, match=r"other\.npz: .* upright as w x y z: give .*--quat"):
        read_gmr(path, g1, Reading())
    found, told = read_gmr(path, g1, Reading(quaternion="wxyz"))
    np.testing.assert_allclose(found.qpos, walk.qpos, atol=1e-6)
    assert told == []
    np.savez(path, **given, quaternion="wxyz")
    np.testing.assert_allclose(read_gmr(path, g1, Reading())[0].qpos, walk.qpos, atol=1e-6)


def test_an_order_that_cannot_be_told_is_refused(tmp_path, g1, walk):
    # Who stands and faces +X stands in both orders, turned half around in one.
    still = np.repeat(walk.qpos[:1], 20, axis=0)
    still[:, 3:7] = [0.0, 0.0, 0.0, 1.0]
    path = tmp_path / "still.npz"
    np.savez(path, **arrays(replace(walk, qpos=still, contacts=None)))
    with pytest.raises(RobotError, match=r"still\.npz: the order of root_rot cannot be told"):
        read_gmr(path, g1, Reading())
    found, _ = read_gmr(path, g1, Reading(quaternion="xyzw"))
    np.testing.assert_allclose(found.qpos, still, atol=1e-6)


def test_joints_are_in_mujocos_order_or_as_named(tmp_path, talos_or_g1, walk):
    robot = talos_or_g1
    trajectory = heading(retarget(procedural.make("walk", seconds=1, seed=4), robot), 1.5)
    names = joint_order(robot, "mujoco")
    columns = [robot.joint_names.index(name) for name in names]
    path = tmp_path / "walk.npz"
    given = arrays(trajectory)
    np.savez(path, **given | {"dof_pos": trajectory.joints[:, columns]})
    found, told = read_gmr(path, robot, Reading())
    np.testing.assert_allclose(found.qpos, trajectory.qpos, atol=1e-6)
    assert any("MuJoCo's order" in line for line in told) == (names != robot.joint_names)
    back = list(reversed(robot.joint_names))
    np.savez(path, **given | {"dof_pos": trajectory.joints[:, ::-1]}, dof_names=back)
    np.testing.assert_allclose(read_gmr(path, robot, Reading())[0].qpos, trajectory.qpos, atol=1e-6)


@pytest.fixture(params=["g1", "talos"])
def talos_or_g1(request, g1):
    return g1 if request.param == "g1" else load_robot("talos")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dof_pos": np.zeros((60, 23))}, "dof_pos has 23 joints, g1 has 29"),
        ({"root_pos": np.zeros((59, 3))}, "root_pos has 59 frames, root_rot 60, dof_pos 60"),
        ({"root_pos": np.full((60, 3), np.nan)}, "root_pos: frame 0 holds a value that is not"),
        ({"root_rot": np.zeros((60, 4))}, "root_rot: its rows are not unit quaternions"),
        ({"root_rot": None}, "root_rot is an array of objects, and pickles are not loaded"),
        ({"fps": np.zeros(2)}, "fps: expected one number of frames a second"),
        ({"quaternion": "zyxw"}, "quaternion is 'zyxw', neither xyzw nor wxyz"),
        ({"dof_names": [f"j{k}" for k in range(29)]}, "dof_pos: its joints are not those of the"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, g1, walk, change, message):
    path = tmp_path / "odd.npz"
    np.savez(path, **arrays(walk) | change)
    with pytest.raises(RobotError) as caught:
        read_gmr(path, g1, Reading())
    assert str(caught.value).startswith(f"{path}: {message}")


def test_no_rate_is_guessed(tmp_path, g1, walk):
    given = arrays(walk)
    del given["fps"]
    np.savez(tmp_path / "odd.npz", **given)
    with pytest.raises(RobotError, match="states no fps: give the rate with --source-fps"):
        read_gmr(tmp_path / "odd.npz", g1, Reading())


def test_commands_and_sets_take_them(file, tmp_path, run, walk, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    code, _, said = run("convert", file, tmp_path / "walk.bvh")
    assert (code, "names no robot; say which one with --robot" in said) == (2, True)
    code, _, said = run("convert", file, tmp_path / "walk.bvh", "--robot", "g1")
    assert code == 0
    assert "walk.npz: root_rot taken as x y z w, as GMR writes it" in said
    code, out, _ = run("inspect", file, "--robot", "g1", "--json")
    assert (code, json.loads(out)["frames"]) == (0, len(walk))
    code, _, said = run("convert", file, tmp_path / "a.bvh", "--robot", "g1", "--strict")
    assert (code, "(an error with --strict)" in said) == (2, True)
    words = ("--robot", "g1", "--strict", "--quaternion", "xyzw")
    assert run("convert", file, tmp_path / "a.bvh", *words)[0] == 0
    data = dataset.load(file.parent, reading=reading(robot="g1", quaternion="xyzw"))
    assert "walk.npz" in data.names
