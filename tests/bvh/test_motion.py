"""The canonical motion: its checks, its file, its mirror and its way back to BVH."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bvh
from bvh import DEFAULT_OFFSETS, JOINTS, BVHError, Motion, Source, procedural
from bvh.forward_kinematics import forward_kinematics
from bvh.motion_io import load_motion
from bvh.rotations import angle_between, exp, from_axis_angle, identity, multiply, rotate

FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def make_motion(seed: int = 0, frames: int = 7, fps: float = 30.0) -> Motion:
    rng = np.random.default_rng(seed)
    return Motion(
        root_positions=rng.normal(size=(frames, 3)),
        rotations=exp(rng.normal(size=(frames, 22, 3))),
        offsets=DEFAULT_OFFSETS * rng.uniform(0.8, 1.2),
        fps=fps,
        source=Source(
            name="walk", fps=120.0, scale=0.01, family="lafan1", joints={"Hips": "Hüfte"}
        ),
    )


def same(a: Motion, b: Motion) -> bool:
    return (
        np.allclose(a.root_positions, b.root_positions, rtol=0, atol=1e-15)
        and np.allclose(a.rotations, b.rotations, rtol=0, atol=1e-15)
        and np.array_equal(a.offsets, b.offsets)
        and (a.fps, a.source) == (b.fps, b.source)
    )


def test_identity_is_the_t_pose() -> None:
    motion = Motion(np.array([[0.0, 0.0, 0.9]]), identity(1, 22), DEFAULT_OFFSETS)
    at = dict(zip(JOINTS, motion.global_positions()[0], strict=True))
    assert at["LeftHand"][1] > 0.5 > -0.5 > at["RightHand"][1]
    assert at["LeftHand"][2] == pytest.approx(at["LeftShoulder"][2])
    assert at["LeftToe"][0] > at["LeftFoot"][0]
    assert at["Head"][2] > at["Hips"][2] > at["LeftFoot"][2]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "root_positions",
            np.zeros((7, 2)),
            r"root_positions: expected shape \(7, 3\), got \(7, 2\)",
        ),
        ("rotations", identity(6, 22), r"rotations: expected shape \(7, 22, 4\), got \(6, 22, 4\)"),
        ("rotations", identity(7, 21), r"rotations: expected shape \(7, 22, 4\)"),
        ("offsets", np.zeros((21, 3)), r"offsets: expected shape \(22, 3\)"),
        ("fps", 0.0, "fps must be positive"),
        ("fps", float("nan"), "fps must be positive"),
    ],
)
def test_wrong_shapes_are_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(BVHError, match=message):
        replace(make_motion(), **{key: value})


@pytest.mark.parametrize("key", ["root_positions", "rotations", "offsets"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(key: str, value: float) -> None:
    array = getattr(make_motion(), key).copy()
    array[1, 2] = value
    with pytest.raises(BVHError, match=rf"motion {key}: value at \(1, 2.*\) is not finite"):
        replace(make_motion(), **{key: array})


@pytest.mark.parametrize("factor", [1.02, 0.5, -3.0])
def test_quaternions_of_any_length_are_rotations(factor: float) -> None:
    motion = procedural.make("walk", seconds=1, seed=1)
    other = Motion(motion.root_positions, motion.rotations * factor, motion.offsets)
    np.testing.assert_allclose(np.linalg.norm(other.rotations, axis=-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(other.global_positions(), motion.global_positions(), atol=1e-12)
    # What is of unit length is left as it is.
    again = Motion(motion.root_positions, motion.rotations, motion.offsets)
    np.testing.assert_array_equal(again.rotations, motion.rotations)


def test_a_quaternion_without_length_is_no_rotation() -> None:
    rotations = np.tile([1.0, 0.0, 0.0, 0.0], (4, 22, 1))
    rotations[2, 5] = 0.0
    with pytest.raises(BVHError, match=r"quaternion at \(2, 5\) has no length"):
        Motion(np.zeros((4, 3)), rotations, DEFAULT_OFFSETS)


def test_slices() -> None:
    motion = make_motion(frames=10)
    part = motion[2:6]
    assert (len(part), part.frames, part.duration) == (4, 4, 4 / 30)
    np.testing.assert_array_equal(part.global_positions(), motion.global_positions()[2:6])
    assert part.source == motion.source
    assert len(motion[-3:]) == 3
    assert len(motion[50:]) == 0


@pytest.mark.parametrize("index", [slice(None, None, 2), slice(None, None, -1), 3])
def test_slices_that_would_change_the_speed_are_refused(index: object) -> None:
    with pytest.raises(BVHError, match="without a step"):
        make_motion()[index]  # type: ignore[index]


def test_mirroring_reflects_every_joint_onto_its_partner() -> None:
    motion = make_motion()
    mirrored = motion.mirrored()
    partner = [
        JOINTS.index(
            name.replace("Left", "Right") if "Left" in name else name.replace("Right", "Left")
        )
        for name in JOINTS
    ]
    expected = motion.global_positions()[:, partner] * [1, -1, 1]
    np.testing.assert_allclose(mirrored.global_positions(), expected, atol=1e-12)
    back = mirrored.mirrored()
    np.testing.assert_allclose(back.offsets, motion.offsets, atol=0)
    assert angle_between(back.rotations, motion.rotations).max() < 1e-7


def test_moving_the_world_moves_every_joint() -> None:
    motion = make_motion()
    turn, shift = from_axis_angle([0.1, -0.4, 1.0], 0.7), np.array([1.0, -2.0, 0.5])
    expected = rotate(turn, motion.global_positions()) + shift
    np.testing.assert_allclose(motion.moved(turn, shift).global_positions(), expected, atol=1e-12)


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_saved_and_loaded(frames: int, tmp_path: Path) -> None:
    motion = make_motion(frames=frames, fps=29.97)
    motion.save(tmp_path / "new" / "walk.npz")
    loaded = Motion.load(tmp_path / "new" / "walk.npz")
    assert same(loaded, motion)
    assert loaded.root_positions.dtype == np.float64


def test_saving_replaces_or_leaves(tmp_path: Path) -> None:
    path = tmp_path / "walk.npz"
    make_motion(0).save(str(path))
    make_motion(1).save(path)
    assert same(Motion.load(path), make_motion(1))
    assert list(tmp_path.iterdir()) == [path]


def test_no_pickle_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", joint_names=np.array([print], dtype=object))
    np.save(tmp_path / "evil.npy", np.array([print], dtype=object))
    for name in ("evil.npz", "evil.npy"):
        with pytest.raises(BVHError, match=f"{name}: not a motion file"):
            Motion.load(tmp_path / name)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BVHError, match="no such file"):
        Motion.load(tmp_path / "absent.npz")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("HIERARCHY")
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("joint_names.npy", b"no array")
    for name in ("folder.npz", "empty.npz", "text.npz", "array.npy", "other.npz", "zip.npz"):
        with pytest.raises(BVHError, match=name):
            Motion.load(tmp_path / name)


def test_another_skeleton_is_refused(tmp_path: Path) -> None:
    motion = make_motion()
    motion.save(tmp_path / "walk.npz")
    with np.load(tmp_path / "walk.npz") as data:
        arrays = dict(data)
    arrays["joint_names"] = arrays["joint_names"][::-1]
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(BVHError, match=r"other\.npz: not the canonical 22 joints"):
        Motion.load(tmp_path / "other.npz")


def test_impossible_values_in_a_file_are_refused(tmp_path: Path) -> None:
    make_motion().save(tmp_path / "walk.npz")
    with np.load(tmp_path / "walk.npz") as data:
        arrays = dict(data)
    for key, value in (("offsets", np.full((22, 3), np.nan)), ("fps", np.array(-1.0))):
        np.savez(tmp_path / "other.npz", **{**arrays, key: value})
        with pytest.raises(BVHError, match=rf"other\.npz: motion {key}"):
            Motion.load(tmp_path / "other.npz")


def saved(motion: Motion, folder: Path) -> bytes:
    motion.save(folder / "whole.npz")
    return (folder / "whole.npz").read_bytes()


@FILES
@given(data=st.data())
def test_damaged_files_are_refused_or_harmless(data: st.DataObject, tmp_path: Path) -> None:
    motion = make_motion(frames=2)
    content = bytearray(saved(motion, tmp_path))
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    (tmp_path / "walk.npz").write_bytes(content)
    try:
        loaded = Motion.load(tmp_path / "walk.npz")
    except BVHError as error:
        assert "walk.npz" in str(error)  # noqa: PT017
    else:
        assert same(loaded, motion)


@FILES
@given(header=st.binary(max_size=80), raw=st.booleans())
def test_arrays_with_damaged_headers_are_refused(header: bytes, raw: bool, tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, make_motion(frames=2).rotations)
    array = content.getvalue()
    text = header + array if raw else array[:10] + header.ljust(118)[:118] + array[128:]
    with zipfile.ZipFile(tmp_path / "walk.npz", "w") as archive:
        archive.writestr("joint_names.npy", text)
    with pytest.raises(BVHError, match=r"walk\.npz"):
        Motion.load(tmp_path / "walk.npz")


def test_bvh_of_a_motion_is_y_up_in_centimetres(tmp_path: Path) -> None:
    motion = make_motion()
    clip = motion.to_clip()
    assert clip.names == JOINTS
    assert clip.fps == pytest.approx(motion.fps)
    assert clip.channels[0][:3] == ("Xposition", "Yposition", "Zposition")
    assert all(names[-3:] == ("Zrotation", "Yrotation", "Xrotation") for names in clip.channels)
    bvh.write(clip, tmp_path / "walk.bvh")
    back = bvh.read(tmp_path / "walk.bvh")
    # World X forward, Y left, Z up became Z, X and Y.
    metres = back.global_positions()[..., [2, 0, 1]] / 100
    np.testing.assert_allclose(metres, motion.global_positions(), atol=1e-7)
    leaves = set(range(22)) - set(clip.parents)
    assert set(back.end_sites) == leaves


def test_rest_pose_in_the_file_is_the_t_pose() -> None:
    motion = Motion(np.zeros((1, 3)), identity(1, 22), DEFAULT_OFFSETS)
    clip = motion.to_clip()
    np.testing.assert_array_equal(clip.rotations, identity(1, 22))
    np.testing.assert_allclose(clip.offsets[:, [2, 0, 1]] / 100, DEFAULT_OFFSETS)
    head, hips = JOINTS.index("Head"), JOINTS.index("Hips")
    assert clip.global_positions()[0, head, 1] > clip.global_positions()[0, hips, 1]


@given(st.integers(0, 1000), st.integers(1, 12), st.sampled_from([(), (0,), (5,), (2, 3)]))
def test_joints_of_any_tree_hang_on_their_parents(seed, joints, shape):
    rng = np.random.default_rng(seed)
    parents = [-1] + [int(rng.integers(-1, j)) for j in range(1, joints)]
    rotations = exp(rng.normal(size=(*shape, joints, 3)))
    offsets = rng.normal(size=(joints, 3))
    turns, places = forward_kinematics(rotations, offsets, parents)
    assert turns.shape == (*shape, joints, 4)
    for joint, parent in enumerate(parents):
        turn, place = rotations[..., joint, :], np.broadcast_to(offsets[joint], (*shape, 3))
        if parent >= 0:
            place = places[..., parent, :] + rotate(turns[..., parent, :], place)
            turn = multiply(turns[..., parent, :], turn)
        np.testing.assert_allclose(turns[..., joint, :], turn, atol=1e-12)
        np.testing.assert_allclose(places[..., joint, :], place, atol=1e-12)


def test_on_other_bones_feet_stand_on_the_same_floor() -> None:
    motion = make_motion()
    for scale in (0.5, 1.6):
        other = motion.on_bones(scale * motion.offsets)
        np.testing.assert_allclose(
            other.global_positions(), scale * motion.global_positions(), atol=1e-12
        )
    # Arms and trunk of any length change nothing about the legs.
    longer = motion.offsets.copy()
    longer[9:] *= 1.4
    legs = motion.on_bones(longer).global_positions()[:, :9]
    np.testing.assert_array_equal(legs, motion.global_positions()[:, :9])


def test_on_other_bones_and_back_is_the_motion_itself() -> None:
    motion = make_motion()
    there = motion.on_bones(DEFAULT_OFFSETS * np.random.default_rng(0).uniform(0.6, 1.5, (22, 1)))
    back = there.on_bones(motion.offsets)
    np.testing.assert_allclose(back.root_positions, motion.root_positions, atol=1e-12)
    # A cut of what was put on other bones is what was cut and then put on them.
    cut = motion[3:7].on_bones(there.offsets)
    np.testing.assert_array_equal(cut.root_positions, there[3:7].root_positions)


def test_a_body_without_legs_has_no_size() -> None:
    motion = make_motion()
    stumps = motion.offsets.copy()
    stumps[[2, 3, 6, 7]] *= 0.001
    with pytest.raises(BVHError, match=r"thigh and shin are 0\.\d+ mm long together"):
        motion.on_bones(stumps)
    # Nor has one with a single leg.
    for leg, side in (([2, 3], "left"), ([6, 7], "right")):
        one = motion.offsets.copy()
        one[leg] = 0.0
        with pytest.raises(BVHError, match=f"{side} thigh and shin are 0 mm long together"):
            motion.on_bones(one)


def test_a_file_of_no_frames_or_no_legs_is_named_and_not_its_source(tmp_path):
    motion = procedural.make("walk", seconds=1)
    offsets = motion.offsets.copy()
    offsets[[2, 3, 6, 7]] = 0.0
    for bad, words in (
        (motion[:0], "motion has no frames"),
        (replace(motion, offsets=offsets), "left thigh and shin are 0 mm long together"),
    ):
        path = tmp_path / "bad.npz"
        bad.save(path)
        with pytest.raises(BVHError) as caught:
            load_motion(path)
        assert str(caught.value).startswith(f"{path}: {words}")
