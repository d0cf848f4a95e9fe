"""Forward kinematics in torch is that of ``bvh``; warped windows are those of a warped motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bvh import procedural
from bvh import rotations as rot
from bvh.forward_kinematics import forward_kinematics
from bvh.motion import FPS
from bvh.skeleton import JOINTS, PARENTS
from motiontok.data import COLUMNS, FEATURES, REFERENCE, from_motion
from motiontok.data.kinematics import joint_positions, orthonormal
from motiontok.data.time_warp import draw_speeds, warped


@given(st.integers(0, 2**31), st.integers(1, 5))
def test_positions_are_those_of_the_numpy_kinematics(seed, frames):
    rng = np.random.default_rng(seed)
    q = rot.normalize(rng.normal(size=(frames, len(JOINTS), 4)))
    offsets = rng.normal(size=(len(JOINTS), 3))
    local = np.broadcast_to(offsets, (frames, *offsets.shape)).copy()
    local[:, 0] = 0.0
    _, expected = forward_kinematics(q, local, PARENTS)
    found = joint_positions(torch.tensor(rot.to_matrix(q)), offsets)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


@given(st.integers(0, 2**31))
def test_six_numbers_are_made_a_rotation_and_one_is_left_as_it_is(seed):
    generator = torch.Generator().manual_seed(seed)
    made = orthonormal(torch.randn(20, 6, generator=generator, dtype=torch.float64))
    torch.testing.assert_close(
        made @ made.transpose(-1, -2), torch.eye(3, dtype=torch.float64).expand(20, 3, 3)
    )
    torch.testing.assert_close(torch.linalg.det(made), torch.ones(20, dtype=torch.float64))
    again = orthonormal(made[..., :2].transpose(-1, -2).flatten(-2))
    torch.testing.assert_close(again, made)


def one_clip(kind="walk", seconds=4.0):
    """A clip on the reference skeleton, and its features."""
    motion = procedural.make(kind, seconds=seconds, seed=2).on_bones(REFERENCE)
    return motion, torch.tensor(from_motion(motion), dtype=torch.float32)


def warp_of(frames, start, speed, length=32):
    clip = torch.tensor([0]), torch.tensor([len(frames) - 1])
    return warped(frames, torch.tensor([start]), *clip, torch.tensor([speed]), length)[0]


def test_at_the_speed_of_the_clip_a_window_stays_as_it_is():
    _, frames = one_clip("dance")
    torch.testing.assert_close(warp_of(frames, 10, 1.0), frames[10:42], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("speed", [0.75, 1.2, 1.33])
def test_a_warped_window_is_that_of_the_motion_at_another_speed(speed):
    motion, frames = one_clip()
    # The same motion filmed at another rate and played at this one.
    times = 30 + speed * np.arange(-1, 32)
    low = np.floor(times).astype(int)
    part = (times - low)[:, None]
    roots = motion.root_positions
    turned = rot.slerp(motion.rotations[low], motion.rotations[low + 1], part)
    played = replace(
        motion,
        root_positions=(1 - part) * roots[low] + part * roots[low + 1],
        rotations=turned,
    )
    expected = torch.tensor(from_motion(played), dtype=torch.float32)[1:]
    found = warp_of(frames, 30, speed)
    for name, most in (
        ("rotations", 0.01), ("tilt", 0.01), ("positions", 0.005), ("height", 1e-5),
        ("velocity", 0.06), ("yaw_rate", 0.1),
    ):  # fmt: skip
        off = (found - expected)[:, COLUMNS[name]].abs().max()
        assert off < most, name
    path = [(x[:, COLUMNS["velocity"]].sum(dim=0) / FPS) for x in (found, expected)]
    torch.testing.assert_close(*path, atol=0.01, rtol=0.0)
    assert found.shape == (32, FEATURES)
    assert ((found[:, COLUMNS["contacts"]] >= 0) & (found[:, COLUMNS["contacts"]] <= 1)).all()


def test_positions_of_a_warped_window_are_those_of_its_rotations():
    _, frames = one_clip("dance")
    found = warp_of(frames, 5, 1.33)
    six = found[:, COLUMNS["tilt"].start : COLUMNS["rotations"].stop].unflatten(-1, (-1, 6))
    # No rotation is left between two: its columns have unit length and are square to each other.
    torch.testing.assert_close(six[..., :3].norm(dim=-1), torch.ones(32, 22))
    assert (six[..., :3] * six[..., 3:]).sum(-1).abs().max() < 1e-5
    torch.testing.assert_close(
        joint_positions(orthonormal(six))[:, 1:].flatten(1), found[:, COLUMNS["positions"]]
    )


@given(st.integers(32, 80), st.floats(0.75, 1.33), st.data())
def test_a_window_takes_frames_of_its_own_clip_only(frames, speed, data):
    """Its height tells the frame; the clips before and after it are elsewhere."""
    start = data.draw(st.integers(0, frames - 32))
    rows = torch.zeros(frames + 200, FEATURES)
    rows[:, COLUMNS["tilt"].start : COLUMNS["rotations"].stop] = torch.tensor(
        [1.0, 0, 0, 0, 1, 0] * 22
    )
    rows[:, COLUMNS["height"]] = 1e4
    rows[100 : 100 + frames, COLUMNS["height"].start] = torch.arange(frames).float()
    clip = torch.tensor([100]), torch.tensor([99 + frames])
    found = warped(rows, torch.tensor([100 + start]), *clip, torch.tensor([speed]), 32)[0]
    height = found[:, COLUMNS["height"].start]
    assert -1e-3 <= height.min() <= height.max() <= frames - 1 + 1e-3
    # Even steps, of the speed that was asked for where the clip is long enough.
    steps = height.diff()
    torch.testing.assert_close(steps, steps[:1].expand(31), atol=1e-3, rtol=0.0)
    assert float(steps.mean()) == pytest.approx(min(speed, (frames - 1) / 31), abs=1e-3)


def test_speeds_are_even_in_their_logarithm():
    speeds = draw_speeds(20_000, 1.33, torch.Generator().manual_seed(0))
    assert 1 / 1.33 <= speeds.min() < 0.76 < 1.32 < speeds.max() <= 1.3301
    # As many are slowed as are sped up, to three standard deviations.
    assert abs(int((speeds > 1).sum()) - 10_000) < 3 * 71
