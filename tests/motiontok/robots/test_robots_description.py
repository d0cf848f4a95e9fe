"""Descriptions that say more than a tree of hinges: nothing of it is dropped in silence."""

from __future__ import annotations

import os
import struct
import threading

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

import pinocchio as pin

from bvh import procedural
from motiontok.errors import RobotError
from motiontok.robots import Follower, evaluate, load_robot, retarget
from motiontok.robots.kinematics.kinematics import Kinematics
from motiontok.robots.model.parser_output import parser_output
from motiontok.robots.solver.tasks import PoseTask
from motiontok.robots.targets import make_targets

MAP = """[follow]
Hips = "base"
LeftUpLeg = "l_thigh"
LeftLeg = "l_shank"
LeftFoot = "l_foot"
RightUpLeg = "r_thigh"
RightLeg = "r_shank"
RightFoot = "r_foot"
[sole]
heel = -0.1
toe = 0.2
width = 0.1
height = 0.08
"""


def legs(tmp_path, *, mimic='<mimic joint="{side}_knee" multiplier="1" offset="0"/>', extra="",
         limit='lower="-2" upper="2"', knee='lower="0" upper="1.2"'):  # fmt: skip
    """Two legs whose knees are two hinges, the second of which follows the first."""
    links, joints = ['<link name="base"/>'], []

    def add(link, joint, parent, axis, xyz, *, limit=limit, mimic=""):
        links.append(f'<link name="{link}"/>')
        joints.append(
            f'<joint name="{joint}" type="revolute"><parent link="{parent}"/><child link="{link}"/>'
            f'<origin xyz="{xyz}"/><axis xyz="{axis}"/>'
            f'<limit {limit} effort="1" velocity="5"/>{mimic}</joint>'
        )

    for side, y in (("l", 0.1), ("r", -0.1)):
        add(f"{side}_hip", f"{side}_roll", "base", "1 0 0", f"0 {y} 0")
        add(f"{side}_thigh", f"{side}_pitch", f"{side}_hip", "0 1 0", "0 0 0")
        add(f"{side}_mid", f"{side}_knee", f"{side}_thigh", "0 1 0", "0 0 -0.4", limit=knee)
        add(f"{side}_shank", f"{side}_knee2", f"{side}_mid", "0 1 0", "0 0 -0.03",
            mimic=mimic.format(side=side))  # fmt: skip
        add(f"{side}_foot", f"{side}_ankle", f"{side}_shank", "0 1 0", "0 0 -0.4")
    urdf, toml = tmp_path / "legs.urdf", tmp_path / "legs.toml"
    urdf.write_text(f'<robot name="legs">{extra}{"".join(links + joints)}</robot>')
    toml.write_text(MAP)
    return urdf, toml


@pytest.fixture
def coupled(tmp_path):
    urdf, toml = legs(tmp_path, mimic='<mimic joint="{side}_knee" multiplier="0.8" offset="0.05"/>')
    return load_robot(urdf, map=toml)


@pytest.fixture(scope="module")
def motion():
    return procedural.make("squat", seconds=1, seed=0)


def knees(robot, joints):
    """The two hinges of each knee ``(..., 2, 2)``."""
    names = robot.joint_names
    return np.stack(
        [joints[..., [names.index(f"{s}_knee"), names.index(f"{s}_knee2")]] for s in "lr"], axis=-2
    )


def test_a_joint_that_mimics_another_follows_it_in_every_frame(coupled, motion):
    trajectory = retarget(motion, coupled)
    assert trajectory.joint_names == coupled.joint_names
    assert len(coupled.joint_names) == 10
    found = knees(coupled, trajectory.joints)
    np.testing.assert_allclose(found[..., 1], 0.8 * found[..., 0] + 0.05, atol=1e-12)
    assert np.ptp(found[..., 0]) > 0.2, "knees bend, else nothing was tested"
    report = evaluate(trajectory, motion, coupled)
    assert report.limit_violation == 0
    assert report.speed_violations == 0
    assert report.position_error < 0.08


