"""What several tests need that is slow to make."""

from __future__ import annotations

import os
import subprocess

import pytest


@pytest.fixture
def on_full_disk():
    """Runs a command that must fail without a traceback; what it says of it is returned.

    ``ulimit -f`` makes writing beyond so many KiB of a file fail, as a full disk does.
    """

    def run(command, size):
        done = subprocess.run(
            ["bash", "-c", f'ulimit -f {size}; exec "$@"', "bash", *command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    return run


@pytest.fixture
def one_core(monkeypatch):
    """Folders are done in this process, as on a machine of one core."""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0})


@pytest.fixture
def undrawn(monkeypatch):
    """Runs draw no curves, which takes longer than they train."""
    for name in ("runs.plot_curves", "images.runs.plot_curves", "images.runs.plot_grid"):
        monkeypatch.setattr(f"motiontok.{name}", lambda *arguments, **options: None)


@pytest.fixture(scope="session")
def g1():
    """Unitree's G1; not to be changed."""
    pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")
    from motiontok.robots import load_robot

    return load_robot("g1")


@pytest.fixture
def one_g1(g1, monkeypatch):
    """Commands find the G1 loaded: its meshes take longer than a short motion."""
    from motiontok.robots.model import robot

    load = robot.load_robot

    def loaded(name, *, map=None):
        return g1 if name == "g1" and map is None else load(name, map=map)

    monkeypatch.setattr(robot, "load_robot", loaded)


@pytest.fixture(scope="module")
def short_start():
    """The linear start of temporal tokenizers takes a moment."""
    from motiontok.methods.quantizers import temporal

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporal, "_LINEAR_STEPS", 10)
        patch.setattr(temporal, "_LINEAR_BATCH", 8)
        yield


@pytest.fixture(scope="session")
def made_data():
    """Ten made-up clips as windows of 32 frames, two of them held out."""
    from bvh import procedural
    from motiontok.config import parse_config
    from motiontok.data.clips import Clips, ClipSet
    from motiontok.data.training_data import make_training_data

    motions = procedural.dataset(10, seconds=5.0, seed=0)
    clips = Clips((ClipSet("made", motions[:8], motions[8:]),), "")
    return make_training_data(clips, parse_config({"data": {"window": 32}}, "test").data)
