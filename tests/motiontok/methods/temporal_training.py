"""A short training of a tokenizer of whole clips, which more than one file of tests does."""

from __future__ import annotations

from motiontok.config import parse_config
from motiontok.methods import MotionNetworks
from motiontok.training import train

CODES, VOCAB, WINDOW = 16, 64, 32


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


def config_of(*, window=WINDOW, codes=CODES, components=64, **settings):
    """A run of a few steps on sizes that do something."""
    return parse_config(
        {
            "data": {"window": window},
            "model": {
                "codes_per_window": codes,
                "vocab_size": VOCAB,
                "width": 16,
                "decoder_width": 16,
                "components": components,
            },
            "method": {"name": "temporal"},
            "train": {
                "steps": 12,
                "batch_size": 8,
                "learning_rate": 1e-3,
                "evaluate_every": 6,
                "checkpoint_every": 6,
                "log_every": 1,
                **settings,
            },
        },
        "test",
    )


def trained(made_data, out, *, resume=False, update=None, **settings):
    """A run of :func:`config_of`."""
    return train_on(config_of(**settings), made_data, out, resume=resume, update=update)
