"""Self-collision: distances are coal's, and overlapping bodies are parted."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

import pinocchio as pin
from hard_motions import hands_in_the_belly

from motiontok.robots import retarget
from motiontok.robots.limits.self_collision import SelfCollision, _between_segments, _capsule
from motiontok.robots.limits.support_table import SupportTable
from motiontok.robots.model.geometry import simplified_hull
from motiontok.robots.reports.report import evaluate
from motiontok.robots.retargeting import t_pose


def balls():
    """Two balls of radius 0.1 on sliders, a third body between them."""
    slider = (
        '<joint name="{0}" type="prismatic"><parent link="{1}"/><child link="{2}"/>'
        '<origin xyz="0 {3} 0"/><axis xyz="0 1 0"/>'
        '<limit lower="-2" upper="2" effort="1" velocity="1"/></joint>'
    )
    shape = '<collision><geometry><sphere radius="0.1"/></geometry></collision>'
    text = (
        '<robot name="balls"><link name="base"/><link name="m"/>'
        f'<link name="a">{shape}</link><link name="b">{shape}</link>'
        + slider.format("mid", "base", "m", 0)
        + slider.format("ja", "m", "a", 1)
        + slider.format("jb", "base", "b", -1)
        + "</robot>"
    )
    model = pin.buildModelFromXML(text, pin.JointModelFreeFlyer())
    return model, pin.buildGeomFromUrdfString(model, text, pin.GeometryType.COLLISION)


def test_distances_points_and_normals_of_two_balls():
    model, geometry = balls()
    collision = SelfCollision(model, geometry)
    assert len(collision.pairs) == 1
    q = np.stack([pin.neutral(model)] * 3)
    joint = model.joints[model.getJointId("jb")].idx_q
    q[:, joint] = [0.0, 1.75, 1.85]  # centres 2.0, 0.25 and 0.15 apart
    found = collision.near(q, margin=0.1)
    assert found.frames.tolist() == [1, 2]
    np.testing.assert_allclose(found.distances, [0.05, -0.05], atol=1e-6)
    np.testing.assert_allclose(found.deepest(3), [0, 0, 0.05], atol=1e-6)
    gap = np.einsum("ni,ni->n", found.points[:, 0] - found.points[:, 1], found.normals)
    np.testing.assert_allclose(gap, found.distances, atol=1e-6)
    # Moving the first body along its normal parts the pair.
    for row in range(2):
        other = q[found.frames[row]].copy()
        name = model.names[int(found.bodies[row, 0])]
        other[model.joints[model.getJointId(name)].idx_q] += 0.02 * found.normals[row, 1]
        assert collision.near(other[None], margin=1).distances[0] > found.distances[row]
    assert len(collision.near(q)) == 1


def test_simplified_hulls_are_close_and_inside():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3000, 3))
    points *= [0.1, 0.05, 0.2] / np.linalg.norm(points, axis=1, keepdims=True)
    fewer = simplified_hull(points, 1e-3)
    assert 20 < len(fewer) < 1000
    assert {tuple(p) for p in fewer} <= {tuple(p) for p in points}
    way = rng.normal(size=(500, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    short = (points @ way.T).max(axis=0) - (fewer @ way.T).max(axis=0)
    assert (short >= 0.0).all()
    assert 1e-5 < short.max() <= 1e-3
    flat = points * [1.0, 1.0, 0.0]
    np.testing.assert_array_equal(simplified_hull(flat, 1e-3), flat)


def test_simplified_hulls_of_a_robot_see_the_same_pairs(g1):
    rng = np.random.default_rng(1)
    q = np.zeros((40, g1.model.nq))
    q[:, 6] = 1.0
    q[:, 7:] = rng.uniform(g1.lower, g1.upper, size=(40, len(g1.lower)))
    exact = g1.self_collision.near(q, margin=0.02)
    simple = g1.self_collision.simplified.near(q, margin=0.02)
    where = {
        (f, *b): d
        for f, b, d in zip(
            exact.frames.tolist(), exact.bodies.tolist(), exact.distances.tolist(), strict=True
        )
        if d < 0.015
    }
    found = {
        (f, *b): d
        for f, b, d in zip(
            simple.frames.tolist(), simple.bodies.tolist(), simple.distances.tolist(), strict=True
        )
    }
    assert len(where) > 20
    assert where.keys() <= found.keys()


def test_a_separate_checker_moves_no_other(g1):
    checker = g1.self_collision
    q = np.zeros((2, g1.model.nq))
    q[:, 6] = 1.0
    q[1, 7:] = 0.3
    checker.place(q[0])
    before = [checker.look_at(pair).min_distance for pair in range(len(checker.pairs))]
    other = checker.separate()
    other.place(q[1])
    moved = [other.look_at(pair).min_distance for pair in range(len(checker.pairs))]
    after = [checker.look_at(pair).min_distance for pair in range(len(checker.pairs))]
    assert after == before
    assert np.abs(np.array(moved) - before).max() > 0.01


def test_threads_see_the_pairs_of_their_own_configurations(g1):
    rng = np.random.default_rng(0)
    q = np.tile(pin.neutral(g1.model), (3, 60, 1))
    q[..., 7:] = rng.uniform(g1.lower, g1.upper, q[..., 7:].shape)
    wanted = [g1.self_collision.near(part, margin=0.02) for part in q]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(3) as pool:
            for _ in range(3):
                seen = pool.map(lambda part: g1.self_collision.near(part, margin=0.02), q)
                for one, other in zip(seen, wanted, strict=True):
                    np.testing.assert_array_equal(one.bodies, other.bodies)
                    np.testing.assert_allclose(one.distances, other.distances, atol=1e-5)
    finally:
        sys.setswitchinterval(before)


def test_capsules_hold_their_points_and_segments_their_distance():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 3)) * [0.3, 0.05, 0.1]
    a, b, radius = _capsule(points)
    along = np.clip((points - a) @ (b - a) / max((b - a) @ (b - a), 1e-12), 0, 1)
    distance = np.linalg.norm(points - a - along[:, None] * (b - a), axis=1)
    assert distance.max() <= radius + 1e-9
    m1, h1, m2, h2 = rng.normal(size=(4, 40, 3))
    grid = np.linspace(-1, 1, 61)
    ends1 = m1[:, None] + grid[:, None] * h1[:, None]
    ends2 = m2[:, None] + grid[:, None] * h2[:, None]
    brute = np.linalg.norm(ends1[:, :, None] - ends2[:, None], axis=-1).min(axis=(1, 2))
    found = np.linalg.norm(_between_segments(m1.T, h1.T, m2.T, h2.T), axis=0)
    assert (found <= brute + 1e-9).all()
    np.testing.assert_allclose(found, brute, atol=0.15)


@given(st.integers(0, 10_000), st.floats(-1.0, 1.0), st.floats(0.0, 1.0))
def test_no_shape_reaches_beyond_its_table(seed, towards_edge, radius):
    rng = np.random.default_rng(seed)
    shapes = [rng.normal(size=(30, 3)) * rng.uniform(0.01, 0.3, 3) for _ in range(3)]
    table = SupportTable(shapes, np.full(3, 0.01 * radius))
    directions = rng.normal(size=(60, 3))
    directions[::3, 1] = towards_edge * directions[::3, 0]
    directions[1::3] = np.round(directions[1::3]) + [0.0, 0.0, 0.5]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    which = np.arange(60) % 3
    found = table.reach(which, directions)
    own = np.array([(shapes[k] @ d).max() for k, d in zip(which, directions, strict=True)])
    assert (found >= own + 0.01 * radius).all()
    assert table.reach(which[:1], np.zeros((1, 3)))[0] == pytest.approx(0.0, abs=1e-6)
    assert (found < own + 0.3 * max(np.abs(s).max() for s in shapes) + 0.04 * radius).all()


def test_bounding_capsules_miss_nothing(g1):
    rng = np.random.default_rng(3)
    q = np.stack([pin.neutral(g1.model)] * 8)
    q[:, 7:] = rng.uniform(g1.lower, g1.upper, (8, len(g1.lower)))
    collision = g1.self_collision
    found = collision.near(q)
    count = 0
    data = pin.GeometryData(collision.geometry)
    for frame in range(8):
        pin.updateGeometryPlacements(
            g1.model, g1.model.createData(), collision.geometry, data, q[frame]
        )
        for pair in range(len(collision.pairs)):
            distance = pin.computeDistance(collision.geometry, data, pair).min_distance
            count += distance < -1e-6
    assert count > 0
    assert (found.distances < -1e-6).sum() == count


def test_a_t_pose_touches_nothing(g1):
    assert g1.self_collision.near(retarget(t_pose(), g1).qpos).deepest(1)[0] == 0


def test_hands_in_the_belly_are_pushed_out(g1):
    motion = hands_in_the_belly(seconds=1)
    through = evaluate(retarget(motion, g1, self_collision=False), motion, g1)
    beside = evaluate(retarget(motion, g1), motion, g1)
    assert through.self_penetration > 0.02
    assert beside.self_penetration < 0.25 * through.self_penetration
    assert beside.limit_violation == 0
    assert beside.position_error < through.position_error + 0.03
