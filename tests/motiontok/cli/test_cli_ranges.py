"""A part of a clip: ``--from`` and ``--to``, long films, and films that Ctrl-C ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import motiontok.render
from bvh import Motion, procedural
from motiontok.cli.convert import convert
from motiontok.cli.encode import encode
from motiontok.cli.render import render
from motiontok.cli.retarget import retarget as put_on_robot
from motiontok.codes import Codes
from motiontok.errors import CodesError, InputError
from motiontok.render import TokenTrack
from motiontok.render.film import Film
from motiontok.tokenizer import MotionTokenizer

SIZE = ["--size", "240x160"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a walk of 3 s, its codes, and 40 s of standing."""
    folder = tmp_path_factory.mktemp("clips")
    motion = procedural.make("walk", seconds=3, seed=0)
    motion.save(folder / "walk.npz")
    MotionTokenizer.from_pretrained("default").encode_to_codes(motion).save(folder / "codes.npy")
    procedural.make("wave", seconds=40, seed=0).save(folder / "long.npz")
    return folder


def call(command: click.Command, *words: object) -> str:
    result = CliRunner().invoke(command, [str(w) for w in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def pictures(path: Path) -> int:
    with Image.open(path) as film:
        return film.n_frames


def video(path: Path) -> int:
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("name", ["walk.npz", "codes.npy"])
@pytest.mark.parametrize(
    ("words", "count"),
    [((), 30), (("--from", 1), 20), (("--to", 0.5), 5), (("--from", 1, "--to", 1.6), 6)],
)
def test_a_film_of_a_part(
    clips: Path, tmp_path: Path, name: str, words: tuple[object, ...], count: int
) -> None:
    call(render, clips / name, "-o", tmp_path / "a.gif", "--fps", 10, *words, *SIZE)
    assert pictures(tmp_path / "a.gif") == count


def test_a_part_of_a_trajectory_is_its_own_frames(clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("pinocchio", reason="robots need: pip install 'motiontok[robot]'")
    from motiontok.robots import load_robot, retarget

    walk = Motion.load(clips / "walk.npz")
    retarget(walk, load_robot("g1")).save(tmp_path / "robot.npz")
    retarget(walk[45:60], load_robot("g1")).save(tmp_path / "part.npz")
    cut = ["--from", 1.5, "--to", 2]
    call(render, tmp_path / "robot.npz", "-o", tmp_path / "a.gif", "--fps", 10, *cut, *SIZE)
    assert pictures(tmp_path / "a.gif") == 5
    words = ["--camera", "fixed", *SIZE]
    call(render, tmp_path / "robot.npz", "-o", tmp_path / "a.png", "--time", 1.7, *cut, *words)
    call(render, tmp_path / "part.npz", "-o", tmp_path / "b.png", "--time", 0.2, *words)
    a, b = (np.asarray(Image.open(tmp_path / n)).astype(int)[:130] for n in ("a.png", "b.png"))
    # The feet of a part are held by what is in it, so that its first steps may differ a little.
    assert np.abs(a - b).mean() < 1.0


def test_what_a_cut_film_writes_is_the_clips_own(clips: Path, tmp_path: Path) -> None:
    def drawn(name: str, *words: object) -> np.ndarray:
        call(render, clips / name, "-o", tmp_path / "a.png", *words, "--size", "800x160")
        return np.asarray(Image.open(tmp_path / "a.png")).astype(int)

    # The line of frame, time and window is left of the figure, over the tokens.
    line = (slice(118, 142), slice(0, 200))
    whole, cut, other = (
        drawn("codes.npy", *words)[line]
        for words in (
            ("--time", 2),
            ("--time", 2, "--from", 1.5),
            ("--time", 1.9, "--from", 1.5),
        )
    )
    # The camera's heading is that of the first frame drawn: lines on the floor shine through.
    assert np.abs(whole - cut).max() < 25
    assert np.abs(whole - other).max() > 50


def test_a_cut_clip_is_drawn_as_its_part(clips: Path, tmp_path: Path) -> None:
    Motion.load(clips / "walk.npz")[45:75].save(tmp_path / "walk.npz")
    part = ["--from", 1.5, "--to", 2.5]
    call(render, tmp_path / "walk.npz", "-o", tmp_path / "a.png", "--time", 0.5, *SIZE)
    call(render, clips / "walk.npz", "-o", tmp_path / "b.png", "--time", 2, *part, *SIZE)
    a, b = (np.asarray(Image.open(tmp_path / n)).astype(int) for n in ("a.png", "b.png"))
    assert np.array_equal(a[:130], b[:130])
    assert not np.array_equal(a, b), "the times written differ"


def test_codes_of_a_part_start_there(clips: Path, tmp_path: Path) -> None:
    words = ["--effort", 1, "--from", 1, "--to", 2.5]
    call(encode, clips / "walk.npz", "-o", tmp_path / "a.npy", *words)
    Motion.load(clips / "walk.npz")[30:75].save(tmp_path / "part.npz")
    call(encode, tmp_path / "part.npz", "-o", tmp_path / "b.npy", "--effort", 1)
    a, b = Codes.load(tmp_path / "a.npy"), Codes.load(tmp_path / "b.npy")
    assert a.frames == 45
    assert np.array_equal(a.array, b.array)
    assert a.start == b.start
    assert a.start != Codes.load(clips / "codes.npy").start


@pytest.mark.parametrize("name", ["walk.npz", "codes.npy"])
def test_a_part_is_converted_as_it_is(clips: Path, tmp_path: Path, name: str) -> None:
    call(convert, clips / name, tmp_path / "whole.npz")
    call(convert, clips / name, tmp_path / "part.npz", "--from", 1, "--to", 2.5)
    whole, part = (Motion.load(tmp_path / f"{n}.npz") for n in ("whole", "part"))
    assert np.array_equal(part.rotations, whole.rotations[30:75])
    assert np.array_equal(part.root_positions, whole.root_positions[30:75])


def test_a_part_is_put_on_a_robot(clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("pinocchio", reason="robots need: pip install 'motiontok[robot]'")
    from motiontok.robots import Trajectory

    cut = ["--robot", "g1", "--from", 1, "--to", 1.5]
    call(put_on_robot, clips / "walk.npz", "-o", tmp_path / "part.npz", *cut)
    Motion.load(clips / "walk.npz")[30:45].save(tmp_path / "walk.npz")
    call(put_on_robot, tmp_path / "walk.npz", "-o", tmp_path / "whole.npz", "--robot", "g1")
    part, whole = (Trajectory.load(tmp_path / f"{n}.npz") for n in ("part", "whole"))
    assert len(part) == 15
    np.testing.assert_allclose(part.qpos, whole.qpos, atol=1e-6)
    # The frames of a trajectory that is put on its own robot again are cut alike.
    call(convert, tmp_path / "whole.npz", tmp_path / "p.csv", "--robot", "g1", "--to", 0.2)
    assert len(np.loadtxt(tmp_path / "p.csv", delimiter=",")) == 6


@pytest.mark.parametrize("command", [render, encode, put_on_robot])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "2", "--to", "1"], "--from 2 --to 1: --to must be after --from"),
        (["--to", "0"], "--to 0: --to must be after --from"),
        (["--from", "3"], "walk.npz: no frame is in --from 3; the clip has 30"),
        (["--from", "9"], "walk.npz: --from 9 is not in the clip, which ends at 3.00 s"),
        (["--to", "3.5"], "walk.npz: --to 3.5 is not in the clip, which ends at 3.00 s"),
        (["--from", "1", "--to", "1.001"], "no frame is in --from 1 --to 1.001; the clip has 30"),
    ],
)
def test_a_part_that_is_none(
    clips: Path, tmp_path: Path, command: click.Command, words: list[str], message: str
) -> None:
    output = tmp_path / {"encode": "a.npy", "render": "a.mp4"}.get(str(command.name), "a.npz")
    with pytest.raises(InputError) as caught:
        call(command, clips / "walk.npz", "-o", output, *words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_only_one_file_is_cut(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--from 1: only one file of motion can be cut"):
        call(encode, clips, "-o", tmp_path / "codes", "--from", 1)
    with pytest.raises(InputError, match=r"--to 1: only one file of motion can be cut"):
        call(put_on_robot, clips, "-o", tmp_path / "robots", "--to", 1)
    with pytest.raises(InputError, match=r"--to 1: only one file of motion can be cut"):
        call(convert, clips, tmp_path / "robots", "--to", 1)
    with pytest.raises(InputError, match=r"--time 0.5: what is drawn begins at 1 s"):
        call(render, clips / "walk.npz", "-o", tmp_path / "a.png", "--time", 0.5, "--from", 1)
    with pytest.raises(InputError, match=r"--time 3: what is drawn ends after 2 s"):
        call(render, clips / "walk.npz", "-o", tmp_path / "a.png", "--time", 3, "--to", 2)


def test_a_long_film_says_what_it_takes(clips: Path, tmp_path: Path) -> None:
    words = ["-o", tmp_path / "a.gif", "--fps", 0.5, *SIZE]
    said = call(render, clips / "long.npz", *words)
    (note,) = (line for line in said.splitlines() if line.startswith("note: 20 frames"))
    assert "20 frames of 40 s take about " in note
    assert "--from and --to cut" in note
    assert f"-o {tmp_path / 'a.png'} draws a sheet" in note
    assert "take about" not in call(render, clips / "long.npz", "--to", 20, *words)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_an_interrupted_film_keeps_what_is_drawn(
    run: Callable[..., tuple[int, str, str]],
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    draw, last = Film.picture, 5

    def picture(film: Film, index: int) -> np.ndarray:
        if index == last:
            raise KeyboardInterrupt
        return draw(film, index)

    monkeypatch.setattr(Film, "picture", picture)
    output = tmp_path / f"a{suffix}"
    words = ["render", clips / "walk.npz", "-o", output, "--fps", 10, *SIZE]
    code, _, said = run(*words)
    assert code == 130
    assert f"wrote {output}, up to here" in said
    assert (video if suffix == ".mp4" else pictures)(output) == 5
    # Before the first picture there is nothing to keep, and what was there stays.
    last = 0
    before = output.read_bytes()
    code, _, said = run(*words)
    assert code == 130
    assert f"{output}: left as it was; there was nothing to keep yet" in said
    assert output.read_bytes() == before
    output.unlink()
    assert f"{output}: not written; there was nothing to keep yet" in run(*words)[2]
    assert not list(tmp_path.iterdir())


def test_codes_of_a_cut_are_shown_beside_their_own_part(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = tmp_path / "cut.npy"
    call(encode, clips / "walk.npz", "-o", cut, "--from", 1.5, "--to", 2.5, "--effort", 1)
    codes = Codes.load(cut)
    assert (codes.since, codes.frames) == (1.5, 30)
    seen: list[Motion] = []

    class Noted(motiontok.render.MannequinActor):
        def __init__(self, motion: Motion, **options: Any) -> None:
            super().__init__(motion, **options)
            seen.append(motion)

    tracks: list[TokenTrack] = []

    class NotedTrack(TokenTrack):
        def __post_init__(self) -> None:
            super().__post_init__()
            tracks.append(self)

    monkeypatch.setattr(motiontok.render, "MannequinActor", Noted)
    monkeypatch.setattr(motiontok.render, "TokenTrack", NotedTrack)
    for words, frames in (((), 30), (("--from", 2), 15)):
        seen.clear()
        call(render, clips / "walk.npz", cut, "-o", tmp_path / "a.png", "--time", 2, *words, *SIZE)
        source, decoded = seen
        assert len(source) == len(decoded) == frames
        assert [tracks[-1].window(frame) for frame in (45, 74)] == [0, 0]
        np.testing.assert_allclose(source.root_positions, decoded.root_positions, atol=0.1)
    call(convert, cut, tmp_path / "last.npz", "--from", 2)
    np.testing.assert_allclose(
        Motion.load(tmp_path / "last.npz").root_positions, decoded.root_positions, atol=1e-3
    )
    with pytest.raises(InputError, match="--from 1 is not in the clip, which begins at 1"):
        call(render, clips / "walk.npz", cut, "-o", tmp_path / "a.png", "--from", 1)


@pytest.mark.parametrize("since", [-1.0, float("nan"), "0", True])
def test_a_sidecar_with_an_impossible_cut_is_refused(tmp_path: Path, since: object) -> None:
    Codes(np.zeros((1, 64), np.uint16)).save(tmp_path / "a.npy")
    beside = tmp_path / "a.json"
    values = json.loads(beside.read_text())
    assert values.pop("since") == 0.0
    beside.write_text(json.dumps(values))
    assert Codes.load(tmp_path / "a.npy").since == 0.0, "older ones have none"
    beside.write_text(json.dumps(values | {"since": since}))
    with pytest.raises(CodesError, match="since is"):
        Codes.load(tmp_path / "a.npy")


def test_the_missing_sidecar_of_cut_codes_is_told_once(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 64), np.uint16))
    said = call(convert, tmp_path / "a.npy", tmp_path / "a.bvh", "--from", 1)
    assert said.count("no a.json beside it") == 1
