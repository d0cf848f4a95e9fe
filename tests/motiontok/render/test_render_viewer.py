"""The browser viewer: its clock, its tokens, its page."""

from __future__ import annotations

import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvh import Motion, procedural
from motiontok.errors import RenderError
from motiontok.render import Actor, MannequinActor
from motiontok.render.playback import Playback
from motiontok.render.token_editor import TokenEditor


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
                       frames_per_window=16)  # fmt: skip


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
def viewer(motion: Motion) -> Iterator[object]:
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
    made = Viewer(actors, editor=editor_of(motion), rebuild=rebuild, port=port)
    yield made
    made.close()


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def test_page_is_served_on_this_machine_only(viewer) -> None:
    assert viewer.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(viewer.url, timeout=10) as page:
        assert page.status == 200
        assert b"<html" in page.read().lower()


def test_playing_moves_the_figures_and_tokens_change_them(viewer, motion: Motion) -> None:
    viewer.playback.seek(1.0)
    viewer.update()
    joints = motion.global_positions()[30]
    shown = np.array([node.position for node in viewer._nodes["decoded"]])
    np.testing.assert_allclose(shown, joints, atol=1e-4)
    viewer._board.swap(0, 2)

    def lifted() -> bool:
        viewer.update()
        return bool(viewer._nodes["decoded"][0].position[2] > joints[0, 2] + 0.005)

    until(lifted)
    source = np.array([node.position for node in viewer._nodes["source"]])
    np.testing.assert_allclose(source, joints, atol=1e-4, err_msg="the source stays")
    viewer._board.restore()
    until(lambda: not lifted())


def test_no_actors_is_an_error() -> None:
    from motiontok.render.viewer import Viewer

    with pytest.raises(RenderError, match="nothing to show"):
        Viewer({})


def test_buttons_and_timeline_in_a_real_browser(viewer) -> None:
    if not os.environ.get("MOTIONTOK_TEST_BROWSER"):
        pytest.skip("drives a browser for half a minute: set MOTIONTOK_TEST_BROWSER=1")
    api = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a browser: apt-get install chromium")
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 600, "height": 500})
        page.goto(viewer.url)
        page.wait_for_selector("text=Restore all", timeout=120_000)
        assert viewer.playback.playing
        page.click("text=Pause")
        until(lambda: not viewer.playback.playing)
        viewer.update()
        page.wait_for_selector("text=Play", timeout=120_000)
        page.get_by_label("Show source").click()
        until(lambda: not any(node.visible for node in viewer._nodes["source"]))
        assert all(node.visible for node in viewer._nodes["decoded"])
        viewer.playback.seek(1.2)
        viewer.update()
        page.wait_for_selector("text=window 3 of 4", timeout=120_000)
        browser.close()
