"""Commands in an empty folder, and what they must not leave behind."""

from __future__ import annotations

import pytest

import bvh
from bvh import procedural


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def motiontok(run, monkeypatch, tmp_path):
    """Run a command in this process and in an empty folder, with no cache of data."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    return lambda *arguments: Result(*run(*arguments))


@pytest.fixture
def refuses(motiontok, tmp_path):
    """A command that must end with one line, this exit code and nothing written."""

    def run(*arguments, code, words):
        before = listing(tmp_path)
        done = motiontok(*arguments)
        assert done.code == code, done.err
        lines = done.err.splitlines()
        assert lines[-1].startswith("error: ")
        # Progress and notes may come first, but no second line of the error.
        assert not [line for line in lines[:-1] if "rror" in line or "Traceback" in line]
        assert len(lines) <= 2, done.err
        for word in [words] if isinstance(words, str) else words:
            assert word in lines[-1], lines[-1]
        assert listing(tmp_path) == before
        return done

    return run


def listing(folder):
    """Every file with its contents, the data cache aside."""
    return {
        str(p): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
        if folder / "cache" not in (p, *p.parents)
    }


@pytest.fixture
def walk(tmp_path):
    """A clip of two seconds as BVH."""
    path = tmp_path / "walk.bvh"
    bvh.write(procedural.make("walk", seconds=2, seed=77).to_clip(), path)
    return path


@pytest.fixture
def codes(motiontok, tiny_run, walk, tmp_path):
    """Codes of that clip."""
    path = tmp_path / "codes.npy"
    assert motiontok("encode", walk, "-o", path, "--tokenizer", tiny_run).code == 0
    return path
