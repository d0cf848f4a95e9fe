"""Every way of writing BVH that breaks other readers, against an oracle of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from bvh_documents import BODY, XYZ_POSITION, ZXY, ZYX, Document, Joint, Style

import bvh


def plain(text: str) -> bytes:
    return text.encode()


def styled(**changes: object) -> Document:
    return Document(style=replace(Style(), **changes))  # type: ignore[arg-type]


def root(*channels: str) -> Document:
    return Document((replace(BODY[0], channels=channels), *BODY[1:]))


def spine(*channels: str) -> Document:
    return Document((BODY[0], replace(BODY[1], channels=channels), *BODY[2:]))


def named(*names: str) -> Document:
    return Document([replace(j, name=n) for j, n in zip(BODY, names, strict=True)])


def lower_keywords(text: str) -> bytes:
    for word in ("HIERARCHY", "ROOT", "JOINT", "OFFSET", "CHANNELS", "MOTION", "Frame"):
        text = text.replace(word, word.lower())
    return text.encode()


def upper(match: re.Match[str]) -> str:
    return match.group().upper()


def lower(match: re.Match[str]) -> str:
    return match.group().lower()


ORDERS = ["".join(order) for order in permutations("XYZ")]
CASES: dict[str, tuple[Document, Callable[[str], bytes]]] = {
    "plain": (Document(), plain),
    # Rows.
    "tabs": (styled(separator="\t"), plain),
    "double spaces": (styled(separator="  "), plain),
    "mixed blanks": (styled(separator=" \t \v\f"), plain),
    "blank at the end of rows": (styled(row_end=" \t"), plain),
    "blank lines between rows": (styled(row_end="\n \n"), plain),
    "blank tail": (Document(), lambda t: (t + "\n\n  \n\t\n").encode()),
    "no final newline": (Document(), lambda t: t.rstrip("\n").encode()),
    "rows wrapped": (styled(per_line=5), plain),
    "one number a line": (styled(per_line=1), plain),
    "all rows on one line": (styled(per_line=10**6), plain),
    # Bytes.
    "CRLF": (styled(newline="\r\n"), plain),
    "CR": (styled(newline="\r"), plain),
    "byte-order mark": (Document(), lambda t: t.encode("utf-8-sig")),
    "UTF-16": (Document(), lambda t: t.encode("utf-16")),
    "blank lines first": (Document(), lambda t: b"\n \r\n" + t.encode()),
    # Header layout.
    "brace on the line of the name": (styled(brace=" {{\n"), plain),
    "brace without a blank": (styled(brace="{{\n"), plain),
    "header on one line": (
        styled(brace=" {{"),
        lambda t: t.replace("\n", " ", t.count("\n") - 5).encode(),
    ),
    "End site": (styled(end_site="End site"), plain),
    "END SITE": (styled(end_site="END SITE"), plain),
    "end site with a name": (styled(end_site="End Site HeadTop"), plain),
    "EndSite": (styled(end_site="EndSite"), plain),
    "lower-case keywords": (Document(), lower_keywords),
    "CHANNELS before OFFSET": (styled(offset_first=False), plain),
    "CHANNELS 0 at End Site": (
        Document(),
        lambda t: t.replace("OFFSET 0 9 0", "OFFSET 0 9 0\nCHANNELS 0").encode(),
    ),
    "no CHANNELS line": (spine(), lambda t: t.replace("    CHANNELS 0\n", "", 1).encode()),
    "tab behind Frames:": (styled(frames="Frames:\t{}", frame_time="Frame Time:\t{}"), plain),
    "nothing behind Frames:": (styled(frames="Frames:{}", frame_time="Frame Time:{}"), plain),
    "Frames Time:": (styled(frame_time="Frames Time: {}"), plain),
    "Frames :": (styled(frames="Frames : {}", frame_time="Frame  Time : {}"), plain),
    "Frames as a decimal": (styled(frames="Frames: {}.0"), plain),
    "frame time with exponent": (replace(Document(), frame_time="8.33333e-03"), plain),
    "no frames": (replace(Document(), frames=0), plain),
    # Numbers.
    "exponents": (styled(number="{:.5e}"), plain),
    "E": (styled(number="{:.5E}"), plain),
    "six significant digits": (styled(number="{:g}"), plain),
    "plus signs": (styled(number="{:+.3f}"), plain),
    "integers": (styled(number="{:.0f}"), plain),
    "all digits": (styled(number="{!r}"), plain),
    "eighteen decimals": (styled(number="{:.18e}"), plain),
    "OFFSET with exponents and plus": (
        Document((replace(BODY[0], offset=("+1.5e+01", "-2E-3", "+.5")), *BODY[1:])),
        plain,
    ),
    # Names.
    "colon": (named("mixamorig:Hips", "mixamorig:Spine", "mixamorig:Head", "x:LeftLeg"), plain),
    "dashes and dots": (named("Hips-1", "Spine.001", "-Head", "Left-Leg_end"), plain),
    "blanks in names": (named("my Hips", "Spine  2", "Head top", "Left Leg"), plain),
    "blanks in names, brace beside": (
        Document(named("my Hips", "Spine 2", "Head", "Left Leg").joints, Style(brace=" {{\n")),
        plain,
    ),
    "names that are keywords": (named("ROOT", "End", "MOTION", "CHANNELS"), plain),
    "UTF-8 names": (named("腰", "背骨", "頭", "Bein-linkß"), plain),
    "Latin-1 names": (named("Hüfte", "Rücken", "Kopf", "Bein"), lambda t: t.encode("latin-1")),
    # Channels.
    "XRotation": (Document(), lambda t: re.sub("([XYZ])([pr])", upper, t).encode()),
    "xrotation": (Document(), lambda t: re.sub("([XYZ])([pr])", lower, t).encode()),
    "XROTATION": (Document(), lambda t: re.sub("[XYZ](posi|rota)tion", upper, t).encode()),
    "rotation before position": (root(*ZXY, *XYZ_POSITION), plain),
    "position order": (root("Zposition", "Xposition", "Yposition", *ZYX), plain),
    "position and rotation by turns": (
        root("Xposition", "Zrotation", "Yposition", "Xrotation", "Zposition", "Yrotation"),
        plain,
    ),
    "root with three channels": (root(*ZYX), plain),
    "root with positions only": (root(*XYZ_POSITION), plain),
    "root with height only": (root("Yposition", *ZYX), plain),
    "six channels inside": (spine(*XYZ_POSITION, *ZXY), plain),
    "two positions inside": (spine("Zposition", "Xposition", *ZXY), plain),
    "one channel": (spine("Xrotation"), plain),
    "two channels": (spine("Zrotation", "Xrotation"), plain),
    "CHANNELS 0": (spine(), plain),
    "six channels everywhere": (
        Document([replace(j, channels=XYZ_POSITION + ZXY) for j in BODY]),
        plain,
    ),
    "first angle repeated": (spine("Zrotation", "Xrotation", "Zrotation"), plain),
    **{f"order {order}": (spine(*(f"{a}rotation" for a in order)), plain) for order in ORDERS},
    # Trees.
    "one joint": (Document(BODY[:1]), plain),
    "no End Site": (Document([replace(j, end=None) for j in BODY]), plain),
    "a chain of 120 joints": (Document([BODY[0], *(Joint(f"j{i}", i) for i in range(119))]), plain),
}


@pytest.mark.parametrize("case", CASES)
def test_dialect(case: str, tmp_path: Path) -> None:
    document, encode = CASES[case]
    path = tmp_path / "clip.bvh"
    path.write_bytes(encode(document.text()))
    document.check(bvh.read(path))


@pytest.mark.parametrize("case", CASES)
def test_dialect_survives_writing(case: str, tmp_path: Path) -> None:
    document, encode = CASES[case]
    path, again = tmp_path / "clip.bvh", tmp_path / "again.bvh"
    path.write_bytes(encode(document.text()))
    first = bvh.read(path)
    bvh.write(first, again)
    second = bvh.read(again)
    assert second.names == first.names
    assert second.parents == first.parents
    assert second.channels == first.channels
    assert second.frame_time == first.frame_time
    np.testing.assert_array_equal(second.offsets, first.offsets)
    assert second.end_sites.keys() == first.end_sites.keys()
    np.testing.assert_allclose(second.positions, first.positions, rtol=0, atol=0.5e-6 + 1e-12)
    # Three angles, each rounded to half of 1e-6 degrees.
    angle = bvh.rotations.angle_between(second.rotations, first.rotations)
    assert np.degrees(angle).max(initial=0) < 1.5e-6


def test_repeated_names_get_numbers(tmp_path: Path) -> None:
    document = named("Hips", "Spine", "Spine", "Spine_2")
    path = tmp_path / "clip.bvh"
    path.write_text(document.text())
    assert bvh.read(path).names == ("Hips", "Spine", "Spine_3", "Spine_2")


def test_files_of_one_rig_have_nothing_in_common_but_what_they_say(tmp_path: Path) -> None:
    """The reader remembers the last file's joint tree; users may change what they were given."""
    first, second = tmp_path / "first.bvh", tmp_path / "second.bvh"
    text = Document().text()
    first.write_text(text)
    second.write_text(text)
    given = bvh.read(first)
    given.offsets[:] = -1.0
    for site in given.end_sites.values():
        site[:] = -1.0
    Document().check(bvh.read(second))
    # A tree that only begins alike: one more joint at the end.
    longer = Document((*BODY, replace(BODY[-1], name="Extra")))
    second.write_text(longer.text())
    longer.check(bvh.read(second))
    # A fault behind a tree that is known still has its line.
    second.write_text(text.replace("Frame Time:", "Frame Tine:"))
    line = 1 + text[: text.index("Frame Time")].count("\n")
    with pytest.raises(bvh.BVHError, match=f"line {line}: expected Frame Time"):
        bvh.read(second)


