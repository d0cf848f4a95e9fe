"""Windows that are made of two: what is whose, and that rotations and positions agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from motiontok.config import parse_config
from motiontok.data import COLUMNS
from motiontok.data.body_part_mixing import PARTS, draw_parts, mixed
from motiontok.data.kinematics import joint_positions, orthonormal
from motiontok.errors import ConfigError

SIX = slice(COLUMNS["tilt"].start, COLUMNS["rotations"].stop)


def rotations(windows, statistics):
    return orthonormal(statistics.restore(windows)[..., SIX].unflatten(-1, (22, 6)))


def stated_positions(windows, statistics):
    return statistics.restore(windows)[..., COLUMNS["positions"]].unflatten(-1, (21, 3))


@pytest.mark.parametrize("stretch", [1, 3])
def test_parts_are_the_others_and_the_rest_is_ones_own(made_data, stretch):
    data = made_data.stretched(stretch)
    x, y = (data.batch(24, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    parts = draw_parts(24, 0.7, torch.Generator().manual_seed(2))
    kept, changed = (~parts.any(dim=1)).nonzero()[:, 0], parts.any(dim=1).nonzero()[:, 0]
    assert len(kept) > 3
    assert len(changed) > 8
    found = mixed(x, y, parts, data.statistics)
    assert torch.equal(found[kept], x[kept])
    own, other, made = (rotations(w, data.statistics) for w in (x, y, found))
    upper = {joint for part in PARTS for joint in part}
    lower = [joint for joint in range(22) if joint not in upper]
    assert len(upper) == 13
    torch.testing.assert_close(made[..., lower, :, :], own[..., lower, :, :], atol=1e-4, rtol=0)
    for part, joints in enumerate(PARTS):
        whose = parts[:, part].view(-1, *[1] * (made.dim() - 1))
        expected = torch.where(whose, other, own)[..., list(joints), :, :]
        torch.testing.assert_close(made[..., list(joints), :, :], expected, atol=1e-4, rtol=0)
    # Where the body goes, how high it is, and what stands.
    same = [i for name in ("yaw_rate", "velocity", "height", "contacts") for i in _columns(name)]
    torch.testing.assert_close(found[..., same], x[..., same], atol=1e-5, rtol=0)


def test_positions_are_those_of_the_rotations(made_data):
    x, y = (made_data.batch(24, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    found = mixed(x, y, draw_parts(24, 1.0, torch.Generator()), made_data.statistics)
    expected = joint_positions(rotations(found, made_data.statistics))[..., 1:, :]
    stated = stated_positions(found, made_data.statistics)
    torch.testing.assert_close(stated, expected, atol=1e-4, rtol=0)
    # Legs stay where they were.
    torch.testing.assert_close(
        stated[..., :8, :], stated_positions(x, made_data.statistics)[..., :8, :], atol=1e-3, rtol=0
    )


def test_processes_draw_the_same_and_a_share_of_0_changes_nothing(made_data):
    mixing = replace(made_data, mix=0.5)

    def batch(data, rows=slice(None)):
        return data.batch(16, torch.Generator().manual_seed(3), rows)

    whole = batch(mixing)
    assert torch.equal(batch(mixing, slice(5, 11)), whole[5:11])
    plain = batch(made_data)
    apart = (whole != plain).flatten(1).any(dim=1)
    assert 2 <= apart.sum() <= 14
    assert torch.equal(batch(replace(made_data, mix=0.0)), plain)


def test_a_share_is_drawn_as_often_as_it_says():
    parts = draw_parts(20_000, 0.5, torch.Generator().manual_seed(0))
    # Of a window that is mixed at least one of three parts is, but for 0.4 ** 3 of them.
    assert parts.any(dim=1).float().mean() == pytest.approx(0.5 * (1 - 0.4**3), abs=0.02)
    assert parts.float().mean() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_is_from_0_to_1(share):
    with pytest.raises(ConfigError, match=r"data.mix must be a share from 0 to 1"):
        parse_config({"data": {"mix": share}}, "test")


def _columns(name):
    return range(COLUMNS[name].start, COLUMNS[name].stop)
