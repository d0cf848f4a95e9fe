"""Drawing tokens from log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motiontok.models.sampling import draw_tokens


def log_probabilities(*values):
    return torch.tensor(values, dtype=torch.float32).log()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_frequencies_are_probabilities(temperature):
    q = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    generator = torch.Generator().manual_seed(0)
    drawn = draw_tokens(
        q.log().expand(100_000, 5), temperature=temperature, generator=generator
    ).numpy()
    expected = (q ** (1 / temperature)).double().numpy()
    counts = np.bincount(drawn, minlength=5)
    assert counts[1] == 0
    np.testing.assert_allclose(counts / 100_000, expected / expected.sum(), atol=6e-3)


def test_greedy_takes_the_most_likely():
    assert draw_tokens(log_probabilities(0.2, 0.5, 0.3), temperature=0.0) == 1


@pytest.mark.parametrize("only", [0, 3])
def test_a_certain_token_is_always_drawn(only):
    """Also the first and the last one, where rounding could lead past the end."""
    q = torch.zeros(5000, 4)
    q[:, only] = 1.0
    assert (draw_tokens(q.log(), generator=torch.Generator().manual_seed(1)) == only).all()


def test_positions_and_seeds_are_independent():
    logq = torch.full((64, 3, 16), 1 / 16).log()
    one, again, other = (
        draw_tokens(logq, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert one.shape == (64, 3)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one[:, 0], one[:, 1])