def test_first_of_two_end_sites_is_kept(tmp_path: Path) -> None:
    text = Document().text()
    end = text[text.index("End Site") : text.index("}", text.index("End Site")) + 1]
    path = tmp_path / "clip.bvh"
    path.write_text(text.replace(end, f"{end}\n{end.replace('9', '7')}"))
    Document().check(bvh.read(path))


def test_real_clips_equal_float(real_clips: dict[str, Path]) -> None:
    for family, path in real_clips.items():
        clip = bvh.read(path)
        lines = path.read_text().split("\n")
        at = next(i for i, line in enumerate(lines) if line.startswith("Frame Time"))
        rows = np.array(
            [[float(t) for t in line.split()] for line in lines[at + 1 :] if line.strip()]
        )
        root = rows[:, :3]
        np.testing.assert_array_equal(clip.positions[:, 0], root, err_msg=family)
        if family.startswith("bandai"):
            per_joint = rows.reshape(len(rows), -1, 6)
            np.testing.assert_array_equal(clip.positions, per_joint[:, :, :3])
            angles, order = per_joint[:, :, 3:], "zxy"
        else:
            angles, order = rows[:, 3:].reshape(len(rows), -1, 3), "zyx"
            np.testing.assert_array_equal(clip.positions[0, 1:], clip.offsets[1:])
        expected = bvh.rotations.from_euler(np.radians(angles), order)
        np.testing.assert_array_equal(clip.rotations, expected)
