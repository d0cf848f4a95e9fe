"""``train-prior`` and ``sample`` from the command line."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace

import numpy as np
import pytest

from bvh import procedural
from bvh import rotations as rot
from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.prior import SamplingOptions
from motiontok.prior.planning import SearchPlanner
from motiontok.sampling_defaults import LABEL_GUIDANCE


@pytest.fixture
def base(tiny_run, tiny_prior_run):
    # The folder of the run, in which the prior is.
    return ["--tokenizer", tiny_run, "--prior", tiny_prior_run]


def test_a_sample_is_a_codes_file_that_decodes(run, base, tmp_path, tiny_tokenizer):
    out = tmp_path / "codes.npy"
    code, said, _ = run(
        "sample", "--velocity", 1.2, 0, "--label", "walk", "--seconds", 2.5, "-o", out, *base
    )
    assert code == 0, said
    codes = Codes.load(out)
    assert codes.array.shape == (3, 8)
    assert codes.frames == 75
    assert codes.fingerprint == tiny_tokenizer.fingerprint
    assert codes.source == "sample-walk"
    assert len(tiny_tokenizer.decode_codes(codes)) == 75
    code, _, _ = run("decode", out, "-o", tmp_path / "walk.bvh")
    assert code == 0


def test_count_and_seed(run, base, tmp_path):
    for name in ("a", "b"):
        code, said, _ = run(
            "sample", "--count", 2, "--seed", 3, "-o", tmp_path / f"{name}.npy", "--json", *base
        )
        assert code == 0
        assert json.loads(said)["codes"] == [str(tmp_path / f"{name}-{n}.npy") for n in (0, 1)]
    arrays = [np.load(tmp_path / f"{n}-{i}.npy") for n in "ab" for i in (0, 1)]
    np.testing.assert_array_equal(arrays[0], arrays[2])
    np.testing.assert_array_equal(arrays[1], arrays[3])
    assert (arrays[0] != arrays[1]).any()


def test_a_sample_does_as_it_is_told_and_says_what_it_does(run, tmp_path):
    asked = ["--velocity", 1.2, 0, "--yaw-rate", 0.4, "--seconds", 4, "-o", tmp_path / "a.npy"]
    code, said, _ = run("sample", *asked, "--json")
    assert code == 0
    (velocity,), (turn,) = (json.loads(said)[k] for k in ("velocity", "yaw_rate"))
    np.testing.assert_allclose([*velocity, turn], [1.2, 0.0, 0.4], atol=0.2)
    codes = Codes.load(tmp_path / "a.npy")
    # Commands are of whole windows; the file ends within the last one.
    codes = replace(codes, frames=32 * len(codes.array))
    motion = MotionTokenizer.from_pretrained("default").decode_codes(codes)
    turned = np.unwrap(rot.yaw_of(motion.rotations[:, 0]))
    assert (turned[-1] - turned[0]) / motion.duration == pytest.approx(turn, abs=0.1)
    code, said, noted = run("sample", *asked)
    assert f"{velocity[0]:.2f} m/s forward" in said
    assert "(metres of a person)" in said
    # What misses by more than a tenth is told, and nothing else.
    assert ("asked for 1.2 m/s forward" in noted) == (abs(velocity[0] - 1.2) > 0.12)
    assert ("asked for 0.4 rad/s" in noted) == (abs(turn - 0.4) > 0.1)


def test_a_label_alone_says_what_it_was_led_to_do(run, base, tmp_path, tiny_prior):
    asked = ["sample", "--label", "walk", "--seconds", 2, "--count", 2, "--seed", 3, *base]
    code, said, _ = run(*asked, "-o", tmp_path / "a.npy", "--json")
    assert code == 0
    result = json.loads(said)
    np.testing.assert_allclose(
        result["commands"], tiny_prior.commands(2, batch=2, label="walk", seed=3), rtol=1e-6
    )
    assert len(result["velocity_error_m_s"]) == 2
    code, said, noted = run(*asked, "-o", tmp_path / "b.npy")
    forward = np.mean(result["commands"][1], axis=0)[0]
    assert f"(drawn for the label: {forward:.2f}" in said
    assert "asked for" not in noted


def test_a_sample_that_does_not_do_as_it_is_told_says_so(run, base, tmp_path):
    asked = ["--velocity", 0, 1, "--seconds", 2, "-o", tmp_path / "a.npy", *base]
    code, said, noted = run("sample", *asked, "--json")
    assert code == 0
    ((forward, left),) = json.loads(said)["velocity"]
    assert abs(left - 1.0) > 0.1  # nobody stepped aside in what this prior was trained on
    assert f"asked for 1 m/s left, got {left:.2f}" in noted
    (missed,) = json.loads(said)["velocity_error_m_s"]
    assert missed == pytest.approx(np.hypot(forward, left - 1.0))


@pytest.mark.parametrize("command", [["--velocity", 30, 0], ["--velocity", 0, -20]])
def test_speeds_that_nobody_has_are_refused(run, base, tmp_path, command):
    code, _, error = run("sample", *command, "-o", tmp_path / "a.npy", *base)
    assert code == 2
    assert "is beyond what the prior knows" in error
    assert not list(tmp_path.iterdir())


def test_labels_that_never_met_are_refused(run, base, tmp_path):
    out = ["-o", tmp_path / "a.npy", *base]
    code, _, error = run("sample", "--label", "run", "--style", "old", *out)
    assert code == 2
    assert "label 'run' was never seen in style 'old': its styles are active" in error
    assert run("sample", "--label", "walk", "--style", "old", "--seconds", 1, *out)[0] == 0


@pytest.mark.usefixtures("one_g1")
def test_velocities_are_a_robots_where_one_is_named(run, tmp_path):
    pytest.importorskip("pinocchio", reason="needs: pip install pin example-robot-data")
    from motiontok.robots import Trajectory

    out = tmp_path / "a.npy"
    asked = ["--velocity", 0.8, 0, "--seconds", 4, "--robot", "g1", "-o", out, "--json"]
    code, said, error = run("sample", *asked)
    assert code == 0, error
    result = json.loads(said)
    assert result["world"] == "g1"
    assert 0.6 < result["scale"] < 0.9
    np.testing.assert_allclose(result["velocity"][0], [0.8, 0.0], atol=0.15)
    trajectory = Trajectory.load(tmp_path / "a.robot.npz")
    way = np.diff(trajectory.qpos[:, :2], axis=0)
    gone = np.linalg.norm(way[::10].sum(axis=0)) * 10 / (len(way) / 30)
    assert gone == pytest.approx(result["velocity"][0][0], abs=0.15)
    # Both files are told.
    code, said, error = run("sample", "--seconds", 1, "--robot", "g1", "-o", out)
    assert code == 0, error
    assert said.rstrip().endswith(f"-> {out}, {tmp_path / 'a.robot.npz'}")


def test_a_clip_is_continued_from_where_it_was(run, base, tmp_path, tiny_tokenizer):
    clip = procedural.make("walk", seconds=70 / 30, seed=2)
    clip.save(tmp_path / "walk.npz")
    prefix = ["--prefix", tmp_path / "walk.npz"]
    code, _, noted = run("sample", *prefix, "--seconds", 2, "-o", tmp_path / "c.npy", *base)
    assert code == 0
    assert "walk.npz: the last 6 of 70 frames are left out" in noted
    codes = Codes.load(tmp_path / "c.npy")
    # 70 frames are two whole windows; the rest would be held still and is left out.
    np.testing.assert_array_equal(codes.array[:2], tiny_tokenizer.encode(clip)[:2])
    assert codes.frames == 64 + 60
    np.testing.assert_allclose(codes.offsets, clip.offsets)
    again = ["--prefix", tmp_path / "c.npy"]
    code, _, noted = run("sample", *again, "--seconds", 1, "-o", tmp_path / "d.npy", *base)
    assert code == 0
    assert "the last 28 of 124 frames are left out" in noted
    whole = tiny_tokenizer.encode_to_codes(clip[:64])
    whole.save(tmp_path / "e.npy")
    exact = ["--prefix", tmp_path / "e.npy"]
    _, _, noted = run("sample", *exact, "--seconds", 1, "-o", tmp_path / "f.npy", *base)
    assert "left out" not in noted
    assert Codes.load(tmp_path / "d.npy").frames == 96 + 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "fly"], "no label 'fly'"),
        (["--top-p", "2"], "top-p must be"),
        (["--seconds", "nan"], "nan is not a finite number"),
        (["--velocity", "inf", "0"], "inf is not a finite number"),
        (["-o", "codes.txt"], "written to a .npy file"),
        (["--prefix", "nothing.bvh"], "nothing.bvh"),
        (["--prior", "nowhere"], "no prior there"),
    ],
)
def test_what_cannot_be_sampled_is_said_in_one_line(run, base, tmp_path, arguments, words):
    arguments = [*base, "-o", str(tmp_path / "codes.npy"), *arguments]
    code, _, error = run("sample", *arguments)
    assert code == 2
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "source", "arguments"),
    [
        ("sample", "a.npy", ["--prefix", "a.npy"]),
        ("sample", "a.npy", ["--prefix", "./a.npy", "--pose", "other.npz:3@1"]),
        ("sample", "a-1.npy", ["--prefix", "a-1.npy", "--count", 2]),
        ("sample", "a.robot.npz", ["--pose", "a.robot.npz:3@1", "--robot", "g1"]),
        ("sample", "a-0.robot.npz", ["--prefix", "a-0.robot.npz", "--robot", "g1", "--count", 2]),
        ("plan", "a.npy", ["--pose", "a.npy:3@1"]),
        ("plan", "a.npy", ["--pose", "o.npz:3@1", "--pose", "a.npy:3@1,0,0,0"]),
        ("plan", "a.robot.npz", ["--pose", "a.robot.npz:3@1", "--robot", "g1"]),
        ("plan", "a.json", ["--waypoints", "a.json"]),
        ("plan", "a.plan.png", ["--velocity-profile", "a.plan.png"]),
    ],
)
def test_what_is_drawn_replaces_nothing_it_is_made_of(
    run, tmp_path, monkeypatch, command, source, arguments
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / source).write_bytes(b"kept")
    # No tokenizer is there: this is refused before one is opened.
    code, _, error = run(command, *arguments, "-o", "a.npy", "--tokenizer", "nowhere")
    assert code == 2
    assert f"{source}: the output is an input, and would replace it; give another" in error
    assert len(error.strip().splitlines()) == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {source: b"kept"}


def test_codes_of_encode_stay_unless_they_are_named(run, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    procedural.make("walk", seconds=2, seed=2).save(tmp_path / "walk.npz")
    (tmp_path / "v.csv").write_text("t,forward,left,yaw_rate\n0,1,0,0\n")
    assert run("encode", "walk.npz", *base[:2])[0] == 0
    before = (tmp_path / "codes.npy").read_bytes(), (tmp_path / "codes.json").read_bytes()
    assert run("sample", "--seconds", 1, *base)[0] == 0
    assert run("sample", "--seconds", 1, "--count", 2, *base)[0] == 0
    planned = ["--velocity-profile", "v.csv", "--seconds", 1, "--samples", 2, "--beam", 1]
    code, said, error = run("plan", *planned, *base)
    assert code == 0, error
    assert "codes -> plan.npy" in said
    for name in ("sample", "sample-0", "sample-1", "plan"):
        assert Codes.load(tmp_path / f"{name}.npy").frames == 30
    assert ((tmp_path / "codes.npy").read_bytes(), (tmp_path / "codes.json").read_bytes()) == before


def test_a_prior_of_another_tokenizer_is_refused(run, tiny_prior_run, tmp_path):
    code, _, error = run("sample", "--prior", tiny_prior_run / "prior", "-o", tmp_path / "c.npy")
    assert code == 2
    assert "was trained on the codes of tokenizer" in error


def test_training_from_the_command_line(run, tiny_run, labelled_clips, tmp_path):
    base = ["train-prior", "--tokenizer", tiny_run, "--data", labelled_clips]
    small = ["--width", 8, "--layers", 1, "--shifts", 1]
    code, said, error = run(*base, *small, "--steps", 3, "--out", tmp_path, "--json")
    assert code == 0, error
    assert json.loads(said)["steps"] == 3
    assert (tmp_path / "prior" / "prior.json").is_file()
    code, _, error = run(*base, *small, "--steps", 3, "--out", tmp_path)
    assert code == 1
    assert "already holds a run" in error
    assert run(*base, "--width", 12, "--out", tmp_path)[0] == 2


@pytest.mark.parametrize("command", ["sample", "plan"])
def test_help_tells_the_guidance_that_labels_have(run, command):
    code, said, _ = run(command, "--help")
    assert code == 0
    assert f"[default: labels {LABEL_GUIDANCE:g}, commands 1]" in " ".join(said.split())


def test_defaults_are_those_of_python_and_of_the_server():
    from motiontok.cli.plan import plan
    from motiontok.cli.sample import sample
    from motiontok.serve.fields import OPTIONS, sampling

    usual = SamplingOptions()
    assert sampling(dict.fromkeys(OPTIONS)) == usual
    # Codes as they were drawn are for Python alone.
    assert set(vars(usual)) - set(OPTIONS) == {"plant"}
    search = inspect.signature(SearchPlanner).parameters
    for command in (sample, plan):
        said = {option.name: option.default for option in command.params}
        assert {name: said[name] for name in OPTIONS} == {k: vars(usual)[k] for k in OPTIONS}
    for name in ("samples", "horizon", "beam"):
        assert said[name] == search[name].default
