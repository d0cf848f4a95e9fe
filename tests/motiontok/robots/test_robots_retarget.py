"""Motions on robots: close, within limits, standing on the ground, never a bad basin."""

from __future__ import annotations

import multiprocessing
import warnings
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

import bvh.workers
from bvh import JOINTS, normalize, procedural, read
from bvh.rotations import exp, from_axis_angle
from bvh.rotations import normalize as normalize_quaternions
from motiontok.errors import RobotError
from motiontok.robots import evaluate, load_robot, retarget, retarget_all
from motiontok.robots.reports.report import measure
from motiontok.robots.retargeting import t_pose


@pytest.mark.parametrize("kind", procedural.KINDS)
def test_the_g1_follows_every_kind_of_motion(g1, kind):
    motion = procedural.make(kind, seconds=2, seed=3)
    trajectory = retarget(motion, g1)
    report = evaluate(trajectory, motion, g1)
    assert len(trajectory) == len(motion)
    assert (trajectory.joints >= g1.lower).all()
    assert (trajectory.joints <= g1.upper).all()
    assert report.limit_violation == 0
    assert report.position_error < 0.03
    assert np.degrees(report.rotation_error) < 8
    assert report.speed_violations == 0
    assert report.foot_depth < 0.005
    assert report.foot_slide < report.foot_slide_source + 0.01
    assert report.self_penetration < 0.005


def test_who_kneels_stands_on_no_feet(g1):
    motion = procedural.make("wave", seconds=1.5, seed=0)
    turns = motion.rotations.copy()
    for side in ("Left", "Right"):
        # Shins level, insteps on the ground: further than the robot's ankles go.
        for joint, degrees in (("UpLeg", 0.0), ("Leg", 95.0), ("Foot", 70.0), ("Toe", 0.0)):
            angle = np.deg2rad(degrees) * np.array([0.0, 1.0, 0.0])
            turns[:, JOINTS.index(side + joint)] = exp(angle)
    turns[:, 0] = [1.0, 0.0, 0.0, 0.0]
    motion = replace(motion, rotations=turns)
    low = motion.global_positions()[..., 2].min()
    motion = replace(motion, root_positions=motion.root_positions - [0.0, 0.0, low])
    trajectory = retarget(motion, g1)
    report = evaluate(trajectory, motion, g1)
    assert not trajectory.contacts.any()
    assert report.position_error < 0.08
    assert report.near_limit == 0
    assert report.body_depth < 0.01
    # Feet that were laid flat, or turned as far as the person's, twist the legs.
    names = list(g1.joint_names)
    for side in ("left", "right"):
        for joint in ("hip_yaw", "hip_roll"):
            assert np.abs(trajectory.joints[:, names.index(f"{side}_{joint}_joint")]).max() < 0.35


@pytest.mark.parametrize("name", ["g1", "romeo", "simple_humanoid", "skeleton", "talos"])
def test_a_t_pose_stands_on_flat_feet(name):
    robot = load_robot(name)
    motion = t_pose()
    report = evaluate(retarget(motion, robot), motion, robot)
    assert report.limit_violation == 0
    assert report.foot_depth < 0.005
    # The simple humanoid's right shoulder cannot lift its arm: its limits are the left one's.
    assert report.position_error < (0.15 if name == "simple_humanoid" else 0.06)


def test_the_result_turns_and_moves_with_the_world(g1):
    motion = procedural.make("walk", seconds=1, seed=5)
    turn = from_axis_angle([0.0, 0.0, 1.0], 2.0)
    there = retarget(motion.moved(turn, np.array([3.0, -2.0, 0.0])), g1)
    here = retarget(motion, g1)
    np.testing.assert_allclose(there.joints, here.joints, atol=0.02)


def test_a_mirrored_motion_gives_a_mirrored_robot(g1):
    motion = procedural.make("walk", seconds=1, seed=5)
    names = list(g1.joint_names)
    swap = [
        names.index(n.replace("left_", "#").replace("right_", "left_").replace("#", "right_"))
        for n in names
    ]
    sign = np.array([-1.0 if ("roll" in n or "yaw" in n) else 1.0 for n in names])
    here = retarget(motion, g1).joints
    mirrored = retarget(motion.mirrored(), g1).joints
    difference = np.abs(mirrored - here[:, swap] * sign)
    # Where a hand is parted from the hip, normals of meshes that are not quite mirrored decide
    # how the wrist turns.
    assert difference.max() < 0.2
    assert difference.mean() < 0.01


def test_one_frame_no_frames_and_other_rates(g1):
    motion = procedural.make("wave", seconds=1, seed=0)
    assert len(retarget(motion[:1], g1)) == 1
    with pytest.raises(RobotError, match="no frames"):
        retarget(motion[:0], g1)
    faster = retarget(motion, g1, fps=50)
    assert faster.fps == 50
    assert len(faster) == 49
    with pytest.raises(RobotError, match="fps"):
        retarget(motion, g1, fps=-1)
    with pytest.raises(RobotError, match="frames at 50 fps"):
        evaluate(faster, motion, g1)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_few_frames_are_followed_as_well_as_many(g1, frames):
    motion = procedural.make("walk", seconds=1, seed=3)
    motion = motion[10 : 10 + frames]
    trajectory = retarget(motion, g1)
    report = evaluate(trajectory, motion, g1)
    assert report.position_error < 0.015
    assert report.foot_slide < 0.02
    assert report.self_penetration < 0.002
    assert frames == 1 or report.joint_speed_max > 1.0


