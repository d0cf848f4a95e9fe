"""The command line: what it writes, and one clear line for every mistake."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import click
import numpy as np
import pytest

import bvh
from bvh import procedural
from bvh.motion import Motion
from motiontok.cli.main import COMMANDS, cli, main
from motiontok.config import shipped_configs
from motiontok.training.checkpoint import read_header
from motiontok.training.log import read_log


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def motiontok(monkeypatch, capfd, tmp_path):
    """Run a command in this process and in an empty folder, with no cache of data."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["motiontok", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as exit:
            code = exit.code or 0
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def refuses(motiontok, tmp_path):
    """A command that must end with one line, this exit code and nothing written."""

    def run(*arguments, code, words):
        before = listing(tmp_path)
        done = motiontok(*arguments)
        assert done.code == code, done.err
        lines = done.err.splitlines()
        assert lines[-1].startswith("error: ")
        # Progress and notes may come first, but no second line of the error.
        assert not [line for line in lines[:-1] if "rror" in line or "Traceback" in line]
        assert len(lines) <= 2, done.err
        for word in [words] if isinstance(words, str) else words:
            assert word in lines[-1], lines[-1]
        assert listing(tmp_path) == before
        return done

    return run


def listing(folder):
    """Every file with its contents, the data cache aside."""
    return {
        str(p): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
        if folder / "cache" not in (p, *p.parents)
    }


@pytest.fixture
def walk(tmp_path):
    """A clip of two seconds as BVH."""
    path = tmp_path / "walk.bvh"
    bvh.write(procedural.make("walk", seconds=2, seed=77).to_clip(), path)
    return path


@pytest.fixture
def codes(motiontok, tiny_run, walk, tmp_path):
    """Codes of that clip."""
    path = tmp_path / "codes.npy"
    assert motiontok("encode", walk, "-o", path, "--tokenizer", tiny_run).code == 0
    return path


@contextmanager
def read_only(folder):
    """``folder`` cannot be written to, not even by root where that can be arranged."""
    if os.geteuid():
        folder.chmod(0o500)
        try:
            yield
        finally:
            folder.chmod(0o700)
        return
    bind = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("as root, a read-only folder takes the right to mount one")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full_disk(size=1000):
    """No file may grow beyond a few bytes: a full disk, for any user."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_help_of_train_names_every_configuration(motiontok):
    done = motiontok("train", "--help")
    assert done.code == 0
    words = done.out.replace(",", " ").replace(".", " ").split()
    assert set(shipped_configs()) <= set(words)


HEAVY = ("torch", "numpy", "scipy", "pinocchio", "pyrender", "matplotlib", "safetensors", "rich")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["trian"]])
def test_help_imports_nothing_heavy(arguments):
    script = f"""
import sys
from motiontok.cli.main import main
sys.argv = ["motiontok", *{arguments!r}]
try:
    main()
finally:
    print(*sorted({{m.partition(".")[0] for m in sys.modules}} & set({HEAVY!r})), "done")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].strip() == "done"


