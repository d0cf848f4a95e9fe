"""A tiny prior over the tiny tokenizer's codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bvh import procedural
from motiontok import MotionTokenizer

CLIPS = [("walk", "active"), ("run", "active"), ("walk", "old"), ("turn-left", "old")]


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_run):
    return MotionTokenizer.from_pretrained(tiny_run)


@pytest.fixture(scope="session")
def labelled_clips(tmp_path_factory) -> Path:
    """Twelve motions whose files are named after action and style."""
    folder = tmp_path_factory.mktemp("labelled")
    for n in range(12):
        action, style = CLIPS[n % len(CLIPS)]
        kind = action if action in ("walk", "run") else "walk"
        motion = procedural.make(kind, seconds=5.0, seed=n)
        name = f"dataset-1_{action}_{style}_{n:03d}"
        motion = replace(motion, source=replace(motion.source, name=name))
        motion.save(folder / f"{name}.npz")
    return folder


@pytest.fixture(scope="session")
def tiny_prior_run(tiny_tokenizer, labelled_clips, tmp_path_factory) -> Path:
    """Folder of a finished prior run; not to be changed."""
    from motiontok.prior.runs import run_prior_training

    out = tmp_path_factory.mktemp("tiny-prior")
    run_prior_training(
        tiny_tokenizer,
        data=[labelled_clips],
        out=out,
        steps=60,
        shifts=4,
        width=16,
        layers=1,
        say=lambda line: None,
    )
    return out


@pytest.fixture(scope="session")
def tiny_prior(tiny_prior_run, tiny_tokenizer):
    from motiontok.prior import TokenPrior

    return TokenPrior.from_pretrained(tiny_prior_run / "prior", tokenizer=tiny_tokenizer)