def test_targets_out_of_reach_give_a_bounded_result(g1):
    motion = procedural.make("wave", seconds=1, seed=0)
    rng = np.random.default_rng(0)
    scrambled = normalize_quaternions(rng.normal(size=motion.rotations.shape))
    sunk = motion.root_positions - np.array([0.0, 0.0, 3.0])
    for odd in (
        type(motion)(motion.root_positions, scrambled, motion.offsets),
        type(motion)(sunk, motion.rotations, motion.offsets),
    ):
        trajectory = retarget(odd, g1, ground=[(0.0, 0.0, 0.0)])
        report = evaluate(trajectory, odd, g1, ground=[(0.0, 0.0, 0.0)])
        assert np.isfinite(trajectory.qpos).all()
        assert report.limit_violation == 0
        assert report.speed_violations == 0
        assert report.foot_depth < 0.01
        assert report.position_error > 0.1, "and says so"


def test_many_motions_over_processes_come_back_in_order(g1):
    motions = [procedural.make(kind, seconds=0.5, seed=1) for kind in ("walk", "wave", "run")]
    alone = list(retarget_all(motions, g1, workers=1))
    together = list(retarget_all(iter(motions), g1, workers=2))
    assert [t.source for t in together] == [m.source.name for m in motions]
    for a, b in zip(alone, together, strict=True):
        assert b.robot == "g1"
        # Processes have one thread each, which rounds otherwise.
        np.testing.assert_allclose(a.qpos, b.qpos, atol=1e-6)


def test_one_motion_starts_no_process(g1, monkeypatch):
    monkeypatch.setattr(bvh.workers, "ProcessPoolExecutor", lambda *_, **__: pytest.fail("started"))
    motion = procedural.make("walk", seconds=0.1, seed=1)
    (trajectory,) = retarget_all(iter([motion]), g1, workers=2)
    assert len(trajectory) == len(motion)
    assert list(retarget_all([], g1, workers=2)) == []


def test_who_stops_early_does_not_wait_for_motions_not_begun(g1, monkeypatch):
    handed = []

    class OneDone:
        """Processes that have done the first motion, and begun no other."""

        def __init__(self, *_, **__):
            pass

        def submit(self, *_):
            handed.append(Future())
            if len(handed) == 1:
                handed[0].set_result("first")
            return handed[-1]

        def shutdown(self, wait=True, *, cancel_futures=False):
            for future in handed:
                assert cancel_futures
                future.cancel()

    monkeypatch.setattr(bvh.workers, "ProcessPoolExecutor", OneDone)
    solved = retarget_all([procedural.make("walk", seconds=0.1)] * 9, g1, workers=4)
    assert next(solved) == "first"
    solved.close()
    assert len(handed) > 1
    assert all(future.cancelled() for future in handed[1:])


def test_processes_that_die_leave_nothing_undone(g1):
    motions = [procedural.make("walk", seconds=0.1, seed=seed) for seed in range(6)]

    def source():
        for count, motion in enumerate(motions):
            if count == 4:  # so many are handed out at first
                for child in multiprocessing.active_children():
                    child.kill()
            yield motion

    alone = list(retarget_all(motions, g1, workers=1))
    with pytest.warns(RuntimeWarning, match="a worker process died .*; going on in one process"):
        together = list(retarget_all(source(), g1, workers=2))
    assert len(together) == 6
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(a.qpos, b.qpos, atol=1e-6)


def test_a_measurement_is_drawn_and_adds_up_to_the_report(g1, tmp_path):
    pytest.importorskip("matplotlib", reason="needs: pip install 'motiontok[render]'")
    from motiontok.robots.reports.plot import plot_measurement

    motion = procedural.make("walk", seconds=1, seed=5)
    trajectory = retarget(motion, g1)
    measurement = measure(trajectory, motion, g1)
    assert measurement.report() == evaluate(trajectory, motion, g1)
    assert measurement.distances.shape == (30, len(measurement.joints))
    assert measurement.speeds.shape == (29, 29)
    plot_measurement(measurement, tmp_path / "walk.png", title="walk")
    assert (tmp_path / "walk.png").read_bytes()[:4] == b"\x89PNG"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = measure(retarget(motion[:1], g1), motion[:1], g1)
        plot_measurement(one, tmp_path / "one.png", title="one frame")


def test_real_clips_on_the_g1(g1, real_clips):
    for path in real_clips.values():
        motion = normalize(read(path))
        report = evaluate(retarget(motion, g1), motion, g1)
        assert report.limit_violation == 0
        assert report.speed_violations == 0
        assert report.position_error < 0.04
        assert report.foot_depth < 0.005
        assert report.foot_slide < report.foot_slide_source + 0.01
