"""Locally optimised product quantisation decoded by a network, and its search for codes."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from motiontok.config import parse_config
from motiontok.errors import ConfigError
from motiontok.methods import make_method
from motiontok.methods.image_networks import image_networks
from motiontok.models import LopqPolicy

CODES, VOCAB = 4, 16


def digits(count=400, seed=0):
    """Binary images of a bar: where it is, how wide and how much it leans."""
    generator = torch.Generator().manual_seed(seed)
    place, width, lean = torch.rand(3, count, 1, 1, generator=generator).unbind()
    rows, columns = torch.arange(28.0)[:, None], torch.arange(28.0)
    middle = 6 + 16 * place + (rows - 14) * (lean - 0.5)
    inside = (columns - middle).abs() < 1 + 3 * width
    return (inside & (rows > 3) & (rows < 24)).float()[:, None]


def method(name="lopq-net", **model):
    sizes = {"codes_per_window": CODES, "vocab_size": VOCAB, "components": 32, "bases": 4}
    config = parse_config(
        {
            "data": {"dataset": "mnist"},
            "model": sizes | {"decoder_width": 32} | model,
            "method": {"name": name},
        },
        "test",
    )
    made = make_method(config, image_networks(config))
    made.fit(lambda count: digits()[:count], torch.Generator().manual_seed(0))
    return made


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    made, x = method(), digits()
    optimizer = torch.optim.Adam(made.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        made.training_step(x, 0.0, torch.Generator()).loss.backward()
        optimizer.step()
    return made.eval()


@torch.no_grad()
def log_p(made, x, codes):
    return made.likelihood.log_density(x, made.decode_parameters(codes))


def test_it_starts_as_the_quantiser():
    made, x = method(), digits(50, seed=1)
    codes = made.encode(x)
    start = made.likelihood.around(made.quantizer.decode(codes), made.decoder.square)
    assert torch.equal(made.decode_parameters(codes), start)


def test_training_gains_on_images_it_has_not_seen(trained):
    x, before = digits(200, seed=2), method().eval()
    gained = log_p(trained, x, trained.encode(x)) - log_p(before, x, before.encode(x))
    assert gained.mean() > 10


def test_the_cell_kept_is_the_likeliest_of_the_nearest(trained):
    x = digits(20, seed=3)
    y = trained.quantizer.components(x)
    kept = log_p(trained, x, trained.encode(x))
    near = trained.quantizer.cell_scores(y).argsort(dim=1, descending=True)[:, :8]
    tried = torch.stack(
        [log_p(trained, x, trained.quantizer.quantize(y, c)) for c in near.unbind(dim=1)]
    )
    torch.testing.assert_close(kept, tried.amax(dim=0))


def test_effort_never_errs_more_and_ends_where_no_token_alone_gains(trained):
    x = digits(40, seed=4)
    rounds = [trained.encode(x, effort=n) for n in (1, 2, 3, 50)]
    for fewer, more in pairwise(rounds):
        assert (log_p(trained, x, more) >= log_p(trained, x, fewer) - 1e-3).all()
    assert log_p(trained, x, rounds[1]).mean() > log_p(trained, x, rounds[0]).mean() + 0.5
    last, quantizer = rounds[-1], trained.quantizer
    z = quantizer.coordinates(quantizer.components(x), last[:, 0])
    for token in range(1, CODES):
        near = quantizer.word_scores(z, last, token).topk(8).indices
        for value in near.unbind(dim=1):
            other = last.clone()
            other[:, token] = value
            assert (log_p(trained, x, other) <= log_p(trained, x, last) + 1e-3).all()


def test_codes_of_an_image_do_not_hang_on_its_company(trained):
    x = digits(30, seed=5)
    alone = torch.cat([trained.encode(one, effort=3) for one in x.split(1)])
    assert torch.equal(alone, trained.encode(x, effort=3))


def test_a_temperature_draws_from_the_quantisers_policy(trained):
    x = digits(50, seed=6)
    drawn = [
        trained.encode(x, temperature=1.0, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    logq = LopqPolicy(trained.quantizer).log_probabilities(x, drawn[0][:, None])[:, 0]
    mean = logq.gather(2, drawn[0][..., None]).sum(dim=1).mean()
    assert mean > -CODES * math.log(VOCAB)


def test_the_quantiser_stays_as_it_was_fitted():
    made, x = method(), digits()
    before = {name: tensor.clone() for name, tensor in made.quantizer.state_dict().items()}
    result = made.training_step(x, 0.5, torch.Generator())
    result.loss.backward()
    assert not list(made.quantizer.parameters())
    assert all(torch.equal(t, before[n]) for n, t in made.quantizer.state_dict().items())
    assert result.codes.shape == (len(x), CODES)
    assert result.reconstruction.shape == x.shape


@pytest.mark.parametrize("name", ["lopq-net", "daps-lopq"])
def test_autocast_changes_nothing(name):
    losses = []
    for enabled in (False, True):
        torch.manual_seed(0)
        made, x = method(name=name), digits()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            result = made.training_step(x, 0.5, torch.Generator().manual_seed(1))
        losses.append(result.loss.detach())
    assert losses[0] == losses[1]


def test_it_needs_a_cell_and_a_word():
    with pytest.raises(ConfigError, match="at least 2 for lopq-net"):
        method(codes_per_window=1)
