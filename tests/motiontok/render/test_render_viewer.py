"""The browser viewer: its clock, its tokens, its page."""

from __future__ import annotations

import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvh import Motion, procedural
from motiontok.errors import RenderError
from motiontok.render import Actor, MannequinActor
from motiontok.render.playback import Playback
from motiontok.render.token_editor import TokenEditor

if TYPE_CHECKING:
    from motiontok.render.page import Page
    from motiontok.render.viewer import Viewer

FOV = np.radians(42.0)


@given(
    duration=st.floats(0.01, 100),
    steps=st.lists(st.floats(0, 5), max_size=20),
    speed=st.sampled_from([0.25, 1.0, 2.0]),
    loop=st.booleans(),
)
def test_time_stays_in_the_clip(duration, steps, speed, loop) -> None:
    playback = Playback(duration)
    playback.speed, playback.loop = speed, loop
    for step in steps:
        playback.advance(step)
        assert 0.0 <= playback.time < duration
    passed = speed * sum(steps)
    if loop:
        turns = (passed - playback.time) / duration
        assert turns == pytest.approx(round(turns), abs=1e-3)
    elif passed > duration * 1.001:
        assert not playback.playing


def test_pause_seek_and_play_again() -> None:
    playback = Playback(2.0)
    playback.toggle()
    playback.advance(1.0)
    assert playback.time == 0.0
    playback.seek(99.0)
    assert playback.time == pytest.approx(2.0)
    playback.toggle()
    assert (playback.time, playback.playing) == (0.0, True)


@pytest.fixture
def motion() -> Motion:
    return procedural.make("walk", seconds=2, seed=0)


def editor_of(motion: Motion) -> TokenEditor:
    """An editor whose tokens lift the figure: the motion shows what was decoded."""

    def decode(codes: np.ndarray) -> Motion:
        roots = motion.root_positions.copy()
        roots[:, 2] += 0.01 * codes.sum()
        return replace(motion, root_positions=roots)

    return TokenEditor(np.zeros((4, 6), dtype=np.uint16), decode, vocab_size=50,
                       frames_per_window=16,
                       files=lambda codes: {"edited.npy": codes.tobytes()})  # fmt: skip


def test_tokens_change_and_come_back(motion: Motion) -> None:
    editor = editor_of(motion)
    values = {editor.swap(2, 3) for _ in range(40)}
    assert values <= set(range(50))
    assert len(values) > 10
    assert editor.changed.sum() <= 1
    editor.set(0, 0, 7)
    assert editor.motion().root_positions[0, 2] > motion.root_positions[0, 2]
    editor.restore()
    assert not editor.changed.any()
    np.testing.assert_array_equal(editor.motion().root_positions, motion.root_positions)
    for place in ((4, 0, 1), (0, 6, 1), (-1, 0, 1), (0, 0, 50), (0, 0, -1)):
        with pytest.raises(RenderError):
            editor.set(*place)


def test_a_swap_always_changes_the_token(motion: Motion) -> None:
    editor = editor_of(motion)
    for _ in range(100):
        before = int(editor.codes[1, 1])
        assert editor.swap(1, 1) != before


