"""What a training step of DAPS costs, computed: operations and memory of each part.

    python tools/imagenet/cost.py [CONFIG] [--set KEY=VALUE]... [--tflops 100]

CONFIG is one of images, by default imagenet256. One image goes through the real networks on the
CPU; everything a step does is linear in images, so the figures are that image's times the batch.
Operations are torch's count of matrix products and convolutions (a multiplication and an addition
are two). Memory is what autograd keeps for the backward pass, in single precision, plus weights,
gradients and Adam's moments; what a kernel needs for a moment comes on top. Nothing is timed:
hours are operations divided by --tflops, the speed that you say your card sustains.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from motiontok.config import Config, load_config
from motiontok.methods import make_method
from motiontok.methods.image_networks import image_networks
from motiontok.methods.policy_autoencoder import PolicyAutoencoder
from motiontok.models import AutoregressivePolicy

GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", nargs="?", default="imagenet256")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--tflops", type=float, help="sustained by your card, for hours")
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.overrides)
    method = make_method(config, image_networks(config))
    if not isinstance(method, PolicyAutoencoder):
        raise SystemExit(f"{config.method.name} has no policy: this is about DAPS and its like")
    parts = cost_of_step(method)
    batch, steps = config.train.batch_size, config.train.steps
    weights = sum(p.numel() for p in method.parameters())
    print(f"{config.name}: batch {batch}, K = {config.method.samples}, {weights:,} parameters")
    print("| part | GFLOP an image | TFLOP a step | GiB a step |\n|---|---:|---:|---:|")
    for name, (operations, kept) in parts.items():
        print(
            f"| {name} | {operations / 1e9:,.1f} | {batch * operations / 1e12:,.2f} "
            f"| {batch * kept / GIB:,.1f} |"
        )
    total = batch * sum(operations for operations, _ in parts.values())
    print(f"weights, gradients and moments: {16 * weights / 2**20:.0f} MiB")
    print(f"{steps:,} steps: {steps * total / 1e18:,.2f} EFLOP")
    if arguments.tflops:
        hours = steps * total / (1e12 * arguments.tflops) / 3600
        print(f"at {arguments.tflops:g} TFLOP/s sustained: {hours:,.0f} hours")


def cost_of_step(method: PolicyAutoencoder) -> dict[str, tuple[int, int]]:
    """Operations, and bytes in memory, of each part of a step for one image.

    Args:
        method: with fresh weights.

    Returns:
        By part: sampling, whose memory is that of cached keys and values; the gradients of
        policy and decoder, each forward and backward.
    """
    config = method.config
    x = torch.zeros(1, *method.shape)
    samples = config.method.samples
    generator = torch.Generator().manual_seed(0)
    codes, operations = _counted(lambda: method.policy.sample(x, samples, generator=generator)[0])
    return {
        "sampling": (operations, _cache_bytes(config, method)),
        "policy, forward and backward": _gradient(
            method, lambda: method.policy.log_probabilities(x, codes)
        ),
        "decoder, forward and backward": _gradient(method, lambda: method.reward(x, codes)[0]),
    }


def _counted(call: Callable[[], Tensor]) -> tuple[Tensor, int]:
    # The fused kernels of attention are not counted on every device; their products are.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        found = call()
    return found, int(counter.get_total_flops())


def _gradient(method: PolicyAutoencoder, call: Callable[[], Tensor]) -> tuple[int, int]:
    def both() -> Tensor:
        found = call().sum()
        found.backward()
        return found

    _, operations = _counted(both)
    kept = _kept_bytes(call, {p.untyped_storage().data_ptr() for p in method.parameters()})
    method.zero_grad()
    return operations, kept


def _kept_bytes(call: Callable[[], Tensor], weights: set[int]) -> int:
    """Bytes that autograd keeps of a forward pass, weights aside; no storage counts twice."""
    # Whole storages are held on to, so that none is freed and its address given out again.
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        call()
    return sum(storage.nbytes() for storage in storages.values())


def _cache_bytes(config: Config, method: PolicyAutoencoder) -> int:
    """Keys and values of every layer and token, single precision."""
    if not isinstance(method.policy, AutoregressivePolicy):
        return 0
    model = config.model
    tokens = model.codes_per_window * config.method.samples
    return 4 * 2 * model.layers * tokens * model.width


if __name__ == "__main__":
    main()
