"""Videos, sheets and pictures: what is in the files, and what happens when it fails."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from bvh import Motion, procedural
from motiontok.errors import RenderError
from motiontok.render import (
    MannequinActor,
    TokenTrack,
    render_image,
    render_sheet,
    render_video,
)
from motiontok.render.overlay import footer, footer_height

SMALL = (160, 120)


@pytest.fixture(scope="module")
def motion() -> Motion:
    return procedural.make("walk", seconds=1.5, seed=1)


@pytest.fixture
def actor(motion: Motion) -> MannequinActor:
    return MannequinActor(motion, label="walk")


def decode(path: Path) -> tuple[np.ndarray, Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(stream)]
        assert stream.codec_context.pix_fmt == "yuv420p"
        return np.stack(frames), stream.average_rate


def test_mp4_plays_in_real_time(actor: MannequinActor, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    path = render_video(
        [actor],
        tmp_path / "new" / "out.mp4",
        size=SMALL,
        fps=20,
        progress=lambda done, total: steps.append((done, total)),
    )
    frames, rate = decode(path)
    assert frames.shape == (30, 120, 160, 3)
    assert rate == 20
    assert steps == [(k + 1, 30) for k in range(30)]
    # The camera follows: floor and legs move, so every picture differs from the last.
    moved = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))
    assert (moved > 0.05).all()
    assert list(path.parent.iterdir()) == [path]


def test_more_pictures_than_frames_repeat_none(actor: MannequinActor, tmp_path: Path) -> None:
    frames, rate = decode(render_video([actor], tmp_path / "out.mp4", size=SMALL, fps=75))
    assert rate == 75
    assert len(frames) == 112
    moved = np.abs(np.diff(frames[:100, :100].astype(int), axis=0)).mean((1, 2, 3))
    assert (moved > 0.02).all()


def test_odd_sizes_become_even_in_mp4(actor: MannequinActor, tmp_path: Path) -> None:
    frames, rate = decode(render_video([actor], tmp_path / "a.mp4", size=(161, 119)))
    assert frames.shape[1:3] == (120, 162)
    assert rate == 30, "the motion's own"


def test_gif_keeps_time(actor: MannequinActor, tmp_path: Path) -> None:
    path = render_video([actor], tmp_path / "a.gif", size=SMALL)
    with Image.open(path) as gif:
        assert gif.size == SMALL
        total = 0
        for index in range(gif.n_frames):
            gif.seek(index)
            total += gif.info["duration"]
    assert total == pytest.approx(1500, abs=60)


def test_panels_stand_side_by_side(motion: Motion, tmp_path: Path) -> None:
    # A resting figure beside a walking one: only the right half changes over time.
    still = MannequinActor(motion[0:1], label="still")
    walking = MannequinActor(motion, label="walking")
    images = []
    for time in (0.2, 1.2):
        path = tmp_path / f"{time}.png"
        render_image([walking, still], path, time=time, size=(320, 120), text=False)
        images.append(np.asarray(Image.open(path)).astype(int))
    change = np.abs(images[0] - images[1]).max(-1)
    assert change[:, :158].max() > 30
    assert change[:, 162:].max() == 0


def test_text_tokens_and_time_are_in_the_picture(actor: MannequinActor, tmp_path: Path) -> None:
    codes = np.array([[3, 3, 3, 3], [900, 900, 900, 900]])
    tokens = TokenTrack(24, codes=codes, vocab_size=1024)
    pictures = {}
    for name, time, track, text in (
        ("bare", 0.1, None, False),
        ("plain", 0.1, None, True),
        ("first", 0.1, tokens, True),
        ("second", 1.2, tokens, True),
    ):
        path = tmp_path / f"{name}.png"
        render_image([actor], path, time=time, size=(320, 240), tokens=track, text=text)
        pictures[name] = np.asarray(Image.open(path)).astype(int)
    title = (slice(5, 30), slice(5, 120))
    assert pictures["bare"][title].min() > 180
    assert pictures["plain"][title].min() < 120

    def colors(picture: np.ndarray) -> set[tuple[int, ...]]:
        strip = picture[222:].reshape(-1, 3)
        saturated = strip[np.ptp(strip, axis=1) > 60]
        return {tuple(c) for c in saturated.tolist()}

    first, second = colors(pictures["first"]), colors(pictures["second"])
    assert len(first) >= 1
    assert len(second) >= 1
    assert not first & second, "another token, another colour"


@pytest.mark.parametrize("codes", [None, np.arange(64)[None], np.arange(4)[None]])
@pytest.mark.parametrize(("size", "scale"), [((320, 240), 0.6), ((1280, 720), 1.5)])
def test_the_footer_draws_as_high_as_it_says(codes, size, scale) -> None:
    tokens = TokenTrack(32, codes=codes, vocab_size=1024)
    picture = Image.new("RGB", size, (255, 255, 255))
    times = {"frame": 3, "frames": range(32), "fps": 30.0}
    footer(ImageDraw.Draw(picture), size, tokens=tokens, scale=scale, **times)
    drawn = np.flatnonzero((np.asarray(picture) < 255).any(axis=(1, 2)))
    free = size[1] - footer_height(size, tokens, scale)
    assert free <= drawn.min() <= free + 12 * scale


@pytest.mark.parametrize(("columns", "rows"), [(4, 1), (3, 2)])
def test_sheet_shows_time_to_the_right(
    actor: MannequinActor, tmp_path: Path, columns: int, rows: int
) -> None:
    size = (100 * columns, 120 * rows * 2)
    path = render_sheet([actor, actor], tmp_path / "s.png", size=size, columns=columns, rows=rows)
    sheet = np.asarray(Image.open(path)).astype(int)
    assert sheet.shape == (size[1], size[0], 3)
    # Clear of captions and stamps, the two rows of one actor twice are the same pictures.
    for row in range(rows):
        top = sheet[240 * row + 35 : 240 * row + 95]
        below = sheet[240 * row + 155 : 240 * row + 215]
        assert np.abs(top - below).max() == 0
    cells = [sheet[40:90, 100 * k + 2 : 100 * k + 98] for k in range(columns)]
    assert all(np.abs(a - b).max() > 30 for a, b in pairwise(cells))


class _Breaks(MannequinActor):
    """Fails in the middle of a clip."""

    def poses(self, frame: float) -> np.ndarray:
        if frame > 20:
            raise RuntimeError("the actor left")
        return super().poses(frame)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_crash_leaves_the_old_file(motion: Motion, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"precious")
    with pytest.raises(RuntimeError, match="left"):
        render_video([_Breaks(motion)], path, size=SMALL)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.avi", {}, r"a\.avi: cannot write \.avi here; choose from \.mp4, \.gif"),
        ("a", {}, "without suffix"),
        ("a.mp4", {"size": (10, 480)}, "10x480"),
        ("a.mp4", {"size": (640, 100_000)}, "100000"),
        ("a.mp4", {"fps": 0.0}, "fps"),
        ("a.mp4", {"fps": float("nan")}, "fps"),
        ("a.mp4", {"labels": ["one", "two"]}, "2 labels for 1 actors"),
        ("a.mp4", {"camera": "drone"}, "no camera 'drone'"),
        ("a.mp4", {"layout": "pile"}, "no layout 'pile'"),
        ("file/a.mp4", {}, "cannot be written"),
    ],
)
def test_bad_options_are_one_line_and_no_file(
    actor: MannequinActor, tmp_path: Path, name: str, options: dict, words: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RenderError, match=words) as caught:
        render_video([actor], tmp_path / name, **options)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_nothing_to_draw() -> None:
    with pytest.raises(RenderError, match="no actors"):
        render_video([], "never.mp4")
    assert not Path("never.mp4").exists()


@pytest.mark.parametrize("draw", [render_image, render_sheet])
def test_pictures_refuse_videos(actor: MannequinActor, tmp_path: Path, draw) -> None:
    with pytest.raises(RenderError, match=r"choose from \.png"):
        draw([actor], tmp_path / "a.mp4")


def test_sheet_cells_must_fit(actor: MannequinActor, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="do not fit"):
        render_sheet([actor], tmp_path / "a.png", size=(200, 200), columns=20, rows=1)


def test_token_track_checks_its_shape() -> None:
    with pytest.raises(RenderError, match="windows, codes_per_window"):
        TokenTrack(32, codes=np.zeros(8, dtype=int))
    with pytest.raises(RenderError, match="positive"):
        TokenTrack(0)


FULL = """
import resource, signal, sys
from bvh import procedural
from motiontok.errors import RenderError
from motiontok.render import MannequinActor, render_video
actor = MannequinActor(procedural.make("dance", seconds=1, seed=0))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))
try:
    render_video([actor], sys.argv[1], size=(160, 120))
except RenderError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_full_disk_is_one_line_and_keeps_the_old_file(tmp_path: Path, name: str) -> None:
    pytest.importorskip("resource", reason="limits of file size are a Unix facility")
    path = tmp_path / name
    path.write_bytes(b"precious")
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"{path}: cannot be written"), run.stdout + run.stderr
    assert run.stdout.count("\n") == 1
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]