@pytest.mark.parametrize("look_ahead", [0.0, 0.3])
def test_so_it_does_one_frame_at_a_time(coupled, motion, look_ahead):
    follower = Follower(coupled, offsets=motion.offsets, look_ahead=look_ahead)
    q = np.stack(
        [follower.push(p, r) for p, r in zip(motion.root_positions, motion.rotations, strict=True)]
    )
    assert q.shape == (len(motion), 17)
    found = knees(coupled, q[:, 7:])
    np.testing.assert_allclose(found[..., 1], 0.8 * found[..., 0] + 0.05, atol=1e-12)
    assert np.ptp(found[..., 0]) > 0.2


def test_normal_equations_are_of_the_free_joints(coupled, motion):
    targets = make_targets(motion, coupled.calibration, coupled.map.weights)[:3]
    kinematics = Kinematics(coupled.model, targets.bodies, coupled.coupling)
    assert (kinematics.nq, kinematics.nv) == (15, 14)
    rng = np.random.default_rng(0)
    q = np.zeros((3, 15))
    q[:, :3] = targets.positions[:, 0]
    q[:, 6] = 1.0
    q[:, 7:] = rng.uniform(0.1, 0.5, (3, 8))
    task = PoseTask(kinematics, targets)

    def cost(step):
        return task.cost(kinematics.evaluate(kinematics.integrate(q, step)))

    state, system = kinematics.evaluate(q), kinematics.blank(3)
    task.add(state, system)
    _, gradient = kinematics.normal_equations(state.jacobians, system)
    h = 1e-6
    for k in range(14):
        step = np.zeros((3, 14))
        step[:, k] = h
        slope = (cost(step) - cost(-step)) / (2 * h)
        np.testing.assert_allclose(-2 * gradient[:, k], slope, rtol=1e-4, atol=1e-4)


def test_limits_hold_for_both(tmp_path, motion):
    # The second knee may bend by 0.3 rad only, so the first one may not go further.
    urdf, toml = legs(tmp_path, limit='lower="-2" upper="0.3"')
    robot = load_robot(urdf, map=toml)
    found = knees(robot, retarget(motion, robot).joints)
    assert found.max() <= 0.3 + 1e-9
    # A margin of 3 % of the range is kept free, and entered where targets press.
    assert found.max() > 0.2
    # Far apart, they leave nothing.
    urdf, toml = legs(tmp_path, mimic='<mimic joint="{side}_knee" offset="-9"/>')
    with pytest.raises(RobotError, match="l_knee and those that mimic it cannot all be within"):
        load_robot(urdf, map=toml)


@pytest.mark.parametrize(
    ("mimic", "reason"),
    [
        ('<mimic joint="nobody"/>', "l_knee2 mimics nobody, which is no moving joint"),
        ('<mimic joint="{side}_knee2"/>', "l_knee2 mimics itself"),
        ('<mimic joint="{side}_knee" multiplier="x"/>', "l_knee2 mimics another by multiplier='x'"),
        ('<mimic joint="{side}_knee" offset="nan"/>', "l_knee2 mimics another by offset='nan'"),
    ],
)
def test_bad_couplings_are_named(tmp_path, mimic, reason):
    urdf, toml = legs(tmp_path, mimic=mimic)
    with pytest.raises(RobotError, match=reason):
        load_robot(urdf, map=toml)


WORLD = (
    '<link name="world"/><joint name="stand" type="{kind}"><parent link="world"/>'
    '<child link="base"/><origin xyz="0 0 1"/></joint>'
)


@pytest.mark.parametrize("kind", ["fixed", "floating"])
def test_the_world_is_no_link_of_a_robot_that_moves(tmp_path, motion, kind):
    urdf, toml = legs(tmp_path)
    plain = load_robot(urdf, map=toml)
    urdf, toml = legs(tmp_path, extra=WORLD.format(kind=kind))
    robot = load_robot(urdf, map=toml)
    (remark,) = robot.remarks
    assert "link world" in remark
    assert f"{kind} joint stand" in remark
    assert "base is base" in remark
    assert robot.joint_names == plain.joint_names
    # The base's pose is the robot's, not that of a link a metre below it.
    data = robot.model.createData()
    pin.framesForwardKinematics(robot.model, data, pin.neutral(robot.model))
    base = data.oMf[robot.model.getFrameId("base")]
    np.testing.assert_allclose(base.homogeneous, np.eye(4), atol=1e-12)
    assert plain.remarks == ()


