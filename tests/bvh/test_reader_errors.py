"""What cannot be read is refused in one line that says what, where and what was expected."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from bvh_documents import BODY, Document

import bvh
from bvh import BVHError

TEXT = Document().text()
ROWS = TEXT[TEXT.index("Frame Time") :].split("\n", 1)[1]
HEAD = TEXT.removesuffix(ROWS)
WIDTH = Document().width


def change(old: str, new: str, count: int = 1) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, count)


def with_token(row: int, column: int, token: str) -> str:
    rows = [line.split() for line in ROWS.splitlines()]
    rows[row][column] = token
    return HEAD + "".join(" ".join(r) + "\n" for r in rows)


BROKEN: dict[str, tuple[str, str]] = {
    "nothing": ("", r"the file is empty"),
    "blanks": (" \n\t\n", r"the file is empty"),
    "another format": ("<mujoco model", r"line 1: expected HIERARCHY.*found '<mujoco'"),
    "no hierarchy": (change("HIERARCHY\n", ""), r"line 1: expected HIERARCHY.*found 'ROOT'"),
    "no root": (change("ROOT", "JOINT"), r"line 2: expected ROOT, found 'JOINT'"),
    "two roots": (change("MOTION", "ROOT Other\n{\n}\nMOTION"), r"line \d+: a second ROOT"),
    "no name": (change("ROOT Hips", "ROOT"), r"line 2: a joint without a name"),
    "no brace": (change("{", ""), r"line 4: expected {, found 'OFFSET'"),
    "header only": (TEXT[: TEXT.index("MOTION")], r"expected MOTION, found the end of the file"),
    "header cut": (TEXT[:120], r"line \d+: expected .*, found "),
    "no offset": (change("OFFSET 1 90.5 -2.25\n", ""), r"joint Hips has no OFFSET"),
    "two offsets": (
        change("OFFSET", "OFFSET 1 2 3\nOFFSET"),
        r"line 5: joint Hips has a second OFFSET",
    ),
    "short offset": (
        change("90.5 -2.25", "90.5"),
        r"line 5: expected a number of an OFFSET, found 'CHANNELS'",
    ),
    "long offset": (change("90.5 -2.25", "90.5 -2.25 7"), r"line 4: expected OFFSET, .*found '7'"),
    "offset nan": (
        change("90.5", "nan"),
        r"line 4: expected a number of an OFFSET, finite, found 'nan'",
    ),
    "offset comma": (
        change("90.5", "90,5"),
        r"line 4: expected a number of an OFFSET, found '90,5'",
    ),
    "two channels lines": (
        change("CHANNELS", "CHANNELS 1 Xrotation\nCHANNELS"),
        r"joint Hips has a second CHANNELS",
    ),
    "channels behind joints": (
        re.sub(r"  CHANNELS 6 .*\n", "", TEXT).replace("}\nM", "CHANNELS 1 Xrotation\n}\nM"),
        r"CHANNELS of joint Hips come after the joints below it",
    ),
    "unknown channel": (
        change("Yposition", "Yscale"),
        r"line 5: expected 6 channels of joint Hips.*found 'Yscale'",
    ),
    "channel missing": (
        change("CHANNELS 6 Xposition", "CHANNELS 6"),
        r"expected 6 channels of joint Hips \(found 5\)",
    ),
    "channel too many": (
        change("CHANNELS 6", "CHANNELS 5"),
        r"line 5: expected .*, found 'Xrotation'",
    ),
    "channel count": (
        change("CHANNELS 6", "CHANNELS six"),
        r"expected the number of channels.*found 'six'",
    ),
    "position twice": (
        change("Yposition", "Xposition"),
        r"joint Hips has a position channel twice",
    ),
    "rotation twice": (
        change("Yrotation", "Zrotation"),
        r"joint Hips has rotation channels that are no Euler order",
    ),
    "end site open": (
        change("OFFSET 0 9 0", "JOINT x"),
        r"expected OFFSET or } in an End Site, found 'JOINT'",
    ),
    "no Frames:": (
        change("Frames: 3\n", ""),
        r"Frames: is missing, found 3 rows of 15 numbers; frames=\"rows\"",
    ),
    "frames negative": (
        change("Frames: 3", "Frames: -3"),
        r"expected the number of frames.*found '-3'",
    ),
    "frames word": (
        change("Frames: 3", "Frames: three"),
        r"expected the number of frames.*found 'three'",
    ),
    "frames half": (
        change("Frames: 3", "Frames: 2.5"),
        r"expected the number of frames.*found '2.5'",
    ),
    "no Frame Time:": (change("Frame Time: 0.0083333\n", ""), r"line \d+: expected Frame Time:"),
    "frame time zero": (change("0.0083333", "0"), r"Frame Time: is 0, expected a positive number"),
    "frame time negative": (
        change("0.0083333", "-0.03"),
        r"Frame Time: is -0.03, expected a positive number",
    ),
    "frame time nan": (change("0.0083333", "nan"), r"expected seconds per frame.*found 'nan'"),
    "frame time tiny": (change("0.0083333", "1e-309"), r"Frame Time: is 1e-309"),
    "frame time word": (change("0.0083333", "30fps"), r"expected seconds per frame.*found '30fps'"),
    "more frames than rows": (change("Frames: 3", "Frames: 5"), r"Frames: says 5, found 3 rows"),
    "fewer frames than rows": (change("Frames: 3", "Frames: 2"), r"Frames: says 2, found 3 rows"),
    "huge frames": (
        change("Frames: 3", "Frames: 999999999999999"),
        r"says 999999999999999, found 3 rows",
    ),
    "last row cut": (
        TEXT[:-40],
        r"says 3, found 2 rows of 15 numbers and \d+ numbers more \(line 35 has \d+\); frames=",
    ),
    "row short": (
        with_token(1, 4, ""),
        r"says 3, found 2 rows of 15 numbers and 14 numbers more \(line 34 has 14\)$",
    ),
    "row long": (
        with_token(1, 4, "1 2"),
        r"found 3 rows of 15 numbers and 1 numbers more \(line 34 has 16\)$",
    ),
    "nan": (
        with_token(2, 7, "nan"),
        r"line 35: expected a finite number at frame 2, joint Spine, Yrotation, found 'nan'",
    ),
    "-NaN(ind)": (
        with_token(0, 0, "-NaN(ind)"),
        r"line 33: .* frame 0, joint Hips, Xposition, found '-NaN\(ind\)'",
    ),
    "1.#IND": (with_token(0, 14, "1.#IND"), r"frame 0, joint LeftLeg, Yrotation, found '1.#IND'"),
    "inf": (with_token(1, 3, "-inf"), r"frame 1, joint Hips, Zrotation, found '-inf'"),
    "overflow": (with_token(1, 3, "1e999"), r"frame 1, joint Hips, Zrotation, found '1e999'"),
    "decimal comma": (with_token(1, 3, "1,5"), r"frame 1, joint Hips, Zrotation, found '1,5'"),
    "underscore": (with_token(1, 3, "1_5"), r"found '1_5'"),
    "minus inside": (with_token(1, 3, "1-5"), r"found '1-5'"),
    "lone minus": (with_token(1, 3, "-"), r"found '-'"),
    "lone dot": (with_token(1, 3, "-."), r"found '-.'"),
    "two dots": (with_token(1, 3, "1.2.3"), r"found '1.2.3'"),
    "open exponent": (with_token(1, 3, "1e-"), r"found '1e-'"),
    "zero byte": (with_token(1, 3, "1\0"), r"found '1\\x00'"),
    "word behind the rows": (
        TEXT + "MOTION\n",
        r"line 36: expected a finite number at frame 3.*found 'MOTION'",
    ),
    "a very long token": (
        with_token(1, 3, "1" * 300_000),
        r"frame 1, joint Hips, Zrotation, found '1111",
    ),
    "rows without channels": (re.sub(r"CHANNELS .*", "CHANNELS 0", TEXT), r"no joint has channels"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_refused(case: str, tmp_path: Path) -> None:
    text, message = BROKEN[case]
    path = tmp_path / "clip.bvh"
    path.write_bytes(text.encode())
    with pytest.raises(BVHError) as caught:
        bvh.read(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert re.search(message, said), said
    assert "\n" not in said
    assert len(said) < 400


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (change("Frames: 3", "Frames: 5"), 3),
        (change("Frames: 3", "Frames: 2"), 3),
        (change("Frames: 3\n", ""), 3),
        (TEXT[:-40], 2),
        (HEAD, 0),
    ],
    ids=["fewer", "more", "unsaid", "last cut", "none"],
)
def test_rows_are_taken_on_request(text: str, rows: int, tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh"
    path.write_text(text)
    with pytest.raises(BVHError, match="Frames:"):
        bvh.read(path)
    whole = tmp_path / "whole.bvh"
    whole.write_text(TEXT)
    clip = bvh.read(path, frames="rows")
    assert clip.frames == rows
    np.testing.assert_array_equal(clip.positions, bvh.read(whole).positions[:rows])


@pytest.mark.parametrize("case", ["row short", "row long"])
def test_a_gap_inside_is_refused_even_on_request(case: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh"
    path.write_text(BROKEN[case][0])
    with pytest.raises(BVHError, match="line 34"):
        bvh.read(path, frames="rows")


def test_joints_without_channels_cannot_fill_memory(tmp_path: Path) -> None:
    joints = "".join(f"JOINT j{i}\n{{\nOFFSET 0 0 0\n}}\n" for i in range(20_000))
    path = tmp_path / "clip.bvh"
    path.write_text(
        f"HIERARCHY\nROOT r\n{{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n{joints}}}\n"
        "MOTION\nFrames: 100000\nFrame Time: 1\n" + "0\n" * 100_000
    )
    with pytest.raises(BVHError, match="20001 joints x 100000 frames"):
        bvh.read(path)


def test_old_line_ends_count_lines(tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh"
    for newline in ("\n", "\r\n", "\r"):
        path.write_bytes(with_token(2, 7, "nan").replace("\n", newline).encode())
        with pytest.raises(BVHError, match=r"line 35: .*joint Spine"):
            bvh.read(path)


def test_body_is_what_the_messages_name() -> None:
    assert [j.name for j in BODY] == ["Hips", "Spine", "Head", "LeftLeg"]


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"Kaydara FBX Binary  \x00\x1a\x00", "FBX"),
        (b"; FBX 7.7.0 project file\n", "FBX"),
        (b"glTF\x02\x00\x00\x00", "glTF"),
        (b"\x02P\x21\x00", "C3D"),
    ],
)
def test_other_kinds_of_motion_files_are_named(tmp_path: Path, start: bytes, kind: str) -> None:
    path = tmp_path / "clip.motion"
    path.write_bytes(start + bytes(600))
    with pytest.raises(BVHError, match=rf"clip\.motion: {kind}, not BVH; save .* as \.bvh"):
        bvh.read(path)
