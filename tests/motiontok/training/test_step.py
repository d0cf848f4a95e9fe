"""A training step: chunks, precision, and updates judged on the device."""

from __future__ import annotations

import copy
import math
import threading

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from motiontok.config import load_config
from motiontok.errors import ConfigError
from motiontok.methods import MotionNetworks, make_method
from motiontok.methods.gradient_accumulation import loss_in_chunks
from motiontok.training.updates import Updates


def make(settings, *more):
    config = load_config("demo", (*settings, 'method.name="daps"', *more))
    torch.manual_seed(0)
    return make_method(config, MotionNetworks(config, columns=3)), config


def windows(config, count=10):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, config.data.window, 3, generator=generator)


@pytest.mark.parametrize("name", ["daps", "daps-na", "daps-pq", "daps-lopq"])
@pytest.mark.parametrize("chunk", [1, 3, 9])
def test_gradients_and_metrics_do_not_depend_on_the_chunk(tiny_settings, name, chunk):
    found = []
    for size in (10, chunk):
        settings = (f'method.name="{name}"', "method.decoder_first=0.0", f"train.chunk={size}")
        method, config = make(tiny_settings, *settings)
        method, x = method.double(), windows(config).double()
        generator = torch.Generator().manual_seed(2)
        method.fit(lambda count, x=x: x, generator)
        result = method.training_step(x, 0.5, generator)
        (3.0 * result.loss).backward()
        metrics = {k: float(v) for k, v in result.metrics.items()}
        gradients = {k: p.grad for k, p in method.named_parameters() if p.grad is not None}
        found.append((float(result.loss.detach()), metrics, gradients, result.reconstruction))
    (loss, metrics, gradients, mean), (loss_, metrics_, gradients_, mean_) = found
    assert loss_ == pytest.approx(loss, rel=1e-10)
    assert metrics_ == pytest.approx(metrics, rel=1e-10)
    assert gradients_.keys() == gradients.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradients_[key], gradient, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mean_, mean)


def without_recall(method):
    method.recall = lambda x: None
    return method


@pytest.mark.parametrize("name", ["daps", "daps-pq"])
@pytest.mark.parametrize("chunk", [3, 10])
def test_what_sampling_has_computed_changes_no_gradient(tiny_settings, name, chunk):
    """Nor a metric."""
    settings = (f'method.name="{name}"', "method.decoder_first=0.0", f"train.chunk={chunk}")
    found = []
    for change in (lambda m: m, without_recall):
        method, config = make(tiny_settings, *settings)
        method = change(method).double()
        generator = torch.Generator().manual_seed(2)
        x = windows(config).double()
        method.fit(lambda count, x=x: x, generator)
        for p in method.policy.parameters():
            # Also of daps-pq's head, which starts at zeros.
            p.data += 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
        result = method.training_step(x, 0.5, generator)
        result.loss.backward()
        metrics = {k: float(v) for k, v in result.metrics.items()}
        gradients = {k: p.grad for k, p in method.named_parameters() if p.grad is not None}
        found.append((metrics, gradients))
    (metrics, gradients), (metrics_, gradients_) = found
    assert metrics == pytest.approx(metrics_, rel=1e-10)
    assert gradients.keys() == gradients_.keys()
    for key, gradient in gradients_.items():
        torch.testing.assert_close(gradients[key], gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["daps", "daps-pq"])
def test_products_of_sampling_are_not_computed_again(tiny_settings, name):
    """A token's share of the blocks that go on from token to token, and of the paper's head."""
    counted = []
    for change in (lambda m: m, without_recall):
        method, config = make(
            tiny_settings, f'method.name="{name}"', "method.decoder_first=0.0", "train.chunk=3"
        )
        generator, x = torch.Generator().manual_seed(2), windows(config)
        method.fit(lambda count, x=x: x, generator)
        with FlopCounterMode(display=False) as counter:
            change(method).training_step(x, 0.5, generator).loss.backward()
        counted.append(counter.get_total_flops())
    layers = [m for m in method.policy.blocks.modules() if isinstance(m, torch.nn.Linear)]
    # Keys and values of what is observed belong to no token.
    shared = [
        m for b in method.policy.blocks for m in (b.cross_attention.key, b.cross_attention.value)
    ]
    weights = sum(m.weight.numel() for m in layers) - sum(m.weight.numel() for m in shared)
    if name == "daps":
        weights += method.policy.head.out.weight.numel()
    tokens = len(x) * config.method.samples * config.model.codes_per_window
    assert counted[1] - counted[0] == 2 * tokens * weights


