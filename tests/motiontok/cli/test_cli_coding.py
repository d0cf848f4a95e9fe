"""Encoding and decoding by command: what is written, and one clear line for every mistake."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from disks import full_disk, read_only

import bvh
from bvh import procedural
from bvh.motion import Motion
from motiontok import Codes, MotionTokenizer
from motiontok.evaluate import compare_motions


def broken(name):
    good = procedural.make("walk", seconds=1).to_clip()
    if name == "empty":
        return ""
    if name == "text":
        return "hello\nworld\n"
    if name == "box":  # no humanoid
        return (
            "HIERARCHY\nROOT box\n{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\n"
            "End Site\n{\nOFFSET 0 0 1\n}\n}\nMOTION\nFrames: 1\nFrame Time: 0.03\n0 0 0\n"
        )
    path = os.path.join(os.environ["PYTEST_TMP"], "good.bvh")
    bvh.write(good, path)
    with open(path) as file:
        text = file.read()
    if name == "cut":
        return text[: len(text) // 20]
    if name == "nan":
        head, _, row = text.rstrip("\n").rpartition("\n")
        return head + "\nnan" + row[row.index(" ") :] + "\n"
    assert name == "word"
    return text.replace("OFFSET", "OFSET", 1)


@pytest.mark.parametrize("name", ["empty", "text", "box", "cut", "nan", "word", "missing"])
def test_a_broken_clip_is_named(refuses, tiny_run, tmp_path, monkeypatch, name):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("PYTEST_TMP", str(scratch))
    path = tmp_path / "clip.bvh"
    if name != "missing":
        path.write_text(broken(name))
    out = tmp_path / "codes.npy"
    refuses("encode", path, "-o", out, "--tokenizer", tiny_run, code=2, words="clip")


def test_other_bad_sources_are_named(refuses, tiny_run, walk, codes, tmp_path):
    def encode(*arguments, words):
        refuses("encode", *arguments, "--tokenizer", tiny_run, code=2, words=words)

    encode(walk, "-o", "codes.txt", words="codes.txt: codes are written to a .npy file")
    encode(codes, "-o", "again.npy", words="already codes")
    (tmp_path / "cut.npy").write_bytes(codes.read_bytes()[:40])
    encode(tmp_path / "cut.npy", "-o", "again.npy", words="cut.npy: damaged, or no array of")
    # A robot that there is not is no reason to skip each trajectory, one by one.
    encode(walk.parent, "-o", "all", "--robot", "h1_3", words="no robot 'h1_3'; choose from")
    encode(tmp_path / "here", words="here: no clips here; expected .bvh or .bvh.gz or .npz files")
    encode(tmp_path, "-o", "folder.npy", words="encoded into a folder")
    encode(codes.with_suffix(".json"), "-o", "again.npy", words="sidecar")
    (tmp_path / "m.npz").write_bytes(b"PK")
    encode(tmp_path / "m.npz", words="m.npz: not a motion file")
    (tmp_path / "m.npz").write_text("1 2 3")
    encode(tmp_path / "m.npz", words="m.npz: not a motion file (no .npz archive)")
    encode(tmp_path / "nope", "-o", "x", words="nope: no such file or folder")
    archive = shutil.make_archive(str(tmp_path / "clips"), "zip", tmp_path, walk.name)
    encode(archive, walk, "-o", "codes.npy", words="2 sources are encoded into a folder")
    encode(walk, walk, "-o", "folder", words="walk.bvh: given twice; name it once")
    still = walk.with_name("still.bvh")
    still.write_text(walk.read_text().split("Frames:")[0] + "Frames: 0\nFrame Time: 0.03\n")
    encode(still, words=f"{still}: no frames to normalise")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("jp.npy", ["-o", "jp.npy"]), ("codes.npy", []), ("jp.npy", ["-o", "l.npy"])],
)
def test_codes_replace_no_joint_positions(
    refuses, motiontok, tiny_run, walk, tmp_path, name, arguments
):
    source = tmp_path / "here" / name
    assert motiontok("convert", walk, source).code == 0
    (tmp_path / "here" / "l.npy").symlink_to(source)
    words = "the output is an input, and would replace it; give another"
    refuses("encode", name, *arguments, "--tokenizer", tiny_run, code=2, words=words)
    assert motiontok("encode", name, "-o", "other.npy", "--tokenizer", tiny_run).code == 0


def test_a_run_from_clips_to_codes_and_back(motiontok, tiny_settings, walk, tmp_path):
    settings = [word for setting in tiny_settings for word in ("--set", setting)]
    run = tmp_path / "run"
    done = motiontok("train", "demo", "--out", run, "--steps", 12, *settings, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["step"] == 12
    assert report["mpjpe_mm"] > 0
    assert {p.name for p in run.iterdir() if not p.name.startswith("events.")} == {
        "best.safetensors",
        "checkpoint.safetensors",
        "config.json",
        "curves.png",
        "log.csv",
        "metrics.json",
        "tokenizer",
    }
    assert json.loads((run / "config.json").read_text())["train"]["steps"] == 12
    assert json.loads((run / "metrics.json").read_text())["mpjpe_mm"] == report["mpjpe_mm"]

    codes = tmp_path / "out" / "walk.npy"
    done = motiontok("encode", walk, "-o", codes, "--tokenizer", run)
    assert done.code == 0, done.err
    assert "60 frames -> 2 windows x 8 codes of 16 (30 bits/s), decoded joint error " in done.out
    assert str(codes) in done.out
    assert np.load(codes).shape == (2, 8)

    again = tmp_path / "again.bvh"
    done = motiontok("decode", codes, "-o", again)
    assert done.code == 0, done.err
    assert f"decoding with {run}" in done.err
    assert "60 frames, 2.0 s" in done.out
    assert bvh.read(again).frames == 60
    assert motiontok("decode", codes, "-o", tmp_path / "m.npz").code == 0
    assert motiontok("decode", codes, "-o", tmp_path / "m.smpl.npz").code == 0
    with np.load(tmp_path / "m.smpl.npz") as data:
        assert data["poses"].shape[1] == 156
    decoded = Motion.load(tmp_path / "m.npz")
    np.testing.assert_allclose(
        decoded.global_positions(),
        bvh.normalize(bvh.read(again)).global_positions(),
        atol=0.05,
    )


def test_encode_says_how_far_off_what_is_decoded_is(motiontok, tmp_path):
    walk = procedural.make("walk", seconds=40.0, seed=11)
    walk.save(tmp_path / "walk.npz")

    def encoded(*options):
        done = motiontok(
            "encode", tmp_path / "walk.npz", "-o", tmp_path / "codes.npy", "--effort", 1, *options
        )
        assert done.code == 0, done.err
        again = MotionTokenizer.from_pretrained("default").decode_codes(
            Codes.load(tmp_path / "codes.npy")
        )
        apart = np.linalg.norm((again.root_positions - walk.root_positions)[:, :2], axis=1).max()
        error = compare_motions(walk, again)["mpjpe_mm"]
        assert f"decoded joint error {error:.1f} mm -> " in done.out
        return apart, done.err

    apart, said = encoded()
    far = f"the path of its codes is up to {apart:.1f} m off; --hold-path corrects it"
    assert f"note: {tmp_path / 'walk.npz'}: {far}" in said
    held, said = encoded("--hold-path")
    assert held < 0.3 < apart
    assert "path" not in said


def test_what_is_no_regular_file_is_not_said_to_be_absent(motiontok, tmp_path):
    for name in ("clip.bvh", "clip.npz", "clip.npy"):
        os.mkfifo(tmp_path / name)
        done = motiontok("encode", tmp_path / name, "-o", tmp_path / "codes.npy")
        assert (done.code, done.err) == (2, f"error: {tmp_path / name}: not a regular file\n")


def test_an_empty_argument_is_no_folder(motiontok):
    for arguments in (
        ["encode", ""],
        ["encode", "clip.bvh", "--out", ""],
        ["decode", "a", "--out="],
    ):
        done = motiontok(*arguments)
        assert done.code == 2
        assert "an argument is empty; is a variable of the shell not set?" in done.err


def test_encoding_twice_gives_one_file(motiontok, tiny_run, walk, tmp_path):
    for effort in (1, 4):
        for name in ("a", "b"):
            path = tmp_path / f"{name}{effort}.npy"
            arguments = ["encode", walk, "-o", path, "--effort", effort, "--tokenizer", tiny_run]
            assert motiontok(*arguments).code == 0
        for ending in ("npy", "json"):
            a, b = (tmp_path / f"{name}{effort}.{ending}" for name in "ab")
            assert a.read_bytes() == b.read_bytes()


def test_a_folder_is_encoded_clip_by_clip_and_one_broken_file_is_not_the_end(
    motiontok, tiny_run, walk, tmp_path
):
    clips = tmp_path / "clips"
    (clips / "deep").mkdir(parents=True)
    shutil.copy(walk, clips / "deep" / "walk.bvh")
    procedural.make("wave", seconds=1).save(clips / "wave.npz")
    (clips / "bad.bvh").write_text("hello")
    out = tmp_path / "codes"
    done = motiontok("encode", clips, "-o", out, "--tokenizer", tiny_run, "--json")
    assert done.code == 0
    assert len(json.loads(done.out)) == 2
    assert "skipped: " in done.err
    assert "bad.bvh" in done.err
    assert "1 of 3 clips skipped" in done.err
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.npy")) == [
        "deep/walk.npy",
        "wave.npy",
    ]


def test_a_member_of_an_archive_is_encoded(motiontok, tiny_run, walk, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "clips"), "zip", tmp_path, walk.name)
    done = motiontok("encode", f"{archive}/walk.bvh", "--tokenizer", tiny_run, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["frames"] == 60


def test_a_jump_of_the_root_is_noted(motiontok, tiny_run, tmp_path):
    motion = procedural.make("walk", seconds=1)
    places = motion.root_positions.copy()
    places[20:, 0] += 50.0
    replace(motion, root_positions=places).save(tmp_path / "jump.npz")
    done = motiontok("encode", tmp_path / "jump.npz", "--tokenizer", tiny_run)
    assert done.code == 0, done.err
    assert "jump.npz: jump: the root jumps 50" in done.err


def test_codes_without_a_sidecar_decode_with_a_note(motiontok, tiny_run, codes, tmp_path):
    codes.with_suffix(".json").unlink()
    out = tmp_path / "d.npz"
    done = motiontok("decode", codes, "-o", out, "--tokenizer", tiny_run)
    assert done.code == 0, done.err
    assert "no codes.json beside it" in done.err
    assert len(Motion.load(out)) == 64


def test_codes_of_another_tokenizer_are_refused(refuses, codes, tmp_path):
    sidecar = json.loads(codes.with_suffix(".json").read_text())
    ours = sidecar["fingerprint"]
    codes.with_suffix(".json").write_text(json.dumps(sidecar | {"fingerprint": "f" * 16}))
    refuses("decode", codes, "-o", tmp_path / "d.bvh", code=2, words=[ours, "f" * 16])


def test_codes_whose_tokenizer_is_gone_say_so(refuses, codes, tmp_path):
    sidecar = json.loads(codes.with_suffix(".json").read_text())
    codes.with_suffix(".json").write_text(json.dumps(sidecar | {"tokenizer": "/gone"}))
    words = ["codes.npy", "/gone is not there any more", "--tokenizer"]
    refuses("decode", codes, "-o", tmp_path / "d.bvh", code=2, words=words)


def test_a_read_only_folder_is_named(refuses, tiny_run, tiny_settings, walk, codes, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    settings = [word for setting in tiny_settings for word in ("--set", setting)]
    with read_only(locked):
        arguments = ["encode", walk, "-o", locked / "c.npy", "--tokenizer", tiny_run]
        refuses(*arguments, code=1, words=str(locked))
        for name in ("d.npz", "deep/d.npz"):
            refuses("decode", codes, "-o", locked / name, code=1, words=str(locked))
        done = refuses("decode", codes, "-o", locked / "d.bvh", code=2, words=str(locked / "d.bvh"))
        assert "cannot be written" in done.err
        arguments = ["train", "demo", "--out", locked / "run", *settings]
        refuses(*arguments, code=1, words=str(locked / "run"))


def test_a_full_disk_is_named_and_old_files_stay(refuses, tiny_run, walk, codes, tmp_path):
    (tmp_path / "d.npz").write_bytes(b"old")
    (tmp_path / "d.bvh").write_bytes(b"old")
    with full_disk():
        arguments = ["encode", walk, "-o", codes, "--tokenizer", tiny_run]
        refuses(*arguments, code=1, words=str(codes))
        refuses("decode", codes, "-o", tmp_path / "d.npz", code=1, words=str(tmp_path / "d.npz"))
        refuses("decode", codes, "-o", tmp_path / "d.bvh", code=2, words=str(tmp_path / "d.bvh"))


def test_a_file_where_a_folder_should_be_is_named(refuses, tiny_run, walk, codes, tmp_path):
    (tmp_path / "occupied").write_text("")
    arguments = ["encode", walk, "-o", tmp_path / "occupied" / "c.npy", "--tokenizer", tiny_run]
    refuses(*arguments, code=1, words=[str(tmp_path / "occupied"), "Not a directory"])
    (tmp_path / "folder.npy").mkdir()
    arguments = ["encode", walk, "-o", tmp_path / "folder.npy", "--tokenizer", tiny_run]
    refuses(*arguments, code=1, words=[str(tmp_path / "folder.npy"), "Is a directory"])


def test_strict_stops_at_a_broken_clip(motiontok, monkeypatch, tmp_path):
    """One broken file ends a strict run, naming it."""
    for seed in range(2):
        procedural.make("walk", seconds=2, seed=seed).save(tmp_path / f"clips/walk_{seed}.npz")
    (tmp_path / "clips" / "broken.bvh").write_text("HIERARCHY")
    monkeypatch.chdir(tmp_path)
    done = motiontok("train", "folder", "--strict", "--data", "clips", "--out", "run")
    assert done.code == 2
    assert "broken.bvh" in done.err
    assert not (tmp_path / "run" / "config.json").exists()


def test_encode_says_what_a_weight_of_rates_saves(motiontok, tmp_path):
    procedural.make("run", seconds=4.0, seed=3).save(tmp_path / "run.npz")
    encode = ("encode", tmp_path / "run.npz", "-o", tmp_path / "codes.npy", "--effort", 4)
    done = motiontok(*encode, "--rate-weight", 4, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    nats = MotionTokenizer.from_pretrained("default").nats(Codes.load(told["codes"]).array)
    assert told["nats_per_window"] == pytest.approx(nats.sum(axis=1).mean())
    plain = told["unweighted_nats_per_window"]
    assert told["nats_per_window"] < plain
    said = f"{told['nats_per_window']:.0f} nats a window ({plain:.0f} without the weight)"
    assert said in motiontok(*encode, "--rate-weight", 4).out
    # A part of a window has no nats of its own; without a weight nobody asks.
    for other in (("--rate-weight", 4, "--codes", 8), ()):
        assert "nats" not in motiontok(*encode, *other, "--json").out
