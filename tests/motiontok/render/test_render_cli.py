"""``motiontok render``: sources, panels, fallback without OpenGL, and bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import bvh
from bvh import Motion, procedural
from motiontok.cli.render import render
from motiontok.errors import InputError, MotiontokError

SIZE = ["--size", "240x160"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one motion as .npz and as .bvh."""
    folder = tmp_path_factory.mktemp("clips")
    motion = procedural.make("wave", seconds=1, seed=0)
    motion.save(folder / "motion.npz")
    bvh.write(motion.to_clip(), folder / "clip.bvh")
    return folder


def run(*words: object) -> str:
    result = CliRunner().invoke(render, [str(w) for w in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_clip_and_its_motion_look_the_same(clips: Path, tmp_path: Path) -> None:
    for name in ("motion.npz", "clip.bvh"):
        output = tmp_path / f"{name}.png"
        said = run(clips / name, "-o", output, "--time", "0.5", "--label", "same", *SIZE)
        assert f"wrote {output}" in said
    a, b = (
        np.asarray(Image.open(tmp_path / f"{n}.png")).astype(int)
        for n in ("motion.npz", "clip.bvh")
    )
    assert a.shape == (160, 240, 3)
    assert np.abs(a - b).mean() < 1.5


def test_panels_overlay_and_sheet(clips: Path, tmp_path: Path) -> None:
    two = [clips / "motion.npz", clips / "clip.bvh"]
    run(*two, "-o", tmp_path / "panels.png", "--columns", 3, "--rows", 1, "--size", "240x320")
    run(*two, "-o", tmp_path / "overlay.png", "--overlay", "--time", 0.2, *SIZE)
    run(*two, "-o", tmp_path / "video.gif", "--fps", 5, "--camera", "orbit", *SIZE)
    assert Image.open(tmp_path / "panels.png").size == (240, 320)
    assert Image.open(tmp_path / "overlay.png").size == (240, 160)
    assert Image.open(tmp_path / "video.gif").n_frames == 5


def test_captions_tell_files_of_one_name_apart(clips: Path, tmp_path: Path) -> None:
    sources = []
    for folder in ("captured", "decoded"):
        (tmp_path / folder).mkdir()
        sources.append(tmp_path / folder / "walk.bvh")
        sources[-1].write_bytes((clips / "clip.bvh").read_bytes())
    run(*sources, "-o", tmp_path / "two.png", "--time", 0.5, "--size", "640x300")
    left, right = np.split(np.asarray(Image.open(tmp_path / "two.png")).astype(int), 2, axis=1)
    assert np.abs(left - right)[:40, 2:].max() > 60, "captions differ"
    assert np.abs(left - right)[60:250, 2:].max() <= 8, "figures do not"


@pytest.mark.usefixtures("one_g1")
def test_robot_panels(clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("pinocchio", reason="robots need: pip install 'motiontok[robot]'")
    from motiontok.robots import load_robot, retarget

    trajectory = retarget(Motion.load(clips / "motion.npz"), load_robot("g1"))
    trajectory.save(tmp_path / "robot.npz")
    run(clips / "motion.npz", "--robot", "g1", "-o", tmp_path / "a.png", "--time", 0.5, *SIZE)
    run(tmp_path / "robot.npz", "-o", tmp_path / "b.png", "--time", 0.5, *SIZE)
    a, b = (np.asarray(Image.open(tmp_path / n)).astype(int) for n in ("a.png", "b.png"))
    assert np.abs(a - b).max() <= 8, "retargeting first or on the way is the same"


@pytest.mark.usefixtures("one_g1")
def test_a_robots_csv_needs_its_name(clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("pinocchio", reason="robots need: pip install 'motiontok[robot]'")
    from motiontok.robots import load_robot, retarget

    trajectory = retarget(Motion.load(clips / "motion.npz"), load_robot("g1"))
    trajectory.save(tmp_path / "robot.npz")
    trajectory.save(tmp_path / "robot.csv")
    run(tmp_path / "robot.npz", "-o", tmp_path / "a.png", "--time", 0.5, *SIZE)
    words = [tmp_path / "robot.csv", "-o", tmp_path / "b.png", "--time", 0.5, *SIZE]

    def as_drawn_of_the_npz() -> bool:
        a, b = (np.asarray(Image.open(tmp_path / n)).astype(int) for n in ("a.png", "b.png"))
        return bool(np.abs(a - b).max() <= 8)

    # Its sidecar names the robot, the rate and the order, which is another one here.
    trajectory.save(tmp_path / "robot.csv", order="mujoco")
    assert "note" not in run(*words)
    assert as_drawn_of_the_npz()
    (tmp_path / "robot.csv.json").unlink()
    told = run(*words, "--robot", "g1")
    assert "30 frames a second assumed" in told
    assert "base quaternion taken as w x y z" in told
    assert as_drawn_of_the_npz()
    with pytest.raises(InputError, match=r"base quaternion taken as w x y z: .*--strict"):
        run(*words, "--robot", "g1", "--strict")
    # Joints in another order are matched by name.
    shuffled = trajectory.in_order(trajectory.joint_names[::-1])
    shuffled.save(tmp_path / "other.npz")
    shuffled.save(tmp_path / "other.csv")
    for name in ("other.npz", "other.csv"):
        run(tmp_path / name, "-o", tmp_path / "b.png", "--time", 0.5, *SIZE)
        assert as_drawn_of_the_npz()
    with pytest.raises(InputError, match="names no robot"):
        run(*words)
    with pytest.raises(MotiontokError, match="36 columns instead of 39"):
        run(*words, "--robot", "talos")
    (tmp_path / "robot.csv").write_text("a,b\n")
    with pytest.raises(MotiontokError, match="not a table of numbers"):
        run(*words, "--robot", "g1")
    (tmp_path / "robot.csv").write_text("")
    with pytest.raises(MotiontokError, match="no rows"):
        run(*words, "--robot", "g1")


@pytest.mark.usefixtures("one_g1")
def test_overlaid_person_and_robot_stay_together(clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("pinocchio", reason="robots need: pip install 'motiontok[robot]'")
    from motiontok.render import MannequinActor, RobotActor
    from motiontok.robots import load_robot, retarget, sized_like

    robot = load_robot("g1")
    motion = procedural.make("walk", seconds=4, seed=0)
    assert np.ptp(motion.root_positions[:, 0]) > 2, "a person who walks away"
    trajectory = retarget(motion, robot)
    person = MannequinActor(sized_like(robot, motion)).roots()[:, :2, 3]
    played = RobotActor(robot, trajectory.qpos, fps=trajectory.fps).roots()[:, :2, 3]
    assert np.linalg.norm(person - played, axis=1).max() < 0.1
    said = run(
        *(clips / "motion.npz", "--robot", "skeleton", "--robot", "g1", "--overlay"),
        *("-o", tmp_path / "both.png", "--time", 0.5, *SIZE),
    )
    assert "drawn at the size of g1" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.npz", "-o", "a.mp4"], "missing.npz: no such file"),
        (["missing.bvh", "-o", "a.mp4"], "missing.bvh"),
        (["{npz}", "-o", "a.avi"], "choose from .mp4, .gif, .png"),
        (["{npz}", "-o", "a.mp4", "--size", "big"], "'big' is not a size such as 1280x720"),
        (["{npz}", "-o", "a.mp4", "--size", "-5x9"], "is not a size"),
        (["{npz}", "-o", "a.mp4", "--size", "99999x99999"], "from 32 to"),
        (["{npz}", "-o", "a.mp4", "--columns", "3"], "--columns and --rows are for pictures"),
        (["{npz}", "-o", "a.png", "--fps", "3"], "--fps is for videos"),
        (["{npz}", "-o", "a.png", "--time", "1", "--rows", "2"], "choose one"),
        (["{npz}", "-o", "a.png", "--time", "99"], "--time 99: what is drawn ends after"),
        (["{npz}", "-o", "a.png", "--label", "x", "--label", "y"], "2 --label for 1 panels"),
        (["{npz}", "-o", "a.png", "--robot", "hal9000"], "no robot 'hal9000'"),
        (["{broken}", "-o", "a.png"], "broken.npz: not a motion file"),
    ],
)
def test_bad_input_is_one_line(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    if "hal9000" in words:
        pytest.importorskip("pinocchio", reason="robots need: pip install 'motiontok[robot]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"PK not a zip")
    names = {"npz": clips / "motion.npz", "broken": "broken.npz"}
    with pytest.raises((InputError, MotiontokError, bvh.BVHError)) as caught:
        run(*(w.format(**names) for w in words))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["broken.npz"]


NO_GL = {
    "no vendor": {"PYOPENGL_PLATFORM": "egl", "__EGL_VENDOR_LIBRARY_FILENAMES": "/nonexistent"},
    "osmesa": {"PYOPENGL_PLATFORM": "osmesa"},
    "unknown platform": {"PYOPENGL_PLATFORM": "abacus"},
}


@pytest.mark.parametrize("broken", NO_GL)
def test_without_opengl_pictures_still_come(clips: Path, tmp_path: Path, broken: str) -> None:
    output = tmp_path / "out.mp4"
    words = ["render", str(clips / "motion.npz"), "-o", str(output), "--fps", "4", *SIZE]
    result = subprocess.run(
        [sys.executable, "-m", "motiontok", *words],
        env={**os.environ, **NO_GL[broken]},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert output.stat().st_size > 2000
    notes = [line for line in result.stderr.splitlines() if line.startswith("note:")]
    assert len(notes) == 1, result.stderr
    assert "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri" in notes[0]
    assert "Traceback" not in result.stderr


def test_exit_codes(
    run: Callable[..., tuple[int, str, str]],
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for words, code in (
        ([str(clips / "missing.bvh"), "-o", "a.mp4"], 2),
        ([str(clips / "motion.npz"), "-o", str(blocked / "a.png")], 1),
    ):
        found, _, said = run("render", *words)
        assert found == code, said
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == [blocked]
