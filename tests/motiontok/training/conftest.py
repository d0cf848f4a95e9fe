"""Data of a few short clips."""

from __future__ import annotations

import pytest

from bvh import procedural
from motiontok.config import load_config
from motiontok.data.clips import Clips, ClipSet
from motiontok.data.training_data import make_training_data


@pytest.fixture(scope="module")
def data(tiny_settings):
    """Windows of three short clips."""
    motions = procedural.dataset(4, seconds=2.0, seed=0)
    config = load_config("demo", tiny_settings)
    return make_training_data(Clips((ClipSet("made", motions[:3], motions[3:]),), ""), config.data)
