"""What only a GPU can show: the captured sampler, bfloat16, and steps that wait for nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from test_methods import EVERY, patterns
from test_methods import make as make_small

from motiontok.config import load_config
from motiontok.methods import MotionNetworks, make_method
from motiontok.training.updates import Updates

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device: tools/gpu_run.py runs it on one"
)


def make(settings, *more):
    config = load_config("demo", (*settings, 'method.name="daps"', *more))
    torch.manual_seed(0)
    return make_method(config, MotionNetworks(config)).cuda(), config


def windows(config, count=16):
    generator = torch.Generator("cuda").manual_seed(1)
    return torch.randn(count, config.data.window, 203, generator=generator, device="cuda")


@pytest.mark.filterwarnings("error")
def test_the_captured_sampler_draws_what_the_loop_draws(tiny_settings):
    method, config = make(tiny_settings)
    for count in (16, 16, 4):
        x = windows(config, count)
        found = method.draw(x, 4, torch.Generator("cuda").manual_seed(2))
        noise = torch.rand(
            8, count, 4, device="cuda", generator=torch.Generator("cuda").manual_seed(2)
        )
        expected, _ = method.policy.sample(x, 4, noise=noise.permute(1, 2, 0))
        assert (found == expected).float().mean() > 0.99
        # Weights change in place, and the graph follows them.
        with torch.no_grad():
            for parameter in method.policy.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))


def test_a_step_is_close_to_the_cpu_s(tiny_settings):
    method, config = make(tiny_settings)
    x = windows(config)
    codes = torch.randint(16, (16, 4, 8), device="cuda")
    there = copy.deepcopy(method.policy).cpu(), copy.deepcopy(method.decoder).cpu()
    found = method.policy.log_probabilities(x, codes).cpu()
    torch.testing.assert_close(
        found, there[0].log_probabilities(x.cpu(), codes.cpu()), atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(
        method.decoder(codes[:, 0]).cpu(), there[1](codes[:, 0].cpu()), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_waits_for_nothing(tiny_settings, precision):
    method, config = make(tiny_settings, f'train.precision="{precision}"')
    updates, x = Updates(method, config.train), windows(config)
    generator = torch.Generator("cuda").manual_seed(2)
    before = [p.clone() for p in method.parameters()]

    def step():
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            result = method.training_step(x, 0.5, generator)
        updates.step(result.loss, 0.5)
        return result

    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert result.loss.dtype == torch.float32
    assert all(torch.isfinite(v) for v in result.metrics.values())
    assert any(not torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True))


def test_bfloat16_gradients_point_where_float32_ones_do(tiny_settings):
    found = []
    for enabled in (False, True):
        method, config = make(tiny_settings)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=enabled):
            loss = -method.policy.log_probabilities(
                windows(config), torch.zeros(16, 4, 8, dtype=torch.long, device="cuda")
            ).mean()
        loss.backward()
        found.append(torch.cat([p.grad.flatten() for p in method.policy.parameters()]))
    assert torch.cosine_similarity(*found, dim=0) > 0.99


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", EVERY)
def test_every_method_is_fitted_and_trained(name, precision):
    method, generator = make_small(name).cuda(), torch.Generator("cuda").manual_seed(1)
    x = patterns(256, torch.Generator().manual_seed(1)).cuda()
    method.fit(lambda count: x[:count], generator)
    updates = Updates(method, method.config.train)
    for step in range(4 if updates.trainable else 0):
        method.train()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            result = method.training_step(x[:64], step / 4, generator)
        updates.step(result.loss, step / 4)
        assert all(torch.isfinite(v) for v in result.metrics.values())
    assert updates.counts() == (0, 0)

    copies = copy.deepcopy(method).cpu(), make_small(name)
    copies[1].load_state_dict(method.state_dict())
    method.eval()
    codes = method.encode(x)
    for there in copies:
        there.eval()
        assert (there.encode(x.cpu()) == codes.cpu()).float().mean() > 0.98
        torch.testing.assert_close(
            there.decode(codes.cpu()), method.decode(codes).cpu(), atol=1e-3, rtol=1e-3
        )
    for found in (
        method.encode(x, effort=3, generator=generator),
        method.encode(x, temperature=1.0, generator=generator),
    ):
        assert found.is_cuda
        assert found.shape == codes.shape
