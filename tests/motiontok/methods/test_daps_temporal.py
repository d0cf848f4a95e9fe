"""DAPS over residual tokens: a run, its log, its resume, and the weight of the prior."""

from __future__ import annotations

import copy
import os
import signal

import pytest
import torch
from temporal_training import train_on

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.config import parse_config
from motiontok.corpus import encode_folder
from motiontok.data.clips import Clips, ClipSet
from motiontok.data.training_data import make_training_data
from motiontok.errors import DataError
from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.training.log import read_log

CODES, VOCAB = 16, 32

pytestmark = pytest.mark.usefixtures("short_start")


def config_of(*, warm_start=0.5, steps=12, **settings):
    return parse_config(
        {
            "data": {"window": 32},
            "model": {
                "codes_per_window": CODES,
                "vocab_size": VOCAB,
                "width": 16,
                "decoder_width": 16,
                "components": 128,
            },
            "method": {
                "name": "daps-temporal",
                "samples": 4,
                "ess_target": 0.5,
                "eta_start": 1.0,
                "beta_end": 0.3,
                "warm_start": warm_start,
            },
            "train": {
                "steps": steps,
                "batch_size": 4,
                "learning_rate": 1e-3,
                "evaluate_every": steps,
                "checkpoint_every": 6,
                "log_every": 1,
                **settings,
            },
        },
        "test",
    )


def trained(made_data, out, *, resume=False, update=None, **settings):
    return train_on(config_of(**settings), made_data, out, resume=resume, update=update)


@pytest.fixture(scope="module")
def short_run(made_data, tmp_path_factory):
    """The method of a run of twelve steps, and the run's folder."""
    out = tmp_path_factory.mktemp("run")
    return trained(made_data, out).method, out


def test_a_resumed_run_equals_an_unbroken_one_across_the_warm_start(short_run, made_data, tmp_path):
    whole = short_run[0].state_dict()
    rows = read_log(short_run[1] / "log.csv")[1:]
    # Before DAPS begins there is neither a policy's loss nor an effective sample size.
    assert [bool(row.get("ess")) for row in rows] == [False] * 6 + [True] * 6
    assert all(1 / 4 <= float(row["ess"]) <= 1.0 for row in rows[6:])

    def stop(done, *_, **__):
        if done == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trained(made_data, tmp_path / "parts", update=stop)
    parts = trained(made_data, tmp_path / "parts", resume=True).method.state_dict()
    assert not [name for name in whole if not torch.equal(whole[name], parts[name])]


@pytest.mark.parametrize("progress", [0.0, 0.75])
def test_draws_are_at_what_a_search_finds(short_run, made_data, progress):
    method = copy.deepcopy(short_run[0])
    method.policy.left.fill_(1e-6)  # a policy that leaves nothing to chance
    x = made_data.windows.stretched(4).batch(16, torch.Generator().manual_seed(1))
    greedy, sought = (method.encode_sequence(x, effort=n).flatten(0, 1) for n in (1, 3))
    assert (greedy != sought).any(dim=1).float().mean() > 0.1
    # Before DAPS begins, codes are greedy.
    expected = sought if progress else greedy
    codes = method.training_step(x, progress, torch.Generator().manual_seed(2)).codes
    assert (codes == expected).all(dim=1).float().mean() > 0.9


def test_codewords_move_by_what_was_quantised_in_all_its_bits(short_run, made_data, monkeypatch):
    method = copy.deepcopy(short_run[0])
    x = made_data.windows.stretched(4).batch(4, torch.Generator().manual_seed(1))
    before, expected, update = method.quantizer.words.clone(), [], ResidualQuantizer.update

    def watched(quantizer, latents, codes, generator):
        alone, draws = copy.deepcopy(quantizer), torch.Generator()
        draws.set_state(generator.get_state())
        with torch.autocast("cpu", enabled=False):
            update(alone, latents, codes, draws)
        expected.append(alone.words)
        update(quantizer, latents, codes, generator)

    monkeypatch.setattr(ResidualQuantizer, "update", watched)
    for progress in (0.0, 0.9):  # before DAPS begins and after
        with torch.autocast("cpu", dtype=torch.bfloat16):
            method.training_step(x, progress, torch.Generator().manual_seed(2))
        assert torch.equal(method.quantizer.words, expected[-1])
        assert not torch.equal(method.quantizer.words, before)


def test_the_trust_region_is_set_by_the_effective_sample_size(made_data, tmp_path):
    trained(made_data, tmp_path, warm_start=0.0, steps=50)
    rows = read_log(tmp_path / "log.csv")
    late = [float(row["ess"]) for row in rows[-20:]]
    assert abs(sum(late) / len(late) - 0.5) < 0.15


