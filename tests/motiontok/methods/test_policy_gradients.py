"""REINFORCE and PPO against the enumerated gradient of their objective."""

from __future__ import annotations

import itertools

import pytest
import torch
from tiny_methods import tiny_config

from motiontok.config import load_config
from motiontok.methods import MotionNetworks, make_method
from motiontok.methods.image_networks import image_networks
from motiontok.methods.policy_gradient.ppo import adapt_penalty, clipped_objective
from motiontok.methods.policy_gradient.reinforce import leave_one_out

FRAMES, COLUMNS, CODES, VOCAB, BETA = 4, 2, 2, 4, 0.7
SEQUENCES = torch.tensor(list(itertools.product(range(VOCAB), repeat=CODES)))


def make(name, samples=2):
    config = tiny_config(
        name,
        frames=FRAMES,
        codes=CODES,
        vocab=VOCAB,
        width=8,
        decoder_width=8,
        method={"samples": samples, "beta_start": BETA, "beta_end": BETA},
    )
    torch.manual_seed(0)
    return make_method(config, MotionNetworks(config, columns=COLUMNS)).double()


def windows(batch):
    generator = torch.Generator().manual_seed(9)
    return torch.randn(batch, FRAMES, COLUMNS, generator=generator, dtype=torch.double)


def gradients(loss, method):
    """Gradients of the policy and of the decoder, each as one vector."""
    parts = [list(part.parameters()) for part in (method.policy, method.decoder)]
    grads = torch.autograd.grad(loss, [*parts[0], *parts[1]], materialize_grads=True)
    split = len(parts[0])
    return [torch.cat([g.flatten() for g in part]) for part in (grads[:split], grads[split:])]


def errors(method, x, exact, copies):
    """Relative errors of one step's gradients on so many copies of a window."""
    result = method.training_step(x.expand(copies, -1, -1), 0.0, torch.Generator().manual_seed(1))
    found = gradients(result.loss, method)
    return [float((f - e).norm() / e.norm()) for f, e in zip(found, exact, strict=True)]


def enumerated(method, x):
    """Gradient of -(E_q[R] + beta H(q)), all sequences summed out."""
    codes = SEQUENCES.expand(len(x), -1, -1)
    logp = method.policy.log_probabilities(x, codes)
    logq = logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)
    reward, _ = method.reward(x, codes)
    return gradients(-(logq.exp() * (reward - BETA * logq)).sum(dim=1).mean(), method)


@pytest.mark.parametrize("samples", [2, 8])
def test_reinforce_is_unbiased(samples):
    """The mean over ever more copies of a window goes to the enumerated gradient."""
    method, x = make("reinforce", samples), windows(1)
    exact = enumerated(method, x)
    few, many = errors(method, x, exact, 16), errors(method, x, exact, 4096)
    assert max(many) < 0.06
    # 256 times as many samples: a sixteenth of the error, give or take luck.
    assert all(m < 0.25 * f for f, m in zip(few, many, strict=True))


def test_leave_one_out_is_independent_of_its_own_sample():
    returns = torch.randn(3, 5, generator=torch.Generator().manual_seed(2), dtype=torch.double)
    advantage = leave_one_out(returns)
    for k in range(5):
        others = torch.cat([returns[:, :k], returns[:, k + 1 :]], dim=1).mean(dim=1)
        torch.testing.assert_close(advantage[:, k], returns[:, k] - others)
    torch.testing.assert_close(leave_one_out(returns + 100.0), advantage)


def test_a_first_ppo_step_follows_the_enumerated_gradient():
    """Old and new policy are one: the ratio is 1, its clipping and the KL penalty idle, and
    what is left is the policy gradient, with the analytic gradient of the entropy of each
    position given its prefix."""
    method, x = make("ppo"), windows(1)
    codes = SEQUENCES[None]
    logp = method.policy.log_probabilities(x, codes)
    logq = logp.gather(-1, codes[..., None])[..., 0].sum(dim=-1)
    reward, _ = method.reward(x, codes)
    weight = logq.detach().exp()
    kl = (logp.exp() * logp).sum(dim=(-1, -2))
    exact = gradients(-(logq.exp() * reward).sum() + BETA * (weight * kl).sum(), method)
    with torch.no_grad():
        # A critic that knows the mean reward: less noise, the same expectation.
        method.critic.encoder.out.weight.zero_()
        method.critic.encoder.out.bias.fill_(float(reward.mean()) / (FRAMES * COLUMNS))
    few, many = errors(method, x, exact, 64), errors(method, x, exact, 16_384)
    assert max(many) < 0.08
    assert all(m < 0.25 * f for f, m in zip(few, many, strict=True))


def test_ppo_samples_from_the_policy_before_the_last_update():
    method, x, generator = make("ppo"), windows(8), torch.Generator().manual_seed(3)
    before = {k: v.clone() for k, v in method.policy.state_dict().items()}
    method.training_step(x, 0.0, generator)
    with torch.no_grad():
        for p in method.policy.parameters():
            p.add_(0.1)
    assert all(torch.equal(v, before[k]) for k, v in method.old_policy.state_dict().items())
    method.training_step(x, 0.0, generator)
    now = method.policy.state_dict()
    assert all(torch.equal(v, now[k]) for k, v in method.old_policy.state_dict().items())
    assert not any(p.requires_grad for p in method.old_policy.parameters())


def test_clipping_stops_the_gradient_where_the_step_went_far_enough():
    ratio = torch.tensor([0.7, 0.7, 1.0, 1.3, 1.3], requires_grad=True)
    advantage = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    value = clipped_objective(ratio, advantage)
    torch.testing.assert_close(value.detach(), torch.tensor([0.7, -0.8, 1.0, 1.2, -1.3]))
    (slope,) = torch.autograd.grad(value.sum(), ratio)
    torch.testing.assert_close(slope, torch.tensor([1.0, 0.0, 1.0, 0.0, -1.0]))


@pytest.mark.parametrize(
    ("before", "kl", "after"),
    [
        (8.0, 0.1, 16.0),
        (8.0, 0.001, 4.0),
        (8.0, 0.025, 8.0),
        (1000.0, 1.0, 1000.0),
        (1 / 16, 0.0, 1 / 16),
    ],
)
def test_the_penalty_follows_the_size_of_steps_within_its_range(before, kl, after):
    found = adapt_penalty(torch.tensor(before), torch.tensor(kl), target=0.025, least=1 / 16)
    assert float(found) == after


@pytest.mark.parametrize(
    ("name", "least", "target"),
    [("demo", 1 / 16, 0.025), ("cifar10", 1e-3, 0.025), ("mnist", 1e-3, 0.05)],
)
def test_target_and_least_penalty_are_the_papers_for_the_data(name, least, target):
    """The first updates, which the optimiser does not make, halve the penalty to its least."""
    config = load_config(name, ['method.name="ppo"', "model.width=8", "model.decoder_width=8"])
    networks = image_networks(config) if config.data.is_images else MotionNetworks(config)
    method, generator = make_method(config, networks), torch.Generator().manual_seed(0)
    x = torch.rand(2, *method.shape).round()
    for _ in range(15):
        method.training_step(x, 0.5, generator)
    assert float(method.penalty) == pytest.approx(least)
    assert method.kl_target == target
