"""Writing: what goes out comes back, and what BVH cannot say is refused, not bent."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bvh_documents import BODY, XYZ_POSITION, ZXY, ZYX, Document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bvh
from bvh import BVHError, Clip
from bvh.rotations import angle_between, from_euler, identity, normalize

ORDERS = [
    ZYX,
    ZXY,
    ("Xrotation", "Yrotation", "Zrotation"),
    ("Xrotation", "Zrotation", "Xrotation"),
]


def make_clip(seed: int = 0, frames: int = 5, **changes: object) -> Clip:
    """A random clip with every order, as a user's program would build one."""
    rng = np.random.default_rng(seed)
    joints = len(ORDERS)
    offsets = rng.normal(size=(joints, 3))
    positions = np.tile(offsets, (frames, 1, 1))
    positions[:, 0] = rng.normal(size=(frames, 3)) * 100
    clip = Clip(
        names=tuple("abcd"),
        parents=(-1, 0, 0, 1),
        offsets=offsets,
        channels=(XYZ_POSITION + ORDERS[0], *ORDERS[1:]),
        rotations=normalize(rng.normal(size=(frames, joints, 4))),
        positions=positions,
        frame_time=1 / 30,
        end_sites={3: np.array([0.1, 1e-9, -2.0])},
        name="made",
    )
    return replace(clip, **changes)  # type: ignore[arg-type]


def there_and_back(clip: Clip, folder: Path, **options: int) -> Clip:
    bvh.write(clip, folder / "clip.bvh", **options)
    return bvh.read(folder / "clip.bvh")


def degrees_apart(a: Clip, b: Clip) -> float:
    return float(np.degrees(angle_between(a.rotations, b.rotations)).max())


@pytest.mark.parametrize("decimals", [2, 6, 12])
def test_comes_back_to_the_printed_digit(decimals: int, tmp_path: Path) -> None:
    clip = make_clip(parents=(-1, 0, 1, 0))
    back = there_and_back(clip, tmp_path, decimals=decimals)
    half = 0.5 * 10.0**-decimals
    np.testing.assert_allclose(
        back.positions[:, 0], clip.positions[:, 0], rtol=0, atol=half + 1e-13
    )
    assert degrees_apart(back, clip) <= 3 * half + 1e-12
    # What holds for the whole clip is exact.
    np.testing.assert_array_equal(back.offsets, clip.offsets)
    np.testing.assert_array_equal(back.positions[:, 1:], clip.positions[:, 1:])
    np.testing.assert_array_equal(back.end_sites[3], clip.end_sites[3])
    assert back.frame_time == clip.frame_time


def test_joints_are_written_depth_first(tmp_path: Path) -> None:
    clip = make_clip()
    back = there_and_back(clip, tmp_path)
    assert back.names == ("a", "b", "d", "c")
    assert back.parents == (-1, 0, 1, 0)
    order = [clip.names.index(n) for n in back.names]
    assert np.degrees(angle_between(back.rotations, clip.rotations[:, order])).max() < 2e-6
    np.testing.assert_allclose(
        back.global_positions(), clip.global_positions()[:, order], atol=1e-5
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    order=st.sampled_from(ORDERS),
    first=st.floats(-400, 400),
    side=st.integers(-2, 2),
    power=st.floats(-14, -1),
    last=st.floats(-400, 400),
)
def test_gimbal_lock(
    order: tuple[str, ...], first: float, side: int, power: float, last: float, tmp_path: Path
) -> None:
    middle = (180 if order[0] == order[2] else 90) * side
    angles = [[first, middle + sign * 10.0**power, last] for sign in (-1, 0, 1)]
    q = from_euler(np.radians(angles), "".join(c[0] for c in order))
    clip = make_clip(
        names=("a",), parents=(-1,), offsets=np.zeros((1, 3)), channels=(order,),
        rotations=q[:, None], positions=np.zeros((3, 1, 3)), end_sites={},
    )  # fmt: skip
    assert degrees_apart(there_and_back(clip, tmp_path), clip) < 1.6e-6


def test_angles_run_on_over_whole_turns(tmp_path: Path) -> None:
    spin = np.zeros((100, 4, 3))
    spin[:, 0, 0] = np.radians(np.arange(100) * 10)
    clip = make_clip(frames=100, rotations=from_euler(spin, "zyx"))
    bvh.write(clip, tmp_path / "clip.bvh")
    rows = (tmp_path / "clip.bvh").read_text().split("Frame Time")[1].splitlines()[1:]
    angle = np.array([float(row.split()[3]) for row in rows])
    np.testing.assert_allclose(angle, np.arange(100) * 10, atol=1e-6)


@pytest.mark.parametrize(
    ("axes", "channels"),
    [
        ("", ()),
        ("z", ("Zrotation",)),
        ("xz", ("Xrotation", "Zrotation")),
        ("zx", ("Zrotation", "Yposition", "Xrotation")),
    ],
    ids=["none", "one", "two", "two around a position"],
)
def test_few_channels_state_what_they_can(
    axes: str, channels: tuple[str, ...], tmp_path: Path
) -> None:
    clip = make_clip(frames=40)
    channels = (*clip.channels[:2], channels, clip.channels[3])  # type: ignore[assignment]
    angles = np.random.default_rng(1).uniform(-7, 7, (40, len(axes)))
    clip.rotations[:, 2] = from_euler(angles, axes)
    clip = replace(clip, channels=channels)
    back = there_and_back(clip, tmp_path)
    assert np.degrees(angle_between(back.rotations[:, 3], clip.rotations[:, 2])).max() < 1.6e-6
    clip.rotations[7, 2] = normalize(np.array([0.5, 0.1, 0.7, 0.2]))
    with pytest.raises(BVHError, match=r"frame 7, joint c: its rotation needs more channels"):
        bvh.write(clip, tmp_path / "clip.bvh")


