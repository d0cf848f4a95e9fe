"""A tokenizer of whole clips after a few steps, and a small DAPS model."""

from __future__ import annotations

import copy

import pytest
import torch
from daps_problems import enumerable
from temporal_training import trained

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.methods.daps.daps import (
    Daps,
)


@pytest.fixture(scope="module")
def run_of_60(short_start, made_data, tmp_path_factory):
    """What a run found, and its folder."""
    out = tmp_path_factory.mktemp("run")
    return trained(made_data, out, steps=60, evaluate_every=60, checkpoint_every=60), out


@pytest.fixture(scope="module")
def tokenizer(run_of_60, made_data):
    """One whose networks say something: their last layers are zero at first."""
    made = copy.deepcopy(run_of_60[0].method)
    generator = torch.Generator().manual_seed(5)
    for network in (made.encoder, made.decoder):
        weight = network.layers[-1].weight
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return MotionTokenizer(made, made_data.statistics)


@pytest.fixture(scope="module")
def motion():
    return procedural.make("dance", seconds=9.0, seed=8)


@pytest.fixture
def small() -> Daps:
    """A plain DAPS model, 4^3 sequences, in double precision, codes 3 for 4 frames."""
    return enumerable(samples=8)
