"""One calibration a rig: which clips share one, and what it is for."""

from __future__ import annotations

import gzip
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bvh
from bvh import dataset, procedural
from bvh.rigs import File, examine_file, group


def clip_text(tmp_path: Path, *, seed: int) -> str:
    path = tmp_path / "one.bvh"
    bvh.write(procedural.make("walk", seconds=1, seed=seed).to_clip(), path)
    text = path.read_text()
    path.unlink()
    return text


def files(folder: Path) -> list[File]:
    return [examine_file(path, path.name) for path in sorted(folder.iterdir())]


def test_clips_of_one_skeleton_and_rate_share_a_rig(tmp_path: Path) -> None:
    text = clip_text(tmp_path, seed=1)
    frame_time = next(line for line in text.splitlines() if line.startswith("Frame Time"))
    variants = {
        "a.bvh": text,
        "spaced.bvh": text.replace("\t", "    ").replace("\n", "\r\n"),
        "root.bvh": re.sub(r"OFFSET .*", "OFFSET 1 2 3", text, count=1),
        "other_bones.bvh": clip_text(tmp_path, seed=2),
        "other_rate.bvh": text.replace(frame_time, "Frame Time: 0.0083333"),
        "other_names.bvh": text.replace("LeftUpLeg", "LeftThigh"),
    }
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, content in variants.items():
        (folder / name).write_text(content)
    (folder / "zipped.bvh.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "broken.bvh").write_text("no motion here")
    rigs = {file.name: file.rig for file in files(folder)}
    same = {"a.bvh", "spaced.bvh", "root.bvh", "zipped.bvh.gz"}
    assert {name for name in rigs if rigs[name] == rigs["a.bvh"]} == same
    assert rigs["broken.bvh"] == ""
    others = [rigs[f"other_{what}.bvh"] for what in ("bones", "rate", "names")]
    assert len({*others, rigs["a.bvh"], ""}) == 5


def test_the_sample_of_a_rig_does_not_depend_on_order_and_seldom_on_more_clips() -> None:
    random.seed(0)
    clips = [
        File(f"{i}.bvh", Path(f"{i}.bvh"), f"{random.getrandbits(128):032x}", "rig")
        for i in range(2000)
    ]
    rig = group(clips)["rig"]
    assert len(rig.sample) == 64
    assert group(reversed(clips))["rig"] == rig
    changed = sum(
        group([*clips[:1000], extra])["rig"] != group(clips[:1000])["rig"]
        for extra in clips[1000:1100]
    )
    assert changed < 20


def test_a_clip_alone_with_its_rig_speaks_for_itself() -> None:
    alone = File("a.bvh", Path("a.bvh"), "0", "rig")
    assert group([alone])["rig"].sample == ()
    assert group([File("a.npz", Path("a.npz"), "0", "")]) == {}


def test_gzipped_clips_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    text = clip_text(tmp_path, seed=3)
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "walk.bvh.gz").write_bytes(gzip.compress(text.encode()))
    data = dataset.load(folder)
    assert data.names == ["walk.bvh.gz"]
    assert data[0].source.name == "walk"


def test_clips_of_a_rig_are_normalised_with_its_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "clips"
    folder.mkdir()
    # The canonical names mark what needs no calibration; other names hide it.
    body = procedural.make("walk", seconds=0.1, seed=0).offsets
    for kind in ("walk", "squat", "wave"):
        clip = replace(procedural.make(kind, seconds=2, seed=4), offsets=body).to_clip()
        names = tuple(f"mixamorig:{name}" for name in clip.names)
        bvh.write(replace(clip, names=names), folder / f"{kind}.bvh")
    clips = [bvh.read(folder / name) for name in sorted(p.name for p in folder.iterdir())]
    found = files(folder)
    rig = group(found)[found[0].rig]
    assert len(rig.sample) == 3
    shared = bvh.normalizer.calibrate([bvh.read(file.path) for file in rig.sample])
    for motion, clip in zip(dataset.load(folder), clips, strict=True):
        expected = bvh.normalize(clip, calibration=shared)
        np.testing.assert_allclose(
            np.abs(np.sum(motion.rotations * expected.rotations, -1)), 1.0, atol=1e-6
        )
        np.testing.assert_allclose(motion.offsets, expected.offsets, atol=1e-6)
