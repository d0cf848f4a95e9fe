"""AMASS' files in and out."""

from __future__ import annotations

from pathlib import Path

import amass
import numpy as np
import pytest

from bvh import BVHError, Motion, dataset, procedural
from bvh import rotations as rot
from bvh.motion_io import load_motion
from bvh.reading import Reading
from bvh.remarks import faults, kind_of
from bvh.rotations import Array
from bvh.smpl import STATURE
from bvh.smpl_writing import save_smpl


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))


def make(kind: str = "dance") -> Motion:
    return procedural.make(kind, seconds=2, seed=3)


def apart(motion: Motion, wanted: Array) -> float:
    """Largest distance of joints in metres, the height of the floor left out."""
    gap = motion.global_positions() - wanted
    gap[..., 2] -= gap[..., 2].mean()
    return float(np.linalg.norm(gap, axis=-1).max())


@pytest.mark.parametrize("width", [72, 156, 165, 0])
def test_amass_of_each_width_is_where_its_joints_are(tmp_path: Path, width: int) -> None:
    wanted = amass.write(tmp_path / "walk_poses.npz", make("walk"), width=width)
    loaded = load_motion(tmp_path / "walk_poses.npz")
    assert loaded.report is not None
    assert (loaded.report.up, loaded.report.family) == ("z", "smpl")
    assert apart(loaded.motion, wanted) < 2e-3
    assert [kind_of(line) for line in loaded.remarks] == ["body"]
    assert not faults(loaded.remarks)
    assert loaded.motion.source.name == "walk_poses"


@pytest.mark.parametrize(("hands", "deep"), [(0, False), (6, False), (6, True)])
def test_names_of_the_smplx_package_are_known(tmp_path: Path, hands: int, deep: bool) -> None:
    wanted = amass.write(tmp_path / "amass.npz", make("walk"), width=0)
    with np.load(tmp_path / "amass.npz") as data:
        root, body, trans = data["root_orient"], data["pose_body"], data["trans"]
    rest = np.concatenate([body, np.zeros((len(body), hands))], axis=1)
    rest = rest.reshape(len(body), -1, 3) if deep else rest
    np.savez(tmp_path / "seen.npz", global_orient=root, body_pose=rest, transl=trans, fps=30)
    assert apart(load_motion(tmp_path / "seen.npz").motion, wanted) < 2e-3


def smplx(path: Path, **more: object) -> Array:
    """An archive with the names of the smplx package; returns where the joints are."""
    wanted = amass.write(path, make("walk"), width=0)
    with np.load(path) as data:
        root, body, trans = data["root_orient"], data["pose_body"], data["trans"]
    arrays = {"global_orient": root, "body_pose": body, "transl": trans, "fps": 30} | more
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return wanted


def test_names_of_amass_and_of_smplx_may_be_mixed(tmp_path: Path) -> None:
    wanted = smplx(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as data:
        root = data["global_orient"]
    smplx(tmp_path / "m.npz", global_orient=None, root_orient=root)
    assert apart(load_motion(tmp_path / "m.npz").motion, wanted) < 2e-3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"transl": None}, "lacks the array 'transl'"),
        ({"body_pose": None}, "lacks the array 'body_pose'"),
        ({"global_orient": np.zeros((0, 1, 3))}, "global_orient: no frames"),
        ({"body_pose": np.zeros((60, 23, 3, 3))}, "body_pose: rotation matrices .*as_rotvec"),
        ({"body_pose": np.full((60, 63), 90.0)}, "global_orient and body_pose: .* in degrees"),
        ({"transl": np.zeros((9, 3))}, "transl has 9 frames, the poses have"),
    ],
)
def test_bad_archives_are_refused_by_their_own_names(
    tmp_path: Path, more: dict[str, object], message: str
) -> None:
    smplx(tmp_path / "bad.npz", **more)
    with pytest.raises(BVHError, match=r"bad\.npz: .*" + message):
        load_motion(tmp_path / "bad.npz")


