"""What every command says of a clip, and lets be said of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import bvh
from bvh import procedural
from bvh import rotations as rot
from bvh.remarks import KINDS, remark, summary
from motiontok.codes import Codes
from motiontok.robots import Trajectory

JUMP = "jump: the root jumps"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))


def foreign(kind="walk", *, jumps=False):
    clip = procedural.make(kind, seconds=1, seed=4).to_clip()
    if jumps:
        clip.positions[15:, 0, 0] += 1000.0
    return renamed(clip)


def renamed(clip):
    return replace(clip, names=tuple(f"mixamorig:{name}" for name in clip.names))


def lying():
    """A person on the back, on the file's floor, who moves an arm."""
    motion = procedural.make("wave", seconds=2, seed=4).on_bones(bvh.DEFAULT_OFFSETS)
    back = rot.from_axis_angle(np.array([0.0, 1.0, 0.0]), -np.pi / 2)
    turns = motion.rotations.copy()
    turns[:, 0] = rot.multiply(back, turns[:, 0])
    motion = replace(
        motion, rotations=turns, root_positions=rot.rotate(back, motion.root_positions)
    )
    low = motion.global_positions()[..., 2].min()
    return renamed(
        replace(motion, root_positions=motion.root_positions - [0.0, 0.0, low]).to_clip()
    )


@pytest.fixture
def clip(tmp_path):
    """A clip with something wrong in it."""
    bvh.write(foreign(jumps=True), tmp_path / "clip.bvh")
    return tmp_path / "clip.bvh"


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "clips"
    for kind in ("walk", "wave", "hop", "dance"):
        bvh.write(foreign(kind, jumps=kind == "hop"), out / f"{kind}.bvh")
    return out


def commands(source, tokenizer, out):
    return {
        "encode": ("encode", source, "--tokenizer", tokenizer, "-o", out / "codes.npy"),
        "retarget": ("retarget", source, "--robot", "skeleton", "-o", out / "robot.npz"),
        "render": ("render", source, "-o", out / "p.png", "--size", "64x64", "--time", "0"),
    }


@pytest.mark.parametrize("command", ["encode", "retarget", "render"])
def test_commands_tell_what_is_wrong_once_and_refuse_it_when_strict(
    run, clip, tiny_run, tmp_path, command
):
    words = commands(clip, tiny_run, tmp_path)[command]
    code, _, err = run(*words)
    assert code == 0, err
    assert err.count(JUMP) == 1
    assert f"note: {clip}: {JUMP}" in err
    code, _, err = run(*words, "--strict")
    assert code == 2
    assert f"error: {clip}: {JUMP}" in err
    assert "--strict" in err


def test_who_lies_down_is_told_and_passes_when_strict(run, tiny_run, tmp_path, tiny_settings):
    source = tmp_path / "clips"
    bvh.write(lying(), source / "lies.bvh")
    clip = source / "lies.bvh"
    # Of one clip the axis is in doubt, and that is not what lying is.
    code, _, err = run("inspect", clip, "--strict")
    assert code == 2
    assert "up-axis: y" in err
    assert run("inspect", clip, "--strict", "--up", "y")[0] == 0
    for words in commands(clip, tiny_run, tmp_path).values():
        code, _, err = run(*words, "--strict", "--up", "y")
        assert code == 0, err
        assert "lies: " in err
    for how in ((), ("--pack",)):
        out = tmp_path / f"codes{len(how)}"
        words = ("encode", source, "--tokenizer", tiny_run, "-o", out, *how, "--up", "y")
        for strict in ((), ("--strict",)):
            code, _, err = run(*words, *strict)
            assert code == 0, err
            assert "lies: " in err
    # Clips of the rig that stand leave no doubt.
    for kind in ("walk", "dance"):
        motion = procedural.make(kind, seconds=1, seed=4).on_bones(bvh.DEFAULT_OFFSETS)
        bvh.write(renamed(motion.to_clip()), source / f"{kind}.bvh")
    small = [w for s in tiny_settings if not s.startswith("data.clips") for w in ("--set", s)]
    train = ("train", "folder", "--method", "pca-pq", "--data", source, *small)
    code, out, err = run(*train, "--set", "data.holdout=2", "--out", tmp_path / "run", "--strict")
    assert code == 0, err
    assert "lies.bvh: lies: " in out