def test_no_frames_and_no_channels(tmp_path: Path) -> None:
    empty = there_and_back(make_clip(frames=0), tmp_path)
    assert empty.frames == 0
    assert len(empty.names) == 4
    still = make_clip(frames=0, channels=((),) * 4)
    assert there_and_back(still, tmp_path).channels == ((),) * 4


def test_numbers_have_no_exponents(tmp_path: Path) -> None:
    clip = make_clip()
    clip.positions[0, 0] = [1e-9, 1e12, -1e-7]
    bvh.write(clip, tmp_path / "clip.bvh")
    text = (tmp_path / "clip.bvh").read_text()
    assert not re.search(r"\de[+-]?\d", text)
    assert "0.000000001" in text


def test_gzip_by_name(tmp_path: Path) -> None:
    clip = make_clip()
    bvh.write(clip, tmp_path / "clip.bvh")
    bvh.write(clip, tmp_path / "clip.bvh.gz")
    packed = (tmp_path / "clip.bvh.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "clip.bvh").read_bytes()
    assert bvh.read(tmp_path / "clip.bvh.gz").name == "clip"


def poke(name: str, at: tuple[int, ...], value: float) -> Clip:
    clip = make_clip()
    getattr(clip, name)[at] = value
    return clip


REFUSED: dict[str, tuple[Clip, str]] = {
    "nan rotation": (
        poke("rotations", (2, 1, 0), np.nan),
        "frame 2, joint b: its rotation is not finite",
    ),
    "inf position": (
        poke("positions", (3, 0, 1), np.inf),
        "frame 3, joint a: its position is not finite",
    ),
    "nan offset": (poke("offsets", (1, 1), np.nan), "joint b: its offset is not finite"),
    "moves": (
        poke("positions", (4, 2, 1), 7),
        "frame 4, joint c: it moves off.*Yposition",
    ),
    "name": (make_clip(names=("a", "b\nc", "d", "e")), r"joint name 'b\\nc'"),
    "brace": (make_clip(names=("a", "b{", "d", "e")), r"joint name 'b\{'"),
    "no name": (make_clip(names=("a", "", "d", "e")), "joint name ''"),
    "blank name": (make_clip(names=("a", "b ", "d", "e")), "joint name 'b '"),
    "lone surrogate": (make_clip(names=("a", "\ud800", "d", "e")), "joint name"),
    "two roots": (make_clip(parents=(-1, 0, -1, 1)), "one skeleton, the clip has 2 roots"),
    "order": (make_clip(parents=(-1, 2, 0, 1)), "joint b comes before its parent"),
    "parents": (make_clip(parents=(-1, 0)), r"parents: expected shape \(4,\), got \(2,\)"),
    "rotations": (make_clip(rotations=identity(5, 3)), r"rotations: expected shape \(5, 4, 4\)"),
    "channel": (
        make_clip(channels=(("Xscale",), ZYX, ZYX, ZYX)),
        "joint a has channels other than",
    ),
    "repeat": (
        make_clip(channels=(("Xrotation",) * 2, ZYX, ZYX, ZYX)),
        "joint a .* no Euler order",
    ),
    "time": (make_clip(frame_time=0.0), "frame_time: expected a positive number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    clip, message = REFUSED[case]
    path = tmp_path / "clip.bvh"
    path.write_text("old")
    with pytest.raises(BVHError, match=message) as caught:
        bvh.write(clip, path)
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "clip.bvh", tmp_path):
        with pytest.raises(BVHError, match="cannot be written"):
            bvh.write(make_clip(), path)


def test_real_clips_come_back(real_clips: dict[str, Path], tmp_path: Path) -> None:
    for path in real_clips.values():
        clip = bvh.read(path)
        back = there_and_back(clip, tmp_path)
        assert (back.names, back.parents, back.channels) == (
            clip.names,
            clip.parents,
            clip.channels,
        )
        np.testing.assert_array_equal(back.offsets, clip.offsets)
        np.testing.assert_allclose(back.positions, clip.positions, rtol=0, atol=0.5001e-6)
        assert degrees_apart(back, clip) < 1.6e-6


def test_a_document_is_written_as_another_reader_expects(tmp_path: Path) -> None:
    """The header, word by word: the layout that simple readers depend on."""
    (tmp_path / "in.bvh").write_text(Document(BODY[:1], frames=1).text())
    bvh.write(bvh.read(tmp_path / "in.bvh"), tmp_path / "out.bvh")
    lines = (tmp_path / "out.bvh").read_bytes().decode().split("\n")
    assert lines[:9] == [
        "HIERARCHY",
        "ROOT Hips",
        "{",
        "\tOFFSET 1.0 90.5 -2.25",
        "\tCHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation",
        "}",
        "MOTION",
        "Frames: 1",
        "Frame Time: 0.0083333",
    ]
    assert len(lines[9].split(" ")) == 6
    assert lines[10:] == [""]
