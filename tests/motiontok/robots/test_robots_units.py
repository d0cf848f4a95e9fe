"""Tables of other tools: units, titles, orders and counts are told, said, or asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bvh.reading import Reading
from motiontok.errors import RobotError
from motiontok.robots.files.tables import read_table
from motiontok.robots.files.trajectory import wxyz_from_xyzw

NAMES = ("left_knee_joint", "right_knee_joint", "waist_yaw_joint")
LIMITS = (np.array([-0.1, -0.1, -2.6]), np.array([2.9, 2.9, 2.6]))


@pytest.fixture
def rows():
    """A base that turns and sways 0.8 m over the floor, and knees that bend to 86 degrees."""
    time = np.arange(50) / 50
    turns = Rotation.from_euler("ZYX", np.stack([1.2 + time, 0.1 * np.sin(time), 0 * time], -1))
    place = np.stack([time, 0 * time, 0.8 + 0.02 * np.sin(9 * time)], -1)
    joints = np.stack([1.5 * time, 1.5 * (1 - time), 0.5 - time], -1)
    return np.concatenate([place, turns.as_quat(), joints], axis=1)


def write(path, rows, *, above="", mark=","):
    body = "\n".join(mark.join(f"{x:.8g}" for x in row) for row in rows)
    path.write_text(above + body + "\n", encoding="utf-8")


def read(path, limits=LIMITS, sliding=None, **how):
    return read_table(
        path,
        robot="toy",
        joint_names=NAMES,
        reading=Reading(**how),
        limits=limits,
        sliding=sliding,
    )


def test_metres_and_radians_are_taken_without_a_word(tmp_path, rows):
    write(tmp_path / "r.csv", rows)
    table = read(tmp_path / "r.csv")
    np.testing.assert_allclose(table.qpos, rows, atol=1e-6)
    assert all("taken as x y z w" in line or "no rate" in line for line in table.assumed)


def test_joints_that_slide_have_no_degrees(tmp_path, rows):
    other = rows.copy()
    other[:, 7:9] = np.rad2deg(other[:, 7:9])
    write(tmp_path / "r.csv", other)
    sliding = np.array([False, False, True])
    for how in ({}, {"angles": "degrees"}):
        table = read(tmp_path / "r.csv", sliding=sliding, **how)
        np.testing.assert_allclose(table.qpos, rows, atol=1e-6)


@pytest.mark.parametrize(("unit", "name"), [(100, "centimetres"), (1000, "millimetres")])
def test_a_base_as_high_as_no_robot_tells_its_unit(tmp_path, rows, unit, name):
    other = rows.copy()
    other[:, :3] *= unit
    write(tmp_path / "r.csv", other)
    table = read(tmp_path / "r.csv")
    np.testing.assert_allclose(table.qpos, rows, atol=1e-5)
    assert f"base positions taken as {name}: it is {0.8 * unit:.0f}"[:-2] in table.assumed[1 + 1]
    said = read(tmp_path / "r.csv", scale=1 / unit)
    np.testing.assert_allclose(said.qpos, table.qpos)
    assert not any(name in line for line in said.assumed)


def test_a_height_of_no_unit_is_refused_with_the_option(tmp_path, rows):
    rows[:, 2] += 9
    write(tmp_path / "r.csv", rows)
    with pytest.raises(RobotError, match=r"r\.csv: its base is 9\.8\d* high, .*--scale"):
        read(tmp_path / "r.csv")
    np.testing.assert_allclose(read(tmp_path / "r.csv", scale=1.0).qpos, rows, atol=1e-6)


def test_joints_beyond_their_limits_are_degrees(tmp_path, rows):
    other = rows.copy()
    other[:, 7:] = np.rad2deg(other[:, 7:])
    write(tmp_path / "r.csv", other)
    table = read(tmp_path / "r.csv")
    np.testing.assert_allclose(table.qpos, rows, atol=1e-6)
    assert table.assumed[-1].startswith(
        "joint values taken as degrees: right_knee_joint reaches 85"
    )
    said = read(tmp_path / "r.csv", angles="degrees")
    np.testing.assert_allclose(said.qpos, rows, atol=1e-6)
    assert not any("degrees" in line for line in said.assumed)


def test_joints_beyond_them_in_both_are_refused_unless_said(tmp_path, rows):
    rows[:, 7] = -40 + rows[:, 7]
    write(tmp_path / "r.csv", rows)
    with pytest.raises(
        RobotError, match=r"left_knee_joint goes from -40 .*another order\? --angles"
    ):
        read(tmp_path / "r.csv")
    table = read(tmp_path / "r.csv", angles="radians")
    np.testing.assert_allclose(table.qpos, rows, atol=1e-5)
    assert "left_knee_joint goes from -40" in table.assumed[-1]


def test_joints_a_little_beyond_are_told(tmp_path, rows):
    rows[:, 9] = 2.8
    write(tmp_path / "r.csv", rows)
    table = read(tmp_path / "r.csv")
    np.testing.assert_allclose(table.qpos, rows, atol=1e-6)
    assert table.assumed[-1] == (
        "waist_yaw_joint goes from 2.8 to 2.8, and its limits are -2.6 to 2.6"
    )


@pytest.mark.parametrize(
    ("above", "mark"),
    [
        ("x,y,z,qx,qy,qz,qw,left_knee,right_knee,waist_yaw\n", ","),
        ("my robot\nx,y,z,qx,qy,qz,qw,left_knee_joint,right_knee_joint,waist_yaw_joint\n", ","),
        ("# x y z qx qy qz qw left_knee_joint right_knee_joint waist_yaw_joint\n", " "),
        ("# by a tool, 50 Hz\n\n", ","),
        ("\ufeffa;b;c;d;e;f;g;joint_0;joint_1;joint_2\n", ";"),
        ("", "\t"),
    ],
)
def test_titles_and_marks_of_other_tools(tmp_path, rows, above, mark):
    write(tmp_path / "r.csv", rows, above=above, mark=mark)
    np.testing.assert_allclose(read(tmp_path / "r.csv").qpos, rows, atol=1e-6)


def test_titles_say_order_units_and_joints(tmp_path, rows):
    other = rows[:, [0, 1, 2, 6, 3, 4, 5, 8, 7, 9]].copy()
    other[:, :3] *= 100
    other[:, 7:] = np.rad2deg(other[:, 7:])
    names = "x_cm,y_cm,z_cm,q_w,q_x,q_y,q_z"
    joints = "right_knee (deg),left_knee (deg),waist_yaw (deg)"
    write(tmp_path / "r.csv", other, above=f"{names},{joints}\n")
    table = read(tmp_path / "r.csv")
    np.testing.assert_allclose(table.qpos, rows, atol=1e-5)
    assert table.assumed == ("states no rate; 30 frames a second assumed",)


def test_w_first_may_be_said_where_the_base_does_not_show_it(tmp_path, rows):
    rows[:, 3:7] = [0.0, 0.0, 1.0, 0.0]
    other = rows.copy()
    other[:, 3:7] = wxyz_from_xyzw(rows[:, 3:7])
    other[:, 0] = 0
    write(tmp_path / "r.csv", other)
    with pytest.raises(RobotError, match="give it with --quaternion"):
        read(tmp_path / "r.csv")
    found = read(tmp_path / "r.csv", quaternion="wxyz")
    np.testing.assert_allclose(found.qpos[:, 3:7], rows[:, 3:7], atol=1e-6)


@pytest.mark.parametrize(("column", "fps"), [(np.arange(50), 30.0), (np.arange(50) / 25, 25.0)])
def test_a_column_that_counts_is_left_out(tmp_path, rows, column, fps):
    write(tmp_path / "r.csv", np.column_stack([column, rows]))
    table = read(tmp_path / "r.csv")
    np.testing.assert_allclose(table.qpos, rows, atol=1e-6)
    assert table.fps == pytest.approx(fps)
    assert "and left out" in table.assumed[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x,y,z\n1,2\n", "2 columns instead of 10"),
        (
            "a,b,c,d,e,f,g,pan,tilt,roll\n0,0,1,0,0,0.6,0.8,0,0,0\n",
            "without left_knee_joint, with pan",
        ),
        ("0,0,1,0,0,0,1,0,0\n0,0,1,0,0,0,1,0,0,0\n", "not a table of numbers"),
        ("0,0,1,0,0,0,1,oops,0,0\n0,0,1,0,0,0,1,0,0,0\n", "not a table of numbers"),
        ("# nothing\n", "no rows"),
        ("\x00\x01", "not a table of numbers"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, reason):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(RobotError, match=reason):
        read(tmp_path / "r.csv")
