"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import fcntl
import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

# One thread, set before torch is first imported: sums are then the same in every process.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Machines are shared: how long an example takes says nothing about the code.
# In continuous integration a run says the same twice; elsewhere every run tries new examples.
hypothesis.settings.register_profile(
    "motiontok", deadline=None, derandomize=bool(os.environ.get("CI"))
)
hypothesis.settings.load_profile("motiontok")

# Files that take longest, the longest first: one that is begun last, others wait for.
LONGEST = (
    "export/test_programs.py",
    "methods/test_device.py",
    "training/test_resuming.py",
    "training/test_parallel.py",
    "render/test_render_viewer.py",
    "corpus/test_on_ray.py",
    "evaluate/test_compare.py",
    "methods/test_daps_temporal.py",
    "methods/test_temporal.py",
    "methods/test_temporal_streams.py",
    "methods/test_methods.py",
    "methods/test_daps.py",
    "corpus/test_packing.py",
    "data/test_store.py",
    "robots/test_robots_cli.py",
    "cli/test_cli_train.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, and leave the order otherwise."""

    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((n for n, end in enumerate(LONGEST) if path.endswith(end)), len(LONGEST))

    items.sort(key=place)


@contextmanager
def made_once(base: Path, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that processes of one test run share, and whether it is to be made now.

    Args:
        base: ``tmp_path_factory.getbasetemp()``, of each process its own.
        name: of the folder.
    """
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = shared / f"{name}.done"
        yield shared / name, not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data that is not part of the project; skips where it is absent."""
    named = os.environ.get("MOTIONTOK_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data here: set MOTIONTOK_TEST_DATA to a folder with bvh/ in it")
    return folder.resolve()


@pytest.fixture(scope="session")
def real_clips(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One real clip of each family: LAFAN1 and both Bandai-Namco sets."""
    clips = {"lafan1": next(iter(sorted((shared_data / "bvh").glob("lafan1-*.bvh"))), None)}
    archive = shared_data / "bvh" / "bandai-namco.tar.xz"
    if clips["lafan1"] is None or not archive.is_file():
        pytest.skip(f"no LAFAN1 excerpt or no bandai-namco.tar.xz in {shared_data / 'bvh'}")
    folder = tmp_path_factory.mktemp("clips")
    with tarfile.open(archive, "r|xz") as members:
        for member in members:
            family = member.name.partition("/")[0]
            file = members.extractfile(member) if member.name.endswith(".bvh") else None
            if file is not None and family not in clips:
                clips[family] = folder / f"{family}.bvh"
                clips[family].write_bytes(file.read())
                if {"bandai-1", "bandai-2"} <= clips.keys():
                    break
    return {family: path for family, path in clips.items() if path is not None}


TINY = (
    "name=tiny",
    "data.clips=7",
    "data.seconds=3.0",
    "model.codes_per_window=8",
    "model.vocab_size=16",
    "model.width=16",
    "model.layers=1",
    "model.heads=2",
    "model.decoder_width=16",
    "model.decoder_layers=1",
    "method.name=daps-pq",
    "method.samples=4",
    "method.beta_start=0.05",
    "method.decoder_first=0.3",
    "train.time_budget=0.0",
    "train.steps=40",
    "train.learning_rate=1e-3",
    "train.final_learning_rate=1e-4",
    "train.batch_size=16",
    "train.evaluate_every=20",
    "train.checkpoint_every=10",
    "train.log_every=5",
)


@pytest.fixture(scope="session")
def tiny_settings() -> tuple[str, ...]:
    """Overrides that make ``demo`` a run of seconds: 8 codes of 16 values, width 16."""
    return TINY


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run with the tiny settings; not to be changed."""
    pytest.importorskip("torch", reason="needs: pip install torch")
    from motiontok.config import load_config
    from motiontok.runs import run_training

    with made_once(tmp_path_factory.getbasetemp(), "tiny-run") as (out, missing):
        if missing:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("motiontok.runs.plot_curves", lambda *arguments, **options: None)
                run_training(load_config("demo", TINY), out=out, say=lambda line: None)
    return out


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command line: exit code, output and errors."""
    from motiontok.cli.main import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["motiontok", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
