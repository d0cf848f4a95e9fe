"""``motiontok robots`` and ``motiontok retarget``."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

import bvh
from bvh import Motion, procedural
from motiontok.cli.retarget import retarget
from motiontok.cli.robots import robots
from motiontok.robots import Trajectory

pytestmark = pytest.mark.usefixtures("one_g1")


@pytest.fixture
def run(done):
    return done


def test_robots_are_listed_and_described():
    runner = CliRunner()
    assert "g1" in runner.invoke(robots, []).output.split()
    assert "talos" in json.loads(runner.invoke(robots, ["--json"]).output)
    facts = json.loads(runner.invoke(robots, ["g1", "--json"]).output)
    assert facts["joints"] == 29
    assert facts["follow"]["LeftLeg"]["frame"] == "left_knee_link"
    assert "left_knee_link" in runner.invoke(robots, ["g1"]).output


def test_an_unknown_robot_is_one_line_and_exit_code_2(run):
    done = run("robots", "atlas")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "g1" in done.stderr


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "walk.npz"
    procedural.make("walk", seconds=0.5, seed=0).save(path)
    return path


def test_a_motion_becomes_robot_files(clip, tmp_path):
    out = tmp_path / "robot.npz"
    done = CliRunner().invoke(retarget, [str(clip), "-o", str(out), "--fps", "50", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["limit_violation"] == 0
    assert report["self_penetration"] < 0.005
    trajectory = Trajectory.load(out)
    assert trajectory.fps == 50
    assert trajectory.robot == "g1"
    assert len(trajectory) == report["frames"] == 24

    table = tmp_path / "robot.csv"
    done = CliRunner().invoke(retarget, [str(clip), "-o", str(table), "--order", "mujoco"])
    assert done.exit_code == 0, done.output
    assert "position error" in done.stdout
    rows = np.loadtxt(table, delimiter=",")
    assert rows.shape == (15, 36)
    np.testing.assert_allclose(np.linalg.norm(rows[:, 3:7], axis=1), 1, atol=1e-6)


@pytest.mark.usefixtures("one_core")
def test_a_folder_becomes_a_folder_and_a_broken_clip_is_not_the_end(run, clip, tmp_path):
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    clip.rename(folder / "deep" / "walk.npz")
    (folder / "broken.bvh").write_text("no")
    (folder / "none.npz").write_text("no")
    Motion.load(folder / "deep" / "walk.npz")[:0].save(folder / "empty.npz")
    out = tmp_path / "robots"
    done = run("retarget", folder, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    assert "broken.bvh" in done.stderr
    assert "none.npz: not a motion file" in done.stderr
    assert "empty.npz: motion has no frames" in done.stderr
    assert json.loads(done.stdout)["written"] == 1
    assert [p.relative_to(out).as_posix() for p in out.rglob("*.npz")] == ["deep/walk.npz"]
    (folder / "deep" / "walk.npz").unlink()
    assert run("retarget", folder, "-o", out).returncode == 2


def test_every_clip_of_a_folder_has_a_result_of_its_own(run, clip, tmp_path):
    folder, out = tmp_path / "clips", tmp_path / "robots"
    folder.mkdir()
    bvh.write(procedural.make("walk", seconds=0.5, seed=1).to_clip(), folder / "walk.bvh")
    text = (folder / "walk.bvh").read_bytes()
    (folder / "loud.BVH").write_bytes(text)
    with gzip.open(folder / "small.bvh.gz", "wb") as file:
        file.write(text)
    clip.rename(folder / "walk.npz")
    done = run("retarget", folder, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    names = ["loud.npz", "small.npz", "walk.bvh.npz", "walk.npz.npz"]
    assert sorted(p.name for p in out.glob("*.npz")) == names
    told = json.loads(done.stdout)
    assert told["written"] == len(names)
    # Each file has its figures, and they add up.
    assert [row["output"] for row in told["files"]] == [str(out / name) for name in names]
    frames = [row["frames"] for row in told["files"]]
    assert frames == [len(Trajectory.load(out / name)) for name in names]
    errors = [row["position_error"] for row in told["files"]]
    assert told["position_error"] == pytest.approx(np.average(errors, weights=frames))
    assert told["self_penetration"] == max(row["self_penetration"] for row in told["files"])
    # Read anew from the ledger, the table ends with the worst clip.
    table = run("retarget", folder, "-o", out).stdout
    worst = max(told["files"], key=lambda row: row["position_error"])
    error = 100 * worst["position_error"]
    assert f"worst clip: {worst['source']}, position error {error:.2f} cm mean\n" in table


@pytest.mark.usefixtures("one_core")
def test_a_folder_of_codes_is_put_on_a_robot(run, clip, tmp_path):
    shutil.copy(clip, tmp_path / "again.npz")
    sources = [clip, tmp_path / "again.npz"]
    assert run("encode", *sources, "-o", tmp_path / "codes", "--effort", "1").returncode == 0
    codes = sorted(p for p in (tmp_path / "codes").rglob("*.npy"))
    assert len(codes) == 2
    damaged = codes[1].with_name("damaged.npy")
    damaged.write_bytes(codes[1].read_bytes()[:100])
    shutil.copy(codes[1].with_suffix(".json"), damaged.with_suffix(".json"))
    # Joint positions have no sidecar, and are no codes.
    np.save(tmp_path / "codes" / "positions.npy", np.zeros((3, 22, 3)))
    command = ["retarget", tmp_path / "codes", "-o", tmp_path / "out", "--json"]
    first = run(*command)
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    names = [p.relative_to(tmp_path / "codes").with_suffix(".npz") for p in codes]
    assert [f["output"] for f in summary["files"]] == [str(tmp_path / "out" / n) for n in names]
    assert len(summary["skipped"]) == 1
    assert "damaged.npy" in summary["skipped"][0]
    alone = run("retarget", codes[0], "-o", tmp_path / "alone.npz")
    assert alone.returncode == 0, alone.stderr
    whole, one = (
        Trajectory.load(tmp_path / "out" / names[0]),
        Trajectory.load(tmp_path / "alone.npz"),
    )
    np.testing.assert_allclose(whole.qpos, one.qpos, atol=1e-6)
    # Those that are there are left alone, and solved again where their sidecar changes.
    about = json.loads(codes[0].with_suffix(".json").read_text())
    about["start"]["x"] += 1.0
    codes[0].with_suffix(".json").write_text(json.dumps(about))
    again = run(*command[:-1])
    assert "wrote 1 trajectories, 1 were there already" in again.stdout
    moved = Trajectory.load(tmp_path / "out" / names[0])
    scale = (moved.qpos - whole.qpos)[:, 0].mean()
    assert scale > 0.5


@pytest.mark.usefixtures("one_core")
def test_a_folder_becomes_tables_where_asked(run, clip, tmp_path):
    folder, out = tmp_path / "clips", tmp_path / "tables"
    folder.mkdir()
    clip.rename(folder / "walk.npz")
    done = run("retarget", folder, "-o", out, "--csv")
    assert done.returncode == 0, done.stderr
    assert "position error" in done.stdout
    assert "wrote 1 trajectories, 15 frames for g1" in done.stdout
    again = run("retarget", folder, "-o", out, "--csv")
    assert "wrote 0 trajectories, 1 were there already, 15 frames for g1" in again.stdout
    assert sorted(p.name for p in out.glob("*.csv*")) == ["walk.csv", "walk.csv.json"]
    assert np.loadtxt(out / "walk.csv", delimiter=",").shape == (15, 36)
    refused = run("retarget", folder / "walk.npz", "-o", tmp_path / "r.npz", "--csv")
    assert refused.returncode == 2
    assert "-o NAME.csv" in refused.stderr


def test_no_result_replaces_its_source(run, clip, tmp_path):
    other = clip.with_name("other.npz")
    other.symlink_to(clip)
    before = clip.read_bytes()
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "m.npz").write_bytes(before)
    for source, output in ((clip, clip), (clip, other), (folder, folder / ".." / "clips")):
        done = run("retarget", source, "-o", output)
        assert done.returncode == 2
        assert "the output is an input" in done.stderr
    assert clip.read_bytes() == before
    assert (folder / "m.npz").read_bytes() == before


@pytest.mark.usefixtures("one_core")
def test_what_a_run_wrote_beside_its_sources_is_no_source_of_the_next(run, tmp_path):
    bvh.write(procedural.make("walk", seconds=0.5, seed=1).to_clip(), tmp_path / "walk.bvh")
    for _ in range(2):
        done = run("retarget", tmp_path, "-o", tmp_path, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["skipped"] == []
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "retarget.jsonl",
            "walk.bvh",
            "walk.npz",
        ]


@pytest.mark.usefixtures("one_core")
def test_the_ground_may_be_said(tmp_path):
    slope = np.tan(np.radians(8.0))
    motion = procedural.make("walk", seconds=0.7, seed=1)
    turn = bvh.rotations.from_axis_angle([0.0, 1.0, 0.0], -np.radians(8.0))
    folder = tmp_path / "clips"
    folder.mkdir()
    motion.moved(turn, np.zeros(3)).save(folder / "ramp.npz")
    tilts = []
    for planes in (["0,0,0"], [f"{slope},0,0"]):
        ground = [text for plane in planes for text in ("--ground", plane)]
        out = tmp_path / "robot.npz"
        arguments = [str(folder / "ramp.npz"), "-o", str(out), "--json", *ground]
        done = CliRunner().invoke(retarget, arguments)
        assert done.exit_code == 0, done.output
        tilts.append(json.loads(done.stdout)["foot_tilt"])
        done = CliRunner().invoke(
            retarget, [str(folder), "-o", str(tmp_path / "out"), "--json", *ground]
        )
        assert done.exit_code == 0, done.output
        # Of a folder that was done on another ground all is done again.
        assert json.loads(done.stdout)["foot_tilt"] == pytest.approx(tilts[-1], abs=1e-3)
    assert tilts[0] != pytest.approx(tilts[1], abs=1e-3)
    assert tilts[1] < np.radians(1.5)


@pytest.mark.parametrize("text", ["0,0", "a,b,c", " ", "0,0,nan"])
def test_ground_that_is_no_plane_is_refused(run, clip, tmp_path, text):
    done = run("retarget", clip, "-o", tmp_path / "out.npz", "--ground", text)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "ground" in done.stderr


def test_bad_retarget_input(run, clip, tmp_path):
    spoilt, empty = tmp_path / "nan.npz", tmp_path / "empty.npz"
    with np.load(clip) as data:
        arrays = dict(data)
    rotations = arrays["rotations"].copy()
    rotations[7, 3] = np.nan
    np.savez(spoilt, **{**arrays, "rotations": rotations})
    none = {name: arrays[name][:0] for name in ("rotations", "root_positions")}
    np.savez(empty, **{**arrays, **none})
    Trajectory(np.eye(7)[[6]], (), 30.0, "g1").save(tmp_path / "robot.npz")
    files = sorted(p.name for p in tmp_path.iterdir())
    for arguments, word in (
        ([spoilt, "-o", tmp_path / "r.npz"], "value at (7, 3, 0) is not finite"),
        ([empty, "-o", tmp_path / "r.npz"], "has no frames"),
        ([tmp_path / "robot.npz", "-o", tmp_path / "r.npz"], "its joints are not those of the"),
        ([clip, "-o", tmp_path / "robot.txt"], ".npz or .csv"),
        ([clip, "-o", tmp_path / "r.npz", "--robot", "atlas"], "choose from"),
        ([clip, "-o", tmp_path / "r.npz", "--fps", "0"], "--fps"),
        ([clip, "-o", tmp_path / "r.npz", "--fps", "1e9"], "at most 1000"),
        ([tmp_path / "none.bvh", "-o", tmp_path / "r.npz"], "none.bvh"),
        ([clip, "-o", tmp_path / "r.npz", "--plot", tmp_path / "p.txt"], ".png"),
    ):
        done = run("retarget", *arguments)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert word in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == files
