"""Cost of a method: time and memory of a training step, speed of encoding and decoding.

Time is that of :func:`clock_of`.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from motiontok.methods import DiscreteAutoencoder
from motiontok.training.clipping import clip_adaptively, transposed_weights

__all__ = ["clock_of", "coding_speed", "training_cost"]

_STEPS = 5
_BATCH = 64
_CALLS = 5


def training_cost(method: DiscreteAutoencoder, x: Tensor) -> dict[str, float]:
    """Cost of one optimiser step at the end of a run, measured on a copy.

    Args:
        method: a trained or fresh autoencoder.
        x: one batch of windows.

    Returns:
        ``step_ms``: median of a few steps, forward, backward and update; ``step_peak_mib``:
        the most memory that a step takes beyond weights and optimiser moments.
        Empty for a method without parameters to train.
    """
    method = copy.deepcopy(method).train()
    groups = method.parameter_groups()
    if not any(group["params"] for group in groups):
        return {}
    clipped = [p for g in groups if g["clip"] for p in g["params"]]
    transposed = transposed_weights(method)
    optimizer = torch.optim.AdamW([{"params": g["params"]} for g in groups], lr=0.0)
    generator = torch.Generator(x.device).manual_seed(0)

    def step() -> None:
        method.training_step(x, 1.0 - 1e-6, generator).loss.backward()
        clip_adaptively(clipped, transposed=transposed)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    seconds = _median_seconds(step, _STEPS, x.device)
    return {"step_ms": 1e3 * seconds, "step_peak_mib": _peak_bytes(step, x.device) / 2**20}


def coding_speed(
    encode: Callable[[Tensor], Any], decode: Callable[[Any], Tensor], x: Tensor
) -> dict[str, float]:
    """Windows a second in batches of 64, and milliseconds for a single window.

    Args:
        encode: windows ``(batch, frames, columns)`` to codes.
        decode: codes to windows.
        x: windows to use; the first ones are taken, repeated if there are too few.
    """
    repeats = -(-_BATCH // len(x))
    many = x.repeat(repeats, 1, 1)[:_BATCH]
    out = {}
    with torch.no_grad():
        for name, windows in (("windows_per_s", many), ("latency_ms", many[:1])):
            codes = encode(windows)
            decode(codes)
            for what, call in (
                ("encode", lambda windows=windows: encode(windows)),
                ("decode", lambda codes=codes: decode(codes)),
            ):
                seconds = _median_seconds(call, _CALLS, x.device)
                out[f"{what}_{name}"] = (
                    len(windows) / seconds if name == "windows_per_s" else 1e3 * seconds
                )
    return out


def clock_of(device: torch.device) -> Callable[[], float]:
    """Processor time of a single thread on a CPU, independent of other work; else wall time."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time if alone else time.perf_counter


def _median_seconds(call: Callable[[], object], times: int, device: torch.device) -> float:
    clock, taken = clock_of(device), []
    for _ in range(times):
        _wait(device)
        begin = clock()
        call()
        _wait(device)
        taken.append(clock() - begin)
    return sorted(taken)[times // 2]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_bytes(call: Callable[[], object], device: torch.device) -> float:
    """Most bytes allocated at once during a call, beyond what was allocated before."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return float(torch.cuda.max_memory_allocated(device) - before)
    with _quiet_stderr():
        activities = [torch.profiler.ProfilerActivity.CPU]
        with torch.profiler.profile(activities=activities, profile_memory=True) as recorded:
            call()
    recorder = recorded.profiler
    if recorder is None:
        raise RuntimeError("the profiler of torch recorded nothing")
    events = [e for e in recorder.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return float(peak)


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    # The profiler's C++ side announces its start and end on file descriptor 2.
    sys.stderr.flush()
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
