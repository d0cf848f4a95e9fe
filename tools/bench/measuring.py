"""What the benchmarks share: machine facts, rounds in turns, medians with their spread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

import bvh
from bvh import rotations as rot
from motiontok.evaluate.machine import machine

__all__ = ["Timings", "facts", "foreign", "in_turns", "load", "one_core", "peak_memory", "table"]


def facts(*packages: str) -> str:
    """Date, processor, cores, load and versions, in one line to stand beside numbers."""
    m = machine("cpu")
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", *packages))
    return (
        f"{m['date']}, {m['processor']}, {m['cores']} cores, {load()}; Python {m['python']}, "
        f"{versions}"
    )


def foreign(motion: bvh.Motion) -> bvh.Clip:
    """A clip as another rig has it: the canonical one need not be calibrated."""
    clip = motion.to_clip()
    axes = rot.exp(np.array([0.3, -0.5, 0.7]))
    turned = rot.multiply(clip.rotations, axes)
    turned[:, 1:] = rot.multiply(rot.conjugate(axes), turned[:, 1:])
    positions, offsets = clip.positions.copy(), clip.offsets.copy()
    positions[:, 1:] = rot.rotate(rot.conjugate(axes), positions[:, 1:])
    offsets[1:] = rot.rotate(rot.conjugate(axes), offsets[1:])
    sites = {j: rot.rotate(rot.conjugate(axes), s) for j, s in clip.end_sites.items()}
    return replace(clip, rotations=turned, positions=positions, offsets=offsets, end_sites=sites)


def load() -> str:
    """How busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"


def one_core() -> None:
    """Keep this process to one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def peak_memory(process: int) -> float:
    """Peak resident memory of a process that runs, MB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(found[0]) / 1024 if found else 0.0


@dataclass(frozen=True)
class Timings:
    """Seconds of each round of one way of doing something."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    def faster(self, other: Timings) -> float:
        """How many times as fast as another way: median of the rounds, each by itself."""
        return median(b / a for a, b in zip(self.seconds, other.seconds, strict=True))


def in_turns(
    ways: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 7,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Timings]:
    """Time several ways in turns, so that a busy machine slows all of them.

    A first round does not count. By default seconds are those of the processor, threads
    included.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, run in ways.items():
            begin = clock()
            run()
            if number:
                seconds[name].append(clock() - begin)
    return {name: Timings(tuple(values)) for name, values in seconds.items()}


def table(
    timings: Mapping[str, Timings],
    *,
    what: str,
    unit: str,
    work: float | Mapping[str, float],
    against: str,
    clock: str = "processor",
) -> str:
    """Markdown: median and spread of milliseconds, rate, and speed beside a named one.

    Args:
        timings: of :func:`in_turns`.
        what: heads the first column.
        unit: what ``work`` counts, such as "frames".
        work: units that a round does, of each way or of all.
        against: the way that the last column is relative to.
        clock: whose milliseconds these are.
    """
    units = {name: work[name] if isinstance(work, Mapping) else work for name in timings}
    lines = [
        f"| {what} | {clock} ms, median (least to most) | {unit}/s | x speed of {against} |",
        "|---|---|---|---|",
    ]
    for name, timing in timings.items():
        speed = timing.faster(timings[against]) * units[name] / units[against]
        middle, least, most = (
            f"{float(f'{1e3 * s:.4g}'):,g}"
            for s in (timing.median, min(timing.seconds), max(timing.seconds))
        )
        lines.append(
            f"| {name} | {middle} ({least} to {most}) "
            f"| {rate(units[name] / timing.median)} | {speed:.3g} |"
        )
    return "\n".join(lines)


def rate(value: float) -> str:
    """Three digits, and thousands set off."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