def test_inspect_shows_everything_and_fails_when_strict(run, clip):
    code, out, err = run("inspect", clip)
    assert (code, err) == (0, "")
    assert JUMP in out
    code, out, err = run("inspect", clip, "--strict")
    assert code == 2
    assert JUMP in out
    assert JUMP in err


@pytest.mark.usefixtures("one_core")
def test_folders_are_told_of_in_a_few_lines(run, folder, tiny_run, tmp_path):
    encode = ("encode", folder, "--tokenizer", tiny_run, "-o")
    for out, how in (("codes", ()), ("packed", ("--pack",))):
        # Told of again by the run that finds everything done.
        for _ in range(2):
            code, _, err = run(*encode, tmp_path / out, *how)
            assert code == 0, err
            assert err.count(f"hop.bvh: {JUMP}") == 1
        # What was encoded when nobody was strict is looked at again.
        code, _, err = run(*encode, tmp_path / out, *how, "--strict")
        assert code == 2
        assert "were not encoded, with --strict" in err
        code, _, err = run(*encode, tmp_path / out, *how)
        assert code == 0, err
        assert err.count(f"hop.bvh: {JUMP}") == 1
    code, _, err = run("retarget", folder, "--robot", "skeleton", "-o", tmp_path / "robots")
    assert code == 0, err
    assert err.count(JUMP) == 1


def test_training_and_measuring_tell_too(run, folder, tiny_run, tmp_path, tiny_settings):
    small = [w for s in tiny_settings if not s.startswith("data.clips") for w in ("--set", s)]
    train = ("train", "folder", "--method", "pca-pq", "--data", folder, *small)
    train = (*train, "--set", "data.holdout=2")
    code, out, err = run(*train, "--out", tmp_path / "run")
    assert code == 0, err
    assert out.count(JUMP) == 1
    code, _, err = run(*train, "--out", tmp_path / "strict", "--strict")
    assert code != 0
    assert JUMP in err
    code, _, err = run("eval", tiny_run, "--data", folder, "--all")
    assert code == 0, err
    assert err.count(JUMP) == 1
    code, _, err = run("eval", tiny_run, "--data", folder, "--all", "--strict")
    assert code == 2
    assert JUMP in err


def test_a_guess_is_overruled_in_every_command(run, folder, tiny_run, tmp_path):
    """Twice the scale: legs twice as long, in codes, trajectories and what training reads."""
    source = folder / "walk.bvh"
    plain = bvh.normalize(bvh.read(source)).offsets
    said = ("--up", "y", "--scale", "0.02", "--frames", "rows")
    code, _, err = run(
        "encode", source, "--tokenizer", tiny_run, "-o", tmp_path / "c.npy", *said, "--fps", "60"
    )
    assert code == 0, err
    codes = Codes.load(tmp_path / "c.npy")
    np.testing.assert_allclose(codes.offsets, 2 * plain, rtol=1e-3, atol=1e-6)
    assert codes.frames == 15
    for out, how in (("codes", ()), ("packed", ("--pack",))):
        words = ("encode", folder, "--tokenizer", tiny_run, "-o", tmp_path / out, *how, *said)
        assert run(*words)[0] == 0
    many = Codes.load(tmp_path / "codes" / "walk.npy")
    np.testing.assert_allclose(many.offsets, codes.offsets)
    code, _, err = run(
        "retarget", source, "--robot", "skeleton", "-o", tmp_path / "r.npz", *said,
        "--source-fps", "15", "--fps", "50",
    )  # fmt: skip
    assert code == 0, err
    trajectory = Trajectory.load(tmp_path / "r.npz")
    assert trajectory.fps == 50
    assert len(trajectory) == pytest.approx(100, abs=4)
    code, out, err = run("inspect", source, "--json", *said, "--fps", "60")
    facts = json.loads(out)
    assert (facts["up"], facts["scale"], facts["fps"]) == ("y", 0.02, pytest.approx(60))
    code, out, err = run("eval", tiny_run, "--data", folder, "--all", "--json", *said)
    assert code == 0, err


