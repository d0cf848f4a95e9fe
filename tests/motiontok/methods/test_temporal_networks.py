"""Methods around networks that are convolutional over time."""

from __future__ import annotations

import pytest
import torch
from tiny_methods import marked, needs_library, tiny_config

from motiontok import MotionTokenizer
from motiontok.config import load_config
from motiontok.data import FEATURES, Statistics
from motiontok.errors import ConfigError
from motiontok.methods import MotionNetworks, make_method
from motiontok.models.temporal_autoencoder import REACH, STRIDE
from motiontok.models.window_convolutions import TemporalReader, TemporalWindowDecoder
from motiontok.training.clipping import clip_adaptively

FRAMES, COLUMNS, CODES, VOCAB = 16, 3, 4, 8
NAMES = (
    "daps", "daps-na", "gumbel", "gumbel-na", "grmck", "grmck-na", "reinforce", "ppo",
    "vqvae", "fsq", "rvq", "lfq",
)  # fmt: skip
EVERY = marked(NAMES)


def make(name, *, columns=COLUMNS, frames=FRAMES, codes=CODES, networks="temporal"):
    torch.manual_seed(0)
    config = tiny_config(
        name,
        frames=frames,
        codes=codes,
        vocab=VOCAB,
        networks=networks,
        method={"samples": 4, "beta_start": 0.3, "eta_start": 1.0, "variance": 0.1},
    )
    return make_method(config, MotionNetworks(config, columns=columns))


def patterns(count, generator):
    """Windows that are one of eight smooth patterns and a little noise."""
    shapes = torch.randn(8, FRAMES // 4, COLUMNS, generator=torch.Generator().manual_seed(0))
    chosen = shapes[torch.randint(8, (count,), generator=generator)].repeat_interleave(4, dim=1)
    return chosen + 0.1 * torch.randn(chosen.shape, generator=generator)


@pytest.mark.parametrize("name", EVERY)
def test_a_step_reaches_every_convolution(name):
    method, generator = make(name), torch.Generator().manual_seed(1)
    x = patterns(64, generator)
    method.fit(lambda count: x[:count], generator)
    # The last layers of the networks are zero at first, and hide those before.
    for module in method.modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
            torch.nn.init.normal_(module.weight, std=0.1)
    method.train()
    method.training_step(x, 0.5, generator).loss.backward()
    convolutions = {n: m for n, m in method.named_modules() if "conv" in type(m).__name__.lower()}
    assert any("read" in n for n in convolutions)
    assert any(n.startswith("decoder") for n in convolutions)
    for layer in (m for m in convolutions.values() if m.weight.requires_grad):
        assert float(layer.weight.grad.abs().max()) > 0


@needs_library
@pytest.mark.parametrize("name", ["fsq", "gumbel-na", "daps"])
def test_short_training_beats_the_mean_window(name):
    method, generator = make(name), torch.Generator().manual_seed(1)
    x, held_out = patterns(256, generator), patterns(64, generator)
    groups = [{k: v for k, v in g.items() if k != "clip"} for g in method.parameter_groups()]
    optimizer = torch.optim.AdamW(groups, lr=5e-3)

    @torch.no_grad()
    def share_left():
        method.eval()
        error = (method.decode(method.encode(held_out)) - held_out).square().mean()
        return float(error / (held_out - x.mean(dim=0)).square().mean())

    for step in range(150):
        method.train()
        batch = x[torch.randint(256, (32,), generator=generator)]
        result = method.training_step(batch, step / 150, generator)
        optimizer.zero_grad()
        result.loss.backward()
        clip_adaptively(method.shared_parameters())
        optimizer.step()
        if step % 30 == 29 and share_left() < 0.75:
            break
    assert share_left() < 0.75


@torch.no_grad()
def test_what_is_read_moves_with_the_motion():
    """By a step of the latents; where the window's ends are within reach, zeros count, too."""
    torch.manual_seed(0)
    frames, steps = 160, 160 // STRIDE
    reader = TemporalReader(frames=frames, columns=COLUMNS, codes=steps, width=8)
    torch.nn.init.normal_(reader.encoder.layers[-1].weight)
    x = torch.randn(2, frames + STRIDE, COLUMNS)
    earlier, later = reader(x[:, :-STRIDE]), reader(x[:, STRIDE:])
    away = -(-REACH // STRIDE)
    inside = slice(away, steps - 1 - away)
    torch.testing.assert_close(earlier[:, 1:][:, inside], later[:, :-1][:, inside])
    assert not torch.allclose(earlier[:, :-1][:, inside], later[:, :-1][:, inside], atol=0.1)


@pytest.mark.parametrize("codes", [1, 2, 4, 8, 32])
@torch.no_grad()
def test_any_number_of_codes_fits_that_shares_a_grid_with_the_latents(codes):
    frames = 4 * STRIDE
    reader = TemporalReader(frames=frames, columns=COLUMNS, codes=codes, width=8)
    decoder = TemporalWindowDecoder(
        codes=codes, frames=frames, columns=COLUMNS, width=8, heads=2, layers=1
    )
    x = torch.randn(3, frames, COLUMNS)
    assert reader(x).shape == (3, codes, 8)
    assert decoder.synthesize(reader(x)).shape == x.shape


def test_sizes_without_a_common_grid_are_refused():
    with pytest.raises(ConfigError, match=r"data\.window must be a multiple of 4 .* got 6"):
        make("daps", frames=6, codes=6)
    with pytest.raises(ConfigError, match=r"codes_per_window 8: of it and the 6 latents"):
        make("daps", frames=24, codes=8)
    with pytest.raises(ConfigError, match="networks must be one of paper, temporal, got 'conv'"):
        make("daps", networks="conv")


def test_images_have_the_papers_networks_only():
    with pytest.raises(ConfigError, match="networks must be paper for images, got 'temporal'"):
        load_config("mnist", ["model.networks=temporal"])


def test_a_tokenizer_keeps_its_networks(tmp_path):
    frames = torch.randn(40, FEATURES, generator=torch.Generator().manual_seed(3))
    statistics = Statistics.fit(frames.unflatten(0, (-1, 4)))
    tokenizer = MotionTokenizer(make("gumbel-na", columns=FEATURES), statistics)
    tokenizer.save_pretrained(tmp_path)
    again = MotionTokenizer.from_pretrained(tmp_path)
    assert again.config.model.networks == "temporal"
    assert again.fingerprint == tokenizer.fingerprint
    features = frames[:32].double().numpy()
    assert (again.encode(features) == tokenizer.encode(features)).all()