def test_a_body_in_a_cameras_coordinates_stands_upright(tmp_path: Path) -> None:
    wanted = smplx(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as data:
        root, trans = data["global_orient"], data["transl"]
    # From Z up to X right, Y down, Z ahead, 4 m before the camera.
    camera = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    seen = amass.vectors_of(camera @ amass.matrices(root))
    places = (trans + amass.OFFSETS[0]) @ camera.T - amass.OFFSETS[0] + [0.0, 0.0, 4.0]
    smplx(tmp_path / "m.npz", global_orient=seen, transl=places)
    loaded = load_motion(tmp_path / "m.npz")
    assert loaded.report is not None
    assert loaded.report.up == "-y"
    assert [line for line in faults(loaded.remarks) if "as in a camera's picture" in line]
    height = loaded.motion.global_positions()[..., 2]
    expected = wanted[..., 2] - wanted[..., 2].min()
    np.testing.assert_allclose(height - height.min(), expected, atol=5e-3)


def test_y_up_and_z_up_are_told_apart(tmp_path: Path) -> None:
    amass.write(tmp_path / "z.npz", make(), z_up=True)
    amass.write(tmp_path / "y.npz", make(), z_up=False)
    y, z = load_motion(tmp_path / "y.npz"), load_motion(tmp_path / "z.npz")
    assert y.report is not None
    assert y.report.up == "y"
    # One is the other turned about the vertical, as Y up's forward, Z, is -Y of AMASS' Z up.
    turned = y.motion.moved(rot.from_axis_angle([0.0, 0.0, 1.0], -np.pi / 2), np.zeros(3))
    assert np.abs(turned.global_positions() - z.motion.global_positions()).max() < 2e-3


def test_a_body_that_lies_is_told_and_its_axis_may_be_given(tmp_path: Path) -> None:
    motion = make("wave")
    back = rot.from_axis_angle(np.array([0.0, 1.0, 0.0]), -np.pi / 2)
    motion = motion.moved(back, np.array([2.0, 0.0, 0.12]))
    amass.write(tmp_path / "m.npz", motion, z_up=False)
    amass.write(tmp_path / "z.npz", motion, z_up=True)
    given = load_motion(tmp_path / "m.npz", reading=Reading(up="y"))
    assert "up-axis" not in map(kind_of, given.remarks)
    assert "lies" in map(kind_of, given.remarks)
    found = load_motion(tmp_path / "z.npz")
    assert found.report is not None
    assert found.report.up == "z"
    assert {"lies", "up-axis"} <= set(map(kind_of, found.remarks))


def test_the_rate_is_the_files_or_the_users(tmp_path: Path) -> None:
    motion = make().resampled(120)
    amass.write(tmp_path / "new.npz", motion, mocap_framerate=None, mocap_frame_rate=120.0)
    assert len(load_motion(tmp_path / "new.npz").motion) == pytest.approx(60, abs=1)
    amass.write(tmp_path / "no.npz", motion, mocap_framerate=None)
    with pytest.raises(BVHError, match=r"no\.npz: states no mocap_framerate, .*--source-fps"):
        load_motion(tmp_path / "no.npz")
    read = load_motion(tmp_path / "no.npz", reading=Reading(fps=60)).motion
    assert len(read) == pytest.approx(120, abs=1)


def test_stature_is_said_or_the_mean_bodys(tmp_path: Path) -> None:
    amass.write(tmp_path / "m.npz", make())
    mean, tall = (
        load_motion(tmp_path / "m.npz", reading=Reading(height=h)) for h in (None, 2 * STATURE)
    )
    assert mean.report is not None
    assert mean.report.height == pytest.approx(STATURE, abs=0.005)
    assert np.allclose(tall.motion.offsets, 2 * mean.motion.offsets, atol=1e-6)
    assert not any(kind_of(line) == "body" for line in tall.remarks)


@pytest.mark.parametrize("gender", ["female", b"neutral", np.array([b"male"]), None])
def test_gender_may_be_text_bytes_or_none(tmp_path: Path, gender: object) -> None:
    amass.write(tmp_path / "m.npz", make(), gender=gender)
    told = load_motion(tmp_path / "m.npz").remarks[0]
    assert ("male" in told or "neutral" in told) == (gender is not None)
    assert "b'" not in told


def test_a_folder_of_amass_is_a_set_and_what_is_said_of_it_counts(tmp_path: Path) -> None:
    folder = tmp_path / "CMU"
    folder.mkdir()
    for kind in ("walk", "hop"):
        amass.write(folder / f"{kind}_poses.npz", make(kind))
    np.savez(folder / "shape.npz", betas=np.zeros(16), gender="male")
    np.savez(folder / "broken_poses.npz", betas=np.zeros(16), gender="male")
    data = dataset.load(folder)
    assert data.names == ["hop_poses.npz", "walk_poses.npz"]
    # A subject's shape is no motion that could not be read.
    assert [name for name, _ in data.skipped] == ["broken_poses.npz"]
    (folder / "bvh.toml").write_text("height = 1.0\n")
    small = dataset.load(folder)
    assert np.allclose(small.motions[0].offsets, data.motions[0].offsets / STATURE, atol=1e-6)


@pytest.mark.parametrize("kind", ["walk", "squat", "dance", "turn"])
def test_what_is_written_comes_back(tmp_path: Path, kind: str) -> None:
    motion = make(kind)
    save_smpl(motion, tmp_path / "m.smpl.npz")
    back = load_motion(tmp_path / "m.smpl.npz").motion
    wanted = motion.on_bones(back.offsets)
    assert apart(back, wanted.global_positions()) < 2e-3
    turns = rot.angle_between(back.global_transforms()[0], wanted.global_transforms()[0])
    assert np.rad2deg(turns).max() < 3.0
    assert back.source.name == "m"


def test_written_arrays_are_those_of_amass(tmp_path: Path) -> None:
    motion = make()
    save_smpl(motion, tmp_path / "m.smpl.npz")
    with np.load(tmp_path / "m.smpl.npz", allow_pickle=False) as data:
        shapes = {name: data[name].shape for name in data.files}
        poses, trans = data["poses"], data["trans"]
        assert (str(data["gender"]), float(data["mocap_framerate"])) == ("neutral", 30.0)
    n = len(motion)
    assert shapes == {"poses": (n, 156), "trans": (n, 3), "betas": (16,), "dmpls": (n, 8),
                      "gender": (), "mocap_framerate": ()}  # fmt: skip
    # By SMPL's own forward kinematics the head is over the feet along Z.
    turns = amass.matrices(poses[:, :66].reshape(n, 22, 3))
    head = trans + amass.OFFSETS[0]
    world = turns[:, 0]
    for joint in (3, 6, 9, 12, 15):
        head, world = head + world @ amass.OFFSETS[joint], world @ turns[:, joint]
    place = motion.on_bones(load_motion(tmp_path / "m.smpl.npz").motion.offsets)
    assert np.abs(head - place.global_positions()[:, 13]).max() < 2e-3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"trans": None}, "lacks the array 'trans'"),
        ({"poses": np.zeros((60, 100))}, r"poses: expected \(frames, one of 72"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "poses: no frames"),
        ({"poses": np.full((60, 156), np.nan)}, "poses: frame 0 holds a value that is not finite"),
        ({"poses": np.array([{}], dtype=object)}, "poses is an array of objects"),
        ({"poses": np.array(["a"])}, "poses: expected numbers"),
        ({"trans": np.zeros((9, 3))}, "trans has 9 frames, the poses have"),
        ({"trans": np.zeros((60, 2))}, r"trans: expected shape \(frames, 3\)"),
        ({"mocap_framerate": 0.0}, "states a rate of 0 frames"),
        ({"mocap_framerate": np.array([30.0, 60.0])}, "mocap_framerate: expected one number"),
    ],
)
def test_bad_archives_are_refused(tmp_path: Path, more: dict[str, object], message: str) -> None:
    amass.write(tmp_path / "bad.npz", make(), **more)
    with pytest.raises(BVHError, match=r"bad\.npz: .*" + message):
        load_motion(tmp_path / "bad.npz")


def test_a_half_of_two_is_named(tmp_path: Path) -> None:
    amass.write(tmp_path / "bad.npz", make(), width=0, root_orient=None)
    with pytest.raises(BVHError, match=r"bad\.npz: lacks the array 'root_orient'"):
        load_motion(tmp_path / "bad.npz")


def test_objects_that_nobody_asks_for_do_no_harm(tmp_path: Path) -> None:
    amass.write(tmp_path / "m.npz", make(), labels=np.array([{}], dtype=object))
    assert len(load_motion(tmp_path / "m.npz").motion) == 60
