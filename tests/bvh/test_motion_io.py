"""One way from a file to a motion: alone, in a folder, and with what a user says of it."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bvh
from bvh import BVHError, Motion, dataset, procedural
from bvh.motion_io import load_motion
from bvh.reading import Reading, Settings


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))


def foreign(kind: str, *, seconds: float = 2.0, body: int = 0) -> bvh.Clip:
    """A clip whose joints' names do not mark it as canonical."""
    offsets = procedural.make("walk", seconds=0.1, seed=body).offsets
    clip = replace(procedural.make(kind, seconds=seconds, seed=4), offsets=offsets).to_clip()
    return replace(clip, names=tuple(f"mixamorig:{name}" for name in clip.names))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clips of one rig, of which two alone do not show what the others do."""
    out = tmp_path / "clips"
    for kind in ("walk", "squat", "wave", "dance"):
        bvh.write(foreign(kind), out / f"{kind}.bvh")
    for kind in ("walk", "wave"):
        bvh.write(foreign(kind, seconds=0.1), out / "short" / f"{kind}.bvh")
    return out


def same(a: Motion, b: Motion) -> bool:
    return (
        np.array_equal(a.rotations, b.rotations)
        and np.array_equal(a.root_positions, b.root_positions)
        and np.array_equal(a.offsets, b.offsets)
        and (a.fps, a.source) == (b.fps, b.source)
    )


def test_a_file_read_with_a_sets_calibrations_is_what_the_set_has(folder: Path) -> None:
    data = dataset.load(folder)
    assert len(data) == 6
    with_them = [load_motion(folder / n, calibrations=data.calibrations).motion for n in data.names]
    assert all(map(same, with_them, data.motions))
    # Else nothing was tested: alone a short clip leaves open what the others show.
    alone = [load_motion(folder / n).motion for n in data.names]
    assert not all(map(same, alone, data.motions))


def test_without_calibrating_a_set_has_what_its_files_say_alone(folder: Path) -> None:
    data = dataset.load(folder, calibrate=False)
    assert all(map(same, (load_motion(folder / n).motion for n in data.names), data.motions))
    assert not any(data.calibrations.values())


def test_calibrations_come_from_the_cache_as_they_were(folder: Path) -> None:
    first, second = dataset.load(folder), dataset.load(folder)
    assert list(map(same, first.motions, second.motions)) == [True] * 6
    (rig, one), (again, two) = *first.calibrations.items(), *second.calibrations.items()
    assert rig == again
    assert one is not None
    assert two is not None
    assert one.to_dict() == two.to_dict()
    # One more clip of another rig leaves the calibration of this one where it was.
    bvh.write(foreign("hop", body=1), folder / "other.bvh")
    third = dataset.load(folder).calibrations[rig]
    assert third is not None
    assert third.to_dict() == one.to_dict()


def test_a_known_rig_is_not_measured_again(folder: Path, tmp_path: Path) -> None:
    known = dataset.load(folder).calibrations
    few = tmp_path / "few"
    for kind in ("walk", "wave"):
        bvh.write(foreign(kind, seconds=0.2), few / f"{kind}.bvh")
    data = dataset.load(few, calibrations=known)
    assert data.calibrations.keys() == known.keys()
    for name, motion in zip(data.names, data.motions, strict=True):
        assert same(motion, load_motion(few / name, calibrations=known).motion)
    assert not all(map(same, data.motions, dataset.load(few).motions))


def test_remarks_of_a_set_are_those_of_its_files(folder: Path) -> None:
    clip = foreign("walk")
    away = clip.positions.copy()
    away[30:, 0, 0] += 1000.0
    bvh.write(replace(clip, positions=away), folder / "jumps.bvh")
    for _ in range(2):  # read, then from the cache
        data = dataset.load(folder)
        found = [line for name, line in data.remarks if name == "jumps.bvh"]
        assert any("the root jumps" in line for line in found)
    alone = load_motion(folder / "jumps.bvh", calibrations=data.calibrations).remarks
    assert list(alone) == found
    with pytest.raises(BVHError, match=r"jumps\.bvh: the root jumps|\.bvh: "):
        dataset.load(folder, strict=True)


@pytest.mark.parametrize("rate", [24.0, 60.0, 120.0])
def test_a_motion_at_another_rate_is_resampled(tmp_path: Path, rate: float) -> None:
    motion = procedural.make("walk", seconds=2, seed=0)
    motion.resampled(rate).save(tmp_path / "m.npz")
    again = load_motion(tmp_path / "m.npz").motion
    assert again.fps == bvh.FPS
    assert again.duration == pytest.approx(motion.duration, abs=0.1)
    count = min(len(again), len(motion))
    apart = again.global_positions()[:count] - motion.global_positions()[:count]
    assert np.abs(apart).max() < 0.03
    assert same(dataset.load(tmp_path / "m.npz")[0], again)


def test_what_is_said_counts_over_bvh_toml_and_that_over_what_is_found(tmp_path: Path) -> None:
    clip = foreign("walk")
    bvh.write(clip, tmp_path / "deep" / "er" / "a.bvh")
    path = tmp_path / "deep" / "er" / "a.bvh"
    found = load_motion(path).motion
    (tmp_path / "bvh.toml").write_text("scale = 0.02\nfps = 60\n")
    told = load_motion(path).motion
    assert told.source.scale == 0.02
    assert told.source.fps == pytest.approx(60)
    assert len(told) == pytest.approx(len(found) / 2, abs=1)
    said = load_motion(path, reading=Reading(scale=0.03)).motion
    assert (said.source.scale, said.source.fps) == (0.03, told.source.fps)
    # The nearest file counts, and it alone.
    (path.parent / "bvh.toml").write_text('up = "y"\n')
    near = load_motion(path).motion
    assert near.source.scale == found.source.scale
    assert Settings().file_of(path) == path.parent / "bvh.toml"


def test_a_folder_and_an_archive_are_read_by_bvh_toml_too(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    for kind in ("walk", "wave"):
        bvh.write(foreign(kind), folder / f"{kind}.bvh")
    plain = dataset.load(folder)
    settings = tmp_path / "bvh.toml"
    settings.write_text("scale = 0.02\n")
    told = dataset.load(folder)
    assert {m.source.scale for m in plain} == {0.01}
    assert {m.source.scale for m in told} == {0.02}
    for name, motion in zip(told.names, told.motions, strict=True):
        assert same(load_motion(folder / name, calibrations=told.calibrations).motion, motion)
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        for name in told.names:
            archive.write(folder / name, name)
    packed = dataset.load(tmp_path / "clips.zip")
    assert all(map(same, packed.motions, told.motions))
    one = load_motion(tmp_path / "clips.zip" / "walk.bvh", calibrations=packed.calibrations).motion
    assert same(one, packed[packed.names.index("walk.bvh")])
    settings.unlink()
    assert all(map(same, dataset.load(folder).motions, plain.motions))
    assert {m.source.scale for m in dataset.load(folder, reading=Reading(scale=0.02))} == {0.02}


def test_a_mapping_and_rows_are_taken_from_bvh_toml(tmp_path: Path) -> None:
    clip = foreign("walk")
    names = tuple(f"bone{i}" for i in range(len(clip.names)))
    path = tmp_path / "a.bvh"
    bvh.write(replace(clip, names=names), path)
    path.write_text(path.read_text().replace("Frames: 60", "Frames: 61"))
    with pytest.raises(BVHError, match="Frames: says 61"):
        load_motion(path)
    table = "\n".join(f'{j} = "{n}"' for j, n in zip(bvh.JOINTS, names, strict=True))
    (tmp_path / "bvh.toml").write_text(f'frames = "rows"\n[mapping]\n{table}\n')
    inline = load_motion(path).motion
    assert inline.source.family == "custom"
    (tmp_path / "rig.toml").write_text(table)
    (tmp_path / "bvh.toml").write_text('frames = "rows"\nmapping = "rig.toml"\n')
    assert same(load_motion(path).motion, inline)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("up = 'w'", "bvh.toml: up must be one of x, y"),
        ("scale = -1", "bvh.toml: scale must be a number above zero, got -1"),
        ("fps = nan", "bvh.toml: fps must be a number above zero, got nan"),
        ("frames = 'cols'", "bvh.toml: frames must be 'header' or 'rows'"),
        ("size = 1", "bvh.toml: unknown key 'size'; choose from up, scale, fps, mapping, frames"),
        ("scale =", "bvh.toml: not TOML"),
        ("mapping = 'none.toml'", "none.toml: No such file"),
        ("mapping = 1", "bvh.toml: mapping must be a file or a table"),
        ("mapping = '.'", "not a regular file"),
        ("mapping = '/dev/zero'", "/dev/zero: not a regular file"),
        ('mapping = "a\\u0000b"', "not a text file"),
        ("mapping = {Tail = 'a'}", "a.bvh.* no canonical joint 'Tail'"),
        ("#" * (1 << 20) + "#", "bvh.toml: larger than 1 MiB"),
        ("x = " + 3000 * "[", "bvh.toml: not TOML"),
        ("fps = " + 5000 * "9", "bvh.toml: not TOML"),
        ("fps = 1e-320", "bvh.toml: fps must be a number above zero"),
        ("scale = " + 400 * "9", "bvh.toml: scale must be a number above zero"),
        ("scale = 1e200", "a.bvh.* the body is 1.*e.202 m large; give another scale"),
        ("scale = 1e-9", "a.bvh.* m large; give another scale"),
    ],
)
def test_a_bad_bvh_toml_is_named(tmp_path: Path, text: str, reason: str) -> None:
    bvh.write(foreign("walk", seconds=0.2), tmp_path / "a.bvh")
    (tmp_path / "bvh.toml").write_text(text)
    with pytest.raises(BVHError, match=reason):
        load_motion(tmp_path / "a.bvh")
    with pytest.raises(BVHError, match=reason):
        dataset.load(tmp_path)


def test_a_motion_is_resampled_to_rates_above_zero_only() -> None:
    motion = procedural.make("walk", seconds=1, seed=0)
    with pytest.raises(BVHError, match="fps must be above zero, got nan"):
        motion.resampled(float("nan"))
    assert len(motion[:0].resampled(60)) == 0
    assert same(motion.resampled(bvh.FPS), motion)
