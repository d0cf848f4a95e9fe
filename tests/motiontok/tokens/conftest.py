"""A tiny tokenizer, its folder, and a motion."""

from __future__ import annotations

import shutil

import pytest

from bvh import procedural
from motiontok import MotionTokenizer


@pytest.fixture(scope="module")
def tokenizer(tiny_run):
    return MotionTokenizer.from_pretrained(tiny_run)


@pytest.fixture(scope="module")
def motion():
    return procedural.make("walk", seconds=2.5, seed=123)


@pytest.fixture
def folder(tiny_run, tmp_path):
    """A copy of the tokenizer's folder, to be damaged."""
    return shutil.copytree(tiny_run / "tokenizer", tmp_path / "tokenizer")
