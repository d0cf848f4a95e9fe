"""Folders of people and robots are one set of motion."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bvh
from bvh import dataset, procedural
from bvh.reading import Reading

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from motiontok.data.store.entries import read_entries
from motiontok.data.store.writing import pack_clips
from motiontok.errors import InputError
from motiontok.motion_io import load_motion
from motiontok.robots import Trajectory, motion_of, reading, retarget
from motiontok.robots.files import trajectory_io
from motiontok.robots.files.tracker_writing import save_tracking

pytestmark = pytest.mark.usefixtures("one_g1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def walk(g1):
    return retarget(procedural.make("walk", seconds=2, seed=4), g1)


@pytest.fixture
def mixed(tmp_path, g1, walk):
    """A clip, the robot in three kinds of files, and a table of something else."""
    folder = tmp_path / "mixed"
    (folder / "deep").mkdir(parents=True)
    bvh.write(procedural.make("dance", seconds=2, seed=1).to_clip(), folder / "dance.bvh")
    walk.save(folder / "own.npz")
    np.savetxt(folder / "table.csv", walk.qpos, delimiter=",")
    save_tracking(walk, g1, folder / "deep" / "tracker.npz", fps=30)
    (folder / "labels.csv").write_text("file,action\ndance.bvh,dance\n")
    return folder


def test_all_kinds_are_read_alike(mixed, g1, walk):
    data = dataset.load(mixed, reading=reading(robot="g1"))
    assert data.names == ["dance.bvh", "deep/tracker.npz", "own.npz", "table.csv"]
    assert data.skipped == []
    wanted = motion_of(walk, g1)
    for motion in data.motions[1:]:
        gap = motion.global_positions() - wanted.global_positions()
        assert np.abs(gap).max() < 1e-3
    assert [m.source.name for m in data.motions[1:]] == ["tracker", "own", "table"]
    assert {name for name, _ in data.remarks} >= {"table.csv"}


def test_a_robots_file_is_the_same_motion_alone_and_in_its_folder(mixed):
    data = dataset.load(mixed, reading=reading(robot="g1"))
    for name, motion in zip(data.names[1:], data.motions[1:], strict=True):
        # The table does not name its robot, the others do.
        loaded = load_motion(mixed / name, robot="g1")
        np.testing.assert_array_equal(loaded.motion.rotations, motion.rotations)
        np.testing.assert_array_equal(loaded.motion.root_positions, motion.root_positions)
        assert loaded.motion.source == motion.source
        assert loaded.kind == "trajectory of g1"
    with pytest.raises(InputError, match="names no robot; say which one"):
        load_motion(mixed / "table.csv")


def test_who_does_not_know_robots_skips_them_and_the_cache_does_not_mind(mixed):
    for _ in range(2):
        alone = dataset.load(mixed)
        assert alone.names == ["dance.bvh"]
        assert len(alone.skipped) == 3
        assert "which `bvh` alone does not read" in alone.skipped[0][1]
        unnamed = dataset.load(mixed, reading=reading())
        assert unnamed.names == ["dance.bvh", "deep/tracker.npz", "own.npz"]
        assert unnamed.skipped == [
            ("table.csv", "a .csv names no robot; say which one with --robot")
        ]
        assert len(dataset.load(mixed, reading=reading(robot="g1"))) == 4


def test_an_archive_is_read_as_its_folder_is(mixed, tmp_path):
    (mixed / "table.csv.json").write_text(json.dumps({"fps": 60}))
    folder = dataset.load(mixed, reading=reading(robot="g1"))
    for kind in ("zip", "gztar"):
        archive = shutil.make_archive(str(tmp_path / "robots"), kind, mixed)
        data = dataset.load(archive, reading=reading(robot="g1"))
        assert data.names == folder.names
        assert data.skipped == []
        assert sorted(data.remarks) == sorted(folder.remarks)
        for mine, other in zip(data.motions, folder.motions, strict=True):
            np.testing.assert_array_equal(mine.rotations, other.rotations)
            np.testing.assert_array_equal(mine.root_positions, other.root_positions)


def test_a_sidecar_that_changes_is_seen(mixed):
    before = dataset.load(mixed, reading=reading(robot="g1"))
    (mixed / "table.csv.json").write_text(json.dumps({"fps": 60}))
    after = dataset.load(mixed, reading=reading(robot="g1"))
    assert len(after.motions[3]) == pytest.approx(len(before.motions[3]) / 2, abs=1)


def test_the_folder_may_say_whose_it_is(mixed):
    (mixed / "bvh.toml").write_text('robot = "g1"\nfps = 60\n')
    data = dataset.load(mixed, reading=reading())
    assert "table.csv" in data.names
    assert len(data.motions[data.names.index("table.csv")]) == pytest.approx(30, abs=1)
    assert Reading(robot="g1").digest != Reading().digest == reading().digest


def test_commands_take_them(mixed, tmp_path, run, g1, tiny_run, tiny_settings):
    words = ("--tokenizer", tiny_run, "--robot", "g1", "--device", "cpu")
    code, out, err = run("encode", mixed, "-o", tmp_path / "codes", *words)
    assert code == 0, err
    assert out.startswith("4 clips")
    code, out, err = run("eval", tiny_run, "--data", mixed, "--all", "--robot", "g1", "--json")
    assert code == 0, err
    assert json.loads(out)["test"]["clips"] == 4
    code, out, err = run("eval", tiny_run, "--data", mixed / "table.csv", "--all", "--json")
    assert code == 2
    assert "say which one with --robot" in err
    code, out, err = run("pack", mixed / "table.csv", mixed, "-o", tmp_path / "s", "--robot", "g1")
    assert code == 0, err
    robots = tmp_path / "robots"
    robots.mkdir()
    for seed in (1, 2):
        moved = retarget(procedural.make("squat", seconds=2, seed=seed), g1)
        np.savetxt(robots / f"{seed}.csv", moved.qpos, delimiter=",")
    settings = [w for key in tiny_settings for w in ("--set", key) if "clips=" not in key]
    sets = ("--data", mixed, "--data", robots, "--robot", "g1")
    code, out, err = run("train", "general", *sets, *settings, "--method", "pca-pq",
                         "--out", tmp_path / "run", "--device", "cpu", "--json")  # fmt: skip
    assert code == 0, err
    assert "robots: 1 clip, 60 frames, 1 held out" in err


def test_a_trackers_file_that_names_no_robot_needs_one(g1, walk, tmp_path):
    save_tracking(walk, g1, tmp_path / "m.npz", fps=30)
    with np.load(tmp_path / "m.npz", allow_pickle=False) as data:
        arrays = {k: data[k] for k in data.files if k != "robot"}
    np.savez(tmp_path / "m.npz", **arrays)
    assert len(dataset.load(tmp_path / "m.npz", reading=reading(robot="g1"))) == 1
    with pytest.raises(bvh.BVHError, match="names no robot"):
        dataset.load(tmp_path / "m.npz", reading=reading())


def test_what_was_read_is_of_all_code_that_makes_motions_of_trajectories(monkeypatch):
    seen = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (seen.append(path.name), read(path))[1])
    trajectory_io._version.cache_clear()
    assert trajectory_io.RobotReader().version
    assert {"motions.py", "calibration.py", "tables.py", "g1.toml"} <= set(seen)


@pytest.mark.usefixtures("one_core")
def test_a_folder_with_robots_in_it_is_put_on_a_robot(mixed, walk, tmp_path, run):
    """Round trip within 2 cm: what the robot did it does again."""
    out = mixed / "g1"
    for _ in range(2):
        code, said, errors = run("retarget", mixed, "-o", out, "--from-robot", "g1", "--json")
        assert code == 0, errors
        assert "skipped" not in errors
        assert "left out" not in errors
        rows = {Path(row["source"]).name: row["output"] for row in json.loads(said)["files"]}
        assert rows == {
            "dance.bvh": str(out / "dance.npz"), "own.npz": str(out / "own.npz"),
            "table.csv": str(out / "table.npz"), "tracker.npz": str(out / "deep/tracker.npz"),
        }  # fmt: skip
        for name in ("own", "table", "deep/tracker"):
            again = Trajectory.load(out / f"{name}.npz")
            assert np.abs(again.root_positions - walk.root_positions).max() < 0.02
            assert np.abs(again.joints - walk.joints).mean() < np.radians(5)
        stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    # A sidecar is part of what a table says; what is said beside all of them, of all.
    (mixed / "table.csv.json").write_text(json.dumps({"fps": 60}))
    assert run("retarget", mixed, "-o", out, "--from-robot", "g1")[0] == 0
    changed = {p.name for p, then in stamps.items() if p.stat().st_mtime_ns != then}
    assert changed == {"table.npz"}


def test_results_of_another_run_are_sources_only_where_they_are_named(mixed, walk, tmp_path, run):
    for name in ("dance.bvh", "table.csv", "own.npz"):
        (mixed / name).unlink()
    short = replace(walk, qpos=walk.qpos[:20], contacts=walk.contacts[:20])
    short.save(mixed / "deep" / "tracker.npz")
    assert run("retarget", mixed, "-o", mixed / "a")[0] == 0
    code, said, errors = run("retarget", mixed, "-o", mixed / "b", "--json")
    assert code == 0, errors
    assert f"note: {mixed / 'a'}: left out 1 trajectories that retarget wrote there" in errors
    assert json.loads(said)["written"] == 1
    code, said, errors = run("retarget", mixed / "a", "-o", tmp_path / "c", "--json")
    assert code == 0, errors
    assert json.loads(said)["written"] == 1
    # What lies where results go would be replaced, or be taken for one by the next run.
    short.save(mixed / "b" / "mine.npz")
    code, _, errors = run("retarget", mixed, "-o", mixed / "b")
    assert code == 0
    assert "mine.npz: left out, as it lies among the results; give another OUTPUT" in errors


@pytest.mark.usefixtures("one_core")
def test_trajectories_of_a_folder_that_name_no_robot_are_told(mixed, tmp_path, run):
    code, said, errors = run("retarget", mixed, "-o", tmp_path / "out", "--json")
    assert code == 0, errors
    assert "table.csv: a .csv names no robot; say which one with --robot" in errors
    assert json.loads(said)["written"] == 3


def test_a_store_goes_stale_with_what_reads_robots_and_only_what_they_moved(
    mixed, tmp_path, monkeypatch
):
    (mixed / "broken.csv").write_text(",".join(["0.1"] * 19) + "\n")
    store = tmp_path / "store"
    assert pack_clips([mixed], store, reading=reading(robot="g1"), workers=1).packed == 4
    assert pack_clips([mixed], store, reading=reading(robot="g1"), workers=1).packed == 0
    monkeypatch.setattr(trajectory_io, "_version", lambda: "of tomorrow")
    again = pack_clips([mixed], store, reading=reading(robot="g1"), workers=1)
    # A person's clip is as it was; what could not be read may be readable now.
    assert again.packed == 3
    assert [entry.file for entry in again.failed] == ["broken.csv"]
    last = {entry.file: entry for entry in read_entries(store)}
    assert {name for name, e in last.items() if e.reader.endswith("-of tomorrow")} == {
        "broken.csv", "deep/tracker.npz", "own.npz", "table.csv",
    }  # fmt: skip
    assert pack_clips([mixed], store, reading=reading(robot="g1"), workers=1).packed == 0
