"""Folders of clips: order, skipping, cache, workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
import warnings
import zipfile
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bvh
from bvh import BVHError, clip_files, dataset, procedural
from bvh.cache import cache_dir
from bvh.normalizer import Calibration
from bvh.rigs import File

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ea9180\nsize 144051503\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MOTIONTOK_CACHE", str(folder))
    return folder


def write_clips(folder: Path, names: list[str], *, seed: int = 0) -> None:
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        motion = procedural.make("walk", seconds=0.5, seed=seed + index)
        if name.endswith(".npz"):
            motion.save(path)
        else:
            bvh.write(motion.to_clip(), path)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    write_clips(folder, ["walk10.bvh", "walk2.bvh", "sub/turn1.bvh", "made.npz"])
    return folder


def same(a: dataset.Dataset, b: dataset.Dataset) -> bool:
    return a.names == b.names and all(
        np.array_equal(x.rotations, y.rotations)
        and np.array_equal(x.root_positions, y.root_positions)
        and np.array_equal(x.offsets, y.offsets)
        and x.source == y.source
        and x.fps == y.fps
        for x, y in zip(a, b, strict=True)
    )


def no_reading(*args: object, **options: object) -> None:
    raise AssertionError("a clip was read again")


def test_names_are_relative_and_in_natural_order(clips: Path) -> None:
    data = dataset.load(clips)
    assert data.names == ["made.npz", "sub/turn1.bvh", "walk2.bvh", "walk10.bvh"]
    assert len(data) == 4
    assert data.frames == sum(m.frames for m in data) == 60
    assert data.seconds == pytest.approx(2.0)
    assert [m.source.name for m in data][1:] == ["turn1", "walk2", "walk10"]
    assert data.skipped == []
    assert data.skipped_summary() == ""


def test_a_clip_is_what_reading_and_normalising_it_gives(clips: Path) -> None:
    data = dataset.load(clips)
    alone = bvh.normalize(bvh.read(clips / "walk2.bvh"))
    loaded = data[data.names.index("walk2.bvh")]
    np.testing.assert_allclose(loaded.global_positions(), alone.global_positions(), atol=2e-6)
    assert loaded.source == alone.source


def test_one_file_and_archives_load_like_the_folder(clips: Path, tmp_path: Path) -> None:
    folder = dataset.load(clips)
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for name in folder.names:
            archive.write(clips / name, name)
    with tarfile.open(tmp_path / "c.tar.xz", "w:xz") as tar:
        tar.add(clips, ".")
    assert same(dataset.load(tmp_path / "c.zip"), folder)
    assert same(dataset.load(tmp_path / "c.tar.xz"), folder)
    one = dataset.load(clips / "walk2.bvh")
    assert one.names == ["walk2.bvh"]
    assert same(one, folder.take([2]))


def test_the_second_time_comes_from_the_cache(
    clips: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    first = dataset.load(clips)
    assert list(own_cache.rglob("*.npz"))
    monkeypatch.setattr(clip_files, "_read_one", no_reading)
    assert same(dataset.load(clips), first)


def test_without_cache_nothing_is_kept_and_values_are_the_same(
    clips: Path, own_cache: Path
) -> None:
    fresh = dataset.load(clips, cache=False)
    assert not own_cache.exists()
    assert same(dataset.load(clips), fresh)
    assert same(dataset.load(clips), fresh)


def test_touched_or_moved_clips_are_found_by_content(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dataset.load(clips)
    monkeypatch.setattr(clip_files, "_read_one", no_reading)
    os.utime(clips / "walk2.bvh", ns=(1, 1))
    assert same(dataset.load(clips), first)
    moved = clips.rename(clips.with_name("elsewhere"))
    assert same(dataset.load(moved), first)


def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read from now on."""
    read: list[str] = []
    original = clip_files._read_one

    def spy(file: File, calibration: Calibration | None) -> bvh.Motion | str:
        read.append(file.name)
        return original(file, calibration)

    monkeypatch.setattr(clip_files, "_read_one", spy)
    return read


def test_only_new_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "motions"
    write_clips(folder, ["a.npz", "b.npz", "c.npz"])
    before = dataset.load(folder)
    write_clips(folder, ["zoo.npz"], seed=7)
    read = readings(monkeypatch)
    after = dataset.load(folder)
    assert read == ["zoo.npz"]
    assert after.names == [*before.names, "zoo.npz"]
    assert same(after.take(range(3)), before)


