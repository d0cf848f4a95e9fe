"""The display of long jobs."""

from __future__ import annotations

import numpy as np
import pytest

from motiontok import progress as module
from motiontok.progress import WHOLE, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.delenv("RANK", raising=False)
    return now


def test_an_eta_is_by_what_was_done_since_the_beginning(clock, capsys):
    with progress("walking", 100) as update:
        clock[0] += 20.0
        update(20, "well")
    assert capsys.readouterr().err == "walking 20/100, ETA 80 s  well\n"


def test_what_was_done_before_a_resume_says_nothing_of_the_speed(clock, capsys):
    with progress("training", 1000) as update:
        clock[0] += 5.0
        update(800, before=800)
        clock[0] += 20.0
        update(820)
        clock[0] += 180.0
        update(1000)
    assert capsys.readouterr().err == "training 820/1000, ETA 180 s\ntraining 1000/1000\n"


def test_other_processes_say_nothing(clock, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with progress("walking", 2) as update:
        update(1, before=0)
        update(2)
    assert capsys.readouterr().err == ""


def test_shares_of_a_whole_are_shown_in_per_cent(clock, capsys):
    with progress("training", None) as update:
        clock[0] += 20.0
        update(432, "well")
        clock[0] += 40.0
        update(WHOLE)
    assert capsys.readouterr().err == "training 43 %, ETA 26 s  well\ntraining 100 %\n"


def test_shares_of_a_whole_are_shown_in_per_cent_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress("training", None) as update:
        update(WHOLE)
    said = capsys.readouterr().err
    assert "100%" in said
    assert f"{WHOLE}" not in said.replace("100%", "")


def test_progress_on_a_pipe_is_lines_with_an_eta(capsys, monkeypatch):
    clock = iter(np.arange(0, 1000, 6.0))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with module.progress("working", 5) as update:
        for done in range(1, 6):
            update(done, f"psnr {done}")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "working 2/5, ETA 18 s  psnr 2",
        "working 4/5, ETA 6 s  psnr 4",
        "working 5/5  psnr 5",
    ]


def test_progress_on_a_terminal_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with module.progress("working", 4) as update:
        update(1, before=1)
        update(2)
        update(4, "psnr 30", total=4)
    said = capsys.readouterr().err
    assert "working" in said
    assert "4/4" in said
    assert "psnr 30" in said
