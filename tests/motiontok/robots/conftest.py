"""The command line as it is for robots' tests."""

from __future__ import annotations

from types import SimpleNamespace

import pytest


@pytest.fixture
def done(run):
    """Call the command line in this process: what a process would return and print."""
    names = ("returncode", "stdout", "stderr")
    return lambda *words: SimpleNamespace(**dict(zip(names, run(*words), strict=True)))