@pytest.mark.parametrize("change", ["add", "remove", "replace", "rename"])
def test_the_cache_never_changes_what_comes(clips: Path, change: str) -> None:
    dataset.load(clips)
    if change == "add":
        write_clips(clips, ["zoo.bvh"], seed=7)
    elif change == "remove":
        (clips / "walk2.bvh").unlink()
    elif change == "replace":
        write_clips(clips, ["walk2.bvh"], seed=8)
    else:
        (clips / "walk2.bvh").rename(clips / "other.bvh")
    cached = dataset.load(clips)
    assert same(cached, dataset.load(clips, cache=False))
    assert same(cached, dataset.load(clips))


def test_a_changed_clip_of_the_same_name_is_read_again(clips: Path) -> None:
    before = dataset.load(clips)
    bvh.write(procedural.make("squat", seconds=0.5, seed=9).to_clip(), clips / "walk2.bvh")
    after = dataset.load(clips)
    assert not np.allclose(before[2].rotations, after[2].rotations)
    assert same(after.take([0, 1, 3]), before.take([0, 1, 3]))


def test_a_removed_clip_is_gone(clips: Path) -> None:
    dataset.load(clips)
    (clips / "walk2.bvh").unlink()
    assert dataset.load(clips).names == ["made.npz", "sub/turn1.bvh", "walk10.bvh"]


@pytest.mark.parametrize("damage", ["truncate", "garbage", "empty", "flip", "pickle", "index"])
def test_a_damaged_cache_is_rebuilt(clips: Path, own_cache: Path, damage: str) -> None:
    first = dataset.load(clips)
    (pack,) = own_cache.rglob("*.npz")
    (index,) = own_cache.rglob("*.json")
    content = pack.read_bytes()
    if damage == "truncate":
        pack.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        pack.write_bytes(b"not a zip file at all")
    elif damage == "empty":
        pack.write_bytes(b"")
    elif damage == "flip":
        middle = len(content) // 2
        pack.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    elif damage == "pickle":
        np.savez(pack, meta=np.array([{"evil": 1}], dtype=object))
    else:
        index.write_text("{")
    assert same(dataset.load(clips), first)
    assert same(dataset.load(clips), first)


