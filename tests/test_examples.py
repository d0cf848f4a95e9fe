"""The examples run, with a tiny tokenizer and prior, and give codes that decode."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from motiontok import MotionTokenizer
from motiontok.codes import Codes

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def folders(tiny_run, tmp_path_factory):
    from bvh import procedural
    from motiontok.prior.runs import run_prior_training

    clips = tmp_path_factory.mktemp("clips")
    for n in range(4):
        procedural.make("walk", seconds=5.0, seed=n).save(clips / f"walk_{n}.npz")
    out = tmp_path_factory.mktemp("prior")
    tokenizer = MotionTokenizer.from_pretrained(tiny_run)
    run_prior_training(
        tokenizer, data=[clips], out=out, steps=5, width=8, layers=1, say=lambda line: None
    )
    return {"--tokenizer": tiny_run, "--prior": out / "prior"}


@pytest.fixture
def example(monkeypatch, capsys):
    """Runs an example as a script, in this process, which has torch already."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        monkeypatch.syspath_prepend(EXAMPLES)
        code = 0
        try:
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return run


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("velocity_follower", ("--tokenizer", "--prior")),
        ("waypoint_walker", ("--tokenizer", "--prior")),
        ("your_own_planner", ("--tokenizer",)),
    ],
)
def test_an_example_writes_codes(folders, example, name, options, tmp_path):
    out = tmp_path / "codes.npy"
    given = [part for option in options for part in (option, str(folders[option]))]
    done = example(name, *given, "--seconds", "3", "--out", out)
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout
    codes = Codes.load(out)
    assert codes.array.shape == (3, 8)
    tokenizer = MotionTokenizer.from_pretrained(folders["--tokenizer"])
    assert len(tokenizer.decode_codes(codes)) == 90


def test_a_robot_is_led_by_commands(folders, example, tmp_path):
    pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")
    from motiontok.robots import Trajectory, load_robot

    out = tmp_path / "robot.npz"
    given = [part for option, folder in folders.items() for part in (option, str(folder))]
    done = example("robot_in_the_loop", *given, "--seconds", "3.2", "--out", out)
    assert done.returncode == 0, done.stderr
    found, robot = Trajectory.load(out), load_robot("g1")
    # Three windows, without the frames that wait for the next one and for the robot's look-ahead.
    assert 96 - 25 - 15 <= len(found) < 96
    assert (found.joints >= robot.lower - 1e-6).all()
    assert (found.joints <= robot.upper + 1e-6).all()


def test_quickstart_goes_the_whole_way(folders, example, tmp_path):
    pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")
    pytest.importorskip("pyrender", reason="needs: pip install 'motiontok[render]'")
    done = example("quickstart", "--out", tmp_path, "--tokenizer", folders["--tokenizer"])
    assert done.returncode == 0, done.stderr
    assert "mean joint error" in done.stdout
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    assert Codes.load(tmp_path / "codes.npy").array.shape == (4, 8)
    assert np.load(tmp_path / "robot.npz")["qpos"].shape == (120, 36)


def test_a_planner_in_another_process(folders):
    pytest.importorskip("zmq", reason="needs: pip install 'motiontok[serve]'")
    from motiontok.prior import TokenPrior
    from motiontok.serve import Server

    tokenizer = MotionTokenizer.from_pretrained(folders["--tokenizer"])
    prior = TokenPrior.from_pretrained(folders["--prior"], tokenizer=tokenizer)
    with Server(tokenizer, prior=prior, port=0) as server:
        address = f"tcp://127.0.0.1:{server.port}"
        states = f"tcp://127.0.0.1:{server.states_port}"
        done = subprocess.run(
            [sys.executable, EXAMPLES / "remote_planner.py", "--address", address]
            + ["--states", states, "--plans", "2"],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert "plan 1: " in done.stdout
    assert "body at [" in done.stdout


def test_a_policy_is_trained_on_a_data_set(folders, example, tmp_path):
    pytest.importorskip("pyarrow", reason="needs: pip install 'motiontok[lerobot]'")
    from bvh import procedural
    from motiontok.lerobot import Episode, write_dataset
    from motiontok.robots import Trajectory

    tokenizer = MotionTokenizer.from_pretrained(folders["--tokenizer"])
    still = np.tile([0, 0, 1, 0, 0, 0, 1, 0.0], (90, 1))
    episodes = [
        Episode(
            Trajectory(still, ("knee",), 30.0, "one_joint"),
            task,
            tokenizer.encode_to_codes(procedural.make(kind, seconds=3.0, seed=seed)),
        )
        for kind, task in (("walk", "walk"), ("squat", "squat, low"))
        for seed in range(4)
    ]
    write_dataset(episodes, tmp_path / "data", tokenizer)
    given = ["--tokenizer", folders["--tokenizer"], "--data", tmp_path / "data"]
    given += ["--minutes", "0.01", "--seconds", "3", "--out", tmp_path / "codes.npy"]
    done = example("train_policy_on_tokens", *given, "--task", "squat, low")
    assert done.returncode == 0, done.stderr
    assert "8 episodes of 2 tasks" in done.stdout
    assert "held out: " in done.stdout
    codes = Codes.load(tmp_path / "codes.npy")
    assert codes.array.shape == (3, 8)
    assert len(tokenizer.decode_codes(codes)) == 96
    done = example("train_policy_on_tokens", *given, "--task", "fly")
    assert done.returncode == 2
    assert "there are squat, low, walk" in done.stderr


def test_every_example_is_tested():
    # The last one where programs are exported.
    tested = {"velocity_follower", "waypoint_walker", "your_own_planner", "remote_planner"}
    tested |= {"robot_in_the_loop", "onnx_consumer", "train_policy_on_tokens", "quickstart"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested
