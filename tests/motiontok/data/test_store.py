"""A store of motion: what it holds, and that nothing is lost or half whatever ends a run."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bvh
from bvh import Motion, dataset, procedural
from bvh.rotations import dot, normalize
from bvh.skeleton import DEFAULT_OFFSETS
from motiontok.data.store import examining, writing
from motiontok.data.store.entries import INDEX, is_store, read_entries
from motiontok.data.store.frames import BYTES, pack_frames, unpack_frames
from motiontok.data.store.reading import Store
from motiontok.data.store.writing import pack_clips
from motiontok.errors import DataError, InputError

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and limits are of POSIX")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def clips(tmp_path):
    """Six BVH clips of one rig, an npz of another, and a file that is none."""
    folder = tmp_path / "walks"
    for seed in range(6):
        motion = procedural.make("walk", seconds=1 + seed % 2, seed=seed)
        motion = bvh.Motion(motion.root_positions, motion.rotations, DEFAULT_OFFSETS)
        path = folder / "sub" / f"walk{seed + 5}.bvh"
        path.parent.mkdir(parents=True, exist_ok=True)
        bvh.write(motion.to_clip(), path)
    procedural.make("hop", seconds=2, seed=1).save(folder / "hop.npz")
    (folder / "bad.bvh").write_text("hello")
    return folder


def many(folder, count):
    first = folder / "000.npz"
    procedural.make("walk", seconds=4).save(first)
    for number in range(1, count):
        shutil.copy(first, folder / f"{number:03d}.npz")
    (folder / "150.npz").write_bytes(b"PK")
    return folder


def assert_alike(motion, other):
    """To within what 16 bits say."""
    np.testing.assert_allclose(motion.root_positions, other.root_positions, atol=1e-6)
    np.testing.assert_allclose(np.abs(dot(motion.rotations, other.rotations)), 1.0, atol=1e-8)
    np.testing.assert_array_equal(motion.offsets, other.offsets)
    assert motion.source == other.source


def assert_whole(store, source):
    """Each clip of the folder is in the store once, and as the folder is read."""
    (_, found), *_ = Store(store).datasets()
    expected = dataset.load(source, cache=False)
    assert found.names == expected.names
    assert found.digests == expected.digests
    for motion, other in zip(found, expected, strict=True):
        assert_alike(motion, other)
    assert set(Counter((e.set, e.file) for e in read_entries(store)).values()) == {1}


@given(st.integers(0, 2**32 - 1))
def test_rotations_survive_16_bits(seed):
    random = np.random.default_rng(seed)
    q = normalize(random.normal(size=(5, 22, 4)) ** 3 + 1e-9)
    q[0, :4] = np.eye(4)
    q[1, :2] = [[0.5, -0.5, 0.5, -0.5], [-0.5, 0.5, 0.5, 0.5]]
    root = random.normal(size=(5, 3)).astype(np.float32) * 100.0
    frames = pack_frames(Motion(root, q, DEFAULT_OFFSETS))
    assert frames.nbytes == 5 * BYTES <= 5 * 150
    again_root, again = unpack_frames(frames)
    np.testing.assert_array_equal(again_root, root)
    np.testing.assert_array_equal(np.abs(again[0, :4]), np.eye(4))
    # |<p, q>| is the cosine of half the angle; the sine of it is measured.
    signed = np.where(dot(again, q)[..., None] < 0.0, -again, again)
    assert np.degrees(2.0 * np.linalg.norm(signed - q, axis=-1)).max() < 0.01
    np.testing.assert_allclose(np.linalg.norm(again, axis=-1), 1.0, atol=1e-9)


def test_a_store_has_what_its_folders_have(clips, tmp_path):
    other, out = tmp_path / "dances", tmp_path / "store"
    for seed in range(3):
        procedural.make("dance", seconds=1, seed=seed).save(other / f"{seed}.npz")
    made = pack_clips([clips, other], out)
    assert (made.clips, made.packed, len(made.failed)) == (10, 10, 1)
    assert [e.file for e in made.failed] == ["bad.bvh"]
    store = Store(out)
    assert store.sets == ("walks", "dances")
    assert made.frames == store.frames.sum()
    assert_whole(out, clips)
    walks, dances = (of for _, of in store.datasets())
    assert [name for name, _ in walks.skipped] == ["bad.bvh"]
    assert len(dances) == 3
    # A slice or choice of clips is of the store's still.
    assert_alike(walks.motions[1:][0], walks[1])
    assert_alike(walks.take([3])[0], walks[3])
    assert walks.frames == dataset.load(clips).frames


def test_only_what_is_new_or_changed_is_packed_again(clips, tmp_path):
    out = tmp_path / "store"
    pack_clips([clips], out)
    shutil.copy(clips / "hop.npz", clips / "hop2.npz")
    procedural.make("hop", seconds=3, seed=2).save(clips / "hop.npz")
    assert pack_clips([clips], out).packed == 2
    assert pack_clips([clips], out).packed == 0
    (_, found), *_ = Store(out).datasets()
    assert found.names == dataset.load(clips).names
    assert len(found[found.names.index("hop.npz")]) == 90


def test_rigs_keep_their_calibration_when_clips_come(clips, tmp_path):
    out, more = tmp_path / "store", tmp_path / "more"
    pack_clips([clips], out)
    before = Store(out).calibrations
    more.mkdir()
    for path in (clips / "sub").iterdir():
        shutil.copy(path, more / f"again-{path.name}")
    pack_clips([more], out)
    assert {rig: of and of.to_dict() for rig, of in Store(out).calibrations.items()} == {
        rig: of and of.to_dict() for rig, of in before.items()
    }
    assert len({e.calibration for e in Store(out).entries if e.file.endswith(".bvh")}) == 1


def test_a_run_ended_while_closing_a_shard_is_finished_by_the_next(clips, tmp_path, monkeypatch):
    """The open file goes last, so it is there whichever of the others is."""
    out, kept = tmp_path / "store", tmp_path / "kept"
    with monkeypatch.context() as context:
        context.setattr(writing, "finish_shard", lambda path: shutil.copy(path, kept))
        pack_clips([clips], out)
    (open_file,) = out.glob("open-*")
    for there in ([], ["manifest"], ["motion"], ["manifest", "motion"]):
        shutil.copy(kept, open_file)
        for path in [*out.glob("motion-*"), *out.glob("manifest-*")]:
            if path.name.partition("-")[0] not in there:
                path.unlink()
        assert pack_clips([clips], out).packed == 0
        assert_whole(out, clips)


def test_an_unfinished_line_costs_its_clip_alone(clips, tmp_path, monkeypatch):
    out = tmp_path / "store"
    with monkeypatch.context() as context:
        context.setattr(writing, "finish_shard", lambda path: None)
        pack_clips([clips], out, workers=1)
    (open_file,) = out.glob("open-*")
    with open_file.open("rb+") as file:
        file.truncate(open_file.stat().st_size - 9)
    assert pack_clips([clips], out).packed == 1
    assert_whole(out, clips)


@POSIX
def test_a_killed_run_loses_and_repeats_nothing_and_two_do_not_write(tmp_path):
    clips, out = many(tmp_path / "clips", 200), tmp_path / "store"
    open_file = out / "open-00000-0of1.jsonl"
    command = [sys.executable, "-m", "motiontok", "pack", str(clips), "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        while run.poll() is None and not (open_file.exists() and open_file.stat().st_size):
            time.sleep(0.001)
        os.kill(run.pid, signal.SIGSTOP)  # or it would be done before it is killed
        with pytest.raises(InputError, match="another process is packing"):
            pack_clips([clips], out)
        os.kill(run.pid, signal.SIGKILL)
        assert "rror" not in run.communicate(timeout=60)[1]
    lines = [x for x in open_file.read_text().splitlines(keepends=True) if "\n" in x]
    there = sum("frames" in json.loads(line) for line in lines)
    assert 0 < there < 199
    done = pack_clips([clips], out, workers=1)
    assert (done.clips, done.packed) == (199, 199 - there)
    assert_whole(out, clips)
    assert not [p for p in out.iterdir() if ".tmp" in p.name or p.name.startswith("open")]


@POSIX
def test_a_full_disk_leaves_whole_files_and_the_next_run_goes_on(tmp_path, on_full_disk):
    clips, out = many(tmp_path / "clips", 160), tmp_path / "store"
    command = [sys.executable, "-m", "motiontok", "pack", str(clips), "-o", str(out)]
    errors = on_full_disk(command, 512)
    (open_file,) = out.glob("open-*")
    assert str(open_file) in errors.splitlines()[-1]
    lines = open_file.read_text().splitlines(keepends=True)
    assert all(line.endswith("}\n") for line in lines)
    there = sum('"frames": "' in line for line in lines)
    assert 0 < there < 159
    assert pack_clips([clips], out, workers=1).packed == 159 - there
    assert_whole(out, clips)


def test_a_store_closes_its_shards_and_opens_them_again(clips, tmp_path, recwarn):
    out = tmp_path / "store"
    pack_clips([clips], out)
    with Store(out) as store:
        shard = store.shard(0)
        frames = shard.read(0, 3)
        wanted = store.motion(0)
    with pytest.raises(DataError, match="missing or damaged"):
        shard.read(0, 3)
    np.testing.assert_array_equal(store.motion(0).rotations, wanted.rotations)
    np.testing.assert_array_equal(store.shard(0).read(0, 3), frames)
    (path,) = out.glob("motion-*")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="missing or damaged"):
        Store(out)
    del store, shard
    gc.collect()
    assert not [w for w in recwarn if issubclass(w.category, ResourceWarning)]


def test_what_is_cut_off_or_of_another_version_is_said_to_be(clips, tmp_path):
    out = tmp_path / "store"
    pack_clips([clips], out)
    (shard,) = out.glob("motion-*")
    (manifest,) = out.glob("manifest-*")
    whole = shard.read_bytes()
    reader = Store(out)
    for size in (0, 5, 200, len(whole) // 2, len(whole) - 1):
        shard.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"missing or damaged.*pack again"):
            Store(out)
    # What is open already says so too, when it comes there.
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="missing or damaged"):
        list(map(reader.motion, range(len(reader))))
    shard.write_bytes(whole.replace(b"motiontok-store-1", b"motiontok-store-9"))
    with pytest.raises(DataError, match="motiontok-store-9"):
        Store(out)
    offsets = whole.rindex(b'"data_offsets":[') + len(b'"data_offsets":[')
    end = whole.index(b"]", offsets)
    shard.write_bytes(whole[:offsets] + b" " * (end - offsets) + whole[end:])
    with pytest.raises(DataError, match=r"missing or damaged.*pack again"):
        Store(out)
    # The cure that it names.
    shard.unlink()
    manifest.unlink()
    assert pack_clips([clips], out).packed == 7
    assert_whole(out, clips)
    assert pack_clips([clips], out).packed == 0
    # Whoever packs again without it gets the clips anew all the same.
    for number, damage in enumerate((lambda p: p.write_bytes(whole[:-1]), lambda p: p.unlink())):
        damage(max(out.glob("motion-*")))
        assert pack_clips([clips], out).packed == 7
        assert len(list(out.glob("manifest-*"))) == number + 2
        assert len(Store(out)) == 7
        assert pack_clips([clips], out).packed == 0
    index = json.loads((out / INDEX).read_text())
    (out / INDEX).write_text(json.dumps(index | {"format": "motiontok-store-9"}))
    for use in (Store, lambda folder: pack_clips([clips], folder)):
        with pytest.raises(DataError, match="motiontok-store-9"):
            use(out)


def test_only_stores_are_written_to_and_read(clips, tmp_path):
    assert not is_store(clips)
    with pytest.raises(InputError, match="other files"):
        pack_clips([clips], clips)
    with pytest.raises(DataError, match="not a store"):
        Store(clips)
    with pytest.raises(InputError, match="a file"):
        pack_clips([clips], clips / "hop.npz")


def test_strict_leaves_out_clips_with_faults_and_tries_them_again(clips, tmp_path, monkeypatch):
    out = tmp_path / "store"
    monkeypatch.setattr(writing, "faults", lambda remarks: ["wrong"])
    made = pack_clips([clips], out, strict=True, workers=1)
    assert made.clips == 0
    assert {e.error for e in made.failed if e.file != "bad.bvh"} == {"wrong"}
    monkeypatch.undo()
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    assert pack_clips([clips], out).packed == 7


def test_the_command_says_what_it_packed(clips, tmp_path, run):
    code, said, errors = run("pack", clips, "-o", tmp_path / "store", "--json")
    assert code == 0
    result = json.loads(said)
    assert (result["clips"], result["packed"], result["failed"]) == (7, 7, ["walks/bad.bvh"])
    assert result["bytes"] == sum(p.stat().st_size for p in (tmp_path / "store").iterdir())
    assert "skipped: walks/bad.bvh" in errors
    code, said, _ = run("pack", clips, "-o", tmp_path / "store")
    assert code == 0
    assert "7 clips (0 packed now)" in said
    assert run("pack", tmp_path / "nowhere", "-o", tmp_path / "other")[0] == 2


def contents(store):
    """What a store has of each clip, by set and file, wherever it lies."""
    found = Store(store)
    keys = ("digest", "calibration", "reader", "frames", "motion", "name", "fps", "remarks")
    return {
        (entry.set, entry.file): (
            [getattr(entry, key) for key in keys],
            found.read(number, 0, entry.frames).tobytes(),
            found.motion(number).offsets.tobytes(),
            found.motion(number).source,
        )
        for number, entry in enumerate(found.entries)
    }


def test_shares_pack_what_one_machine_does(clips, tmp_path):
    """In any order, more often than once, and whoever calibrates the rigs."""
    other = tmp_path / "dances"
    for seed in range(3):
        procedural.make("dance", seconds=1, seed=seed).save(other / f"{seed}.npz")
    out, whole = tmp_path / "shares", tmp_path / "whole"
    pack_clips([clips, other], whole)
    parts = [pack_clips([clips, other], out, share=(number, 3)) for number in (2, 0, 1)]
    assert sum(part.clips for part in parts) == sum(part.packed for part in parts) == 10
    assert 0 < parts[0].clips < 10
    assert [e.file for part in parts for e in part.failed] == ["bad.bvh"]
    assert contents(out) == contents(whole)
    assert Store(out).calibrations.keys() == Store(whole).calibrations.keys()
    assert set(Counter((e.set, e.file) for e in read_entries(out)).values()) == {1}
    # Another number of shares, and none, find all of it there.
    assert pack_clips([clips, other], out, share=(1, 2)).packed == 0
    assert pack_clips([clips, other], out).packed == 0


def test_a_share_examines_its_own_files_alone_once_rigs_are_known(clips, tmp_path, monkeypatch):
    out = tmp_path / "store"
    pack_clips([clips], out, share=(0, 2))
    read, examined = [], examining.examine_files

    def noted(path, folder, names, settings):
        read.extend(names)
        return examined(path, folder, names, settings)

    monkeypatch.setattr(examining, "examine_files", noted)
    made = pack_clips([clips], out, share=(1, 2))
    assert len(read) == made.clips + len(made.failed) < 8
    # Files that came since may tell more of a rig: then all are looked at.
    shutil.copy(clips / "hop.npz", clips / "hop2.npz")
    read.clear()
    pack_clips([clips], out, share=(1, 2))
    assert len(read) == 9


def test_only_shares_that_there_are_can_be_packed(clips, tmp_path, run):
    with pytest.raises(InputError, match="share 2 of 2"):
        pack_clips([clips], tmp_path / "store", share=(2, 2))
    for options in (["--shard", "2/2"], ["--shard", "0/2", "--ray", "auto"]):
        assert run("pack", clips, "-o", tmp_path / "store", *options)[0] == 2
    packed = [
        json.loads(run("pack", clips, "-o", tmp_path / "s", "--shard", f"{n}/12", "--json")[1])
        for n in range(12)
    ]
    assert sum(of["clips"] for of in packed) == 7


@POSIX
def test_a_killed_share_is_finished_and_others_are_let_be(tmp_path):
    clips, out = many(tmp_path / "clips", 200), tmp_path / "store"
    command = [sys.executable, "-m", "motiontok", "pack", str(clips), "-o", str(out)]
    open_file = out / "open-00000-0of2.jsonl"
    with subprocess.Popen([*command, "--shard", "0/2"], stderr=subprocess.PIPE, text=True) as run:
        while run.poll() is None and not (open_file.exists() and open_file.stat().st_size):
            time.sleep(0.001)
        os.kill(run.pid, signal.SIGSTOP)
        with pytest.raises(InputError, match=f"^{out}: another process is packing"):
            pack_clips([clips], out, share=(0, 2))
        other = pack_clips([clips], out, share=(1, 2), workers=1)
        assert other.clips == other.packed > 0
        os.kill(run.pid, signal.SIGKILL)
        run.communicate(timeout=60)
    assert open_file.exists()
    done = pack_clips([clips], out, share=(0, 2), workers=1)
    assert done.packed < done.clips == 199 - other.clips
    assert_whole(out, clips)
