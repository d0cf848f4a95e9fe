"""Bones of SMPL's bodies by a made-up body model."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import amass
import numpy as np
import pytest
from scipy import sparse

from bvh import BVHError, dataset, procedural
from bvh.motion_io import load_motion
from bvh.reading import Reading
from bvh.remarks import kind_of
from bvh.rotations import Array
from bvh.smpl import OFFSETS, PARENTS

EACH = 6  # vertices a joint


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))


def made(joints: int = 24, betas: int = 10, directions: int | None = None) -> dict[str, Any]:
    """Arrays of a body model whose vertices are around the joints of a crooked person."""
    rng = np.random.default_rng(4)
    parents = [*PARENTS, *([20] * (joints - 22))]
    places = np.zeros((joints, 3))
    for joint, parent in enumerate(parents):
        offset = OFFSETS[joint] * (1 + 0.05 * np.sin(joint)) if joint < 22 else [0.02, 0, 0.01]
        places[joint] = np.asarray(offset) + (places[parent] if parent >= 0 else 0.0)
    weights = rng.random((joints, EACH))
    weights /= weights.sum(1, keepdims=True)
    regressor = np.zeros((joints, joints * EACH))
    for joint in range(joints):
        regressor[joint, joint * EACH : (joint + 1) * EACH] = weights[joint]
    shapes = np.zeros((joints * EACH, 3, directions or betas))
    vertices = np.repeat(places, EACH, axis=0) + rng.normal(0, 0.01, (joints * EACH, 3))
    shapes[..., 0] = 0.03 * vertices  # tall
    shapes[..., 1] = [0.05, 0.01, 0.0] * vertices  # wide
    shapes[..., 2] = rng.normal(0, 0.002, shapes.shape[:2])
    shapes[..., betas:] = 1.0  # of a face, or of no beta that is given
    roots = np.array([0, *parents[1:]], dtype=np.uint32 if joints == 24 else np.int64)
    roots[0] = 2**32 - 1 if joints == 24 else -1
    return {
        "v_template": vertices,
        "shapedirs": shapes,
        "J_regressor": regressor,
        "kintree_table": np.stack([roots, np.arange(joints, dtype=roots.dtype)]),
        "f": np.zeros((4, 3), dtype=np.uint32),
    }


def offsets_of(model: dict[str, Any], betas: Array) -> Array:
    """Offsets of the first 22 joints, after the papers."""
    count = min(len(betas), 10)
    surface = model["v_template"] + model["shapedirs"][..., :count] @ betas[:count]
    joints = model["J_regressor"] @ surface
    return np.array([joints[j] - (joints[p] if p >= 0 else 0) for j, p in enumerate(PARENTS)])


def read(path: Path, model: Path, **how: Any) -> Any:
    return load_motion(path, reading=Reading(body_model=str(model), **how))


def apart(found: Array, wanted: Array) -> float:
    gap = found - wanted
    gap[..., 2] -= gap[..., 2].mean()
    return float(np.linalg.norm(gap, axis=-1).max())


@pytest.mark.parametrize(("joints", "directions"), [(24, 10), (52, 16), (55, 20), (55, 400)])
def test_joints_are_where_betas_put_them(tmp_path: Path, joints: int, directions: int) -> None:
    model = made(joints, directions=directions)
    betas = np.array([1.5, -1.0, 2.0, 0, 0, 0, 0, 0, 0, 0])
    np.savez(tmp_path / "body.npz", **model)
    motion = procedural.make("dance", seconds=2, seed=3)
    bones = offsets_of(model, betas)
    wanted = amass.write(tmp_path / "m.npz", motion, offsets=bones, betas=betas)
    loaded = read(tmp_path / "m.npz", tmp_path / "body.npz")
    assert apart(loaded.motion.global_positions(), wanted) < 2e-3
    assert not loaded.remarks
    mean = load_motion(tmp_path / "m.npz").motion
    assert apart(mean.global_positions(), wanted) > 0.03


@pytest.mark.parametrize("way", ["csc", "csr", "coo"])
def test_a_sparse_regressor_is_the_same(tmp_path: Path, way: str) -> None:
    model = made()
    np.savez(tmp_path / "dense.npz", **model)
    matrix = sparse.csc_matrix(model.pop("J_regressor")).asformat(way)
    names = ("data", "row", "col") if way == "coo" else ("data", "indices", "indptr", "shape")
    parts = {f"J_regressor_{name}": getattr(matrix, name) for name in names}
    if way == "csr":
        parts["J_regressor_format"] = np.array(b"csr")
    np.savez(tmp_path / "sparse.npz", **model, **parts)
    amass.write(tmp_path / "m.npz", procedural.make("walk", seconds=1), betas=np.ones(10))
    found = [read(tmp_path / "m.npz", tmp_path / f"{n}.npz").motion for n in ("dense", "sparse")]
    np.testing.assert_allclose(found[0].offsets, found[1].offsets, atol=1e-9)


def test_what_betas_do_not_say_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPL_FEMALE.npz", **made())
    motion = procedural.make("walk", seconds=1)
    for name, betas in (("none", None), ("more", np.ones(16)), ("vary", np.eye(30, 10))):
        amass.write(tmp_path / f"{name}.npz", motion, betas=betas)
    told = {
        name: read(tmp_path / f"{name}.npz", tmp_path / "SMPL_FEMALE.npz").remarks
        for name in ("none", "more", "vary")
    }
    assert "states no betas" in told["none"][0]
    assert "has 10 betas, so the file's other 6 do not count" in told["more"][0]
    assert "change from frame to frame" in told["vary"][0]
    assert all(
        "the subject is male, but SMPL_FEMALE.npz is of a female" in t[1] for t in told.values()
    )
    assert {kind_of(line) for lines in told.values() for line in lines} == {"body"}


def test_a_folder_may_say_its_model_and_a_changed_one_counts(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    amass.write(folder / "m.npz", procedural.make("walk", seconds=1), betas=np.zeros(10))
    model = made()
    np.savez(tmp_path / "body.npz", **model)
    (folder / "bvh.toml").write_text('body_model = "../body.npz"\n')
    first = dataset.load(folder).motions[0].offsets
    assert np.allclose(first, load_motion(folder / "m.npz").motion.offsets)
    model["v_template"] *= 1.1
    np.savez(tmp_path / "body.npz", **model)
    assert np.allclose(dataset.load(folder).motions[0].offsets, 1.1 * first, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"v_template": None}, "body.npz: no body model: lacks the array 'v_template'"),
        ({"J_regressor": None}, "no body model: lacks the array 'J_regressor'"),
        (
            {"J_regressor": np.array({}, dtype=object)},
            "body.npz: J_regressor is an array of objects, and pickles are not loaded",
        ),
        (
            {"J_regressor": None, "J_regressor_data": np.ones(3)},
            "sparse and has only J_regressor_data",
        ),
        ({"J_regressor": np.ones((24, 7))}, r"J_regressor: expected \(24, 144\), got \(24, 7\)"),
        ({"shapedirs": np.ones((9, 3, 10))}, r"shapedirs: expected \(144, 3, betas\)"),
        ({"v_template": np.full((144, 3), np.nan)}, "v_template holds a value that is not finite"),
        ({"v_template": np.full((144, 3), 90.0)}, "v_template reaches 90 m: it must be in metres"),
        ({"kintree_table": np.zeros((2, 24))}, "its first 22 joints are not those of SMPL"),
        ({"kintree_table": np.zeros(24)}, r"kintree_table: expected \(2, joints\)"),
    ],
)
def test_bad_models_are_refused(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    arrays = {k: v for k, v in (made() | more).items() if v is not None}
    np.savez(tmp_path / "body.npz", **arrays)
    amass.write(tmp_path / "m.npz", procedural.make("walk", seconds=1))
    with pytest.raises(BVHError, match=message):
        read(tmp_path / "m.npz", tmp_path / "body.npz")


def test_pickles_other_files_and_heights_are_refused(tmp_path: Path) -> None:
    amass.write(tmp_path / "m.npz", procedural.make("walk", seconds=1))
    np.savez(tmp_path / "body.npz", **made())
    for name in ("SMPL_NEUTRAL.pkl", "body2.npz"):
        (tmp_path / name).write_bytes(pickle.dumps({"v_template": [1.0]}))
        with pytest.raises(BVHError, match=rf"{name}: a pickle is not loaded, since it may"):
            read(tmp_path / "m.npz", tmp_path / name)
    with pytest.raises(BVHError, match=r"none\.npz: no body model \(No such file"):
        read(tmp_path / "m.npz", tmp_path / "none.npz")
    with pytest.raises(BVHError, match="leave out --height"):
        read(tmp_path / "m.npz", tmp_path / "body.npz", height=1.7)
    amass.write(tmp_path / "bad.npz", procedural.make("walk", seconds=1), betas=np.full(10, np.nan))
    with pytest.raises(BVHError, match=r"bad\.npz: betas: frame 0 holds a value that is not"):
        read(tmp_path / "bad.npz", tmp_path / "body.npz")
    procedural.make("walk", seconds=1).save(tmp_path / "own.npz")
    with pytest.raises(BVHError, match=r"own\.npz: has bones of its own; leave out --body-model"):
        read(tmp_path / "own.npz", tmp_path / "body.npz")
