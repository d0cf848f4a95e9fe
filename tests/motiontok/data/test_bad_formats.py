"""Damaged files of every kind are one line that says what is wrong, no traceback and no guess."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from bvh import procedural
from bvh.positions import save_positions
from bvh.smpl_writing import save_smpl

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from motiontok.robots import retarget
from motiontok.robots.files.tracker_writing import save_tracking


@pytest.fixture(scope="module")
def files(g1, tmp_path_factory):
    """A good file of each kind."""
    folder = tmp_path_factory.mktemp("good")
    motion = procedural.make("walk", seconds=1, seed=1)
    walk = retarget(motion, g1)
    motion.save(folder / "motion.npz")
    walk.save(folder / "robot.npz")
    save_smpl(motion, folder / "smpl.npz")
    save_tracking(walk, g1, folder / "tracker.npz")
    save_positions(motion, folder / "positions.npy")
    return folder


def arrays(path):
    with np.load(path, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


CHANGES = {
    "missing": lambda value: None,
    "objects": lambda value: np.array([{}], dtype=object),
    "text": lambda value: np.array("zz"),
    "empty": lambda value: np.zeros(0),
    "one number": lambda value: np.float64(3),
    "nan": lambda value: np.full(value.shape, np.nan),
    "complex": lambda value: value + 1j,
    "no frames": lambda value: value[:0] if value.ndim else np.zeros(0),
    "flat": lambda value: value.reshape(-1)[:-1],
    "thin": lambda value: value[..., :-1] if value.ndim else np.zeros(2),
    "long": lambda value: 1e9 * value,
}
NEEDED = {
    "motion": ("root_positions", "rotations", "offsets", "fps"),
    "robot": ("qpos", "fps"),
    "smpl": ("poses", "trans", "mocap_framerate"),
    "tracker": ("joint_pos", "body_pos_w", "body_quat_w", "fps"),
}
TAKEN = {("one number", "fps"), ("one number", "mocap_framerate"), ("long", "trans")}
"""What is no damage: three frames a second, and a path in another place."""


@pytest.mark.parametrize("kind", NEEDED)
@pytest.mark.parametrize("change", CHANGES)
def test_damaged_arrays_are_one_line(files, tmp_path, monkeypatch, run, kind, change):
    monkeypatch.chdir(tmp_path)
    for key in NEEDED[kind]:
        if (change, key) in TAKEN:
            continue
        data = arrays(files / f"{kind}.npz")
        data[key] = CHANGES[change](data[key])
        np.savez("bad.npz", **{k: v for k, v in data.items() if v is not None})
        code, out, err = run("inspect", "bad.npz")
        assert code == 2, (key, out)
        assert err.startswith("error: bad.npz: "), key
        assert err.count("\n") == 1, key
        assert "unexpected" not in err


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("ending", ["csv", "npz", "npy", "bvh", "pkl"])
@pytest.mark.parametrize("command", ["inspect", "convert"])
def test_pickles_are_refused_by_name(tmp_path, monkeypatch, run, protocol, ending, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"trap.{ending}").write_bytes(pickle.dumps({"qpos": [1.0]}, protocol=protocol))
    code, _, err = run(command, f"trap.{ending}", *(["out.npz"] if command == "convert" else []))
    assert code == 2
    assert err.startswith(f"error: trap.{ending}: a pickle is not loaded, since it may")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([{}], dtype=object), "an array of objects"),
        (np.zeros((9, 24, 3)), "expected shape (frames, 22, 3), got (9, 24, 3)"),
        (np.zeros((9, 262)), "features: expected shape (frames, 263)"),
        (np.zeros((9, 22, 3), complex), "expected numbers, got complex128"),
        (np.zeros(9), "no motion: expected floats of shape"),
        (np.full((9, 22, 3), np.inf), "frame 0 holds a value that is not finite"),
    ],
)
def test_arrays_that_are_no_positions_say_what_they_are(tmp_path, monkeypatch, run, value, message):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", value, allow_pickle=True)
    code, _, err = run("inspect", "a.npy")
    assert code == 2
    assert err.startswith("error: a.npy: ")
    assert message in err


@pytest.mark.parametrize("unit", [100, 1000])
def test_positions_in_other_units_are_the_same_motion(files, tmp_path, monkeypatch, run, unit):
    from bvh.motion_io import load_motion

    monkeypatch.chdir(tmp_path)
    np.save("a.npy", unit * np.load(files / "positions.npy"))
    found, wanted = load_motion("a.npy"), load_motion(files / "positions.npy")
    assert found.remarks == wanted.remarks
    gap = found.motion.global_positions() - wanted.motion.global_positions()
    assert np.abs(gap).max() < 1e-3


def test_guesses_that_would_be_wrong_are_refused_or_told(files, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    data = arrays(files / "robot.npz")
    np.savez("bad.npz", **data | {"quaternion": "zyxw"})
    assert "quaternion is 'zyxw', neither xyzw nor wxyz" in run("inspect", "bad.npz")[2]
    np.savez("bad.npz", **data | {"joint_names": data["joint_names"][::-1]})
    code, _, err = run("inspect", "bad.npz")
    assert code == 0
    assert "and its limits are" in err
    assert run("inspect", "bad.npz", "--strict")[0] == 2
    data = arrays(files / "smpl.npz")
    np.savez("bad.npz", **data | {"poses": np.rad2deg(data["poses"])})
    assert "rad is too large; are they in degrees?" in run("inspect", "bad.npz")[2]
    data = arrays(files / "motion.npz")
    np.savez("bad.npz", **data | {"rotations": 1.5 * data["rotations"]})
    assert "rotations: not unit quaternions" in run("inspect", "bad.npz")[2]
