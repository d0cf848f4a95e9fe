"""What a report says of a trajectory: ground, jerk, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh import procedural
from motiontok.cli.layouts import Layout
from motiontok.robots import evaluate, retarget, retarget_and_evaluate_all
from motiontok.robots.model.geometry import points_of
from motiontok.robots.model.outline import outline_of


@pytest.fixture(scope="module")
def walk(g1):
    motion = procedural.make("walk", seconds=1, seed=5)
    return motion, retarget(motion, g1)


def test_an_outline_misses_little_of_a_body(g1):
    geometry = g1.self_collision.geometry
    outline = outline_of(geometry, directions=200)
    assert (np.diff(outline.bodies) >= 0).all()
    down = np.random.default_rng(0).normal(size=(3, 50))
    down /= np.linalg.norm(down, axis=0)
    for body in np.unique(outline.bodies):
        cloud = np.concatenate(
            [
                points_of(s) @ s.placement.rotation.T + s.placement.translation
                for s in geometry.geometryObjects
                if s.parentJoint == body
            ]
        )
        short = (cloud @ down).max(axis=0) - (outline.of(body) @ down).max(axis=0)
        assert (short >= -1e-12).all()
        assert short.max() < 0.002


def test_a_sunk_robot_is_deep_in_the_ground(g1, walk):
    motion, trajectory = walk
    before = evaluate(trajectory, motion, g1)
    sunk = replace(trajectory, qpos=trajectory.qpos - np.eye(36)[2] * 0.3)
    report = evaluate(sunk, motion, g1)
    assert report.body_depth == pytest.approx(0.3 + before.body_depth, abs=0.005)
    assert report.buried_frames == 1
    assert before.buried_frames == 0


def test_jerk_and_room_at_the_limits_are_those_of_a_known_path(g1, walk):
    motion, trajectory = walk
    qpos = np.repeat(trajectory.qpos[:1], len(motion), axis=0)
    time = np.arange(len(motion)) / motion.fps
    qpos[:, 7:] = 0.5 * (g1.lower + g1.upper)
    qpos[:, 0] = time**3 / 6.0
    report = evaluate(replace(trajectory, qpos=qpos), motion, g1)
    assert report.root_jerk == pytest.approx(1.0, rel=1e-6)
    assert report.joint_jerk == pytest.approx(0.0, abs=1e-6)
    assert report.near_limit == 0
    qpos[:10, 7] = g1.lower[0] + 0.019 * (g1.upper[0] - g1.lower[0])
    report = evaluate(replace(trajectory, qpos=qpos), motion, g1)
    assert report.near_limit == pytest.approx(10 / len(motion))


def test_feet_that_stand_in_the_air_hover(g1, walk):
    motion, trajectory = walk
    before = evaluate(trajectory, motion, g1)
    assert before.foot_hover < 0.02
    assert before.hovering_frames == 0
    raised = replace(trajectory, qpos=trajectory.qpos + np.eye(36)[2] * 0.1)
    report = evaluate(raised, motion, g1)
    assert report.foot_hover == pytest.approx(0.1 + before.foot_hover, abs=0.005)
    assert report.hovering_frames > 0.5
    assert report.foot_depth == 0


def test_speeds_are_those_of_what_is_written(g1, walk):
    motion, trajectory = walk
    layout = Layout("pinocchio", None, "isaaclab", beyondmimic=True)
    ((written, report),) = retarget_and_evaluate_all([motion], g1, at_rate=layout.at_rate)
    assert written.fps == 50
    speeds = np.abs(np.diff(written.joints, axis=0)) * 50
    assert report.joint_speed_max == pytest.approx(speeds.max())
    plain = evaluate(trajectory, motion, g1)
    assert plain.joint_speed_max != pytest.approx(report.joint_speed_max, rel=1e-3)
    assert plain.joint_jerk == report.joint_jerk
