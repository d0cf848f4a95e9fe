"""Tables of trajectories come back as they were, whoever wrote them; else they are refused."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bvh.archives import sidecar_of
from motiontok.errors import RobotError
from motiontok.robots.files.tables import read_table
from motiontok.robots.files.trajectory import Trajectory

NAMES = ("a", "b", "c")


def moving(yaws, *, tilt=0.1, fps=50.0, speed=0.0):
    """A base that turns and sways, and goes where it faces; and three joints."""
    time = np.arange(len(yaws)) / fps
    sway = np.stack([tilt * np.sin(3 * time), tilt * np.cos(2 * time)], -1)
    turns = Rotation.from_euler("ZYX", np.column_stack([yaws, sway]))
    ahead = np.cumsum(speed / fps * np.stack([np.cos(yaws), np.sin(yaws)], -1), axis=0)
    place = np.column_stack([ahead, 0.8 + 0 * time])
    joints = np.sin(time[:, None] * [1, 2, 3])
    qpos = np.concatenate([place, turns.as_quat(), joints], axis=1)
    return Trajectory(qpos, NAMES, fps, "toy", "clip")


def read(path, **how):
    return Trajectory.load_csv(path, robot="toy", joint_names=NAMES, **how)


@pytest.mark.parametrize("order", ["pinocchio", "mujoco"])
def test_a_table_with_its_sidecar_comes_back_as_it_was(tmp_path, order):
    # Standing as it is read in either order: the numbers alone would not tell it.
    trajectory = moving(np.full(40, np.pi if order == "mujoco" else 0.0))
    trajectory.save(tmp_path / "r.csv", order=order)
    back = read(tmp_path / "r.csv")
    np.testing.assert_allclose(back.qpos, trajectory.qpos, atol=1e-7)
    assert (back.fps, back.robot, back.source) == (50.0, "toy", "clip")
    assert read_table(tmp_path / "r.csv", robot="toy", joint_names=NAMES).assumed == ()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.csv", "r.csv.json"]
    assert read(tmp_path / "r.csv", fps=25).fps == 25


def test_a_sidecar_of_another_table_is_refused(tmp_path):
    path = tmp_path / "r.csv"
    moving(np.ones(20)).save(path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(RobotError, match=r"r\.csv\.json: describes 20 frames, the table has 17"):
        read(path)


def table_of(trajectory, order):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.csv"
        trajectory.save(path, order=order)
        sidecar_of(path).unlink()
        return read_table(path, robot="toy", joint_names=NAMES)


@settings(max_examples=25)
@given(start=st.floats(0.8, 2.3), turn=st.floats(-0.2, 0.2), side=st.sampled_from([-1, 1]))
@pytest.mark.parametrize("order", ["pinocchio", "mujoco"])
def test_without_one_the_order_is_that_in_which_the_base_stands(order, start, turn, side):
    trajectory = moving(side * (start + turn * np.linspace(0, 1, 40)))
    table = table_of(trajectory, order)
    np.testing.assert_allclose(table.qpos, trajectory.qpos, atol=1e-7)
    assert table.fps == 30.0
    assert len(table.assumed) == 2


def test_who_lies_passes_in_no_order_for_one_who_stands():
    for pitch in (-2.1, -1.57, 1.57):
        q = [np.cos(pitch / 2), 0.0, np.sin(pitch / 2), 0.0]
        qpos = moving(np.zeros(40)).qpos
        qpos[:, 3:7] = [*q[1:], q[0]]
        trajectory = replace(moving(np.zeros(40)), qpos=qpos)
        for order in ("pinocchio", "mujoco"):
            with pytest.raises(RobotError, match="cannot be told"):
                table_of(trajectory, order)


def test_or_that_in_which_it_faces_where_it_goes():
    trajectory = moving(np.linspace(-0.2, 0.2, 100), tilt=0.05, speed=1.2)
    np.testing.assert_allclose(table_of(trajectory, "pinocchio").qpos, trajectory.qpos, atol=1e-7)
    np.testing.assert_allclose(table_of(trajectory, "mujoco").qpos, trajectory.qpos, atol=1e-7)
    # Backwards it may be either.
    with pytest.raises(RobotError, match="cannot be told"):
        table_of(moving(np.zeros(100), tilt=0.05, speed=-1.2), "pinocchio")
    with pytest.raises(RobotError, match="cannot be told"):
        table_of(moving(np.full(100, np.pi), tilt=0.05, speed=1.2), "mujoco")


def test_an_order_that_cannot_be_told_is_refused_with_the_cure(tmp_path):
    path = tmp_path / "r.csv"
    for order, word, yaw in (("pinocchio", "xyzw", 0.0), ("mujoco", "wxyz", np.pi)):
        trajectory = moving(np.full(40, yaw), tilt=0.02)
        trajectory.save(path, order=order)
        sidecar_of(path).unlink()
        with pytest.raises(RobotError, match=r'"quaternion": "xyzw".*into r\.csv\.json'):
            read(path)
        sidecar_of(path).write_text(json.dumps({"quaternion": word}))
        np.testing.assert_allclose(read(path).qpos, trajectory.qpos, atol=1e-7)


def test_joints_in_another_order_are_matched_by_name(tmp_path):
    trajectory = moving(np.ones(20))
    shuffled = trajectory.in_order(("c", "a", "b"))
    np.testing.assert_array_equal(shuffled.joints, trajectory.joints[:, [2, 0, 1]])
    path = tmp_path / "r.csv"
    shuffled.save(path)
    np.testing.assert_allclose(read(path).qpos, trajectory.qpos, atol=1e-7)
    # Or by a header line.
    rows = path.read_text()
    sidecar_of(path).unlink()
    path.write_text("x,y,z,qx,qy,qz,qw,c,a,b\n" + rows)
    np.testing.assert_allclose(read(path).qpos, trajectory.qpos, atol=1e-7)
    with pytest.raises(RobotError, match=r"its joints are not .*\(without d, with c\)"):
        Trajectory.load_csv(path, robot="toy", joint_names=("a", "b", "d"))
    with pytest.raises(RobotError, match=r"its joints are not .*\(with c\)"):
        trajectory.in_order(("a", "a", "b"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"quaternion": "zyxw"}', "neither xyzw nor wxyz"),
        ('{"fps": -1}', "fps is -1"),
        ('{"fps": 1e-300}', "fps is 1e-300"),
        ('{"fps": 1e300}', "fps is 1e+300"),
        ('{"fps": ' + 400 * "9" + "}", "too large"),
        ('{"fps": "fast"}', "fast"),
        ("[]", "expected an object"),
        ("{", "not the sidecar of a trajectory"),
        ('{"joint_names": 3}', "not iterable"),
    ],
)
def test_a_damaged_sidecar_is_named(tmp_path, text, reason):
    path = tmp_path / "r.csv"
    moving(np.zeros(5)).save(path)
    sidecar_of(path).write_text(text)
    with pytest.raises(RobotError, match=r"r\.csv\.json: not the sidecar") as caught:
        read(path)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no rows"),
        ("1,2\n3\n", "not a table of numbers"),
        ("1,2,3\n", "3 columns instead of 10"),
        ("0,0,0,1,1,1,1,0,0,0\n", "not unit quaternions"),
        ("0,0,nan,0,0,0,1,0,0,0\n", "frame 0 holds a value that is not finite"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, reason):
    path = tmp_path / "r.csv"
    path.write_text(text)
    with pytest.raises(RobotError, match=reason):
        read(path)
