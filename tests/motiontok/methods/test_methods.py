"""Every registered method, through the one interface they share."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from tiny_methods import LIBRARY, marked, needs_library, tiny_config

from motiontok import MotionTokenizer
from motiontok.config import parse_config
from motiontok.data import FEATURES, Statistics, WindowSet
from motiontok.data.training_data import TrainingData
from motiontok.errors import ConfigError, MissingDependencyError
from motiontok.methods import METHODS, MotionNetworks, make_method
from motiontok.methods.quantizers.fsq import levels
from motiontok.training import train
from motiontok.training.clipping import clip_adaptively
from motiontok.training.log import read_log

FRAMES, COLUMNS, CODES, VOCAB = 4, 3, 2, 8
EVERY = marked(METHODS)
TEMPORAL = ("temporal", "daps-temporal")
TRAINED = [p for p in EVERY if p.values[0] not in ("lopq", "pca-pq")]

pytestmark = pytest.mark.usefixtures("short_start")


def config_of(name, *, vocab=VOCAB, codes=CODES, frames=FRAMES, **train):
    return tiny_config(
        name,
        frames=frames,
        codes=codes,
        vocab=vocab,
        components=32 if name in TEMPORAL else 512,
        method={"samples": 4, "beta_start": 0.3, "variance": 0.1},
        train={"batch_size": 64, **train},
    )


def make(name, **sizes):
    torch.manual_seed(0)
    config = config_of(name, **sizes)
    method = make_method(config, MotionNetworks(config, columns=columns_of(name)))
    if hasattr(method, "log_eta"):
        # Where the runs of these tests would get to only after thousands of steps.
        method.log_eta.data.fill_(0.0)
    return method


def columns_of(name):
    """What temporal autoencoders are trained on is motion, all columns of it."""
    return FEATURES if name in TEMPORAL else COLUMNS


def patterns(count, generator, columns=COLUMNS):
    """Windows that are one of eight patterns and a little noise."""
    shapes = torch.randn(8, FRAMES, columns, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(count, FRAMES, columns, generator=generator)
    return shapes[torch.randint(8, (count,), generator=generator)] + 0.1 * noise


def prepared(name, **sizes):
    """A method that has seen its training windows, these, and its generator."""
    method, generator = make(name, **sizes), torch.Generator().manual_seed(1)
    x = patterns(256, generator, columns_of(name))
    method.fit(lambda count: x[:count], generator)
    return method, x, generator


@torch.no_grad()
def error(method, x):
    method.eval()
    return float(((method.decode(method.encode(x)) - x) ** 2).mean())


def optimise(method, x, generator, steps, *, first=0, of=None):
    groups = method.parameter_groups()
    for group in groups:
        group.pop("clip")
    optimizer = torch.optim.AdamW(groups, lr=5e-3)
    for step in range(first, first + steps):
        method.train()
        batch = x[torch.randint(len(x), (64,), generator=generator)]
        result = method.training_step(batch, step / (of or steps), generator)
        optimizer.zero_grad()
        result.loss.backward()
        clip_adaptively(method.shared_parameters())
        optimizer.step()


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_step_is_finite_and_reaches_encoder_and_decoder(name):
    method, x, generator = prepared(name)
    method.train()
    result = method.training_step(x[:8], 0.5, generator)
    assert result.loss.dim() == 0
    assert result.loss.isfinite()
    assert all(v.isfinite() and not v.requires_grad for v in result.metrics.values())
    assert result.codes.shape == (8, CODES)
    assert result.reconstruction.numel() == 8 * FRAMES * columns_of(name)
    assert not result.reconstruction.requires_grad
    result.loss.backward()
    gradients = {n: p.grad for n, p in method.named_parameters() if p.grad is not None}
    assert all(g.isfinite().all() for g in gradients.values())
    moved = {n.partition(".")[0] for n, g in gradients.items() if g.abs().max() > 0}
    assert "decoder" in moved
    # lopq-net encodes with its fitted quantiser and by search: nothing there has a gradient.
    assert moved & {"policy", "encoder"} or method.config.method.name == "lopq-net"


@pytest.mark.parametrize("name", EVERY)
def test_encoding_is_deterministic_and_in_range(name):
    method, x, _ = prepared(name)
    method.eval()
    codes = method.encode(x)
    assert codes.shape == (256, CODES)
    assert codes.dtype == torch.int64
    assert 0 <= int(codes.min()) <= int(codes.max()) < VOCAB
    assert torch.equal(codes, method.encode(x))
    # Neither the batch nor its size matters, nor does encoding change anything.
    assert torch.equal(codes[10:13], method.encode(x[10:13]))
    state = {k: v.clone() for k, v in method.state_dict().items()}
    method.train()
    method.encode(x[:5])
    assert method.training
    assert all(torch.equal(v, method.state_dict()[k]) for k, v in state.items())


@pytest.mark.parametrize("name", EVERY)
@torch.no_grad()
def test_every_code_decodes_to_a_window(name):
    method, _, _ = prepared(name)
    method.eval()
    codes = torch.randint(VOCAB, (7, CODES), generator=torch.Generator().manual_seed(2))
    codes[0], codes[1] = 0, VOCAB - 1
    out = method.decode(codes)
    assert out.shape == (7, FRAMES, columns_of(name))
    assert out.isfinite().all()
    torch.testing.assert_close(method.decode(codes[3:4])[0], out[3], atol=1e-5, rtol=1e-5)


# The beam of temporal is of latents: test_temporal has what it promises.
@pytest.mark.parametrize("name", [p for p in EVERY if p.values[0] not in TEMPORAL])
@torch.no_grad()
def test_effort_never_reconstructs_worse(name):
    method, x, generator = prepared(name)
    method.eval()

    def errors(codes):
        return ((method.decode(codes) - x) ** 2).mean(dim=(1, 2))

    better = errors(method.encode(x, effort=4, generator=generator))
    assert (better <= errors(method.encode(x)) + 1e-6).all()


# What temporal is fitted to here has nothing left to learn: test_temporal trains it on more.
@pytest.mark.parametrize("name", [p for p in TRAINED if p.values[0] not in TEMPORAL])
def test_short_training_beats_the_mean_window(name):
    method, x, generator = prepared(name)
    held_out = patterns(128, generator)
    variance = float(((held_out - x.mean(dim=0)) ** 2).mean())
    before = error(method, held_out)
    for first in range(0, 240, 40):
        optimise(method, x, generator, 40, first=first, of=240)
        if (after := error(method, held_out)) < 0.75 * variance:
            break
    assert after < 0.75 * variance
    assert after < before


@pytest.mark.parametrize("name", TRAINED)
def test_one_seed_is_one_result_whatever_the_global_state(name):
    codebooks = name in ("vqvae", "rvq")

    def run(global_seed):
        # A codebook too large for the data, long enough for dead codes to be replaced.
        method, x, generator = prepared(name, vocab=64 if codebooks else VOCAB)
        torch.manual_seed(global_seed)
        optimise(method, x, generator, 30 if codebooks else 3)
        return torch.cat([v.flatten().double() for v in method.state_dict().values()])

    assert torch.equal(run(1), run(2))


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_is_in_one_group_and_only_matrices_decay(name):
    method = make(name)
    names = {id(p): n for n, p in method.named_parameters() if p.requires_grad}
    groups = method.parameter_groups()
    assert sorted(id(p) for g in groups for p in g["params"]) == sorted(names)
    decayed = [names[id(p)] for g in groups if g["weight_decay"] for p in g["params"]]
    assert decayed
    assert not [n for n in decayed if any(w in n for w in ("norm", "bias", "table", "eta"))]


def tiny_windows():
    """Training windows with all feature columns, held out too."""
    rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(3))
    mix = torch.randn(3, FEATURES, generator=torch.Generator().manual_seed(4))
    features = (rows @ mix).double().numpy()
    statistics = Statistics.fit(torch.tensor(features, dtype=torch.float32).unflatten(0, (-1, 4)))
    windows = WindowSet([features], FRAMES, statistics)
    return TrainingData(windows, windows.enumerated(), statistics, "tiny")


@pytest.mark.parametrize("name", EVERY)
def test_a_tokenizer_of_every_method_survives_saving(name, tmp_path):
    data = tiny_windows()
    config = config_of(name, steps=2, evaluate_every=2, checkpoint_every=2, log_every=1)
    trained = train(config, data=data, networks=MotionNetworks(config), out=tmp_path / "run")
    tokenizer = MotionTokenizer(trained.method, data.statistics)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    again = MotionTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert again.fingerprint == tokenizer.fingerprint
    features = data.windows.frames.double().numpy()
    codes = tokenizer.encode(features)
    assert (codes == again.encode(features)).all()
    assert (tokenizer.decode_features(codes) == again.decode_features(codes)).all()


@pytest.mark.parametrize("name", EVERY)
def test_a_method_takes_steps_if_it_has_anything_to_train(name):
    assert METHODS[name].takes_steps == bool(make(name).shared_parameters())


def test_a_method_without_parameters_is_fitted_and_the_run_ends(tmp_path):
    data = tiny_windows()
    config = config_of("pca-pq", steps=10**6, time_budget=60.0)
    trained = train(config, data=data, networks=MotionNetworks(config), out=tmp_path)
    assert trained.step == 0
    assert trained.validation["mse"] < float((data.validation**2).mean())
    (row,) = read_log(tmp_path / "log.csv")
    assert row["val_mse"] == pytest.approx(trained.validation["mse"])
    assert (tmp_path / "checkpoint.safetensors").is_file()
    with pytest.raises(NotImplementedError, match="takes no training steps"):
        trained.method.training_step(data.validation, 0.0, torch.Generator())


@pytest.mark.parametrize(
    ("vocab", "expected"),
    [
        (1000, (10, 10, 10)),
        (512, (8, 8, 8)),
        (240, (8, 6, 5)),
        (1024, (16, 8, 8)),
        (256, (8, 8, 4)),
        (64, (8, 8)),
        (16, (16,)),
        (3, (3,)),
    ],
)
def test_fsq_levels_multiply_to_the_vocabulary(vocab, expected):
    assert levels(vocab) == expected
    assert math.prod(expected) == vocab


@pytest.mark.parametrize("vocab", [2, 1021, 2 * 1021])
def test_fsq_refuses_a_vocabulary_without_levels_and_names_a_near_one(vocab):
    with pytest.raises(ConfigError, match=rf"model.vocab_size {vocab} .*; (\d+) is$") as caught:
        levels(vocab)
    levels(int(str(caught.value).split()[-2]))


@needs_library
def test_lfq_refuses_what_is_no_power_of_two():
    with pytest.raises(ConfigError, match=r"vocab_size 12 is no power of two.*; 8 is"):
        make("lfq", vocab=12)


@needs_library
@pytest.mark.parametrize(("codes", "frames", "depth"), [(8, 4, 4), (6, 3, 2), (3, 3, 3), (1, 4, 1)])
def test_rvq_stacks_as_many_codewords_as_fit(codes, frames, depth):
    method = make("rvq", codes=codes, frames=frames)
    assert method.tokens * depth == codes
    x = torch.randn(5, frames, COLUMNS)
    method.eval()
    assert method.decode(method.encode(x)).shape == x.shape


@needs_library
@torch.no_grad()
def test_rvq_codes_of_a_token_go_from_coarse_to_fine():
    method, x, _ = prepared("rvq", codes=4)
    latents = method.encoder(x)
    codes = method.encode(x)
    errors = []
    for kept in range(1, 5):
        partial = codes.clone()
        partial[:, kept:] = -1  # the library's sign for a codeword left out
        errors.append(float(((method.look_up(partial) - latents) ** 2).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0]


def test_reinforce_needs_a_second_sample():
    config = config_of("reinforce").to_dict()
    config["method"]["samples"] = 1
    with pytest.raises(ConfigError, match=r"method\.samples must be at least 2"):
        make_method(parsed := parse_config(config, "test"), MotionNetworks(parsed))


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_a_missing_library_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "vector_quantize_pytorch", None)
    with pytest.raises(MissingDependencyError, match=r"motiontok\[baselines\]"):
        make(name)


def test_an_unknown_method_is_answered_with_all_of_them():
    config = config_of("daps").to_dict()
    config["method"]["name"] = "dap"
    with pytest.raises(ConfigError) as caught:
        make_method(parsed := parse_config(config, "test"), MotionNetworks(parsed))
    assert all(name in str(caught.value) for name in METHODS)
