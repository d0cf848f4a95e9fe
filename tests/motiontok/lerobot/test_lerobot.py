"""Data sets of LeRobot, format v3: the published layout, and back again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")
pytest.importorskip("pyarrow", reason="needs: pip install 'motiontok[lerobot]'")

import pyarrow.parquet as pq

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.errors import CodesError, DataError, InputError
from motiontok.lerobot import Episode, read_episodes, write_dataset
from motiontok.robots import Trajectory, motion_of, retarget


@pytest.fixture(scope="module")
def tokenizer(tiny_run):
    return MotionTokenizer.from_pretrained(tiny_run)


@pytest.fixture(scope="module")
def trajectories(g1):
    made = [
        procedural.make("walk", seconds=1.5, seed=0),
        procedural.make("wave", seconds=1, seed=0),
    ]
    names = ("walk_happy_1", "deep/wave_2")
    return {n: replace(retarget(m, g1), source=n) for n, m in zip(names, made, strict=True)}


@pytest.fixture
def robots(trajectories, tmp_path):
    folder = tmp_path / "robots"
    for name, trajectory in trajectories.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        trajectory.save(folder / f"{name}.npz")
    return folder


@pytest.fixture(scope="module")
def episodes(trajectories, tokenizer, g1):
    return [
        Episode(t, name.split("_")[0], tokenizer.encode_to_codes(motion_of(t, g1)))
        for name, t in trajectories.items()
    ]


def test_the_layout_is_the_published_one(episodes, tokenizer, tmp_path):
    out = tmp_path / "data"
    assert write_dataset(episodes, out, tokenizer) == 2
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        "meta/motiontok.json",
        "meta/episodes/chunk-000/file-000.parquet",
        "data/chunk-000/file-000.parquet",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "nothing is left behind"
    info = json.loads((out / "meta/info.json").read_text())
    lengths = [len(e.trajectory) for e in episodes]
    assert info["codebase_version"] == "v3.0"
    assert info["robot_type"] == "g1"
    assert info["fps"] == 30
    assert info["total_frames"] == sum(lengths)
    assert info["splits"] == {"train": "0:2"}
    frames = pq.read_table(out / "data/chunk-000/file-000.parquet")
    assert set(frames.column_names) == set(info["features"])
    for name, feature in info["features"].items():
        assert feature["dtype"] in str(frames.schema.field(name).type).replace("float", "float32")
    np.testing.assert_array_equal(frames["index"], np.arange(sum(lengths)))
    np.testing.assert_array_equal(frames["frame_index"], [*range(lengths[0]), *range(lengths[1])])
    np.testing.assert_allclose(frames["timestamp"], frames["frame_index"].to_numpy() / 30)
    known = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["dataset_from_index"] for row in known] == [0, lengths[0]]
    assert [row["dataset_to_index"] for row in known] == [lengths[0], sum(lengths)]
    assert [row["length"] for row in known] == lengths
    tasks = pq.read_table(out / "meta/tasks.parquet").to_pydict()
    assert tasks == {"task_index": [0, 1], "task": ["walk", "deep/wave"]}
    stats = json.loads((out / "meta/stats.json").read_text())
    state = np.concatenate([e.trajectory.qpos for e in episodes])
    np.testing.assert_allclose(stats["observation.state"]["mean"], state.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(stats["observation.state"]["std"], state.std(axis=0), atol=1e-5)
    np.testing.assert_allclose(stats["observation.state"]["max"], state.max(axis=0), atol=1e-5)
    assert stats["action"]["count"] == [sum(lengths)]
    assert stats.keys() == info["features"].keys()


def test_a_frame_has_its_windows_codes_and_the_next_frames_joints(episodes, tokenizer, tmp_path):
    write_dataset(episodes, tmp_path / "data", tokenizer)
    frames = pq.read_table(tmp_path / "data/data/chunk-000/file-000.parquet")
    first, window = episodes[0], tokenizer.frames_per_window
    count = len(first.trajectory)
    place = frames["token_frame"].to_numpy()[:count]
    np.testing.assert_array_equal(place, np.arange(count) % window)
    tokens = np.stack(frames["tokens"].to_numpy())[:count]
    np.testing.assert_array_equal(tokens, first.codes.array[np.arange(count) // window])
    action = np.stack(frames["action"].to_numpy())[:count]
    np.testing.assert_allclose(action[:-1], first.trajectory.joints[1:], atol=1e-6)
    np.testing.assert_allclose(action[-1], first.trajectory.joints[-1], atol=1e-6)


def test_episodes_come_back(episodes, tokenizer, tmp_path):
    write_dataset(episodes, tmp_path / "data", tokenizer)
    again = list(read_episodes(tmp_path / "data"))
    assert [e.task for e in again] == [e.task for e in episodes]
    for old, new in zip(episodes, again, strict=True):
        np.testing.assert_allclose(new.trajectory.qpos, old.trajectory.qpos, atol=1e-6)
        assert new.trajectory.joint_names == old.trajectory.joint_names
        assert new.trajectory.source == old.trajectory.source
        np.testing.assert_array_equal(new.codes.array, old.codes.array)
        decoded, expected = tokenizer.decode_codes(new.codes), tokenizer.decode_codes(old.codes)
        np.testing.assert_allclose(decoded.root_positions, expected.root_positions, atol=1e-9)


@pytest.mark.usefixtures("one_g1")
def test_the_command_writes_and_reads(run, robots, trajectories, tiny_run, tmp_path):
    (robots / "notes.csv").write_text("no, table\n")
    (robots / "deep" / "read.me").write_text("nothing")
    data, back = tmp_path / "data", tmp_path / "back"
    code, said, told = run("convert", robots, data, "--tokenizer", tiny_run, "--robot", "g1")
    assert code == 0, told
    assert "2 episodes" in said
    assert "skipped" in told
    assert "notes.csv" in told
    tasks = pq.read_table(data / "meta/tasks.parquet").to_pydict()["task"]
    assert tasks == ["wave", "walk_happy"]
    code, _, told = run("convert", data, back)
    assert code == 0, told
    for name, old in trajectories.items():
        new = Trajectory.load(back / f"{name}.npz")
        np.testing.assert_allclose(new.qpos, old.qpos, atol=1e-6)
        assert new.robot == "g1"
    code, _, told = run("encode", back / "walk_happy_1.npz", "-o", tmp_path / "codes.npy")
    assert code == 0, told
    code, _, told = run("convert", robots, data, "--tokenizer", tiny_run)
    assert code == 2
    assert "exists already" in told


def test_tasks_come_from_the_names(run, trajectories, tiny_run, tmp_path):
    walk = next(iter(trajectories.values()))
    names = ("dataset-1_raise-up-both-hands_happy_001", "07_01", "walk3")
    for name in names:
        (tmp_path / "robots").mkdir(exist_ok=True)
        walk.save(tmp_path / "robots" / f"{name}.npz")
    code, _, told = run("convert", tmp_path / "robots", tmp_path / "data", "--tokenizer", tiny_run)
    assert code == 0, told
    tasks = pq.read_table(tmp_path / "data/meta/tasks.parquet").to_pydict()["task"]
    assert tasks == ["motion", "raise up both hands, happy", "walk"]


def test_what_cannot_be_written_leaves_nothing(episodes, tokenizer, trajectories, tmp_path):
    out = tmp_path / "data"
    walk, wave = episodes
    other = replace(wave.trajectory, robot="h1")
    fast = replace(wave.trajectory, fps=50.0)
    foreign = replace(wave.codes, fingerprint="0123456789abcdef")
    for wrong, error, reason in (
        ([], DataError, "no episodes"),
        ([walk, replace(wave, trajectory=other)], DataError, "one robot"),
        ([walk, replace(wave, trajectory=fast)], DataError, "50 frames/s"),
        ([walk, replace(wave, codes=None)], DataError, "without codes"),
        ([walk, replace(wave, codes=walk.codes)], DataError, "of all its"),
        ([walk, replace(wave, codes=foreign)], CodesError, "0123456789abcdef"),
    ):
        with pytest.raises(error, match=reason):
            write_dataset(wrong, out, tokenizer)
        assert not list(tmp_path.iterdir())
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="exists already"):
        write_dataset(episodes, out, tokenizer)
    assert (out / "mine.txt").read_text() == "keep"


def test_a_damaged_data_set_is_one_line(episodes, tokenizer, tmp_path):
    whole = tmp_path / "whole"
    write_dataset(episodes, whole, tokenizer)

    def damaged(change, reason):
        data = tmp_path / "data"
        shutil.copytree(whole, data)
        change(data)
        with pytest.raises(InputError, match=reason) as caught:
            list(read_episodes(data))
        assert "\n" not in str(caught.value)
        shutil.rmtree(data)

    def edit(name, change):
        def apply(data):
            values = json.loads((data / name).read_text())
            change(values)
            (data / name).write_text(json.dumps(values))

        return apply

    info, ours = "meta/info.json", "meta/motiontok.json"
    frames = "data/chunk-000/file-000.parquet"
    damaged(edit(info, lambda v: v.update(codebase_version="v2.1")), "format v2.1")
    damaged(edit(info, lambda v: v["features"]["observation.state"]["names"].pop(0)), "base_x")
    damaged(edit(info, lambda v: v["features"].pop("observation.state")), "base_x")
    damaged(edit(info, lambda v: v.pop("fps")), "fps")
    damaged(edit(ours, lambda v: v.update(vocab_size=1)), "vocabulary of 1")
    damaged(edit(ours, lambda v: v["episodes"].pop()), "damaged")
    damaged(lambda d: (d / info).write_text("{"), "damaged")
    damaged(lambda d: (d / frames).write_bytes(b"PAR1 no"), "damaged")
    damaged(lambda d: (d / "meta/tasks.parquet").unlink(), "tasks.parquet")


def test_a_name_does_not_lead_out_of_the_folder(run, episodes, tokenizer, tmp_path):
    walk = replace(episodes[0].trajectory, source="../../outside")
    write_dataset([replace(episodes[0], trajectory=walk)], tmp_path / "data", tokenizer)
    code, _, told = run("convert", tmp_path / "data", tmp_path / "back")
    assert code == 0, told
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["episode_000000.npz"]


def test_many_frames_go_into_several_files(episodes, tokenizer, tmp_path, monkeypatch):
    from motiontok.lerobot import writing

    monkeypatch.setattr(writing, "_FILE_MB", 0)
    write_dataset(episodes, tmp_path / "data", tokenizer)
    files = sorted(path.name for path in (tmp_path / "data/data/chunk-000").iterdir())
    assert files == ["file-000.parquet", "file-001.parquet"]
    rows = pq.read_table(tmp_path / "data/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["data/file_index"] for row in rows] == [0, 1]
    assert [e.task for e in read_episodes(tmp_path / "data")] == [e.task for e in episodes]


def test_lerobots_own_reader_agrees(episodes, tokenizer, tmp_path):
    reader = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="needs: lerobot")
    write_dataset(episodes, tmp_path / "data", tokenizer)
    data = reader.LeRobotDataset(
        "local/motion", root=tmp_path / "data", delta_timestamps={"action": [0.0, 1 / 30]}
    )
    assert (data.num_episodes, data.fps, data.meta.robot_type) == (2, 30, "g1")
    wave, at = episodes[1], len(episodes[0].trajectory) + 5
    item = data[at]
    assert item["task"] == wave.task
    np.testing.assert_allclose(item["observation.state"], wave.trajectory.qpos[5], atol=1e-6)
    np.testing.assert_allclose(item["action"], wave.trajectory.joints[6:8], atol=1e-6)
    np.testing.assert_array_equal(item["tokens"], wave.codes.array[0])
    assert int(item["token_frame"]) == 5
    np.testing.assert_allclose(
        data.meta.stats["action"]["min"],
        np.concatenate([e.trajectory.joints[np.minimum(np.arange(len(e.trajectory)) + 1,
                        len(e.trajectory) - 1)] for e in episodes]).min(axis=0), atol=1e-6,
    )  # fmt: skip
    only = reader.LeRobotDataset("local/motion", root=tmp_path / "data", episodes=[1])
    assert len(only) == len(wave.trajectory)
