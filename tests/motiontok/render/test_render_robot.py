"""Robots are drawn with their own shapes, from a cache that is never trusted blindly."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

pin = pytest.importorskip("pinocchio", reason="robots need: pip install 'motiontok[robot]'")

from motiontok.errors import RenderError, RobotError  # noqa: E402
from motiontok.render import RobotActor  # noqa: E402
from motiontok.render.meshes import cache_dir, robot_parts  # noqa: E402

URDF = """<?xml version="1.0"?>
<robot name="toy">
  <link name="base">
    <visual><origin xyz="0 0 0.5"/><geometry><box size="0.2 0.4 0.6"/></geometry>
      <material name="red"><color rgba="0.9 0.1 0.1 1"/></material></visual>
    <visual><geometry><mesh filename="{mesh}" scale="2 -2 2"/></geometry>
      <material name="blue"><color rgba="0.1 0.1 0.9 1"/></material></visual>
  </link>
  <link name="arm">
    <visual><origin xyz="1 0 0" rpy="0 1.5707963267948966 0"/>
      <geometry><cylinder radius="0.1" length="0.8"/></geometry></visual>
  </link>
  <link name="tip">
    <visual><geometry><sphere radius="0.25"/></geometry></visual>
  </link>
  <joint name="hinge" type="revolute"><parent link="base"/><child link="arm"/>
    <axis xyz="0 0 1"/><limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
  <joint name="weld" type="fixed"><parent link="arm"/><child link="tip"/>
    <origin xyz="0 0 2"/></joint>
</robot>
"""

WEDGE = """v 0 0 0
v 1 0 0
v 0 1 0
v 0 0 1
f 1 3 2
f 1 2 4
f 1 4 3
f 2 3 4
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mesh = tmp_path / "wedge.obj"
    mesh.write_text(WEDGE)
    urdf = tmp_path / "toy.urdf"
    urdf.write_text(URDF.format(mesh=mesh))
    model = pin.buildModelFromUrdf(str(urdf), pin.JointModelFreeFlyer())

    def visual() -> object:
        return pin.buildGeomFromUrdf(model, str(urdf), pin.GeometryType.VISUAL)

    tree = ElementTree.parse(urdf).getroot()
    return SimpleNamespace(
        name="toy", urdf=urdf, tree=tree, model=model, visual=visual(), mesh=mesh
    )


def bounds(points: np.ndarray) -> np.ndarray:
    return np.array([points.min(0), points.max(0)])


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.sum(np.cross(a, b) * c) / 6)


def test_shapes_have_their_sizes_places_and_colours(toy: SimpleNamespace) -> None:
    bodies, parts = robot_parts(toy)
    assert len(bodies) == len(parts) == 2, "what is welded on moves along"
    base, arm = parts
    red = base.colors[:, 0] > 0.8
    np.testing.assert_allclose(
        bounds(base.vertices[red]), [[-0.1, -0.2, 0.2], [0.1, 0.2, 0.8]], atol=1e-5
    )
    # A mirrored mesh keeps its outside outside.
    np.testing.assert_allclose(bounds(base.vertices[~red]), [[0, -2, 0], [2, 0, 2]], atol=1e-5)
    wedge = base.faces[~red[base.faces[:, 0]]]
    assert volume(base.vertices, wedge) == pytest.approx(8 / 6, rel=1e-4)
    rod = arm.vertices[:, 2] < 1
    np.testing.assert_allclose(
        bounds(arm.vertices[rod]), [[0.6, -0.1, -0.1], [1.4, 0.1, 0.1]], atol=1e-3
    )
    np.testing.assert_allclose(
        bounds(arm.vertices[~rod]), [[-0.25, -0.25, 1.75], [0.25, 0.25, 2.25]], atol=5e-3
    )
    for part in parts:
        np.testing.assert_allclose(np.linalg.norm(part.normals, axis=1), 1, atol=1e-4)


def test_poses_follow_the_joints(toy: SimpleNamespace) -> None:
    qpos = np.array([[0, 0, 0, 0, 0, 0, 1, 0], [1, 2, 3, 0, 0, 0, 1, np.pi / 2]], dtype=float)
    actor = RobotActor(toy, qpos, fps=50)
    assert (len(actor), actor.fps, actor.label) == (2, 50, "toy")
    np.testing.assert_allclose(actor.poses(0), np.tile(np.eye(4), (2, 1, 1)), atol=1e-12)
    base, arm = actor.poses(1)
    np.testing.assert_allclose(base[:3, 3], [1, 2, 3])
    np.testing.assert_allclose(arm @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)
    np.testing.assert_allclose(actor.roots()[1, :3, 3], [1, 2, 3])
    halfway, arm = actor.poses(0.5)
    np.testing.assert_allclose(halfway[:3, 3], [0.5, 1, 1.5])
    turned = np.sqrt(0.5)
    np.testing.assert_allclose(arm @ [1, 0, 0, 1], [0.5 + turned, 1 + turned, 1.5, 1], atol=1e-9)


