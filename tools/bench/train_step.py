"""A training step of DAPS, part by part, against its arithmetic floor. Prints markdown.

    python tools/bench/train_step.py --config lafan --batch 32

A part's floor is its floating-point operations, counted from the shapes of its products and
convolutions, divided by the rate of a matrix product that this run measures. On a CPU times
are processor times of one thread; on a GPU the device is waited for.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from motiontok.config import Config, load_config
from motiontok.methods import DiscreteAutoencoder, MotionNetworks, make_method
from motiontok.methods.image_networks import image_networks
from motiontok.models.activation_cache import ActivationCache
from motiontok.training.updates import Updates


@dataclass(frozen=True)
class Part:
    """A part of a step.

    Attributes:
        name: what it is.
        seconds: median over repetitions.
        flop: floating-point operations of its products, 0 where they do not matter.
        floor: ``flop`` at the measured rate of a matrix product, s.
    """

    name: str
    seconds: float
    flop: float
    floor: float


@dataclass(frozen=True)
class Report:
    """Parts of a step, and what they were measured by.

    Attributes:
        parts: the step itself comes last.
        rate: of a matrix product, FLOP/s.
        peak_bytes: most memory the step took on a GPU, else 0.
    """

    parts: list[Part]
    rate: float
    peak_bytes: int


def make(config: Config, device: torch.device) -> tuple[DiscreteAutoencoder, tuple[int, ...]]:
    """An untrained method and the shape of its observations."""
    networks = image_networks(config) if config.data.is_images else MotionNetworks(config)
    torch.manual_seed(0)
    return make_method(config, networks).to(device), networks.shape


def timed(run: Callable[[], object], device: torch.device, repetitions: int) -> float:
    """Median seconds of ``run`` after one to warm up."""
    cuda = device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    seconds = []
    for _ in range(repetitions + 1):
        begin = clock()
        run()
        if cuda:
            torch.cuda.synchronize(device)
        seconds.append(clock() - begin)
    return sorted(seconds[1:])[repetitions // 2]


def gemm_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product."""
    size = 8192 if device.type == "cuda" else 512
    a = torch.randn(size, size, device=device, dtype=dtype)
    return 2 * size**3 / timed(lambda: a @ a, device, 9)


def flop_of(run: Callable[[], object]) -> float:
    """Operations of products and convolutions, forward and backward."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return float(counter.get_total_flops())


def measure(config: Config, *, batch: int, device: torch.device, repetitions: int) -> Report:
    """Time the parts of a step on ``batch`` observations of noise."""
    config = replace(config, train=replace(config.train, batch_size=batch))
    method, shape = make(config, device)
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(batch, *shape, device=device, generator=generator)
    updates = Updates(method, config.train)
    samples = config.method.samples
    half = config.train.precision == "bfloat16"
    networks: list[Tensor] = list(method.shared_parameters())

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)

    def sample(x: Tensor) -> Tensor:
        nonlocal recall
        with autocast():
            recall = method.recall(x)
            return method.draw(x, samples, generator, recall)

    recall: ActivationCache | None = None
    codes = sample(x)
    size = method.chunk(codes)

    def policy(x: Tensor, codes: Tensor) -> None:
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            with autocast():
                product = None if recall is None else recall.product(rows)
                loss = method.log_q(x[rows], codes[rows], product)[0].sum()
            torch.autograd.grad(loss, networks, allow_unused=True)

    def decoder(x: Tensor, codes: Tensor) -> None:
        for a, z in zip(x.split(size), codes.split(size), strict=True):
            with autocast():
                loss = method.reward(a, z)[0].sum()
            torch.autograd.grad(loss, networks, allow_unused=True)

    def optimise() -> None:
        loss = sum((p.sum() for p in method.parameters()), torch.zeros((), device=device))
        updates.step(loss, 0.5)

    def step() -> None:
        with autocast():
            result = method.training_step(x, 0.5, generator)
        updates.step(result.loss, 0.5)

    one, its = x[:1], codes[:1]
    # The policy's part takes what sampling before it has kept, here and below.
    if recall is not None:
        sample(one)
    flop = {
        "sampling": batch * flop_of(lambda: method._sample(one, torch.rand(its.shape).to(x))),
        "policy, forward and backward": batch * flop_of(lambda: policy(one, its)),
        "decoder, forward and backward": batch * flop_of(lambda: decoder(one, its)),
        "clipping and AdamW": 0.0,
    }
    flop["step"] = math.fsum(flop.values())
    runs: dict[str, Callable[[], object]] = {
        "sampling": lambda: sample(x),
        "policy, forward and backward": lambda: policy(x, codes),
        "decoder, forward and backward": lambda: decoder(x, codes),
        "clipping and AdamW": optimise,
        "step": step,
    }
    rate = gemm_rate(device, torch.bfloat16 if half else torch.float32)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    parts = [
        Part(name, timed(run, device, repetitions), flop[name], flop[name] / rate)
        for name, run in runs.items()
    ]
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return Report(parts, rate, peak)


def to_markdown(report: Report) -> str:
    """The table of a report."""
    lines = [
        f"Matrix product: {report.rate / 1e9:,.0f} GFLOP/s.",
        "",
        "| part | s | GFLOP | floor, s | of the floor's rate |",
        "|---|---:|---:|---:|---:|",
    ]
    for part in report.parts:
        share = f"{100 * part.floor / part.seconds:.0f} %" if part.flop else ""
        floor = f"{part.floor:.4f}" if part.flop else ""
        lines.append(
            f"| {part.name} | {part.seconds:.4f} | {part.flop / 1e9:.2f} | {floor} | {share} |"
        )
    if report.peak_bytes:
        lines += ["", f"Peak memory: {report.peak_bytes / 2**30:.1f} GiB."]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", default="lafan-paper")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(options.config, ['method.name="daps"', *options.overrides])
    print(
        to_markdown(
            measure(
                config,
                batch=options.batch,
                device=torch.device(options.device),
                repetitions=options.repetitions,
            )
        )
    )


if __name__ == "__main__":
    main()
