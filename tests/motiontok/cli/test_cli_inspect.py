"""The command that shows how a clip is understood."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bvh
from bvh import procedural
from bvh.smpl_writing import save_smpl
from motiontok import Start
from motiontok.cli import main as cli
from motiontok.codes import Codes


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    source = procedural.make("wave", seconds=1, seed=2).to_clip()
    # Not canonical: other names, and the hands are called by the family's names.
    names = tuple(n.replace("Toe", "ToeBase") for n in source.names)
    path = tmp_path / "wave.bvh"
    bvh.write(replace(source, names=names), path)
    return path


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object):
    monkeypatch.setattr(sys, "argv", ["motiontok", "inspect", *map(str, words)])
    code = 0
    try:
        cli.main()
    except SystemExit as error:
        code = int(error.code or 0)
    return code, *capsys.readouterr()


def test_it_tells_family_unit_axes_and_tree(clip, capsys, monkeypatch) -> None:
    code, out, _ = run(capsys, monkeypatch, clip)
    assert code == 0
    assert "wave: 22 joints, 30 frames at 30 frames/s, 1.00 s" in out
    assert "mixamo (confidence 1.00)" in out
    assert "cm, 0.01 m" in out
    tree = out.splitlines()
    row = next(line for line in tree if line.strip().startswith("LeftToeBase"))
    assert row.split() == ["LeftToeBase", "LeftToe", "ZYX", "rotation"]
    assert next(line for line in tree if line.startswith("Hips")).split()[2:4] == [
        "XYZ",
        "position,",
    ]


def test_json_holds_the_same(clip, capsys, monkeypatch) -> None:
    code, out, _ = run(capsys, monkeypatch, clip, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["family"], facts["unit"], facts["up"]) == ("mixamo", "cm", "y")
    assert facts["joints"]["RightToe"] == "RightToeBase"
    assert facts["tree"][1] == {
        "name": "LeftUpLeg",
        "parent": "Hips",
        "channels": ["Zrotation", "Yrotation", "Xrotation"],
    }
    assert facts["height"] == pytest.approx(1.75, abs=0.25)


def test_a_picture_is_drawn(clip, tmp_path, capsys, monkeypatch) -> None:
    image = pytest.importorskip("PIL.Image", reason="pictures need pip install 'motiontok[render]'")
    picture = tmp_path / "pose.png"
    code, out, _ = run(capsys, monkeypatch, clip, "--picture", picture, "--frame", 20)
    assert code == 0
    assert f"wrote {picture}" in out
    pixels = np.asarray(image.open(picture).convert("RGB"), dtype=float)
    assert pixels.shape[0] > 400
    assert pixels.shape[1] > 1000
    # Both halves hold a figure with an orange left side and a blue right side.
    for half in np.split(pixels[:, : pixels.shape[1] // 2 * 2], 2, axis=1):
        for color in ((213, 94, 0), (0, 114, 178)):
            assert (np.abs(half - color).sum(axis=-1) < 40).sum() > 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--picture", "pose.bmp"], "pictures end in"),
        (["--picture", "pose.png", "--frame", 99], "has frames 0 to 29"),
        (["--scale", "-1"], "--scale"),
        (["--mapping", "none.toml"], "none.toml"),
        (["--up", "w"], "'w'"),
    ],
)
def test_bad_wishes_are_refused(clip, words, message, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, monkeypatch, clip, *words)
    assert code == 2
    assert message in err
    assert not list(tmp_path.glob("pose.*"))


def test_a_motion_is_shown_and_takes_no_options(tmp_path, capsys, monkeypatch) -> None:
    procedural.make("walk", seconds=1).save(tmp_path / "m.npz")
    code, out, _ = run(capsys, monkeypatch, tmp_path / "m.npz")
    assert code == 0
    assert "m.npz: motion, 30 frames at 30 frames/s" in out
    code, _, err = run(capsys, monkeypatch, tmp_path / "m.npz", "--up", "y")
    assert code == 2
    assert "m.npz: neither BVH nor SMPL" in err
    code, _, err = run(capsys, monkeypatch, tmp_path / "m.npz", "--picture", "a.png")
    assert code == 2
    assert "--picture is for .bvh files" in err


def test_what_is_no_humanoid_is_still_shown(tmp_path, capsys, monkeypatch) -> None:
    path = tmp_path / "box.bvh"
    path.write_text(
        "HIERARCHY\nROOT Box\n{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\n"
        "JOINT Lid\n{\nOFFSET 0 1 0\nCHANNELS 1 Xrotation\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n}\n"
        "MOTION\nFrames: 2\nFrame Time: 0.1\n0 0 0 0\n0 0 0 10\n"
    )
    code, out, err = run(capsys, monkeypatch, path)
    assert code == 2
    assert "  Lid             X rotation" in out
    assert err.startswith(f"error: {path}: no humanoid skeleton found among 2 joints (Box, Lid)")


def test_joint_positions_and_smpl_are_shown(tmp_path, capsys, monkeypatch) -> None:
    motion = procedural.make("walk", seconds=2)
    save_smpl(motion, tmp_path / "m.smpl.npz")
    code, out, _ = run(capsys, monkeypatch, tmp_path / "m.smpl.npz")
    assert code == 0
    assert "m.smpl.npz: SMPL+H, 60 frames at 30 frames/s" in out
    assert "body: the file has no bones of the subject (neutral)" in out
    code, out, _ = run(capsys, monkeypatch, tmp_path / "m.smpl.npz", "--height", "1.2", "--json")
    facts = json.loads(out)
    assert (code, facts["kind"], facts["up"]) == (0, "SMPL+H", "z")
    # What inspect tells has 18 cm of head for everyone, whom --height scales as a whole.
    assert facts["height"] == pytest.approx(1.2 / 1.72 * 1.54 + 0.18, abs=0.01)
    np.save(tmp_path / "codes.npy", np.zeros((2, 9), dtype=np.uint16))
    code, out, err = run(capsys, monkeypatch, tmp_path / "codes.npy")
    assert code == 0
    assert "codes.npy: codes, 2 windows x 9, all frames of its windows\n" in out
    assert "tokenizer not said" in out
    assert "no codes.json beside it" in err


def test_codes_are_shown_with_their_sidecar_whichever_is_given(
    tmp_path, capsys, monkeypatch
) -> None:
    array = np.arange(12, dtype=np.uint16).reshape(2, 6)
    path = tmp_path / "codes.npy"
    where = Start(1.0, -2.0, 0.5)
    Codes(array, "0123abcd", "runs/mine", 45, where, source="walk", first=6).save(path)
    shown = []
    for given in (path, path.with_suffix(".json")):
        code, out, err = run(capsys, monkeypatch, given)
        assert (code, err) == (0, "")
        shown.append(out)
    assert shown[0] == shown[1]
    assert shown[0].splitlines() == [
        "codes.npy: codes, 2 windows x 6, the first 6 of each window, 45 frames, 1.50 s",
        "  tokenizer 0123abcd, at runs/mine",
        "  start     1.00 -2.00 m, 0.50 rad",
        "  source    walk",
    ]
    code, out, _ = run(capsys, monkeypatch, path, "--json")
    facts = json.loads(out)
    assert (facts["windows"], facts["codes_per_window"], facts["frames"]) == (2, 6, 45)
    assert (facts["fingerprint"], facts["start"]) == ("0123abcd", [1.0, -2.0, 0.5])
    path.write_bytes(path.read_bytes()[:40])
    code, _, err = run(capsys, monkeypatch, path)
    assert code == 2
    assert "codes.npy: not a .npy array of codes" in err


def test_what_would_steer_a_terminal_is_escaped(run, tmp_path):
    path = tmp_path / "walk.bvh"
    bvh.write(procedural.make("walk", seconds=2.0, seed=1).to_clip(), path)
    text = path.read_text().replace("JOINT Head", "JOINT Head\x1b[31m\x07")
    path.write_text(text)
    code, out, _ = run("inspect", path)
    assert code == 0
    assert "Head\\x1b[31m\\x07" in out
    assert "\x1b" not in out
    path.write_text(text.replace("MOTION", "MOT\x1b[2JION"))
    code, out, err = run("encode", path)
    assert code == 2
    assert "\\x1b[2J" in err
    assert "\x1b" not in out + err


def test_a_folder_is_told_a_file_in_it(tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "codes3").mkdir()
    Codes(np.zeros((2, 6), np.uint16)).save(tmp_path / "codes3" / "a.npy")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, monkeypatch, "codes3")
    assert (code, out) == (2, "")
    file = Path("codes3", "a.npy")
    assert err == f"error: codes3: a folder; give one file in it, such as {file}\n"
    assert run(capsys, monkeypatch, file)[0] == 0
