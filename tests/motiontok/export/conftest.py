"""A small tokenizer whose windows know each other."""

from __future__ import annotations

import pytest
import torch

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.config import parse_config
from motiontok.data.clips import Clips, ClipSet
from motiontok.data.training_data import make_training_data
from motiontok.methods import MotionNetworks
from motiontok.methods.quantizers import temporal
from motiontok.training import train


@pytest.fixture(scope="session")
def joining_tokenizer(tmp_path_factory):
    """Fitted, and networks that say something: their last layers are zero at first."""
    config = parse_config(
        {
            "data": {"window": 32},
            "model": {
                "codes_per_window": 4,
                "vocab_size": 32,
                "width": 16,
                "decoder_width": 16,
                "components": 64,
            },
            "method": {"name": "temporal"},
            "train": {"steps": 4, "batch_size": 8, "evaluate_every": 4, "checkpoint_every": 4},
        },
        "test",
    )
    motions = procedural.dataset(6, seconds=5.0, seed=0)
    ready = make_training_data(Clips((ClipSet("made", motions[:5], motions[5:]),), ""), config.data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporal, "_LINEAR_STEPS", 30)
        made = train(
            config,
            data=ready.stretched(4),
            networks=MotionNetworks(config, statistics=ready.statistics),
            out=tmp_path_factory.mktemp("joining"),
        ).method
    generator = torch.Generator().manual_seed(5)
    for network in (made.encoder, made.decoder):
        weight = network.layers[-1].weight
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return MotionTokenizer(made, ready.statistics)
