"""Drawn codes chosen anew so that feet stand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bvh.skeleton import JOINTS
from motiontok import MotionTokenizer
from motiontok.data import COLUMNS
from motiontok.evaluate.motion_metrics import foot_skate
from motiontok.prior import SamplingOptions, TokenPrior
from motiontok.prior.tokens import commands_of


@pytest.fixture(scope="module")
def tokenizer():
    return MotionTokenizer.from_pretrained("default")


@pytest.fixture(scope="module")
def prior(tokenizer):
    return TokenPrior.from_pretrained("default", tokenizer=tokenizer)


def walking(prior, velocity):
    """Planted and as drawn, ``(2, windows, codes)`` each."""
    asked = {"velocity": velocity, "seed": 0, "batch": 2}
    return tuple(
        prior.sample(3, **asked, options=SamplingOptions(plant=plant)) for plant in (True, False)
    )


@pytest.fixture(scope="module")
def walks(prior):
    return walking(prior, (1.0, 0.0))


def test_feet_of_planted_samples_slide_less_and_go_as_asked(tokenizer, prior):
    slides, errors = [], []
    # Feet of a walk straight on hardly slide as they are drawn.
    for codes in walking(prior, (0.5, 0.3)):
        motions = [tokenizer.decode(one).global_positions() for one in codes]
        slides.append(np.mean([foot_skate(p, truth=p, fps=30.0) for p in motions]))
        done = [commands_of(tokenizer.decode_features(one), 32) for one in codes]
        errors.append(np.abs(np.array(done) - [0.5, 0.3, 0.0]).mean())
    assert slides[0] < 0.8 * slides[1]
    assert errors[0] < errors[1]


def test_windows_that_are_given_stay(prior, walks):
    drawn = torch.from_numpy(walks[1])
    planted = prior.planted(drawn, given=2)
    torch.testing.assert_close(planted[:, :2], drawn[:, :2])
    assert (planted[:, 2] != drawn[:, 2]).any()
    assert planted.dtype == torch.long
    assert planted.min() >= 0
    assert planted.max() < prior.config.vocab_size
    # Nothing is random.
    torch.testing.assert_close(prior.planted(drawn, given=2), planted)


def test_what_is_held_to_a_command_does_it(prior, tokenizer, walks):
    drawn = torch.from_numpy(walks[1][:1])
    asked = torch.tensor([0.8, 0.0, 0.2]).expand(1, 3, 3)
    done = commands_of(tokenizer.decode_features(prior.planted(drawn, asked)[0].numpy()), 32)
    free = commands_of(tokenizer.decode_features(prior.planted(drawn)[0].numpy()), 32)
    wanted = [0.8, 0.0, 0.2]
    assert np.abs(done - wanted).mean() < 0.6 * np.abs(free - wanted).mean()


def test_heads_and_hands_are_held_as_drawn(tokenizer, walks):
    # Positions of joints do not say how they are turned.
    turned = [JOINTS.index(name) - 1 for name in ("Head", "LeftHand", "RightHand")]
    means = []
    for codes in walks:
        frames = np.stack([tokenizer.decode_features(one) for one in codes])
        frames = frames / np.asarray(tokenizer.statistics.scale)
        rotations = frames[..., COLUMNS["rotations"]].reshape(-1, 32, 21, 6)
        means.append(rotations[..., turned, :].mean(axis=1))
    assert np.sqrt(np.square(means[0] - means[1]).mean()) < 0.09


def test_codes_of_other_tokenizers_stay(tiny_prior):
    codes = torch.from_numpy(tiny_prior.sample(2, seed=0))
    torch.testing.assert_close(tiny_prior.planted(codes), codes)
