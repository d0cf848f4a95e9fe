"""Plans by command: files of waypoints, what is refused, what is missed, onto a robot."""

from __future__ import annotations

import json

import pytest

from motiontok.errors import InputError
from motiontok.prior.planning import (
    PathTarget,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must name the columns x,y or t,x,y"),
        ("a,b\n1,2\n", "must name the columns"),
        ("x,y\n", "no rows"),
        ("x,y\n1,2\n1,wall\n", "row 3: not all numbers: 1,wall"),
        ("x,y\n1\n", "row 2: expected 2 finite numbers"),
        ("x,y\n1,nan\n", "row 2: expected 2 finite numbers"),
        ("t,x,y\n0,0,0\n2,1,1\n1,2,2\n", "row 4: times must ascend"),
    ],
)
def test_bad_waypoint_files_are_refused_by_row(tmp_path, text, words):
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        PathTarget.read(tmp_path / "w.csv", speed=1.0)
    assert words in str(caught.value)
    assert "w.csv" in str(caught.value)


def test_plan_from_the_command_line(tiny_run, tiny_prior_run, tmp_path, run):
    (tmp_path / "way.csv").write_text("x,y\n2,0\n2,1\n")
    (tmp_path / "v.csv").write_text("t,forward,left,yaw_rate\n0,1,0,0\n2,1,0,0.2\n")
    base = ["plan", "--tokenizer", tiny_run, "--prior", tiny_prior_run / "prior", "--samples", 4]
    base += ["-o", tmp_path / "codes.npy"]
    code, said, error = run(*base, "--waypoints", tmp_path / "way.csv", "--no-go", 1, 1, 0.3)
    assert code == 0, error
    assert "x real time" in said
    assert "path_error_m" in said
    assert f"picture -> {tmp_path / 'codes.plan.png'}" in said
    code, said, error = run(*base, "--velocity-profile", tmp_path / "v.csv", "--json")
    assert code == 0, error
    assert json.loads(said)["seconds"] == pytest.approx(2.0)
    code, _, error = run(*base)
    assert code == 2
    assert "give either --waypoints or --velocity-profile" in error
    code, _, error = run(*base, "--waypoints", tmp_path / "none.csv")
    assert code == 2
    assert "none.csv: no such file" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--no-go", "nan", "0", "1"], "nan is not a finite number"),
        (["--no-go", "1", "0", "-1"], "no-go disc 1 0 -1: finite numbers and a positive radius"),
        (["--end", "0", "inf", "0"], "inf is not a finite number"),
        (["--speed", "nan"], "nan is not a finite number"),
        (["--seconds", "nan"], "nan is not a finite number"),
        (["--seconds", "1e9"], "is not in the range 0.1<=x<=3600"),
        (["--seed", "9" * 30], "is not in the range"),
        (["--robot", "nobot"], "no robot 'nobot'"),
    ],
)
def test_what_cannot_be_planned_is_said_before_anything_is(
    tiny_run, tiny_prior_run, tmp_path, run, arguments, words
):
    (tmp_path / "w.csv").write_text("x,y\n2,0\n")
    base = ["--tokenizer", tiny_run, "--prior", tiny_prior_run, "-o", tmp_path / "codes.npy"]
    code, _, error = run("plan", *base, "--waypoints", tmp_path / "w.csv", *arguments)
    assert code == 2
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["w.csv"]


def test_a_plan_that_misses_its_waypoints_says_by_how_much(tiny_run, tiny_prior_run, tmp_path, run):
    (tmp_path / "way.csv").write_text("t,x,y\n0,0,0\n4,-6,4\n")
    (tmp_path / "v.csv").write_text("t,forward,left,yaw_rate\n0,0,0.9,0\n4,0,0.9,0\n")
    base = ["plan", "--tokenizer", tiny_run, "--prior", tiny_prior_run, "--samples", 1]
    base += ["-o", tmp_path / "codes.npy", "--json"]
    for given, words in (
        (["--waypoints", tmp_path / "way.csv"], "from its waypoints' path on average"),
        (["--velocity-profile", tmp_path / "v.csv"], "from the places to which its velocities"),
    ):
        code, said, noted = run(*base, *given)
        assert code == 0, noted
        result = json.loads(said)
        assert result["end_error_m"] > 0.5, "a hardly trained prior goes elsewhere"
        assert f"the plan is {result['path_error_m']:.2f} m {words}" in noted
        assert f"{result['end_error_m']:.2f} m at its end" in noted
    # Who stops short of the last waypoint is told what to do.
    (tmp_path / "far.csv").write_text("x,y\n-4,0\n")
    for name, advice in (("way", "or give later times"), ("far", "or lower --speed")):
        code, _, noted = run(*base, "--waypoints", tmp_path / f"{name}.csv", "--seconds", 2)
        assert code == 0, noted
        assert f"`--end X Y YAW` arrives; {advice}, or raise --seconds" in noted
    code, _, noted = run(*base, "--velocity-profile", tmp_path / "v.csv")
    assert "--end" not in noted
    # What is near is not told.
    (tmp_path / "stay.csv").write_text("t,x,y\n0,0,0\n0.2,0.02,0\n")
    code, said, noted = run(*base, "--waypoints", tmp_path / "stay.csv", "--seconds", 0.2)
    assert code == 0, noted
    assert json.loads(said)["end_error_m"] < 0.5
    assert "on average" not in noted


def test_a_plan_goes_onto_a_robot(tiny_run, tiny_prior_run, tmp_path, run):
    pytest.importorskip("pinocchio", reason="needs: pip install pin example-robot-data")
    from motiontok.robots import Trajectory

    (tmp_path / "v.csv").write_text("t,forward,left,yaw_rate\n0,1,0,0\n")
    code, _, error = run(
        "plan", "--tokenizer", tiny_run, "--prior", tiny_prior_run / "prior", "--samples", 2,
        "--velocity-profile", tmp_path / "v.csv", "--seconds", 1, "--robot", "skeleton",
        "-o", tmp_path / "codes.npy",
    )  # fmt: skip
    assert code == 0, error
    trajectory = Trajectory.load(tmp_path / "codes.robot.npz")
    assert len(trajectory) == 30
