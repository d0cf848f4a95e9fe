"""What the weight of a tokenizer's own prior buys: nats of tokens against error.

    python tools/bench/rate_weight.py --tokenizer default --data DIR... --out curve.png

Encodes the first 20 seconds of every clip of each set with weights of 0 to 16 and efforts of 1, 3
and 8, decodes them and prints a table: nats a window under the tokenizer's prior, and MPJPE of the
decoded motion, means over frames.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from bvh import dataset
from bvh.motion import Motion
from motiontok import MotionTokenizer
from motiontok.data import Start
from motiontok.evaluate import compare_motions
from motiontok.evaluate.machine import machine
from motiontok.progress import progress

WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
EFFORTS = (1, 3, 8)
STYLES = {1: ":", 3: "--", 8: "-"}
FRAMES = 600


def measured(
    tokenizer: MotionTokenizer, motions: list[Motion], weight: float, effort: int
) -> tuple[float, float]:
    """Nats a window and MPJPE in mm."""
    nats, windows, errors, frames = 0.0, 0, 0.0, 0
    for motion in motions:
        codes = tokenizer.encode(motion, effort=effort, rate_weight=weight)
        nats += float(tokenizer.nats(codes).sum())
        windows += len(codes)
        decoded = tokenizer.decode(
            codes, start=Start.of(motion), offsets=motion.offsets, frames=len(motion)
        )
        errors += compare_motions(motion, decoded)["mpjpe_mm"] * len(motion)
        frames += len(motion)
    return nats / windows, errors / frames


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, help="picture of the curves")
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    sets = {path.name: [m[:FRAMES] for m in dataset.load(path).motions] for path in given.data}
    found: dict[str, dict[int, list[tuple[float, float]]]] = {}
    with progress("encoding", len(sets) * len(EFFORTS) * len(WEIGHTS)) as update:
        done = 0
        for name, motions in sets.items():
            found[name] = {effort: [] for effort in EFFORTS}
            for effort, curve in found[name].items():
                for weight in WEIGHTS:
                    curve.append(measured(tokenizer, motions, weight, effort))
                    done += 1
                    update(done)
    print(f"{tokenizer!r}, {machine('cpu')}\n")
    print(f"| nats a window / mm | {' | '.join(f'weight {w:g}' for w in WEIGHTS)} |")
    print(f"|---|{'---|' * len(WEIGHTS)}")
    for name, curves in found.items():
        for effort, curve in curves.items():
            cells = " | ".join(f"{nats:.0f} / {error:.1f}" for nats, error in curve)
            print(f"| {name}, effort {effort} | {cells} |")
    if given.out:
        plot(found, given.out)


def plot(found: dict[str, dict[int, list[tuple[float, float]]]], path: Path) -> None:
    """Draw error against nats, a curve a set and effort."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    for n, (name, curves) in enumerate(found.items()):
        for effort, curve in curves.items():
            nats, errors = np.array(curve).T
            style = {"color": f"C{n}", "linestyle": STYLES[effort]}
            axes.plot(nats, errors, marker="o", label=f"{name}, effort {effort}", **style)
    axes.set_xlabel("nats a window under the tokenizer's prior")
    axes.set_ylabel("MPJPE, mm")
    axes.grid(alpha=0.3)
    axes.margins(y=0.18)
    axes.legend(fontsize=8, handlelength=3.5, markerscale=0.7)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
