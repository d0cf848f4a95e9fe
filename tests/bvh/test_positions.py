"""Joint positions and HumanML3D's features to canonical motion."""

from __future__ import annotations

from pathlib import Path

import amass
import numpy as np
import pytest

from bvh import DEFAULT_OFFSETS, JOINTS, BVHError, procedural
from bvh import rotations as rot
from bvh.motion_io import load_motion
from bvh.positions import save_positions
from bvh.reading import Reading
from bvh.rotations import Array


def seen(kind: str = "walk", *, z_up: bool = False) -> tuple[Array, Array]:
    """Joints of SMPL's mean body at 20 frames/s, in SMPL's order, and in canonical order."""
    motion = procedural.make(kind, seconds=3, seed=2).resampled(20)
    places = amass.body(motion, z_up=z_up)[2]
    return places, places[:, np.argsort(amass.ROWS)]


def features(places: Array) -> Array:
    """HumanML3D's ``(frames - 1, 263)``, after its ``process_file``: what positions need of it."""
    across = places[:, 1] - places[:, 2] + places[:, 16] - places[:, 17]  # left
    angle = np.arctan2(-across[:, 2], across[:, 0])  # of the heading about +Y, from +Z
    back = np.zeros((len(places), 3, 3))
    c, s = np.cos(angle), np.sin(angle)
    back[:, 0, 0], back[:, 0, 2], back[:, 1, 1], back[:, 2, 0], back[:, 2, 2] = c, -s, 1, s, c
    out = np.zeros((len(places) - 1, 263))
    # Its quaternion is that of the turn back, so half its change has the other sign.
    turn = np.angle(np.exp(1j * np.diff(angle)))
    out[:, 0] = -turn / 2
    steps = np.einsum("nij,nj->ni", back[1:], np.diff(places[:, 0], axis=0))
    out[:, 1:3] = steps[:, [0, 2]]
    out[:, 3] = places[:-1, 0, 1]
    local = places.copy()
    local[..., [0, 2]] -= places[:, :1, [0, 2]]
    out[:, 4:67] = np.einsum("nij,nkj->nki", back, local[:, 1:])[:-1].reshape(len(out), -1)
    return out


def apart(found: Array, wanted: Array) -> Array:
    """Distances of joints, the height of the floor left out."""
    count = min(len(found), len(wanted))
    gap = found[:count] - wanted[:count]
    gap[..., 2] -= gap[..., 2].mean()
    return np.linalg.norm(gap, axis=-1)


