"""How costs grow: with the number of clips, the window's length, the vocabulary, and K.

    python tools/bench/scaling.py [--out docs/images/scaling.png]

Processor time of one thread. Clips are encoded by the default tokenizer in one process, as in a
run of `motiontok encode --pack`. The other panels are of fresh tokenizers on random windows, one
size varied at a time from 32 frames, 16 codes of 256 values and K = 8: what they say is beside
the point for what they cost. K is, for a training step of DAPS, the sequences drawn for each
window; for encoding, the candidates (`--effort`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from measuring import facts, foreign

import bvh
from bvh import procedural
from motiontok.config import load_config
from motiontok.corpus import encode_packed
from motiontok.data import FEATURES
from motiontok.methods import DiscreteAutoencoder, MotionNetworks, make_method
from motiontok.plotting import new_figure, save_figure

CLIPS = (25, 50, 100, 200)
LENGTHS = (16, 32, 64, 128)
VOCABULARIES = (64, 256, 1024, 4096)
CANDIDATES = (1, 2, 4, 8, 16)
BATCH = 64
WIDTH = ("model.width=64", "model.decoder_width=64", "model.components=128", "model.bases=8")

Curve = dict[int, float]


def seconds(run: Callable[[], object], rounds: int = 3) -> float:
    """Median processor time, after a run that does not count."""
    taken = []
    for _ in range(rounds + 1):
        begin = time.process_time()
        run()
        taken.append(time.process_time() - begin)
    return median(taken[1:])


def clips() -> Curve:
    """Seconds to encode so many clips of 3 s."""
    out = {}
    with tempfile.TemporaryDirectory() as scratch:
        for count in CLIPS:
            source = Path(scratch) / f"{count}"
            source.mkdir()
            for number in range(count):
                motion = procedural.make("walk", seconds=3, seed=number)
                bvh.write(foreign(motion), source / f"{number:04d}.bvh")
            begin = time.process_time()
            encode_packed(source, Path(scratch) / f"codes{count}", workers=1)
            out[count] = time.process_time() - begin
    return out


def fresh(name: str, *settings: str) -> tuple[DiscreteAutoencoder, torch.Tensor]:
    """An untrained tokenizer's method (a fitted one is fitted), and windows for it."""
    sizes = ("model.codes_per_window=16", "model.vocab_size=256", *WIDTH, f"method.name={name}")
    config = load_config("demo", (*sizes, *settings))
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    shape = (config.data.window, FEATURES)

    def draw(count: int) -> torch.Tensor:
        # Smooth in time, as motion is.
        steps = torch.randn(min(count, 6000), *shape, generator=generator)
        return steps.cumsum(1) / shape[0] ** 0.5

    method = make_method(config, MotionNetworks(config)).eval()
    method.fit(draw, generator)
    return method, draw(BATCH)


def coding(name: str, *settings: str, effort: int = 1) -> tuple[float, float]:
    """Microseconds a frame to encode and to decode."""
    method, x = fresh(name, *settings)
    generator = torch.Generator().manual_seed(0)
    frames = x.shape[0] * x.shape[1]
    with torch.no_grad():
        codes = method.encode(x)
        there = seconds(lambda: method.encode(x, effort=effort, generator=generator))
        back = seconds(lambda: method.decode(codes))
    return 1e6 * there / frames, 1e6 * back / frames


def step(samples: int) -> float:
    """Milliseconds of forward and backward of DAPS on a batch."""
    method, x = fresh("daps", f"method.samples={samples}")
    method.train()
    generator = torch.Generator().manual_seed(0)
    return 1e3 * seconds(lambda: method.training_step(x, 0.5, generator).loss.backward())


def both(values: tuple[int, ...], key: str) -> dict[str, Curve]:
    """Encoding and decoding by two methods along a setting."""
    out: dict[str, Curve] = {}
    for name in ("lopq", "daps"):
        for value in values:
            there, back = coding(name, f"{key}={value}")
            out.setdefault(f"{name}, encode", {})[value] = there
            out.setdefault(f"{name}, decode", {})[value] = back
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/scaling.png"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    candidates = {k: coding("daps", effort=k)[0] for k in CANDIDATES}
    training = {k: step(k) for k in CANDIDATES if k > 1}
    panels: list[tuple[str, str, dict[str, Curve]]] = [
        ("Clips", "processor s", {"encode, from BVH": clips()}),
        ("Frames a window", "us a frame", both(LENGTHS, "data.window")),
        ("Vocabulary", "us a frame", both(VOCABULARIES, "model.vocab_size")),
        (
            "K",
            "relative to K = 2",
            {
                "daps, encode with effort K": {k: v / candidates[2] for k, v in candidates.items()},
                "daps, training step": {k: v / training[2] for k, v in training.items()},
            },
        ),
    ]
    print(facts("torch"), "\n")
    figure = new_figure(11, 7, doing="drawing scaling curves")
    for axes, (title, unit, curves) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for name, curve in curves.items():
            print(f"{title}, {unit}, {name}:", {k: float(f"{v:.3g}") for k, v in curve.items()})
            axes.plot(list(curve), list(curve.values()), marker="o", markersize=4, label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        ticks = sorted({x for curve in curves.values() for x in curve})
        axes.set_xticks(ticks, [f"{x:,}" for x in ticks])
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.set_xlabel(title)
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save_figure(figure, given.out)
    print(f"\nwrote {given.out}")


if __name__ == "__main__":
    main()
