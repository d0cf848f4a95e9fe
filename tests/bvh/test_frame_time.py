"""A frame time that is none: recognised and told, or refused by name, never believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bvh_documents import Document

import bvh
from bvh import BVHError, procedural
from bvh.reading import Reading, Settings, read_clip


def written(folder: Path, frame_time: str) -> Path:
    path = folder / "clip.bvh"
    path.write_text(replace(Document(), frame_time=frame_time).text())
    return path


@pytest.mark.parametrize(
    ("text", "fps", "unit"),
    [
        ("33.3333", 30, "milliseconds"),
        ("33.3", 30, "milliseconds"),
        ("16.6667", 60, "milliseconds"),
        ("8.33", 120, "milliseconds"),
        ("41.6667", 24, "milliseconds"),
        ("40", 25, "milliseconds"),
        ("10", 100, "milliseconds"),
        ("33333", 30, "microseconds"),
        ("8333.33", 120, "microseconds"),
        ("24", 24, "frames a second"),
        ("29.97", 29.97, "frames a second"),
        ("30", 30, "frames a second"),
        ("50.0", 50, "frames a second"),
        ("120", 120, "frames a second"),
    ],
)
def test_a_rate_and_milliseconds_are_taken_for_that_and_told(
    tmp_path: Path, text: str, fps: float, unit: str
) -> None:
    clip = bvh.read(written(tmp_path, text))
    assert clip.fps == pytest.approx(fps, rel=5e-3)
    assert clip.remarks == (f"frame-time: Frame Time: is {float(text):g}, taken for {unit}",)


@pytest.mark.parametrize("text", ["0.0333333", "0.0041667", "1", "1.9"])
def test_seconds_are_believed(tmp_path: Path, text: str) -> None:
    clip = bvh.read(written(tmp_path, text))
    assert (clip.frame_time, clip.remarks) == (float(text), ())


@pytest.mark.parametrize("text", ["3.7", "37.2", "1000", "1e9"])
def test_what_can_be_neither_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    value = f"{float(text):g}".replace("+", r"\+")
    with pytest.raises(BVHError, match=rf"clip\.bvh, line \d+: Frame Time: is {value}, .*fps="):
        bvh.read(path)
    assert bvh.read(path, fps=25).frame_time == 0.04


def test_a_given_rate_overrules_the_file(tmp_path: Path) -> None:
    for text in ("33.3333", "0", "0.01"):
        clip = bvh.read(written(tmp_path, text), fps=50)
        assert (clip.fps, clip.remarks) == (50.0, ())
    for fps in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(BVHError, match="fps must be above zero"):
            bvh.read(written(tmp_path, "0.01"), fps=fps)


@pytest.mark.parametrize(
    "line",
    ["", "Frame Time:", "Frame Time: nan", "Frame Time: 0,0333", "Frame Time: -1",
     "Frames Time: 1/30", "Frame Time: 1e9", "Frame Time:\n0.01", "Frame Time\t:0"],
)  # fmt: skip
def test_a_given_rate_repairs_any_frame_time(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, "0.0333333")
    whole = bvh.read(path)
    found = path.read_text().replace("Frame Time: 0.0333333", line)
    path.write_text(found)
    for reading in (Reading(fps=50), None):
        if reading is None:
            (tmp_path / "bvh.toml").write_text("fps = 50")
            reading = Settings().of(path)
        clip = read_clip(path, reading)
        assert (clip.fps, clip.remarks) == (50.0, ())
        np.testing.assert_array_equal(clip.positions, whole.positions)
    if line != "Frame Time:\n0.01":
        with pytest.raises(BVHError, match="--source-fps"):
            bvh.read(path)


def test_what_was_assumed_reaches_the_report_and_frames_stay_as_many(tmp_path: Path) -> None:
    motion = procedural.make("walk", seconds=2, seed=0)
    path = tmp_path / "walk.bvh"
    bvh.write(motion.to_clip(), path)
    text = path.read_text()
    line = next(line for line in text.splitlines() if line.startswith("Frame Time"))
    for wrong in ("33.3333", "30"):
        path.write_text(text.replace(line, f"Frame Time: {wrong}"))
        found, report = bvh.examine(bvh.read(path))
        assert found.frames == motion.frames
        assert [p.partition(":")[0] for p in report.problems] == ["frame-time"]


def test_frames_hours_apart_are_no_motion() -> None:
    clip = procedural.make("walk", seconds=2, seed=0).to_clip()
    with pytest.raises(BVHError, match=r"frame time of 1e\+09 s is no motion"):
        bvh.normalize(replace(clip, frame_time=1e9))