@pytest.mark.parametrize("kind", ["walk", "dance", "squat", "turn"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_joints_are_where_they_were_seen(tmp_path: Path, kind: str, dtype: type) -> None:
    places, wanted = seen(kind)
    np.save(tmp_path / "joints.npy", places.astype(dtype))
    loaded = load_motion(tmp_path / "joints.npy")
    assert loaded.kind == "joint positions"
    assert loaded.report is not None
    assert loaded.report.up == "y"
    assert loaded.motion.source.fps == 20.0
    # Every third frame of 30 a second is every second of 20.
    gap = apart(loaded.motion.global_positions()[::3], wanted[::2] @ amass.Y_UP)
    assert gap.mean() < 3e-3
    assert gap.max() < 0.03


def test_rotations_are_those_of_the_body_that_was_seen(tmp_path: Path) -> None:
    motion = procedural.make("dance", seconds=3, seed=2)
    amass.write(tmp_path / "m.npz", motion, z_up=False)
    np.save(tmp_path / "joints.npy", amass.body(motion, z_up=False)[2])
    poses = load_motion(tmp_path / "m.npz").motion
    found = load_motion(tmp_path / "joints.npy", reading=Reading(fps=30)).motion
    turns = rot.angle_between(found.global_transforms()[0], poses.global_transforms()[0])
    degrees = np.rad2deg(turns).mean(axis=0)
    # Heads, hands and toes have no bone to be seen turning.
    limbs = [0, 1, 2, 5, 6, 9, 10, 11, 12, 14, 15, 16, 18, 19, 20]
    assert degrees[limbs].max() < 5.0


def test_z_up_is_recognised_or_said(tmp_path: Path) -> None:
    places, wanted = seen("walk", z_up=True)
    np.save(tmp_path / "joints.npy", places)
    loaded = load_motion(tmp_path / "joints.npy")
    assert loaded.report is not None
    assert loaded.report.up == "z"
    assert apart(loaded.motion.global_positions()[::3], wanted[::2]).mean() < 3e-3


def test_the_rate_may_be_said(tmp_path: Path) -> None:
    np.save(tmp_path / "joints.npy", seen()[0])
    assert len(load_motion(tmp_path / "joints.npy", reading=Reading(fps=60)).motion) == 30


@pytest.mark.parametrize("kind", ["walk", "turn"])
def test_features_of_humanml3d_are_the_joints_they_were_made_of(tmp_path: Path, kind: str) -> None:
    places, wanted = seen(kind)
    np.save(tmp_path / "000001.npy", features(places).astype(np.float32))
    loaded = load_motion(tmp_path / "000001.npy")
    assert loaded.kind == "HumanML3D features"
    # They keep neither where the clip began nor which way it faced.
    across = places[0, 1] - places[0, 2] + places[0, 16] - places[0, 17]
    angle = np.arctan2(-across[2], across[0])
    turn = rot.from_axis_angle([0.0, 0.0, 1.0], -angle)
    place = wanted @ amass.Y_UP
    place = rot.rotate(turn, place - place[0, 0] * [1.0, 1.0, 0.0])
    assert apart(loaded.motion.global_positions()[::3], place[::2]).mean() < 4e-3


@pytest.mark.parametrize("kind", ["walk", "dance"])
def test_positions_that_are_written_come_back(tmp_path: Path, kind: str) -> None:
    motion = procedural.make(kind, seconds=3, seed=5)
    save_positions(motion, tmp_path / "joints.npy")
    assert np.load(tmp_path / "joints.npy").shape == (60, 22, 3)
    found = load_motion(tmp_path / "joints.npy").motion
    # By another body too: so rotations are right, not only places.
    place = motion.on_bones(DEFAULT_OFFSETS).global_positions()
    gap = apart(found.on_bones(DEFAULT_OFFSETS).global_positions(), place)
    assert gap.mean() < 0.015


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((9, 24, 3)), r"joint positions: expected shape \(frames, 22, 3\)"),
        (np.zeros((0, 22, 3)), "joint positions: no frames"),
        (np.full((9, 263), np.nan), "features: frame 0 holds a value that is not finite"),
        (np.zeros((9, 8), dtype=np.uint16), "no motion: expected floats of shape"),
        (np.zeros((9, 22, 3), dtype=complex), "expected numbers, got complex128"),
        (np.array([{}], dtype=object), r"an array of objects"),
        (np.zeros((9, 22, 3)), "bad.npy: "),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: Array, message: str) -> None:
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(BVHError, match=message):
        load_motion(tmp_path / "bad.npy")


@pytest.mark.parametrize("kind", ["walk", "dance", "wave"])
def test_heads_go_with_the_chest_whichever_way_necks_lean(tmp_path: Path, kind: str) -> None:
    # SMPL's neck leans 38 degrees in its zero pose, that of canonical motion does not.
    motion = procedural.make(kind, seconds=3, seed=2)
    save_positions(motion, tmp_path / "upright.npy")
    np.save(tmp_path / "leaning.npy", amass.body(motion.resampled(20), z_up=False)[2])
    head = motion.global_transforms()[0][:, JOINTS.index("Head")]
    for name in ("upright", "leaning"):
        found = load_motion(tmp_path / f"{name}.npy").motion.global_transforms()[0]
        count = min(len(found), len(head))
        apart = rot.angle_between(found[:count, JOINTS.index("Head")], head[:count])
        assert np.rad2deg(apart).mean() < 15.0