def test_sampling_keeps_nothing_where_that_does_not_pay(tiny_settings):
    method, config = make(tiny_settings)
    x = windows(config)
    assert method.recall(x) is not None
    assert method.recall(x[:1].expand(10**6, -1, -1)) is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert method.recall(x) is None
    assert make(tiny_settings, 'method.name="daps-na"')[0].recall(x) is None


def test_chunks_hold_one_part_at_a_time():
    weight = torch.nn.Parameter(torch.tensor(2.0))
    alive, most = 0, 0

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            nonlocal alive
            alive -= 1
            return g

    def part(rows):
        values = Watched.apply(weight * torch.arange(10.0)[rows])
        return values.sum(), (values,)

    loss, (kept,) = loss_in_chunks(part, [weight], batch=10, size=4)
    loss.backward()
    assert float(loss.detach()) == 90.0
    assert torch.equal(kept, 2.0 * torch.arange(10.0))
    assert float(weight.grad) == 45.0
    assert most == 1


def test_bfloat16_keeps_rewards_and_losses_in_float32(tiny_settings):
    losses = []
    for enabled in (False, True):
        method, config = make(tiny_settings)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            result = method.training_step(windows(config), 0.5, torch.Generator().manual_seed(2))
        result.loss.backward()
        assert result.loss.dtype == torch.float32
        assert all(v.dtype == torch.float32 for v in result.metrics.values())
        assert all(p.grad.dtype == torch.float32 for p in method.parameters())
        # The policy learns although sampling has cast its weights without gradients.
        assert method.policy.blocks[0].mlp[0].weight.grad.abs().max() > 0
        losses.append(float(result.metrics["reward"]))
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_an_unknown_precision_and_a_negative_chunk_are_refused():
    with pytest.raises(ConfigError, match="precision must be one of float32, bfloat16"):
        load_config("demo", ['train.precision="half"'])
    with pytest.raises(ConfigError, match="chunk must be 0 or positive"):
        load_config("demo", ["train.chunk=-1"])


def test_gradients_that_are_not_finite_change_nothing_and_are_counted(tiny_settings):
    """Neither weights nor moments nor the optimiser's count of steps."""
    method, config = make(tiny_settings)
    updates = Updates(method, config.train)
    x, generator = windows(config), torch.Generator().manual_seed(2)

    def step(factor):
        updates.step(factor * method.training_step(x, 0.5, generator).loss, 0.5)

    def state():
        optimizer = updates.optimizer.state_dict()["state"]
        moments = [v.clone() for s in optimizer.values() for v in s.values()]
        return [*(p.detach().clone() for p in method.parameters()), *moments]

    step(1.0)
    before = state()
    assert updates.counts() == (0, 0)
    for in_a_row, factor in enumerate((math.nan, math.inf), start=1):
        step(factor)
        assert updates.counts() == (in_a_row, in_a_row)
        assert all(torch.equal(a, b) for a, b in zip(before, state(), strict=True))
    step(1.0)
    assert updates.counts() == (2, 0)
    assert not all(torch.equal(a, b) for a, b in zip(before, state(), strict=True))


def test_gradients_are_clipped_by_output_channels_where_tokens_are_made_more(tiny_settings):
    method, config = make(tiny_settings)
    (layer,) = (m for m in method.modules() if isinstance(m, torch.nn.ConvTranspose1d))
    longest = layer.weight.detach().norm(dim=(0, 2))
    x, generator = windows(config), torch.Generator().manual_seed(2)
    loss = method.training_step(x, 0.5, generator).loss
    Updates(method, config.train).step(1e6 * loss, 0.5)
    torch.testing.assert_close(layer.weight.grad.norm(dim=(0, 2)), longest)


def test_a_copy_draws_from_its_own_weights(tiny_settings):
    """What was captured for the first method cannot be copied, and would be of its weights."""
    method, config = make(tiny_settings)
    x = windows(config)
    method._sampler._captured = threading.Lock()
    other = copy.deepcopy(method)
    for parameter in other.policy.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape)
    first, second = (m.draw(x, 4, torch.Generator().manual_seed(2)) for m in (method, other))
    assert not torch.equal(first, second)
    expected = other.policy.sample(x, 4, noise=noise_of(config, len(x)))[0]
    assert torch.equal(second, expected)


def noise_of(config, count):
    shape = (config.model.codes_per_window, count, 4)
    return torch.rand(shape, generator=torch.Generator().manual_seed(2)).permute(1, 2, 0)
