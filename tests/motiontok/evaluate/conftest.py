"""Files of comparisons, and commands."""

from __future__ import annotations

import sys

import pytest

from motiontok.cli.main import main


@pytest.fixture
def write(tmp_path):
    def write(text, name="bench.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["motiontok", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as exit:
            code = exit.code or 0
        return code, *capfd.readouterr()

    return run