def test_codes_of_a_folder_are_made_anew_when_it_is_read_otherwise(run, folder, tiny_run, tmp_path):
    for how in ((), ("--pack",)):
        out = tmp_path / f"codes{len(how)}"
        words = ("encode", folder, "--tokenizer", tiny_run, "-o", out, "--json", *how)
        first, again = run(*words)[1], run(*words)[1]
        if how:
            assert json.loads(first)["encoded"] == 4
            assert json.loads(again)["encoded"] == 0
        stamp = {p: p.stat().st_mtime_ns for p in out.glob("*.npy")}
        (folder / "bvh.toml").write_text("scale = 0.02\n")
        told = run(*words)[1]
        if how:
            assert json.loads(told)["encoded"] == 4
        else:
            assert all(p.stat().st_mtime_ns != old for p, old in stamp.items())
        (folder / "bvh.toml").unlink()


def test_a_mapping_reaches_every_command(run, tmp_path, tiny_run):
    clip = foreign()
    names = tuple(f"bone{i}" for i in range(len(clip.names)))
    bvh.write(replace(clip, names=names), tmp_path / "odd.bvh")
    lines = [f'{joint} = "{name}"' for joint, name in zip(bvh.JOINTS, names, strict=True)]
    (tmp_path / "map.toml").write_text("\n".join(lines))
    (tmp_path / "wrong.toml").write_text('Hips = "nobody"')
    for words in commands(tmp_path / "odd.bvh", tiny_run, tmp_path).values():
        code, _, err = run(*words, "--mapping", tmp_path / "map.toml")
        assert code == 0, err
        code, _, err = run(*words, "--mapping", tmp_path / "wrong.toml")
        assert code == 2
        assert "mapping wants joint 'nobody'" in err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--scale", "nan"), "not a finite number"),
        (("--scale", "0"), "not in the range"),
        (("--source-fps", "inf"), "not a finite number"),
        (("--up", "w"), "not one of"),
        (("--frames", "columns"), "not one of"),
    ],
)
def test_bad_values_are_refused(run, clip, tmp_path, words, reason):
    code, _, err = run("render", clip, "-o", tmp_path / "p.png", *words)
    assert code == 2
    assert reason in err


@pytest.mark.parametrize(
    ("option", "value"), [("--fps", "nan"), ("--fps", "inf"), ("--time", "nan")]
)
def test_no_picture_has_a_rate_or_a_time_that_is_no_number(run, clip, tmp_path, option, value):
    suffix = "mp4" if option == "--fps" else "png"
    code, _, err = run("render", clip, "-o", tmp_path / f"p.{suffix}", option, value)
    assert code == 2
    assert "not a finite number" in err or "not in the range" in err


def test_a_motion_of_sixty_frames_a_second_is_encoded_and_trained_on(
    run, tmp_path, tiny_run, tiny_settings
):
    folder = tmp_path / "motions"
    for seed in range(4):
        motion = procedural.make("walk", seconds=2, seed=seed)
        motion.resampled(60).save(folder / f"{seed}.npz")
    code, _, err = run(
        "encode", folder / "0.npz", "--tokenizer", tiny_run, "-o", tmp_path / "c.npy"
    )
    assert code == 0, err
    assert Codes.load(tmp_path / "c.npy").frames == 60
    small = [w for s in tiny_settings if not s.startswith("data.clips") for w in ("--set", s)]
    train = ("train", "folder", "--data", folder, "--method", "pca-pq", "--out", tmp_path / "run")
    code, _, err = run(*train, *small, "--set", "data.holdout=2")
    assert code == 0, err


def test_what_is_no_bvh_file_cannot_be_read_otherwise(run, tmp_path, tiny_run):
    procedural.make("walk", seconds=1, seed=0).save(tmp_path / "m.npz")
    for words in commands(tmp_path / "m.npz", tiny_run, tmp_path).values():
        code, _, err = run(*words, "--up", "y")
        assert code == 2
        assert "neither BVH nor SMPL" in err


def test_remarks_of_one_kind_are_one_line():
    remarks = [(f"{i}.bvh", remark("bones", f"bone A-B stretches by {i} mm")) for i in range(9)]
    remarks += [("odd.bvh", remark(kind, "said")) for kind in list(KINDS)[:5]]
    remarks += [("odd.bvh", remark("bones", "bone A-C stretches by 7 mm"))]
    remarks += [("odd.bvh", remark("jump", "said"))]
    lines = summary(remarks, clips=20)
    assert lines[0] == "10 of 20 clips, such as 0.bvh: bones: bone A-B stretches by 0 mm"
    assert lines[1] == "odd.bvh: up-axis: said"
    assert lines[-1].startswith("2 other kinds of remark, on 1 clip; `motiontok inspect CLIP`")
    assert len(lines) == 6
    assert summary([], clips=3) == []