def test_joints_that_are_not_supported_are_named(tmp_path):
    urdf, toml = legs(tmp_path, extra=WORLD.format(kind="planar"))
    with pytest.raises(RobotError, match="joint stand, which is planar, on link world"):
        load_robot(urdf, map=toml)
    urdf, toml = legs(tmp_path)
    urdf.write_text(
        urdf.read_text().replace('"l_ankle" type="revolute"', '"l_ankle" type="planar"')
    )
    with pytest.raises(RobotError, match="joint l_ankle is planar: only revolute"):
        load_robot(urdf, map=toml)


def test_what_the_parser_leaves_out_is_remarked_and_not_written_past_everyone(tmp_path, capfd):
    urdf, toml = legs(tmp_path)
    text = urdf.read_text()
    urdf.write_text(text.replace('<link name="l_foot"/>', """<link name="l_foot"><inertial>
        <mass value="1"/></inertial></link>"""))  # fmt: skip
    remarks = load_robot(urdf, map=toml).remarks
    assert remarks == (
        "Could not parse inertial element for Link [l_foot] (Inertial element must have inertia "
        "element); it is left out",
    )
    assert capfd.readouterr().err == ""


def test_a_broken_tree_is_refused_in_the_parsers_words(tmp_path, capfd):
    urdf, toml = legs(tmp_path)
    urdf.write_text(urdf.read_text().replace('parent link="l_mid"', 'parent link="nowhere"'))
    with pytest.raises(RobotError, match=r"legs\.urdf: .*parent link \[nowhere\] of joint \[l_k"):
        load_robot(urdf, map=toml)
    assert capfd.readouterr().err == ""


def test_threads_that_read_descriptions_leave_standard_error_as_it_was():
    before = os.fstat(2)
    inside, both, leave, end = (threading.Event() for _ in range(4))

    def read(entered, may_leave):
        with parser_output():
            entered.set()
            may_leave.wait(20)

    threads = [
        threading.Thread(target=read, args=events) for events in ((inside, leave), (both, end))
    ]
    threads[0].start()
    assert inside.wait(20)
    threads[1].start()
    both.wait(0.2)  # long enough to come in where it may not
    for thread, may_leave in zip(threads, (leave, end), strict=True):
        may_leave.set()
        thread.join(20)
    assert os.path.samestat(os.fstat(2), before)


@pytest.mark.parametrize("knee", ['lower="1" upper="-1"', 'lower="nan" upper="1"'])
def test_limits_the_wrong_way_round_are_refused(tmp_path, knee):
    urdf, toml = legs(tmp_path, knee=knee)
    with pytest.raises(RobotError, match=r"joint l_knee has limits from .* the lower one must be"):
        load_robot(urdf, map=toml)


def test_meshes_in_millimetres_are_refused_with_the_cure(tmp_path):
    triangles = np.array(
        [[[0, 0, 0], [200, 0, 0], [0, 200, 0]], [[0, 0, 0], [0, 200, 0], [0, 0, 90]]]
    )
    body = b"".join(struct.pack("<12fH", 0, 0, 1, *t.ravel(), 0) for t in triangles.astype(float))
    (tmp_path / "box.stl").write_bytes(bytes(80) + struct.pack("<I", 2) + body)
    for scale, fits in (("", False), ('scale="0.001 0.001 0.001"', True)):
        shape = f'<visual><geometry><mesh filename="box.stl" {scale}/></geometry></visual>'
        urdf, toml = legs(tmp_path)
        text = urdf.read_text().replace('<link name="base"/>', f'<link name="base">{shape}</link>')
        urdf.write_text(text)
        robot = load_robot(urdf, map=toml)
        if fits:
            assert len(robot.visual.geometryObjects) == 1
        else:
            with pytest.raises(RobotError, match=r'box\.stl .*millimetres.*scale="0\.001'):
                robot.visual  # noqa: B018
