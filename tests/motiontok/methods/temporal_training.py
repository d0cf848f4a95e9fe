"""A short training of a tokenizer of whole clips, which more than one file of tests does."""

from __future__ import annotations

from motiontok.methods import MotionNetworks
from motiontok.training import train


def train_on(config, made_data, out, *, resume=False, update=None):
    """A run of ``config`` on stretches of four windows."""
    return train(
        config,
        data=made_data.stretched(4),
        networks=MotionNetworks(config, statistics=made_data.statistics),
        out=out,
        resume=resume,
        update=update,
    )
