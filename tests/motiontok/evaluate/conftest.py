"""Files of comparisons, and commands."""

from __future__ import annotations

import pytest


@pytest.fixture
def write(tmp_path):
    def write(text, name="bench.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def command(run, monkeypatch, tmp_path):
    """Call the command line with no cache of data: exit code, output and errors."""
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    return run