def test_help_of_every_command_imports_no_torch():
    script = f"""
import sys
from motiontok.cli.main import main
for name in {list(COMMANDS)!r}:
    sys.argv = ["motiontok", name, "--help"]
    try:
        main()
    except SystemExit as exit:
        assert not exit.code, name
print(*sorted({{"torch", "pinocchio", "pyrender", "matplotlib"}} & set(sys.modules)), "done")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].strip() == "done"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help_shows_no_range_without_bounds(motiontok, command):
    done = motiontok(command, "--help")
    assert done.code == 0
    assert "Usage:" in done.out
    assert "None" not in done.out


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_tells_of_every_option_in_80_columns(name):
    with click.Context(cli, info_name="motiontok") as context:
        command = cli.get_command(context, name)
        assert command is not None
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert [option.name for option in options if not option.help] == []
        with click.Context(command, context, info_name=name, terminal_width=80) as own:
            text = command.get_help(own)
    assert max(map(len, text.splitlines())) <= 80
    # A mark that click did not understand stands in the text.
    assert "\\b" not in text


def test_help_lists_every_command(motiontok):
    done = motiontok("--help")
    assert done.code == 0
    for name, text in COMMANDS.items():
        assert name in done.out
        assert text.split()[0] in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["no command 'trian'", "did you mean train?", "encode", "decode"]),
        (["qqq"], ["no command 'qqq'", "choose from", "train"]),
        (["train"], ["Missing argument 'CONFIG'", "train --help"]),
        (["train", "demo", "--stepz", "5"], ["--stepz", "--steps"]),
        (["train", "demo", "--steps", "0"], "--steps"),
        (["train", "demo", "--steps", "many"], "many"),
        (["train", "dmo"], ["no configuration 'dmo'", "did you mean demo?", "lafan"]),
        (["train", "demo", "--set", "train.stpes=5"], ["train.stpes", "train.steps"]),
        (["train", "demo", "--set", "steps"], "expected section.key=value"),
        (["train", "demo", "--seed", "-1"], "train.seed must be 0 to"),
        (["train", "demo", "--time-budget", "-1"], "train.time_budget"),
        (["train", "demo", "--time-budget", "0"], "minutes above 0, or --steps"),
        (["train", "demo", "--steps", "5", "--time-budget", "2"], ["--steps 5", "leave one out"]),
        (["train", "demo", "--method", "dpas"], ["no method 'dpas'", "daps-pq"]),
        (["train", "demo", "--device", "warp"], ["--device warp", "cuda"]),
        (["train", "demo", "--device", "cuda:77"], "device 'cuda:77' is not available here"),
        (["train", "demo", "--data", "."], "made, not read"),
        (["train", "demo", "--set", "data.dataset=cmu"], ["no data set 'cmu'", "lafan"]),
        (["train", "lafan"], ["LAFAN1", "git clone", "lafan1.zip", "--data"]),
        (["train", "bandai"], "needs --data: a folder, .zip or .tar"),
        (["train", "folder"], "needs --data: a folder, .zip or .tar"),
        (["train", "bandai", "--data", "nowhere"], "nowhere: no such file or folder"),
        (["train", "folder", "--data", "."], "no clips here"),
        (["encode"], "Missing argument 'SOURCES"),
        (["encode", "walk.bvh", "--tokenizer", "nowhere"], ["nowhere: no such folder"]),
        (["encode", "walk.bvh", "--effort", "0", "--tokenizer", "x"], "--effort"),
        (["decode", "none.npy"], "none.npy: no such file"),
        (["decode", "none.npy", "-o", "x.mp3"], "ends in .bvh or .npz"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(refuses, arguments, words):
    refuses(*arguments, code=2, words=words)


def test_help_of_train_says_how_long_it_takes(motiontok):
    from motiontok.config import load_config

    said = " ".join(motiontok("train", "--help").out.split())
    words = "--time-budget MINUTES is how long: by default ten for lafan, bandai and folder, thirty"
    assert f"{words} for general." in said
    minutes = [load_config(name).train.time_budget for name in ("lafan", "bandai", "folder")]
    assert [*minutes, load_config("general").train.time_budget] == [10, 10, 10, 30]


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "retarget clip.bvh -o out.npz",
        "plan -o out.npz",
        "sample -o out.npz",
        "serve",
        "view clip.bvh",
        "convert a.npz b.npz",
        "encode a.npz",
        "train folder",
    ],
)
def test_a_second_robot_is_refused_where_one_is_taken(refuses, command):
    """Click would drop the first without a word."""
    words = command.split()
    says = f"--robot is given 2 times: {words[0]} takes one; run it once for each robot"
    refuses(*words, "--robot", "g1", "--robot=talos", code=2, words=says)


def test_resuming_nothing_is_refused(refuses):
    refuses("train", "demo", "--resume", code=1, words="no checkpoint to resume from")


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
    assert "60 frames -> 2 windows x 8 codes of 16 (30 bits/s)" in done.out
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


def test_a_run_is_never_overwritten(refuses, tiny_run):
    words = [str(tiny_run), "already holds a run", "--resume"]
    refuses("train", "demo", "--out", tiny_run, code=1, words=words)


def test_resuming_with_other_settings_changes_nothing(refuses, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    arguments = ["train", "demo", "--out", run, "--resume", "--set", "name=tiny"]
    refuses(*arguments, "--set", "model.width=32", code=1, words=["model.width = 16", "32"])
    refuses(*arguments, "--method", "daps", code=1, words=["method.name = 'daps-pq'", "'daps'"])
    words = ["holds a run named tiny, not demo", "--set name=tiny"]
    refuses("train", "demo", "--out", run, "--resume", code=1, words=words)


@pytest.mark.parametrize("damage", ["truncated", "pickle"])
def test_a_damaged_checkpoint_is_refused_by_name(refuses, tiny_run, tmp_path, damage):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    path = run / "checkpoint.safetensors"
    if damage == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.write_bytes(b"\x80\x04}q\x00.")
    words = [str(path), "damaged checkpoint"]
    refuses("train", "demo", "--out", run, "--resume", code=1, words=words)


def test_debug_shows_the_traceback(motiontok, monkeypatch):
    with pytest.raises(bvh.BVHError, match=r"none\.bvh"):
        motiontok("inspect", "none.bvh", "--debug")


def test_a_defect_is_one_line_too(motiontok, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("broken\nin two lines")

    monkeypatch.setattr("motiontok.config.load_config", fail)
    done = motiontok("train", "demo")
    assert done.code == 1
    assert done.err == "error: unexpected RuntimeError: broken in two lines; --debug shows where\n"
    with pytest.raises(RuntimeError):
        motiontok("--debug", "train", "demo")


@pytest.mark.usefixtures("undrawn")
def test_ctrl_c_leaves_a_checkpoint_and_exit_code_130(motiontok, tiny_settings, tmp_path):
    run = tmp_path / "run"
    settings = [word for setting in tiny_settings[1:] for word in ("--set", setting)]

    def press() -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (run / "checkpoint.safetensors").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    done = motiontok("train", "demo", "--out", run, *settings, "--steps", 1000000)
    finger.join()
    assert done.code == 130
    assert f"stopped; continue: motiontok train demo --out {run} --resume" in done.err
    assert done.err.endswith("interrupted\n")
    assert "Traceback" not in done.err
    step = read_header(run / "checkpoint.safetensors")["step"]
    assert step >= 10
    assert read_log(run / "log.csv")[-1]["step"] <= step

    done = motiontok("train", "demo", "--out", run, "--resume", "--steps", step + 3, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["step"] == step + 3


@pytest.mark.usefixtures("undrawn")
def test_a_time_budget_ends_a_run_by_the_clock(motiontok, tiny_settings, tmp_path):
    settings = [word for setting in tiny_settings for word in ("--set", setting)]
    run = tmp_path / "run"
    done = motiontok("train", "demo", "--out", run, *settings, "--time-budget", 0.01, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["training_seconds"] >= 0.6
    rows = read_log(run / "log.csv")
    assert rows[-1]["step"] == report["step"]
    assert "val_mse" in rows[-1]
    assert read_header(run / "checkpoint.safetensors")["step"] == report["step"]


def test_training_says_what_its_start_errs_on_the_same_clips(
    motiontok, tiny_run, tiny_settings, tmp_path
):
    settings = [word for value in tiny_settings for word in ("--set", value)]
    train = ["train", "demo", "--out", tmp_path / "run", *settings, "--steps", 3]
    done = motiontok(*train, "--from", tiny_run)
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    # The clips are those of the start's own run.
    start = json.loads((tiny_run / "metrics.json").read_text())["mpjpe_mm"]
    assert metrics["start_mpjpe_mm"] == pytest.approx(start, rel=1e-4)
    assert metrics["mpjpe_mm"] != metrics["start_mpjpe_mm"]
    said = f": MPJPE {metrics['mpjpe_mm']:.1f} mm, {start:.1f} before, rotation "
    assert said in done.out.splitlines()[-2]

    # A run that goes on has the same start; one from nothing has none.
    done = motiontok(*train[:-1], 4, "--resume")
    assert f" mm, {start:.1f} before, " in done.out
    done = motiontok(*train, "--out", tmp_path / "new", "--from", "scratch")
    assert done.code == 0, done.err
    assert "before" not in done.out
    assert "start_mpjpe_mm" not in json.loads((tmp_path / "new" / "metrics.json").read_text())


def test_download_goes_with_lafan_alone(motiontok, monkeypatch, tmp_path):
    """Fetching is for LAFAN1 without --data; the message says so."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["demo", "--download"], ["lafan", "--download", "--data", str(tmp_path)]):
        done = motiontok("train", *arguments)
        assert done.code == 2
        assert "--download fetches LAFAN1" in done.err
        assert len(done.err.strip().splitlines()) == 1


def test_a_run_folder_is_trained_in_by_one_process(motiontok, tiny_settings, tmp_path):
    """The one that was first is left alone; when it dies, by whatever, the folder is free."""
    run = tmp_path / "run"
    script = """
import sys, time
from pathlib import Path
from motiontok.locks import locked
Path(sys.argv[1]).mkdir()
with locked(Path(sys.argv[1]), "here"):
    print("in", flush=True)
    time.sleep(600)
"""
    settings = [word for setting in tiny_settings for word in ("--set", setting)]
    train = ("train", "demo", "--out", run, "--steps", 2, *settings)
    command = [sys.executable, "-c", script, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        done = motiontok(*train)
        left = list(run.iterdir())
        other.kill()
    assert done.code == 2
    assert f"error: {run}: another process is training here; wait" in done.err
    assert not left
    assert motiontok(*train).code == 0
    assert json.loads((run / "config.json").read_text())["train"]["steps"] == 2


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
