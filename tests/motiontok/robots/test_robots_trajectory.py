"""Trajectory files: every order says which it is, nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from motiontok.errors import RobotError
from motiontok.robots.files.trajectory import Trajectory, wxyz_from_xyzw, xyzw_from_wxyz


@pytest.fixture
def trajectory():
    rng = np.random.default_rng(0)
    time = np.arange(40) / 30
    turn = Rotation.from_rotvec(np.stack([0.3 * time, 0.1 * time, 2.0 * time], -1))
    joints = np.sin(time[:, None] * rng.uniform(1, 4, 3))
    qpos = np.concatenate([np.stack([time, 0 * time, 1 + 0 * time], -1), turn.as_quat(), joints], 1)
    return Trajectory(qpos, ("a", "b", "c"), 30.0, "toy", "clip")


def test_quaternion_orders():
    q = Rotation.from_rotvec([0.1, 0.2, 0.3]).as_quat()  # scipy is (x, y, z, w)
    np.testing.assert_allclose(
        wxyz_from_xyzw(q), Rotation.from_quat(q).as_quat(scalar_first=True), atol=1e-12
    )
    np.testing.assert_array_equal(xyzw_from_wxyz(wxyz_from_xyzw(q)), q)


@pytest.mark.parametrize("order", ["pinocchio", "mujoco"])
def test_npz_round_trip(tmp_path, trajectory, order):
    path = tmp_path / "robot.npz"
    trajectory.save(path, order=order)
    back = Trajectory.load(path)
    np.testing.assert_array_equal(back.qpos, trajectory.qpos)
    assert back.joint_names == ("a", "b", "c")
    assert (back.fps, back.robot, back.source) == (30.0, "toy", "clip")
    with np.load(path, allow_pickle=False) as data:
        assert str(data["frame"]) == "world_from_base"
        scalar = data["qpos"][:, 6 if order == "pinocchio" else 3]
        np.testing.assert_allclose(scalar, trajectory.root_rotations[:, 0], atol=1e-12)


@pytest.mark.parametrize("file", ["robot.npz", "robot.csv"])
def test_quaternions_of_few_digits_are_scaled_to_unit_length(tmp_path, trajectory, file):
    # Kinematics would stretch the robot by twice what is missing.
    short = trajectory.qpos.copy()
    short[:, 3:7] *= 0.995
    replace(trajectory, qpos=short).save(tmp_path / file)
    if file == "robot.npz":
        found = Trajectory.load(tmp_path / file)
    else:
        found = Trajectory.load_csv(tmp_path / file, robot="toy", joint_names=("a", "b", "c"))
    np.testing.assert_allclose(found.qpos, trajectory.qpos, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.qpos[:, 3:7], axis=1), 1.0, atol=1e-12)


def test_csv_is_xyz_xyzw_joints(tmp_path, trajectory):
    trajectory.save(tmp_path / "robot.csv")
    rows = np.loadtxt(tmp_path / "robot.csv", delimiter=",")
    np.testing.assert_allclose(rows, trajectory.qpos, atol=1e-6)


def test_velocities_are_those_of_the_movement(trajectory):
    linear, angular = trajectory.root_velocities()
    np.testing.assert_allclose(linear, np.tile([1.0, 0, 0], (40, 1)), atol=1e-9)
    np.testing.assert_allclose(angular, np.tile([0.3, 0.1, 2.0], (40, 1)), atol=1e-6)
    middle = trajectory.joint_velocities()[1:-1]
    np.testing.assert_allclose(
        middle, (trajectory.joints[2:] - trajectory.joints[:-2]) * 15, atol=1e-12
    )


def test_resampling_keeps_the_movement(trajectory):
    fine = trajectory.resample(50)
    assert len(fine) == 66
    assert fine.fps == 50
    time = np.arange(66) / 50
    slerp = Slerp(np.arange(40) / 30, Rotation.from_quat(trajectory.qpos[:, 3:7]))(time)
    assert ((slerp.inv() * Rotation.from_quat(fine.qpos[:, 3:7])).magnitude() < 1e-9).all()
    np.testing.assert_allclose(fine.qpos[:, 0], time, atol=1e-12)
    with pytest.raises(RobotError, match="fps"):
        trajectory.resample(0)


def test_bad_trajectories_and_files_are_refused(tmp_path, trajectory):
    with pytest.raises(RobotError, match="shape"):
        Trajectory(np.zeros((3, 9)), ("a",), 30.0, "toy")
    broken = trajectory.qpos.copy()
    broken[7, 3] = np.nan
    with pytest.raises(RobotError, match="frame 7"):
        Trajectory(broken, trajectory.joint_names, 30.0, "toy")
    with pytest.raises(RobotError, match=r"\.npz or \.csv"):
        trajectory.save(tmp_path / "robot.txt")
    with pytest.raises(RobotError, match="no such file"):
        Trajectory.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(RobotError, match="not a robot trajectory"):
        Trajectory.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(RobotError, match="not a robot trajectory"):
        Trajectory.load(tmp_path / "other.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.npz", "text.npz"]