def test_between_frames_the_base_turns_the_short_way(toy: SimpleNamespace) -> None:
    start, end = np.array([0, 0, 0.1, 1.0]), -np.array([0, 0, 0.3, 1.0])
    qpos = np.zeros((2, 8))
    qpos[0, 3:7], qpos[1, 3:7] = start / np.linalg.norm(start), end / np.linalg.norm(end)
    base = RobotActor(toy, qpos, fps=50).poses(0.5)[0]
    yaw = np.arctan2(base[1, 0], base[0, 0])
    assert yaw == pytest.approx(np.arctan(0.1) + np.arctan(0.3), abs=1e-9)


@pytest.mark.parametrize(
    ("qpos", "words"),
    [
        (np.zeros((0, 8)), "no frames"),
        (np.zeros((4, 9)), r"\(frames, 8\), got \(4, 9\)"),
        (np.full((3, 8), np.nan), "frame 0 is not finite"),
    ],
)
def test_bad_trajectories(toy: SimpleNamespace, qpos: np.ndarray, words: str) -> None:
    with pytest.raises(RenderError, match=words):
        RobotActor(toy, qpos, fps=30)


def test_cache_gives_the_same_and_heals(toy: SimpleNamespace) -> None:
    first = robot_parts(toy)
    (stored,) = (cache_dir() / "meshes").iterdir()

    def same(again: tuple) -> bool:
        return again[0] == first[0] and all(
            np.array_equal(a.vertices, b.vertices) and np.array_equal(a.faces, b.faces)
            for a, b in zip(again[1], first[1], strict=True)
        )

    shapes, toy.visual = toy.visual, None
    assert same(robot_parts(toy)), "read back without the geometry model"
    toy.visual = shapes
    for damage in (b"", b"PK\x03\x04 broken", stored.read_bytes()[:500]):
        stored.write_bytes(damage)
        assert same(robot_parts(toy))


def test_a_changed_mesh_is_read_again(toy: SimpleNamespace) -> None:
    _, before = robot_parts(toy)
    toy.mesh.write_text(WEDGE.replace("v 0 0 1", "v 0 0 3"))
    os.utime(toy.mesh, ns=(1, 1))
    toy.visual = pin.buildGeomFromUrdf(toy.model, str(toy.urdf), pin.GeometryType.VISUAL)
    _, after = robot_parts(toy)
    assert after[0].vertices[:, 2].max() == pytest.approx(6.0)
    assert before[0].vertices[:, 2].max() == pytest.approx(2.0)


def test_no_cache_folder_is_no_failure(
    toy: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
    assert robot_parts(toy)[0]


def test_a_robot_without_shapes_becomes_capsules(toy: SimpleNamespace) -> None:
    toy.visual = pin.GeometryModel()
    bodies, parts = robot_parts(toy)
    assert bodies == [1, 2]
    assert all(len(p.faces) > 50 for p in parts)
    model = pin.buildSampleModelHumanoid()
    from motiontok.render.sticks import stick_parts

    bodies, parts = stick_parts(model)
    for joint in range(2, model.njoints):
        # The parent's capsule reaches to where the joint sits.
        tip = model.jointPlacements[joint].translation
        points = parts[bodies.index(int(model.parents[joint]))].vertices
        assert np.linalg.norm(points - tip, axis=1).min() < 0.06


@pytest.mark.usefixtures("one_g1")
def test_g1_has_few_triangles_and_its_own_size() -> None:
    from motiontok.robots import load_robot

    try:
        robot = load_robot("g1")
    except RobotError as error:
        pytest.skip(str(error))
    neutral = np.zeros((1, robot.model.nq))
    neutral[0, 6] = 1.0
    actor = RobotActor(robot, neutral, fps=30)
    fine, coarse = (sum(len(p.faces) for p in actor.meshes(fine=f)) for f in (True, False))
    assert 5_000 < coarse < 12_000 < fine < 35_000
    assert actor.height == pytest.approx(1.32, abs=0.03), "the maker states 1.32 m"
