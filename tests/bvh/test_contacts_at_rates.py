"""Contacts are the same in time whatever the frame rate."""

from __future__ import annotations

import numpy as np
import pytest

from bvh.foot_contacts import standing


@pytest.mark.parametrize("times", [1, 2, 4, 8])
def test_noise_of_capture_moves_no_standing_foot_at_high_rates(times):
    noise = np.random.default_rng(0).normal(0.0, 0.0007, (40 * times, 3))
    assert standing(noise, np.ones(len(noise), dtype=bool), 30.0 * times).all()
