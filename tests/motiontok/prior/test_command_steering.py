"""Windows held to their commands while their codes are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from motiontok.errors import InputError
from motiontok.models import LopqQuantizer
from motiontok.prior import SamplingOptions
from motiontok.prior.command_steering import fit_command_steering
from motiontok.prior.lopq_codes import LopqCodes
from motiontok.prior.model import Conditions, PriorConfig, PriorModel
from motiontok.prior.rollout import PartialRollout

CODES, VOCAB, COMPONENTS = 6, 32, 24


@pytest.fixture(scope="module")
def windows():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3000, 8, 6, generator=generator) * torch.linspace(0.2, 3.0, 6)


@pytest.fixture(scope="module")
def model(windows):
    """A network that knows nothing, of codes whose windows go where their columns' means say."""
    torch.manual_seed(0)
    quantizer = LopqQuantizer(
        shape=(8, 6), codes=CODES, vocab_size=VOCAB, components=COMPONENTS, bases=4
    )
    quantizer.fit(lambda count: windows[:count], torch.Generator().manual_seed(0))
    config = PriorConfig(
        codes_per_window=CODES, vocab_size=VOCAB, width=16, layers=1, rank=4, components=COMPONENTS
    )
    model = PriorModel(config)
    model.local = LopqCodes(quantizer)
    model.says = torch.linspace(-0.3, 0.4, COMPONENTS * 3 + 3).reshape(-1, 3)
    fit_command_steering(model, quantizer.encode(windows))
    return model.eval()


def commands(model, codes):
    """What windows are made to mean: three weighted sums of their components."""
    return model.local.windows(codes) @ model.says[:-1] + model.says[-1]


def drawn(model, asked, *, tolerance, temperature_scale=1.0, past=0):
    seen = torch.randint(VOCAB, (len(asked), past, CODES), generator=torch.Generator())
    none = Conditions.none(len(asked), past + 1)
    none.commands[:, -1] = asked
    draft = PartialRollout(
        model,
        seen,
        none,
        samples=40,
        options=SamplingOptions(tolerance=tolerance),
        generator=torch.Generator().manual_seed(0),
    )
    draft.write(CODES, temperature_scale=temperature_scale)
    return draft.codes.unflatten(0, (len(asked), 40))


def test_what_codes_say_of_commands_adds_up(model):
    codes = torch.randint(VOCAB, (30, CODES), generator=torch.Generator().manual_seed(2))
    said = model.says[-1].expand(len(codes), -1)
    for n in range(CODES):
        effects = model.local.effects(n, model.says[:-1], codes[:, : min(n, model.local.head)])
        assert effects.shape == (30, VOCAB, 3)
        said = said + effects[torch.arange(30), codes[:, n]]
    torch.testing.assert_close(said, commands(model, codes), atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("past", [0, 1])
def test_windows_do_as_commanded(model, past):
    codes = torch.randint(VOCAB, (4, CODES), generator=torch.Generator().manual_seed(3))
    asked = commands(model, codes)

    def miss(tolerance):
        got = commands(model, drawn(model, asked, tolerance=tolerance, past=past).flatten(0, 1))
        return float((got.unflatten(0, (4, 40)) - asked[:, None]).square().mean().sqrt())

    free, loose, held = miss(math.inf), miss(1.0), miss(0.05)
    assert held < 0.5 * loose < 0.5 * free


def test_what_is_not_commanded_is_left_alone(model):
    asked = torch.full((2, 3), torch.nan)
    free = drawn(model, asked, tolerance=math.inf)
    torch.testing.assert_close(drawn(model, asked, tolerance=0.01), free)


def test_a_turn_alone_leaves_the_velocity_open(model):
    codes = torch.randint(VOCAB, (4, CODES), generator=torch.Generator().manual_seed(3))
    asked = commands(model, codes)
    asked[:, :2] = torch.nan
    free = commands(model, drawn(model, asked[:, :] * torch.nan, tolerance=1.0).flatten(0, 1))
    held = commands(model, drawn(model, asked, tolerance=0.05).flatten(0, 1))
    free, held = free.unflatten(0, (4, 40)), held.unflatten(0, (4, 40))
    wanted = asked[:, None, 2]

    def miss(got):
        return float((got[..., 2] - wanted).square().mean().sqrt())

    assert miss(held) < 0.5 * miss(free)
    # Velocities are as spread as they were.
    assert float(held[..., :2].std()) > 0.5 * float(free[..., :2].std())


def test_rows_that_are_kept_keep_their_command(model):
    asked = torch.tensor([[3.0, 1.0, 0.5], [-2.0, 0.0, -1.0]])
    none = Conditions.none(2, 1)
    none.commands[:, -1] = asked
    draft = PartialRollout(
        model,
        torch.zeros(2, 0, CODES, dtype=torch.long),
        none,
        samples=1,
        options=SamplingOptions(tolerance=0.05, temperature=0.0),
        generator=None,
    )
    draft.write(2)
    begun = draft.codes
    draft.take(torch.tensor([1, 1, 0]))
    draft.write(CODES)
    assert draft.codes[0].tolist() == draft.codes[1].tolist()
    torch.testing.assert_close(draft.codes[:, :2], begun[[1, 1, 0]])
    whole = drawn(model, asked, tolerance=0.05, temperature_scale=0.0)[:, 0]
    torch.testing.assert_close(draft.codes[[2, 0]], whole)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan])
def test_a_tolerance_must_be_positive(tolerance):
    with pytest.raises(InputError, match="tolerance must be positive"):
        SamplingOptions(tolerance=tolerance)
    assert np.isinf(SamplingOptions(tolerance=math.inf).tolerance)