def test_the_prior_learns_and_its_weight_buys_nats_with_error(made_data, tmp_path):
    method = trained(made_data, tmp_path, warm_start=1.0, steps=80, learning_rate=3e-3).method
    kl = [float(row["kl"]) for row in read_log(tmp_path / "log.csv")[1:]]
    assert sum(kl[-20:]) < sum(kl[:20])
    x = made_data.windows.stretched(4).batch(16, torch.Generator().manual_seed(1))
    nats, errors = [], []
    frames = method.error.frames(x)
    for weight in (0.1, 1.0, 4.0):
        codes = method.encode_sequence(x, effort=4, rate_weight=weight)
        nats.append(float(method.nats(codes).sum(dim=-1).mean()))
        found = method.error.frames(method.decode_sequence(codes))
        errors.append(float(method.error.by_frame(found, frames).detach().mean()))
    assert nats[2] < nats[1] < nats[0]
    assert errors[0] < errors[2], (nats, errors)

    tokenizer = MotionTokenizer(method, made_data.statistics)
    motion = procedural.make("walk", seconds=6.0, seed=5)
    plain, cheap = (tokenizer.encode(motion, effort=4, rate_weight=w) for w in (0.0, 4.0))
    assert tokenizer.nats(plain).shape == plain.shape
    assert tokenizer.nats(cheap).sum() < tokenizer.nats(plain).sum()
    with pytest.raises(DataError, match="rate_weight must be 0 or positive"):
        tokenizer.encode(motion, rate_weight=-1.0)
    # A search would pass over the temperature.
    with pytest.raises(DataError, match="temperature 1 draws codes and an effort of 3 searches"):
        tokenizer.encode(motion, temperature=1.0, effort=3)
    assert tokenizer.encode(motion, temperature=1.0, effort=1).shape == plain.shape


def test_a_temperature_draws_codes_from_the_policy(short_run, made_data):
    method = short_run[0]
    x = made_data.validation[:8].unflatten(0, (2, 4))
    drawn = [
        method.encode_sequence(x, temperature=t, generator=torch.Generator().manual_seed(seed))
        for t, seed in ((1e-4, 0), (1.0, 0), (1.0, 0), (1.0, 1), (8.0, 0))
    ]
    greedy = method.encode_sequence(x)
    # The quantiser's codes, where nothing is left to chance; a token may have two nearest words.
    assert (drawn[0] == greedy).float().mean() > 0.99
    assert torch.equal(drawn[1], drawn[2])
    assert not torch.equal(drawn[1], drawn[3])
    # The size is no choice of the policy's.
    assert all(torch.equal(codes[..., 0], greedy[..., 0]) for codes in drawn)

    # As many as are asked for, however they are found.
    for more in ({}, {"rate_weight": 1.0}, {"temperature": 1.0}):
        assert method.encode_sequence(x, first=3, **more).shape == (2, 4, 3)

    apart = [(codes != greedy).float().mean() for codes in drawn]
    assert apart[1] < apart[4]
    alone = method.encode(x[:, 0], temperature=8.0, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(alone, method.encode(x[:, 0]))


def test_log_q_is_of_the_distribution_that_a_temperature_of_1_draws_from(short_run, made_data):
    method = short_run[0]
    x = made_data.validation[:1].expand(4096, 1, -1, -1)
    drawn = method.encode_sequence(x, temperature=1.0, generator=torch.Generator().manual_seed(0))
    logq = method.code_log_probabilities(
        x[:1].expand(VOCAB, -1, -1, -1), _each_second_token(drawn[:1])
    )
    # Of a token all values together are certain, and each is drawn as often as is said.
    assert logq[:, 0, 1].exp().sum() == pytest.approx(1.0, abs=1e-4)
    found = torch.bincount(drawn[:, 0, 1], minlength=VOCAB) / len(drawn)
    assert (found - logq[:, 0, 1].exp()).abs().max() < 0.03
    other = drawn[:1].clone()
    other[..., 0] = (other[..., 0] + 1) % VOCAB
    assert method.code_log_probabilities(x[:1], other)[0, 0, 0] == -torch.inf
    assert method.code_log_probabilities(x[:1], drawn[:1])[0, 0, 0] == 0.0


def _each_second_token(codes):
    """As many windows as a token has values, each with another one as its second token."""
    every = codes.expand(VOCAB, -1, -1).clone()
    every[:, 0, 1] = torch.arange(VOCAB)
    return every


def test_a_weight_of_rates_needs_a_prior(tiny_run, tmp_path):
    tokenizer = MotionTokenizer.from_pretrained(tiny_run)
    motion = procedural.make("walk", seconds=3.0, seed=5)
    with pytest.raises(DataError, match="has no prior of its own"):
        tokenizer.encode(motion, rate_weight=1.0)
    with pytest.raises(DataError, match="has no prior of its own"):
        tokenizer.nats(tokenizer.encode(motion))
    motion.save(tmp_path / "clips" / "walk.npz")
    with pytest.raises(DataError, match="has no prior of its own"):
        encode_folder(tmp_path / "clips", tmp_path / "out", tokenizer=str(tiny_run), rate_weight=1)


@pytest.mark.parametrize(("windows", "warm_start"), [(1, 0.0), (1, 0.5), (4, 0.0), (4, 0.5)])
def test_a_single_stretch_trains_without_a_loss_that_is_not_finite(windows, warm_start, tmp_path):
    # Its windows are codewords themselves: they leave nothing to the policy, nor to later tokens.
    one, other = (procedural.make("walk", seconds=5.0, seed=n)[: 32 * windows] for n in (1, 2))
    data = make_training_data(
        Clips((ClipSet("one", [one], [other]),), ""),
        parse_config({"data": {"window": 32, "mirror": False}}, "test").data,
    )
    trained(data, tmp_path, warm_start=warm_start)
    rows = read_log(tmp_path / "log.csv")[1:]
    assert rows[-1]["skipped"] == 0
    for name in ("kl", "policy_loss"):
        values = [row[name] for row in rows if row.get(name) is not None]
        assert torch.tensor(values).isfinite().all()
