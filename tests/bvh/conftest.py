"""Real captures for the normaliser's tests, and a made-up clip."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from rigs import RIGS, put_on

import bvh
from bvh import Clip, Motion, procedural

CAPTURES = {
    "bow": "bandai-1/dataset-1_bow_normal_001.bvh",
    "dance": "bandai-1/dataset-1_dance-short_normal_001.bvh",
    "kick": "bandai-1/dataset-1_kick_normal_001.bvh",
    "run": "bandai-1/dataset-1_run_normal_001.bvh",
    "walk": "bandai-1/dataset-1_walk_normal_001.bvh",
    "wave": "bandai-2/dataset-2_raise-up-both-hands_active_012.bvh",
}


@pytest.fixture(scope="session")
def captures(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    """The LAFAN1 excerpt and some Bandai-Namco clips, by what is done in them."""
    excerpt = next(iter(sorted((shared_data / "bvh").glob("lafan1-*.bvh"))), None)
    archive = shared_data / "bvh" / "bandai-namco.tar.xz"
    if excerpt is None or not archive.is_file():
        pytest.skip(f"no LAFAN1 excerpt or no bandai-namco.tar.xz in {shared_data / 'bvh'}")
    clips = {"lafan1": bvh.read(excerpt)}
    folder = tmp_path_factory.mktemp("captures")
    wanted = {path: name for name, path in CAPTURES.items()}
    with tarfile.open(archive, "r|xz") as members:
        for member in members:
            if member.name in wanted:
                file = members.extractfile(member)
                assert file is not None
                copy = folder / Path(member.name).name
                copy.write_bytes(file.read())
                clip = bvh.read(copy)
                # The long dance is no harder than its first twenty seconds.
                clips[wanted.pop(member.name)] = replace(
                    clip, rotations=clip.rotations[:600], positions=clip.positions[:600]
                )
                if not wanted:
                    break
    return clips


@pytest.fixture(scope="module")
def motion() -> Motion:
    return procedural.make("walk", seconds=3, seed=1)


@pytest.fixture(scope="module")
def clip(motion: Motion) -> Clip:
    return put_on(RIGS["mixamo"][0], motion, 100.0)
