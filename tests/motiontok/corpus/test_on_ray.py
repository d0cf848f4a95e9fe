"""A corpus encoded, and a store packed, by a local Ray cluster, of which a worker is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bvh import procedural
from motiontok.corpus import Corpus, encode_packed, on_ray, read_manifest
from motiontok.data.store import entries as store_entries
from motiontok.data.store.reading import Store
from motiontok.data.store.writing import pack_clips
from motiontok.errors import MissingDependencyError

CLIPS = 80


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    for seed in range(6):
        procedural.make("walk", seconds=2, seed=seed).save(folder / f"{seed:03d}.npz")
    for number in range(6, CLIPS):
        shutil.copy(folder / f"{number % 6:03d}.npz", folder / f"{number:03d}.npz")
    (folder / "050.npz").write_bytes(b"PK")
    return folder


def holder_of_a_lock(out):
    """A process that encodes into the folder right now."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            held = [link.resolve() for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(path.parent == out and path.suffix == ".lock" for path in held):
            return int(process.name)
    return None


NEEDS_PROC = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="looks for a process in /proc"
)


@NEEDS_PROC
def test_a_cluster_that_loses_a_worker_encodes_what_one_machine_does(clips, tiny_run, tmp_path):
    out, alone = tmp_path / "codes", tmp_path / "alone"
    said = on_a_cluster_that_loses_a_worker(
        out, "encode", clips, "-o", out, "--pack", "--tokenizer", tiny_run
    )
    assert f"{CLIPS} clips" in said
    assert "1 skipped" in said
    entries = Counter(entry.file for entry in read_manifest(out))
    assert len(entries) == CLIPS
    assert set(entries.values()) == {1}
    encode_packed(clips, alone, tokenizer=str(tiny_run), workers=1)
    mine, other = Corpus(out), Corpus(alone)
    assert list(mine) == list(other)
    same = [np.array_equal(mine[clip].array, other[clip].array) for clip in other]
    assert np.mean(same) > 0.99
    assert not [path for path in out.iterdir() if path.name.startswith("open")]


@NEEDS_PROC
def test_a_cluster_that_loses_a_worker_packs_what_one_machine_does(clips, tmp_path):
    out, alone = tmp_path / "store", tmp_path / "alone"
    said = on_a_cluster_that_loses_a_worker(out, "pack", clips, "-o", out)
    assert f"{CLIPS - 1} clips" in said
    assert "1 skipped" in said
    entries = Counter(entry.file for entry in store_entries.read_entries(out))
    assert len(entries) == CLIPS
    assert set(entries.values()) == {1}
    pack_clips([clips], alone, workers=1)
    mine, other = Store(out), Store(alone)
    assert [e.file for e in mine.entries] == [e.file for e in other.entries]
    for number, entry in enumerate(other.entries):
        frames = (of.read(number, 0, entry.frames) for of in (mine, other))
        np.testing.assert_array_equal(*frames)
    assert not [path for path in out.iterdir() if path.name.startswith("open")]


def on_a_cluster_that_loses_a_worker(out, *arguments):
    """What a command says that shares out its work; the first process that writes is killed."""
    pytest.importorskip("ray", reason="needs: pip install 'motiontok[ray]'")
    command = [sys.executable, "-m", "motiontok", *map(str, arguments), "--ray", "local"]
    # A cluster for this alone, which nobody else can find, needs no secret between its parts.
    env = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    killed = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as run:
        while run.poll() is None and not killed:
            begun = next(out.glob("open-*"), None)
            if begun and (holder := holder_of_a_lock(out)):
                os.kill(holder, signal.SIGKILL)
                killed += 1
            time.sleep(0.001 if begun else 0.02)
        said, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    assert killed == 1
    return said


def test_without_ray_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"motiontok\[ray\]"):
        on_ray.encode_on_ray(tmp_path, tmp_path, address="local")


def test_only_packed_codes_are_shared_out(clips, tmp_path, run):
    for options, cure in (([], "add --pack"), (["--pack", "--shard", "0/2"], "leave out --shard")):
        code, _, errors = run("encode", clips, "-o", tmp_path / "x", "--ray", "auto", *options)
        assert code == 2
        assert cure in errors
