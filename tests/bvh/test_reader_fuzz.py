"""Damaged files: an error of ours or the right answer, and nothing else."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from bvh_documents import Document, Style
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bvh
from bvh import BVHError, Clip
from bvh.rotations import from_euler

SETTINGS = settings(
    max_examples=250,
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
WORDS = [
    *("HIERARCHY", "ROOT", "JOINT", "End Site", "OFFSET", "CHANNELS", "MOTION", "Frames:"),
    *("Frame Time:", "{", "}", "Xposition", "Yrotation", "Zrotation", "Hips", "0", "1", "3", "-1"),
    *("nan", "1e999", "1e-5", "+2", "1_0", "1.2.3", "", "\n", "\0", "é", "9" * 30, "Frames: 7"),
]
STYLES = [Style(), Style(newline="\r\n"), Style(brace=" {{\n"), Style(per_line=4, separator="\t")]


def edit(draw: st.DrawFn, parts: list[str]) -> None:
    at = draw(st.integers(0, len(parts)))
    other = draw(st.integers(0, len(parts)))
    low, high = min(at, other), max(at, other)
    match draw(st.sampled_from(["delete", "insert", "replace", "swap", "cut", "copy"])):
        case "delete":
            del parts[low : min(high, low + 3)]
        case "insert":
            parts.insert(at, draw(st.sampled_from(WORDS)))
        case "replace":
            parts[at : at + 1] = [draw(st.sampled_from(WORDS))]
        case "swap" if high < len(parts):
            parts[low], parts[high] = parts[high], parts[low]
        case "cut":
            del parts[max(at, len(parts) // 2) :]
        case "copy":
            parts[at:at] = parts[low : min(high, low + 30)]


@st.composite
def damaged_documents(draw: st.DrawFn) -> str:
    text = Document(style=draw(st.sampled_from(STYLES)), frames=draw(st.integers(0, 3))).text()
    parts = re.split(r"(\s+)", text)
    for _ in range(draw(st.integers(1, 4))):
        edit(draw, parts)
    return "".join(parts)


def check_against_text(clip: Clip, text: str) -> None:
    """What a clip says must be what the words of its file say, read in the plainest way."""
    text = re.sub(r"(?i)\b(?:root|joint|end|endsite)\b[^\r\n{}]*", "name", text)
    match = re.search(r"frame\s*time\s*:?\s*(\S+)", text, re.IGNORECASE)
    assert match is not None
    assert clip.frame_time == float(match[1]) or clip.remarks
    header, words = text[: match.start()], text[match.end() :].encode().split()
    channels = re.findall(r"\b[XYZ](?:position|rotation)\b", header, re.IGNORECASE)
    said = [c for names in clip.channels for c in names]
    assert [c.lower() for c in said] == [c.lower() for c in channels]
    offsets = re.findall(r"OFFSET\s+(\S+)\s+(\S+)\s+([^\s}]+)", header, re.IGNORECASE)
    written = {tuple(map(float, offset)) for offset in offsets}
    assert {tuple(v) for v in [*clip.offsets.tolist(), *map(list, clip.end_sites.values())]} <= (
        written | {(0.0, 0.0, 0.0)}
    )
    rows = np.array([float(w) for w in words]).reshape(clip.frames, len(said))
    column = 0
    for joint, names in enumerate(clip.channels):
        position = np.tile(clip.offsets[joint], (clip.frames, 1))
        axes, angles = "", []
        for name in names:
            if name.endswith("position"):
                position[:, "XYZ".index(name[0])] = rows[:, column]
            else:
                axes += name[0]
                angles.append(rows[:, column])
            column += 1
        np.testing.assert_array_equal(clip.positions[:, joint], position)
        if axes:
            expected = from_euler(np.radians(np.stack(angles, -1)), axes)
            np.testing.assert_array_equal(clip.rotations[:, joint], expected)
        else:
            assert (clip.rotations[:, joint] == [1, 0, 0, 0]).all()


def read_or_refuse(path: Path, data: bytes) -> Clip | None:
    path.write_bytes(data)
    try:
        return bvh.read(path)
    except BVHError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert "\n" not in message
    return None


@SETTINGS
@given(text=damaged_documents())
def test_damaged_grammar(text: str, tmp_path: Path) -> None:
    clip = read_or_refuse(tmp_path / "clip.bvh", text.encode())
    if clip is not None:
        check_against_text(clip, text)


@SETTINGS
@given(data=st.binary(max_size=200))
def test_noise(data: bytes, tmp_path: Path) -> None:
    for start in (b"", b"HIERARCHY\nROOT a\n{\n", b"PK\x03\x04", b"\x1f\x8b\x08"):
        assert read_or_refuse(tmp_path / "clip.bvh", start + data) is None


@pytest.mark.parametrize("family", ["lafan1", "bandai-1", "bandai-2"])
@SETTINGS
@given(data=st.data())
def test_damaged_real_clips(
    family: str, data: st.DataObject, real_clips: dict[str, Path], tmp_path: Path
) -> None:
    lines = real_clips[family].read_bytes().split(b"\n")
    at = next(i for i, line in enumerate(lines) if line.startswith(b"Frames"))
    text = bytearray(b"\n".join([*lines[:at], b"Frames: 3", *lines[at + 1 : at + 5]]) + b"\n")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        match data.draw(st.sampled_from(["flip", "delete", "insert", "cut", "repeat"])):
            case "flip":
                text[place] ^= 1 << data.draw(st.integers(0, 7))
            case "delete":
                del text[place : place + data.draw(st.integers(1, 40))]
            case "insert":
                text[place:place] = data.draw(st.binary(min_size=1, max_size=4))
            case "cut":
                del text[max(place, 1) :]
            case "repeat":
                text[place:place] = text[place : place + data.draw(st.integers(1, 200))]
        if not text:
            break
    clip = read_or_refuse(tmp_path / "clip.bvh", bytes(text))
    if clip is not None:
        check_against_text(clip, bytes(text).decode("latin-1"))