@pytest.fixture
def viewer(motion: Motion) -> Iterator[Viewer]:
    pytest.importorskip("viser", reason="the viewer needs: pip install 'motiontok[view]'")
    from motiontok.render.viewer import Viewer

    def rebuild(new: Motion) -> Iterator[tuple[str, Actor]]:
        yield "decoded", MannequinActor(new, label="decoded")

    actors = {
        "source": MannequinActor(motion, label="source"),
        "decoded": MannequinActor(motion, label="decoded"),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Viewer(
        actors,
        name="walk <1>.bvh",
        editor=editor_of(motion),
        rebuild=rebuild,
        edited="decoded",
        port=port,
    )
    yield made
    made.close()


@pytest.fixture
def page(motion: Motion) -> Iterator[Page]:
    """A page that all tabs of a server see together: so it needs no browser."""
    viser = pytest.importorskip("viser", reason="the viewer needs: pip install 'motiontok[view]'")
    from motiontok.render.page import Page

    def rebuild(new: Motion) -> Iterator[tuple[str, Actor]]:
        yield "decoded", MannequinActor(new, label="decoded")

    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    actors = {name: MannequinActor(motion, label=name) for name in ("source", "decoded")}
    made = Page(
        server,
        actors,
        name="walk.bvh",
        editor=editor_of(motion),
        rebuild=rebuild,
        edited="decoded",
    )
    made.playback.playing = False
    yield made
    made.close()
    server.stop()


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def test_page_is_served_on_this_machine_only(viewer: Viewer) -> None:
    assert viewer.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(viewer.url, timeout=10) as page:
        assert page.status == 200
        assert b"<html" in page.read().lower()


def test_playing_moves_the_figures_and_tokens_change_them(page: Page, motion: Motion) -> None:
    page.playback.seek(1.0)
    page.update()
    joints = motion.global_positions()[30]
    shown = np.array([node.position for node in page.nodes["decoded"]])
    np.testing.assert_allclose(shown, joints, atol=1e-4)
    captions = {name: label.text for name, label in page.captions.items()}
    assert captions == {"source": "source", "decoded": "▸ decoded"}
    assert all(label.position[2] > joints[:, 2].max() for label in page.captions.values())
    page.board.swap(0, 2)

    def lifted() -> bool:
        page.update()
        return bool(page.nodes["decoded"][0].position[2] > joints[0, 2] + 0.005)

    until(lifted)
    assert page.captions["decoded"].text == "▸ edited"
    source = np.array([node.position for node in page.nodes["source"]])
    np.testing.assert_allclose(source, joints, atol=1e-4, err_msg="the source stays")
    page.board.restore()
    until(lambda: not lifted())


@pytest.mark.parametrize("value", [50.0, -1.0, 3.5])
def test_a_wrong_number_is_said_on_the_page(page: Page, value: float) -> None:
    page.board.swap(1, 2)
    kept = int(page.board._editor.codes[1, 2])
    page.board.type(value)
    assert f"{value:g} is no token" in page.board._text.content
    assert "0 to 49" in page.board._text.content
    assert page.board._editor.codes[1, 2] == page.board._value.value == kept
    page.board.type(7.0)
    assert page.board._editor.codes[1, 2] == 7
    assert "value **7**" in page.board._text.content


def test_all_is_in_view_however_narrow_the_page_is(page: Page) -> None:
    for aspect in (390 / 844, 1.0, 1280 / 800, 3.0):
        position, look_at = page.camera(aspect)
        ahead = (look_at - position) / np.linalg.norm(look_at - position)
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        up = np.cross(right, ahead)
        ends = [(0.75 * 1.75, y, 0.1) for y in (-1.3, 1.3)]
        ends += [(0.0, y, 1.9) for y in (-1.3, 1.3)]
        for place in np.array(ends) - position:
            assert abs(place @ right) < aspect * np.tan(FOV / 2) * (place @ ahead)
            assert abs(place @ up) < np.tan(FOV / 2) * (place @ ahead)


def test_pages_change_tokens_of_their_own(motion: Motion) -> None:
    editor = editor_of(motion)
    other = editor.copy()
    editor.set(0, 0, 5)
    assert not other.changed.any()
    assert not editor.copy().changed.any()


def test_no_actors_is_an_error() -> None:
    from motiontok.render.viewer import Viewer

    with pytest.raises(RenderError, match="nothing to show"):
        Viewer({})


def test_edited_codes_can_be_saved(tmp_path: Path, tiny_run: Path, motion: Motion) -> None:
    from motiontok import MotionTokenizer
    from motiontok.cli.view import _motions
    from motiontok.codes import Codes

    clip = tmp_path / "walk.v2.npz"
    motion.save(clip)
    shown, editor = _motions(clip, str(tiny_run), {})
    assert list(shown) == ["source", "decoded"]
    editor.set(1, 3, (int(editor.codes[1, 3]) + 1) % 16)
    files = editor.files()
    assert list(files) == ["walk-edited.json", "walk-edited.npy"]
    assert [path.name for path in tmp_path.iterdir()] == ["walk.v2.npz"], "nothing is written here"
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    codes = Codes.load(tmp_path / "walk-edited.npy")
    np.testing.assert_array_equal(codes.array, editor.codes)
    again = MotionTokenizer.from_pretrained(codes.tokenizer).decode_codes(codes)
    np.testing.assert_array_equal(again.root_positions, editor.motion().root_positions)


def test_without_a_tokenizer_it_is_the_shipped_one(tmp_path: Path, motion: Motion) -> None:
    from motiontok.cli.view import _motions

    motion.save(tmp_path / "walk.npz")
    shown, editor = _motions(tmp_path / "walk.npz", None, {})
    assert list(shown) == ["source", "decoded"]
    assert editor.codes.shape == (2, 64)


# Software draws: a tab that draws as often as it can leaves no processor to the other.
FEW_FRAMES = """
const draw = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (then) => setTimeout(() => draw(then), 300);
"""


def test_two_tabs_in_a_real_browser(viewer: Viewer) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no browser to look at the page with: apt-get install chromium")
    flags = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    # Chromium's sandbox refuses root.
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        tabs = []
        for size in ({"width": 900, "height": 600}, {"width": 390, "height": 844}):
            # A coarse picture on the same page: software draws it, and nobody looks.
            tabs.append(browser.new_page(viewport=size, device_scale_factor=0.25))
            tabs[-1].set_default_timeout(120_000)
            tabs[-1].add_init_script(FEW_FRAMES)
            tabs[-1].goto(viewer.url)
            tabs[-1].wait_for_selector("text=Restore all", state="attached")
            assert tabs[-1].title() == "walk <1>.bvh - motiontok"
            width = tabs[-1].evaluate("document.documentElement.scrollWidth")
            assert width == size["width"], "nothing to scroll sideways"
        until(lambda: len(viewer.pages) == 2)
        first, second = viewer.pages
        assert first.playback.playing
        tabs[0].click("text=Pause")
        until(lambda: not first.playback.playing)
        assert second.playback.playing, "the other tab plays on"
        first.update()
        tabs[0].wait_for_selector("text=Play")
        tabs[0].get_by_label("Show source").click()
        until(lambda: not any(node.visible for node in first.nodes["source"]))
        assert all(node.visible for node in (*first.nodes["decoded"], *second.nodes["source"]))
        first.playback.seek(1.2)
        first.update()
        tabs[0].wait_for_selector("text=window 3 of 4")
        first.board.swap(0, 1)
        field = tabs[0].get_by_label("Value")
        field.fill("99")
        field.press("Enter")
        tabs[0].wait_for_selector("text=99 is no token")
        assert not second.board._editor.changed.any()
        with tabs[0].expect_download() as download:
            tabs[0].click("text=Save codes")
        assert download.value.suggested_filename == "edited.npy"
        tabs[1].close()
        until(lambda: viewer.pages == [first])
        browser.close()
