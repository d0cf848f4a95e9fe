"""Help and wrong command lines: quick, narrow, and one line for every mistake."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

import bvh
from motiontok.cli.main import COMMANDS, cli
from motiontok.config import shipped_configs


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


def test_debug_shows_the_traceback(motiontok, monkeypatch):
    with pytest.raises(bvh.BVHError, match=r"none\.bvh"):
        motiontok("inspect", "none.bvh", "--debug")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("broken\nin two lines"),
            "unexpected RuntimeError: broken in two lines; --debug shows where",
        ),
        (
            MemoryError("Unable to allocate 224. GiB for an array with shape (30000000090,)"),
            "out of memory (asked for 224.00 GiB at once); ask for less, or for it in smaller "
            "parts",
        ),
    ],
)
def test_a_defect_and_a_lack_of_memory_are_one_line_too(motiontok, monkeypatch, error, said):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("motiontok.config.load_config", fail)
    done = motiontok("train", "demo")
    assert done.code == 1
    assert done.err == f"error: {said}\n"
    with pytest.raises(type(error)):
        motiontok("--debug", "train", "demo")