def test_a_cache_of_other_code_is_not_used(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.load(clips)
    monkeypatch.setattr("bvh.cache.code_version", lambda: "newer")
    read = readings(monkeypatch)
    dataset.load(clips)
    assert len(read) == 4


def test_a_cache_that_cannot_be_written_is_a_warning(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="MOTIONTOK_CACHE"):
        data = dataset.load(clips)
    assert len(data) == 4


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("MOTIONTOK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "motiontok"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "motiontok"


def kept(cache: Path) -> dict[str, int]:
    return {kind: len(list(cache.rglob(f"*.{kind}"))) for kind in ("npz", "json")}


def test_nothing_stale_stays_in_the_cache(
    clips: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.load(clips)
    write_clips(clips, ["zoo.bvh"], seed=7)
    dataset.load(clips)
    assert kept(own_cache) == {"npz": 1, "json": 1}
    monkeypatch.setattr("bvh.cache.code_version", lambda: "newer")
    dataset.load(clips)
    assert kept(own_cache) == {"npz": 1, "json": 1}


def test_what_is_used_stays_in_the_cache_and_what_is_not_goes(
    clips: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("used", "unused"):
        write_clips(tmp_path / name, [f"{name}.bvh"])
        dataset.load(tmp_path / name)
    long_ago = time.time() - 100 * 86400
    for index in own_cache.rglob("*.json"):
        os.utime(index, (long_ago, long_ago))
    dataset.load(tmp_path / "used")
    dataset.load(clips)
    assert kept(own_cache) == {"npz": 2, "json": 2}
    monkeypatch.setattr(clip_files, "_read_one", no_reading)
    dataset.load(tmp_path / "used")


def test_another_process_may_sweep_the_cache_at_the_same_time(clips: Path, own_cache: Path) -> None:
    dataset.load(clips)
    (index,) = own_cache.rglob("*.json")
    # As an index that is gone when its turn comes.
    index.with_name("gone.json").symlink_to("nowhere")
    (clips / "walk2.bvh").write_bytes((clips / "walk2.bvh").read_bytes() + b"\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset.load(clips)


def test_broken_files_are_skipped_with_a_reason(clips: Path) -> None:
    (clips / "broken.bvh").write_text("HIERARCHY\nROOT Hips\n{\n")
    (clips / "pointer.bvh").write_bytes(POINTER)
    (clips / "other.npz").write_bytes(b"PK nonsense")
    for _ in range(2):  # read, then from the cache
        data = dataset.load(clips)
        assert len(data) == 4
        assert [name for name, _ in data.skipped] == ["broken.bvh", "other.npz", "pointer.bvh"]
        assert "git lfs pull" in data.skipped[2][1]
        assert data.skipped_summary().startswith("skipped 3 of 7 files (broken.bvh: ")


def test_a_clip_that_is_nowhere_does_not_keep_others_of_its_rig_from_being_read(
    tmp_path: Path,
) -> None:
    walk = procedural.make("walk", seconds=1, seed=1).to_clip()
    for name in ("walk", "again"):
        bvh.write(walk, tmp_path / f"{name}.bvh")
    away = walk.positions.copy()
    for power in range(20, 30):  # so many that one is among the first that the rig is measured on
        away[:, 0] = 10.0**power
        bvh.write(replace(walk, positions=away), tmp_path / f"far-{power}.bvh")
    data = dataset.load(tmp_path)
    assert data.names == ["again.bvh", "walk.bvh"]
    assert len(data.skipped) == 10
    assert all("where no body can be" in reason for _, reason in data.skipped)


@pytest.mark.parametrize("cached", [False, True])
def test_strict_ends_at_the_first_broken_file(clips: Path, cached: bool) -> None:
    (clips / "broken.bvh").write_text("HIERARCHY\n")
    if cached:
        dataset.load(clips)
    with pytest.raises(BVHError, match=r"clips: broken\.bvh: "):
        dataset.load(clips, strict=True)


def test_reasons_from_an_archive_do_not_name_temporary_folders(clips: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(clips / "walk2.bvh", "in/walk2.bvh")
        archive.writestr("in/broken.bvh", "HIERARCHY\n")
    data = dataset.load(tmp_path / "c.zip")
    ((name, reason),) = data.skipped
    assert name == "in/broken.bvh"
    assert "motiontok-" not in reason
    with pytest.raises(BVHError, match=r"c\.zip: in/broken\.bvh: "):
        dataset.load(tmp_path / "c.zip", strict=True)


def test_nothing_to_load_is_explained(tmp_path: Path, clips: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BVHError, match=r"empty: no clips here; expected \.bvh"):
        dataset.load(tmp_path / "empty")
    (tmp_path / "empty" / "clips.tar.xz").write_bytes(b"")
    with pytest.raises(BVHError, match=r"did you mean the archive clips\.tar\.xz in it"):
        dataset.load(tmp_path / "empty")
    with pytest.raises(BVHError, match="no such file"):
        dataset.load(tmp_path / "absent")
    (tmp_path / "clip.fbx").write_text("")
    np.save(tmp_path / "positions.npy", np.zeros((2, 22, 3)))
    with pytest.raises(BVHError, match=r"positions\.npy: a \.npy is read alone"):
        dataset.load(tmp_path / "positions.npy")
    with pytest.raises(BVHError, match="not a folder, an archive"):
        dataset.load(tmp_path / "clip.fbx")
    for path in clips.rglob("*.*"):
        path.write_text("nonsense")
    with pytest.raises(BVHError, match="none of 4 clips could be read; the first, made"):
        dataset.load(clips)


def test_progress_counts_every_file(clips: Path) -> None:
    (clips / "broken.bvh").write_text("")
    seen: list[tuple[int, int]] = []
    dataset.load(clips, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 5) for i in range(1, 6)]


def test_workers_give_what_one_process_gives(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    write_clips(folder, [f"walk{i}.bvh" for i in range(18)])
    (folder / "broken.bvh").write_text("")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen: list[int] = []
        many = dataset.load(
            folder, workers=2, cache=False, progress=lambda done, _: seen.append(done)
        )
    one = dataset.load(folder, workers=1, cache=False)
    assert same(many, one)
    assert many.skipped == one.skipped
    assert seen == list(range(1, 20))


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    write_clips(folder, [f"walk{i}.bvh" for i in range(18)])
    script = tmp_path / "script.py"
    script.write_text(
        "from bvh import dataset\n"
        f"print(len(dataset.load({str(folder)!r}, workers=2, cache=False)))\n"
    )
    result = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "18\n", "")


def test_taking_some_motions(clips: Path) -> None:
    data = dataset.load(clips)
    assert data.take([3, 0]).names == ["walk10.bvh", "made.npz"]
    assert next(iter(data.take([1]))) is data[1]
    assert data.take([3, 0]).digests == [data.digests[3], data.digests[0]]
    assert len(set(data.digests)) == len(data)


def test_the_index_holds_no_code_but_json(clips: Path, own_cache: Path) -> None:
    dataset.load(clips)
    (index,) = own_cache.rglob("*.json")
    assert set(json.loads(index.read_text())) == {"version", "pack", "stamps"}


def test_a_worker_that_dies_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    write_clips(folder, [f"walk{i}.bvh" for i in range(18)])
    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor.submit", broken)
    with pytest.warns(RuntimeWarning, match="going on in one process"):
        assert len(dataset.load(folder, workers=2, cache=False)) == 18


def broken(*args: object) -> None:
    raise BrokenProcessPool("killed")
